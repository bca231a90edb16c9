//! `config.toml`: what one node decides for itself.

use std::path::Path;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use crate::consortium::{one_line, read_bounded};

/// Files larger than this are not read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A node's own settings. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on.
    #[serde(default = "default_listen")]
    pub listen: Vec<Multiaddr>,
    /// Port of 127.0.0.1 for the local API, beside `api.sock`; callers then show `api.token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// How others reach this node, beside these addresses.
    #[serde(default)]
    pub reach: Reach,
}

/// How others reach this node, beside the addresses that it listens on: the section `[reach]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// Passes connections between members on, for those who cannot be dialled: circuit relay v2. Needs an
    /// address that the others reach.
    pub relay: bool,
    /// Asks members that relay to pass connections on to this node. A node that listens nowhere always asks.
    pub through_relay: bool,
    /// Looks for members on the local network by multicast DNS, and answers them.
    pub mdns: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: default_listen(), api_port: None, reach: Reach::default() }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Where.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path}: {reason}")]
    Parse {
        /// Where.
        path: String,
        /// What is wrong, with the line.
        reason: String,
    },
}

impl Config {
    /// Reads a configuration; the defaults where there is no file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and the line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let parse = |reason| ConfigError::Parse { path: path.display().to_string(), reason };
        let text = match read_bounded(path, MAX_FILE_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(parse(format!("more than {MAX_FILE_BYTES} bytes"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.display().to_string(), source }),
        };
        let config: Self = toml::from_str(&text).map_err(|error| parse(one_line(&error, &text)))?;
        if config.reach.relay && (config.listen.is_empty() || config.reach.through_relay) {
            return Err(parse(
                "reach.relay is for nodes that others can dial: give addresses in `listen`, and do not set \
                 reach.through_relay"
                    .to_owned(),
            ));
        }
        Ok(config)
    }
}

fn default_listen() -> Vec<Multiaddr> {
    ["/ip4/0.0.0.0/tcp/4040", "/ip4/0.0.0.0/udp/4040/quic-v1"]
        .into_iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|error| {
            let message = error.to_string();
            let line =
                message.strip_prefix(&format!("{}: ", path.display())).expect("the file is named first");
            assert!(!line.contains('\n'), "{line}");
            line.to_owned()
        })
    }

    #[test]
    fn without_a_file_or_a_key_the_defaults_hold() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Config::load(&folder.path().join("config.toml")).unwrap(), Config::default());
        assert_eq!(load("# nothing\n").unwrap(), Config::default());
        let listen: Vec<String> = Config::default().listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["/ip4/0.0.0.0/tcp/4040", "/ip4/0.0.0.0/udp/4040/quic-v1"]);
    }

    #[test]
    fn what_is_set_is_used_and_survives_being_written() {
        let config = load("listen = [\"/ip4/10.0.0.1/tcp/9\"]").unwrap();
        assert_eq!(config.listen, ["/ip4/10.0.0.1/tcp/9".parse().unwrap()]);
        assert_eq!(load(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(load("listen = []").unwrap().listen, []);
        assert_eq!(load("api_port = 4041").unwrap().api_port, Some(4041));
        let reach = load("[reach]\nrelay = true\nmdns = true").unwrap().reach;
        assert_eq!(reach, Reach { relay: true, through_relay: false, mdns: true });
    }

    #[test]
    fn whoever_cannot_be_dialled_relays_for_nobody() {
        for text in ["listen = []\n[reach]\nrelay = true", "[reach]\nrelay = true\nthrough_relay = true"] {
            assert!(load(text).unwrap_err().contains("reach.relay"), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, words) in [
            ("\nlisten = []\nlitsen = []", ["line 3", "litsen"]),
            ("listen = [\n\"/ip4/10.0.0/tcp/9\"]", ["line 2", "invalid"]),
            ("listen = \"/ip4/10.0.0.1/tcp/9\"", ["line 1", "sequence"]),
            ("api_port = 70000", ["line 1", "u16"]),
            ("listen", ["line 1", "expected"]),
            ("[reach]\nrelais = true", ["line 2", "relais"]),
        ] {
            let error = load(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{text:?}: {error}");
        }
        assert!(load(&"#".repeat(MAX_FILE_BYTES as usize + 1)).unwrap_err().contains("1048576 bytes"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Config::load(folder.path()), Err(ConfigError::Read { .. })));
    }
}
