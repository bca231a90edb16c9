//! `consortium.toml`: the manifest as people read and sign it, with all epochs before it.
//!
//! TOML is for people. Signatures cover the one canonical encoding of the same content
//! ([`consort_protocol::codec`]), so spaces, comments and the order of keys change nothing.

mod tables;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, path::Path};

use consort_protocol::{
    ids::MemberId,
    manifest::{Chain, Manifest, ManifestBody, ManifestError, SignedManifest, Tally},
};

use crate::{
    files::{self, read_bounded},
    home::Home,
};
use tables::Tables;

pub(crate) use tables::one_line;

/// Files larger than this are not read: hundreds of epochs of a hundred members.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Everybody may read what everybody signs.
const MODE: u32 = 0o644;

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ConsortiumError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not a manifest.
    #[error("{path}: {reason}")]
    Parse {
        /// Where.
        path: String,
        /// What is wrong, with the line.
        reason: String,
    },
    /// The manifest is not one to run with.
    #[error("{path}: {}{source}", member.as_ref().map(|name| format!("member {name}: ")).unwrap_or_default())]
    Manifest {
        /// Where.
        path: String,
        /// Name of the member whose entry is at fault, if one is.
        member: Option<String>,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The one of a home is damaged.
    #[error("{0}; replace it with a copy from a member whose node runs")]
    Own(Box<Self>),
    /// The home has none yet.
    #[error(
        "{0} is not there: give the signed file of your consortium with --consortium FILE; the home keeps it"
    )]
    None(String),
}

/// What a file holds: an epoch that perhaps not enough have signed yet, behind its verified predecessors.
#[derive(Clone, Debug)]
pub struct Draft {
    before: Option<Chain>,
    /// The last epoch, as it stands.
    pub last: SignedManifest,
}

impl Draft {
    /// A first manifest.
    #[must_use]
    pub fn first(last: SignedManifest) -> Self {
        Self { before: None, last }
    }

    /// A next epoch of this chain.
    #[must_use]
    pub fn next(before: Chain, last: SignedManifest) -> Self {
        Self { before: Some(before), last }
    }

    /// Reads a file and verifies all epochs but the last.
    ///
    /// # Errors
    /// [`ConsortiumError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ConsortiumError> {
        let name = path.display().to_string();
        let parse = |reason| ConsortiumError::Parse { path: name.clone(), reason };
        let text = read_bounded(path, MAX_FILE_BYTES)
            .map_err(|source| ConsortiumError::File { path: name.clone(), source })?
            .ok_or_else(|| parse(format!("more than the {MAX_FILE_BYTES} bytes that a manifest may have")))?;
        let (previous, last) = Tables::parse(&text).map_err(parse)?;
        let named = previous.clone();
        let before = match previous.is_empty() {
            true => None,
            false => Some(Chain::verify(previous).map_err(|source| {
                let member = at_fault(&source, named.iter().map(|epoch| &epoch.body));
                ConsortiumError::Manifest { path: name.clone(), member, source }
            })?),
        };
        Ok(Self { before, last })
    }

    /// The manifest of the epoch before.
    #[must_use]
    pub fn previous(&self) -> Option<&Manifest> {
        self.before.as_ref().map(|before| &**before.manifest())
    }

    /// The epochs before.
    #[must_use]
    pub fn before(&self) -> Option<&Chain> {
        self.before.as_ref()
    }

    /// All epochs, in ascending order.
    #[must_use]
    pub fn epochs(&self) -> Vec<SignedManifest> {
        let before = self.before.iter().flat_map(Chain::iter);
        before.chain([self.last.clone()]).collect()
    }

    /// How far the signatures have come; everything else is checked.
    ///
    /// # Errors
    /// [`ManifestError`] says which entry, rule or signature is at fault.
    pub fn tally(&self) -> Result<Tally, ManifestError> {
        self.last.tally(self.previous())
    }

    /// The verified chain, if enough have signed.
    ///
    /// # Errors
    /// [`ManifestError`] says what is missing or at fault.
    pub fn complete(&self) -> Result<Chain, ManifestError> {
        match &self.before {
            None => Chain::verify([self.last.clone()]),
            Some(before) => {
                let mut chain = before.clone();
                chain.extend(self.last.clone()).map(|()| chain)
            }
        }
    }

    /// The file as text.
    ///
    /// # Errors
    /// Where a member's id is not an Ed25519 key or an address is none, in words.
    pub fn to_toml(&self) -> Result<String, String> {
        let before = self.before.iter().flat_map(Chain::iter);
        Tables::write(&self.last, before)
    }

    /// Writes the file whole or not at all, in place of one that is there.
    ///
    /// # Errors
    /// [`ConsortiumError`] names the file.
    pub fn write(&self, path: &Path) -> Result<(), ConsortiumError> {
        let name = path.display().to_string();
        let text = self.to_toml().map_err(|reason| ConsortiumError::Parse { path: name.clone(), reason })?;
        files::replace(path, text.as_bytes(), MODE)
            .map_err(|source| ConsortiumError::File { path: name, source })
    }

    /// An error of the last epoch, with the file and the member that it is about.
    #[must_use]
    pub fn error(&self, path: &Path, source: ManifestError) -> ConsortiumError {
        let before = self.previous().map(Manifest::body);
        let member = at_fault(&source, before.into_iter().chain([&self.last.body]));
        ConsortiumError::Manifest { path: path.display().to_string(), member, source }
    }
}

/// A verified chain as a file has it.
impl From<Chain> for Draft {
    fn from(chain: Chain) -> Self {
        let (before, last) = chain.split();
        Self { before, last }
    }
}

/// Reads and verifies a manifest with all epochs before it.
///
/// # Errors
/// [`ConsortiumError`] names the file and what is wrong with it.
pub fn load(path: &Path) -> Result<Chain, ConsortiumError> {
    let draft = Draft::read(path)?;
    draft.complete().map_err(|source| draft.error(path, source))
}

/// The newest epoch of a home and of a file, of which one has to be there, and whether it is the file's.
///
/// # Errors
/// [`ConsortiumError`]: one of them cannot be used, there is none, or they contradict each other.
pub fn newest(home: &Home, file: Option<&Path>) -> Result<(Chain, bool), ConsortiumError> {
    let own = home.consortium();
    let Some(file) = file else {
        return match own.exists() {
            true => Ok((load_own(&own)?, false)),
            false => Err(ConsortiumError::None(own.display().to_string())),
        };
    };
    let theirs = load(file)?;
    if !own.exists() {
        return Ok((theirs, true));
    }
    let mine = load_own(&own)?;
    match mine.compare(&theirs) {
        Ok(Ordering::Greater) => Ok((theirs, true)),
        Ok(Ordering::Equal | Ordering::Less) => Ok((mine, false)),
        Err(source) => {
            Err(ConsortiumError::Manifest { path: file.display().to_string(), member: None, source })
        }
    }
}

/// The manifest of a home, which was one to run with when it was written.
fn load_own(path: &Path) -> Result<Chain, ConsortiumError> {
    load(path).map_err(|error| match error {
        ConsortiumError::Parse { .. } | ConsortiumError::Manifest { .. } => {
            ConsortiumError::Own(Box::new(error))
        }
        other => other,
    })
}

/// Name of whoever's entry or signature a manifest fails on, where its message gives none.
fn at_fault<'a>(error: &ManifestError, epochs: impl Iterator<Item = &'a ManifestBody>) -> Option<String> {
    let id: MemberId = match error {
        ManifestError::Order(id) | ManifestError::Signature(id) | ManifestError::Entry { id, .. } => *id,
        _ => return None,
    };
    let members = epochs.flat_map(|body| &body.members).filter(|member| member.id == id);
    members.last().map(|member| member.name.escape_debug().to_string())
}
