//! `config.toml`: what one node decides for itself.

mod limits;

use std::path::Path;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::{
    consent::Consent,
    consortium::one_line,
    files::{self, read_bounded},
};

pub use limits::{Limits, OverLimit};

/// Files larger than this are not read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The section `[consent]` of a new file: nothing is set, so the defaults hold.
const CONSENT: &str = "\
# What this node consents to, whatever the manifest allows. It is asked before any key is made; what it refuses is
# in its log and in `consort status`, and the others are told (docs/operate.md). The values are examples.
[consent]
# min_survivors = 6                     # refuse rounds in which a sum might be over fewer members
# max_vector = 1000000                  # most elements of a vector
# encodings = [\"integer\", \"fixed\"]     # integers exactly, floats in fixed point
# reductions = [\"sum\", \"mean\", \"weighted-mean\"]
# purposes = [{ label = \"ward counts\" }]  # or query = \"64 hexadecimal digits\", or both
# rounds_per_day = 24                   # within any 24 hours
# aggregate = true                      # false: it never collects, and passes its turn on
# differ_by = 2                         # sums of one label: the same members, or at least c + differ_by others
";

/// A node's own settings. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this node is called on its member card; its peer id says it where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Addresses to listen on.
    #[serde(default = "default_listen", deserialize_with = "addresses")]
    pub listen: Vec<Multiaddr>,
    /// Port of 127.0.0.1 for the local API, beside `api.sock`; callers then show `api.token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// How others reach this node, beside these addresses.
    #[serde(default)]
    pub reach: Reach,
    /// What it spends on rounds.
    #[serde(default)]
    pub limits: Limits,
    /// What this node consents to.
    #[serde(default)]
    pub consent: Consent,
}

/// How others reach this node, beside the addresses that it listens on: the section `[reach]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// Addresses at which others find this node although none of its interfaces has them: a router's that forwards a
    /// port to it.
    #[serde(deserialize_with = "addresses")]
    pub announce: Vec<Multiaddr>,
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
        Self {
            name: None,
            listen: default_listen(),
            api_port: None,
            reach: Reach::default(),
            limits: Limits::default(),
            consent: Consent::default(),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
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
        if let Some(open) = config.reach.announce.iter().find(|address| is_open(address)) {
            return Err(parse(format!(
                "reach.announce: {open} is an address to listen on, and none to dial"
            )));
        }
        if config.reach.relay && (config.listen.is_empty() || config.reach.through_relay) {
            return Err(parse(
                "reach.relay is for nodes that others can dial: give addresses in `listen`, and do not set \
                 reach.through_relay"
                    .to_owned(),
            ));
        }
        if let Some(mistake) = config.limits.mistake() {
            return Err(parse(format!("[limits]: {mistake}")));
        }
        Ok(config)
    }

    /// Names what is different in another configuration and cannot change while the node runs.
    #[must_use]
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let Self { name: _, listen, api_port, reach, limits: _, consent } = self;
        let fixed = [
            ("listen", *listen != other.listen),
            ("api_port", *api_port != other.api_port),
            ("reach", *reach != other.reach),
            ("consent", *consent != other.consent),
        ];
        fixed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Writes it to a new file, with comments for whoever edits it.
    ///
    /// # Errors
    /// Where the file cannot be written, or exists: then it is as it was.
    pub fn create(&self, path: &Path) -> Result<(), ConfigError> {
        let text = |value: String| toml::Value::String(value).to_string();
        let name = match &self.name {
            Some(name) => format!("name = {}", text(name.clone())),
            None => "# name = \"ward-7\"".to_owned(),
        };
        let listen: String =
            self.listen.iter().map(|address| format!("    {},\n", text(address.to_string()))).collect();
        let Reach { announce, relay, through_relay, mdns } = &self.reach;
        let announce: Vec<String> = announce.iter().map(|address| text(address.to_string())).collect();
        let announce = announce.join(", ");
        let Limits { memory_mib, round_mib, uploads } = self.limits;
        let file = format!(
            "# Settings of this node. Unknown keys are refused, so that a misspelt one is noticed.\n\n\
             # What the others call it: `consort card` puts it on the member card.\n{name}\n\n\
             # Where it listens: /ip4/ADDRESS/tcp/PORT, or /ip4/ADDRESS/udp/PORT/quic-v1. 0.0.0.0 is every interface.\n\
             listen = [\n{listen}]\n\n\
             # The local API is on api.sock in this folder, and here too on 127.0.0.1 where a port is given; callers then\n\
             # show the token of the file api.token.\n\
             # api_port = 4041\n\n\
             # How others reach it beside that; all are off where nothing is said (docs/reachability.md).\n\
             [reach]\nannounce = [{announce}]\nrelay = {relay}\nthrough_relay = {through_relay}\nmdns = {mdns}\n\n\
             # What it spends on rounds (docs/operate.md): memory for an input with its aggregate; disk for the members'\n\
             # vectors of a round that it aggregates; how many of these it takes in at once.\n\
             [limits]\nmemory_mib = {memory_mib}\nround_mib = {round_mib}\nuploads = {uploads}\n\n{CONSENT}"
        );
        files::create(path, file.as_bytes(), 0o644)
            .map_err(|source| ConfigError::Read { path: path.display().to_string(), source })
    }

    /// Where others can dial this node: what it listens on, without addresses that name every interface or leave
    /// the port open, and what it announces beside that.
    #[must_use]
    pub fn dialable(&self) -> Vec<Multiaddr> {
        let listen = self.listen.iter().filter(|address| !is_open(address));
        listen.chain(&self.reach.announce).cloned().collect()
    }
}

/// Whether it names every interface, or leaves the port open.
fn is_open(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_unspecified(),
        Protocol::Ip6(ip) => ip.is_unspecified(),
        Protocol::Tcp(port) | Protocol::Udp(port) => port == 0,
        _ => false,
    })
}

/// What an address is that is not [`is_usable`], in words.
const UNUSABLE: &str = "no address that consort uses: write /ip4/ADDRESS/tcp/PORT or \
    /ip4/ADDRESS/udp/PORT/quic-v1 (or ip6; no names; ports go up to 65535)";

/// An address from its text.
///
/// # Errors
/// In words, where it is none that nodes listen on and dial.
pub fn address(text: &str) -> Result<Multiaddr, String> {
    let parsed = text.parse().ok().filter(is_usable);
    parsed.ok_or_else(|| format!("{text:?} is {UNUSABLE}"))
}

/// The address of a member, with or without `/p2p/ID` at its end.
///
/// # Errors
/// In words, where it is none that nodes listen on and dial.
pub fn peer_address(text: &str) -> Result<Multiaddr, String> {
    let (place, peer) = text.split_once("/p2p/").map_or((text, None), |(place, peer)| (place, Some(peer)));
    let address = address(place)?;
    let Some(peer) = peer else { return Ok(address) };
    let peer: PeerId = peer.parse().map_err(|_| format!("{peer:?} in {text:?} is no peer id"))?;
    Ok(address.with(Protocol::P2p(peer)))
}

fn addresses<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Multiaddr>, D::Error> {
    // each by itself, so that an error names its line
    Ok(Vec::<Usable>::deserialize(from)?.into_iter().map(|usable| usable.0).collect())
}

struct Usable(Multiaddr);

impl<'de> Deserialize<'de> for Usable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Usable;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an address")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Usable, E> {
                address(text).map(Usable).map_err(E::custom)
            }
        }

        from.deserialize_str(Text)
    }
}

/// Whether an address is of a kind that nodes listen on and dial: an IP address with TCP, or with QUIC.
fn is_usable(address: &Multiaddr) -> bool {
    use Protocol::{Ip4, Ip6, QuicV1, Tcp, Udp};
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    matches!(parts[..], [Ip4(_) | Ip6(_), Tcp(_)] | [Ip4(_) | Ip6(_), Udp(_), QuicV1])
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
        assert_eq!(reach, Reach { relay: true, mdns: true, ..Reach::default() });
    }

    #[test]
    fn a_router_s_address_goes_on_the_card_beside_those_that_are_listened_on() {
        let config = load("[reach]\nannounce = [\"/ip4/203.0.113.7/tcp/4040\"]").unwrap();
        assert_eq!(config.dialable(), ["/ip4/203.0.113.7/tcp/4040".parse().unwrap()]);
        for open in ["/ip4/0.0.0.0/tcp/4040", "/ip4/203.0.113.7/tcp/0"] {
            let refused = load(&format!("[reach]\nannounce = [\"{open}\"]")).unwrap_err();
            assert!(refused.contains("none to dial"), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        config.create(&path).unwrap();
        assert_eq!(Config::load(&path).unwrap(), config);
    }

    #[test]
    fn addresses_that_nobody_could_use_are_refused() {
        let own = crate::identity::NodeIdentity::from_secret(&[1; 32]).keypair().public().to_peer_id();
        let whole = format!("/ip4/192.0.2.7/tcp/4040/p2p/{own}");
        assert_eq!(peer_address(&whole).unwrap().to_string(), whole);
        assert!(peer_address("/ip4/192.0.2.7/tcp/4040/p2p/me").unwrap_err().contains("no peer id"));
        for address in [
            "/ip4/192.0.2.7/tcp/70000",
            "192.0.2.7:4040",
            "/dns4/ward.example/tcp/4040",
            "/ip4/192.0.2.7",
            "/ip4/192.0.2.7/udp/1",
            "/ip4/192.0.2.7/tcp/1/ws",
        ] {
            for text in [format!("listen = [\"{address}\"]"), format!("[reach]\nannounce = [\"{address}\"]")]
            {
                let refused = load(&text).unwrap_err();
                assert!(refused.contains(address) && refused.contains("/ip4/ADDRESS/tcp/PORT"), "{refused}");
            }
        }
    }

    #[test]
    fn whoever_cannot_be_dialled_relays_for_nobody() {
        for text in ["listen = []\n[reach]\nrelay = true", "[reach]\nrelay = true\nthrough_relay = true"] {
            assert!(load(text).unwrap_err().contains("reach.relay"), "{text:?}");
        }
    }

    #[test]
    fn a_new_file_says_what_it_was_made_with_and_overwrites_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let listen = ["/ip4/0.0.0.0/tcp/4040", "/ip4/192.0.2.7/tcp/4040", "/ip4/192.0.2.7/tcp/0"];
        let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
        let config = Config { name: Some("ward \"7\"".into()), listen, ..Config::default() };
        config.create(&path).unwrap();
        assert_eq!(Config::load(&path).unwrap(), config);
        assert!(Config::default().create(&path).is_err());
        assert_eq!(Config::load(&path).unwrap(), config);
        assert_eq!(config.dialable(), ["/ip4/192.0.2.7/tcp/4040".parse().unwrap()]);
        let unnamed = folder.path().join("unnamed.toml");
        Config::default().create(&unnamed).unwrap();
        assert_eq!(Config::load(&unnamed).unwrap(), Config::default());
    }

    #[test]
    fn every_example_in_a_new_file_can_be_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        Config::default().create(&path).unwrap();
        let examples = ["api_port", "min_survivors", "max_vector", "encodings", "reductions", "purposes"];
        let more = ["rounds_per_day", "aggregate", "differ_by"];
        let mut text = fs::read_to_string(&path).unwrap();
        for key in examples.into_iter().chain(more) {
            let commented = format!("\n# {key} = ");
            assert!(text.contains(&commented), "{key} is not in a new file");
            text = text.replacen(&commented, &format!("\n{key} = "), 1);
        }
        let config = load(&text).unwrap();
        assert_eq!((config.api_port, config.consent.rounds_per_day), (Some(4041), Some(24)));
        assert_eq!((config.consent.aggregate, config.consent.differ_by), (true, 2));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, words) in [
            ("\nlisten = []\nlitsen = []", ["line 3", "litsen"]),
            ("listen = [\n\"/ip4/10.0.0/tcp/9\"]", ["line 2", "no address"]),
            ("listen = \"/ip4/10.0.0.1/tcp/9\"", ["line 1", "sequence"]),
            ("api_port = 70000", ["line 1", "u16"]),
            ("listen", ["line 1", "expected"]),
            ("[reach]\nrelais = true", ["line 2", "relais"]),
            ("[limits]\nuploads = 0", ["[limits]", "limit of 0"]),
            ("[limits]\nround_mib = \"16 GB\"", ["line 2", "u64"]),
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
