//! Why a manifest is not one to run with.

use super::{MAX_MEMBERS, MIN_MEMBERS};
use crate::ids::MemberId;

/// Names that an error lists before it only counts.
const NAMES_SHOWN: usize = 5;

/// Why a manifest is not one to run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too few members to hide anything, or more than a roster can carry.
    #[error("{found} members, but a consortium has {MIN_MEMBERS} to {MAX_MEMBERS}")]
    MemberCount {
        /// Members found.
        found: usize,
    },
    /// The members are not in strictly ascending order of their ids.
    #[error("members are not sorted by id, or {0} is listed twice")]
    Order(MemberId),
    /// An entry that cannot be used.
    #[error("member {id}: {problem}")]
    Entry {
        /// The entry's id.
        id: MemberId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rule that is too weak or cannot be kept.
    #[error("policy: {key} is {found}, but it must be {expected}")]
    Policy {
        /// Name of the rule.
        key: &'static str,
        /// What the manifest says.
        found: String,
        /// What it may say.
        expected: String,
    },
    /// Names and addresses add up to more than a message can carry.
    #[error("it has more than the megabyte that a manifest may have: shorten names, or list fewer addresses")]
    TooLarge,
    /// A later manifest is verified against the one before it.
    #[error("epoch {0} cannot be verified alone: only epoch 0 is signed by all its own members")]
    Epoch(u64),
    /// It is not the next epoch of this one.
    #[error(
        "epoch {found} does not follow epoch {previous} of this consortium: it names another manifest as the one before it"
    )]
    Predecessor {
        /// Its epoch.
        found: u64,
        /// The epoch that it was compared with.
        previous: u64,
    },
    /// Epoch 0 names a predecessor.
    #[error("epoch 0 names a manifest before it, but it is the first")]
    Beginning,
    /// Founders have not signed.
    #[error(
        "not signed by {}: a first manifest needs the signature of every member; where they have signed copies, `consort consortium merge` puts them together",
        list(missing)
    )]
    Unsigned {
        /// Names of those who are missing.
        missing: Vec<String>,
    },
    /// Too few of the members before have signed.
    #[error(
        "epoch {epoch} has {found} of the {needed} signatures that it needs, more than two thirds of the members of epoch {}: not signed by {}",
        epoch.saturating_sub(1), list(missing)
    )]
    TooFewSignatures {
        /// Its epoch.
        epoch: u64,
        /// Signatures found.
        found: usize,
        /// Signatures needed.
        needed: usize,
        /// Names of those who have not signed.
        missing: Vec<String>,
    },
    /// Several signatures, and none verifies.
    #[error("its signatures do not verify: it was edited after signing; take a copy as it was signed")]
    Edited,
    /// A signature that does not verify, or by nobody on the list.
    #[error(
        "the signature of {0} does not verify on this manifest: it was edited after signing, or signed by another key"
    )]
    Signature(MemberId),
    /// Signed by somebody who has no say in it.
    #[error("signed by {signer}, who was not a member in epoch {}: only members of the epoch before sign", epoch.saturating_sub(1))]
    Signer {
        /// Its epoch.
        epoch: u64,
        /// Who signed.
        signer: MemberId,
    },
    /// It belongs to another consortium.
    #[error(
        "it belongs to another consortium, founded as {found}; this one was founded as {expected} (`consort consortium show` gives a file's founding)"
    )]
    Foreign {
        /// First bytes of its founding digest.
        found: String,
        /// First bytes of the expected one.
        expected: String,
    },
    /// Another manifest of an epoch than the known one, signed by enough as well.
    #[error(
        "ALARM: two different manifests of epoch {epoch} are signed by enough members; both were signed by {}. Do not run with either before the members have talked",
        list(both)
    )]
    Fork {
        /// The first epoch in which they differ.
        epoch: u64,
        /// Names of those who signed both.
        both: Vec<String>,
    },
    /// Its epoch is over.
    #[error("epoch {found} has expired: the members have replaced it, and this is epoch {current} by now")]
    Expired {
        /// Its epoch.
        found: u64,
        /// The epoch that is known.
        current: u64,
    },
    /// No epoch at all.
    #[error("there is no epoch 0: a consortium begins with one")]
    Empty,
}

/// Names, the first few of them.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 if shown.is_empty() => "nobody".into(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What tells manifests apart in a message: the first eight bytes in hexadecimal.
pub(super) fn short(digest: &crate::hash::Digest) -> String {
    hex::encode(&digest[..8])
}
