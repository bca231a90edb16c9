//! Which manifests this node has signed, so that it signs one of each epoch.
//!
//! Two manifests of one epoch can both get enough signatures only if more than c members sign both. A node that
//! forgets what it has signed could be talked into that, so it is on disk before the signature leaves.

use std::{fmt, path::Path};

use consort_protocol::hash::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    consortium::one_line,
    files::{self, read_bounded},
};

/// Files larger than this are not read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Manifests signed with a home's identity.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    #[serde(default)]
    signed: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    epoch: u64,
    manifest: String,
}

/// Why a manifest is not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// The file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// Another one of this epoch is signed.
    #[error(
        "this node has signed another manifest of epoch {epoch} ({manifest}…); whoever has both can split the consortium. If that one was given up by all, sign with --instead"
    )]
    Another {
        /// The epoch.
        epoch: u64,
        /// First bytes of the other one's digest, in hexadecimal.
        manifest: String,
    },
}

impl Signed {
    /// Writes down that a manifest is about to be signed.
    ///
    /// # Errors
    /// [`SignedError::Another`] where another one of its epoch is, unless it takes its place.
    pub fn note(path: &Path, epoch: u64, digest: &Digest, instead: bool) -> Result<(), SignedError> {
        let mut noted = Self::load(path)?;
        let manifest = hex::encode(digest);
        if let Some(at) = noted.signed.iter().position(|entry| entry.epoch == epoch) {
            let other = noted.signed.remove(at);
            if other.manifest == manifest {
                return Ok(());
            }
            if !instead {
                let manifest = other.manifest.chars().take(16).collect();
                return Err(SignedError::Another { epoch, manifest });
            }
        }
        noted.signed.push(Entry { epoch, manifest });
        let text = toml::to_string(&noted).map_err(|error| failed(path, &error))?;
        files::replace(path, text.as_bytes(), 0o600).map_err(|error| failed(path, &error))
    }

    fn load(path: &Path) -> Result<Self, SignedError> {
        let text = match read_bounded(path, MAX_FILE_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(failed(path, &format!("more than {MAX_FILE_BYTES} bytes"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(path, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            let reason = one_line(&error, &text);
            failed(
                path,
                &format!(
                    "{reason}; put your copy of it back, or move it away, keep it, and sign no other manifest of an epoch that this node has signed"
                ),
            )
        })
    }
}

fn failed(path: &Path, reason: &dyn fmt::Display) -> SignedError {
    SignedError::File(format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_manifest_of_each_epoch() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("signed.toml");
        Signed::note(&path, 1, &[1; 32], false).unwrap();
        Signed::note(&path, 1, &[1; 32], false).unwrap();
        Signed::note(&path, 2, &[2; 32], false).unwrap();
        let refused = Signed::note(&path, 1, &[3; 32], false).unwrap_err();
        assert!(
            matches!(&refused, SignedError::Another { epoch: 1, manifest } if manifest == &"01".repeat(8))
        );
        Signed::note(&path, 1, &[3; 32], true).unwrap();
        assert!(Signed::note(&path, 1, &[1; 32], false).is_err());
        // cut off
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let damaged = Signed::note(&path, 3, &[1; 32], false).unwrap_err().to_string();
        assert!(damaged.contains("signed.toml") && damaged.contains("put your copy of it back"), "{damaged}");
    }
}
