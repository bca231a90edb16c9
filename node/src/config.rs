//! `config.toml`: what one node decides for itself.

use std::{fs, path::Path};

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

/// A node's own settings. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on.
    #[serde(default = "default_listen")]
    pub listen: Vec<Multiaddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: default_listen() }
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
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.display().to_string(), source }),
        };
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.display().to_string(),
            reason: crate::consortium::one_line(&error, &text),
        })
    }
}

fn default_listen() -> Vec<Multiaddr> {
    ["/ip4/0.0.0.0/tcp/4040", "/ip4/0.0.0.0/udp/4040/quic-v1"]
        .into_iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}
