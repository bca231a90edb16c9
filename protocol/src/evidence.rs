//! Evidence: a record that proves to anybody with the manifest that a member broke the protocol.
//!
//! A fault names whom a node saw do something wrong; evidence shows it. It holds signed statements of one
//! member that nobody who follows the protocol signs, and what ties them to an attempt of this manifest:
//! the contract, and the roster or its digest, of which the session's name is a hash. Whoever checks it
//! needs no other memory of the attempt.
//!
//! Nobody honest can be convicted, whatever others sign together. Every rule here is about what one member
//! signed of its own accord: two statements of which an honest member makes one, or one that it compares
//! with the rules before it signs. What somebody else put beside it is tied to it by a hash that the accused
//! has signed. A statement whose guilt hangs on what the accused was told is no evidence.
//!
//! Evidence shows no secret of anybody honest, and may be passed on at once: dealt and revealed shares are
//! signed by digests ([`crate::messages::share_keys::Dealing`],
//! [`crate::messages::unmasking::RevealedDigests`]), and only a share that does not fit its commitments
//! is shown. Two reveals are shown without any share.
//!
//! What cannot be proved is a fault only: shares that do not open, a vector that is not the signed one, silence.

mod breach;
mod conflict;
mod disproof;
#[cfg(test)]
mod tests;

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    codec,
    contract::{Contract, ContractError, Terms},
    fault::FaultKind,
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::advertise_keys::Roster,
    roster::{Session, session_id},
    signing::{self, BadSignature, Signed},
};

pub use breach::Breach;
pub use conflict::{Conflict, Exclusive};
pub use disproof::{Disproof, ShownBlock};

/// What a member did, proved by its own signatures.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The contract of the attempt in which it was done.
    contract: Contract,
    accusation: Accusation,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Accusation {
    /// Two statements that exclude each other; the digest of the roster's body where they name a session.
    Conflict(Option<Digest>, Conflict),
    /// One statement that nobody signs who compares it with the rules, in the session of this roster.
    Breach(Box<Signed<Roster>>, Box<Breach>),
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Who did it.
    pub culprit: MemberId,
    /// What.
    pub crime: Crime,
    /// In which round.
    pub round: u64,
    /// In which attempt at it.
    pub attempt: u32,
    /// Slot of the attempt's contract.
    pub slot: u32,
}

/// What can be proved of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Crime {
    TwoContracts,
    TwoAdvertisements,
    TwoRosters,
    TwoDealings,
    TwoReceipts,
    TwoMaskSets,
    TwoMaskedInputs,
    TwoProposals,
    TwoVotes,
    TwoNewSlots,
    HiddenVote,
    TwoReveals,
    TwoSums,
    BadRoster,
    BadCommitments,
    BadShare,
    BadMaskSet,
    BadProposal,
    BadReveal,
    FalseSum,
}

impl Crime {
    /// The plain words that logs, tables and reports use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TwoContracts => "two-contracts",
            Self::TwoAdvertisements => "two-advertisements",
            Self::TwoRosters => "two-rosters",
            Self::TwoDealings => "two-dealings",
            Self::TwoReceipts => "two-receipts",
            Self::TwoMaskSets => "two-mask-sets",
            Self::TwoMaskedInputs => "two-masked-inputs",
            Self::TwoProposals => "two-proposals",
            Self::TwoVotes => "two-votes",
            Self::TwoNewSlots => "two-new-slots",
            Self::HiddenVote => "hidden-vote",
            Self::TwoReveals => "two-reveals",
            Self::TwoSums => "two-sums",
            Self::BadRoster => "bad-roster",
            Self::BadCommitments => "bad-commitments",
            Self::BadShare => "bad-share",
            Self::BadMaskSet => "bad-mask-set",
            Self::BadProposal => "bad-proposal",
            Self::BadReveal => "bad-reveal",
            Self::FalseSum => "false-sum",
        }
    }
}

impl fmt::Display for Crime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why something is no evidence.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvidenceError {
    /// Its contract names another manifest.
    #[error("it is from another manifest or epoch")]
    Manifest,
    /// The accused is not a member.
    #[error("{0} is not a member of this manifest")]
    Stranger(MemberId),
    /// A statement is not of the attempt that the evidence names.
    #[error("a statement in it is of another attempt than its contract and roster")]
    Elsewhere,
    /// Two statements, but of two members.
    #[error("its statements are signed by {0} and by {1}, which contradicts nothing")]
    Authors(MemberId, MemberId),
    /// Nothing is wrong with what was signed.
    #[error("what it shows breaks no rule")]
    Harmless,
    /// What is shown is not what was signed.
    #[error("a value in it is not the one whose digest was signed")]
    Opening,
    /// A signature does not verify.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The contract is none that could be accepted.
    #[error("its contract: {0}")]
    Contract(#[from] ContractError),
    /// The roster is none that could be accepted, and it is not its author who is accused.
    #[error("its roster: {0}")]
    Roster(FaultKind),
    /// The result is none that could be accepted.
    #[error("its result: {0}")]
    Result(FaultKind),
    /// It cannot be encoded.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
}

/// The attempt that evidence is about, as statements refer to it.
pub struct AttemptNames<'a> {
    contract: &'a Contract,
    contract_digest: Digest,
    session: Option<SessionId>,
}

impl Evidence {
    /// Two statements of one member that exclude each other, in a session; `None` where they do not.
    #[must_use]
    pub fn conflict<T: Exclusive>(session: &Session, first: &Signed<T>, second: &Signed<T>) -> Option<Self> {
        let roster = signing::body_digest(&session.roster().body).ok()?;
        Self::of_pair(session.terms(), Some(roster), first, second)
    }

    /// The same before there is a session.
    #[must_use]
    pub fn early_conflict<T: Exclusive>(
        terms: &Terms,
        first: &Signed<T>,
        second: &Signed<T>,
    ) -> Option<Self> {
        Self::of_pair(terms, None, first, second)
    }

    fn of_pair<T: Exclusive>(
        terms: &Terms,
        roster: Option<Digest>,
        first: &Signed<T>,
        second: &Signed<T>,
    ) -> Option<Self> {
        let accusation = Accusation::Conflict(roster, T::conflict(first.clone(), second.clone()));
        Self { contract: terms.contract().clone(), accusation }.if_proven(terms.manifest())
    }

    /// One statement that breaks a rule, in a session; `None` where it does not.
    #[must_use]
    pub fn breach(session: &Session, breach: Breach) -> Option<Self> {
        Self::of_roster(session.terms(), session.roster(), breach)
    }

    /// A roster that no honest aggregator signs; `None` where it may be one's.
    #[must_use]
    pub fn bad_roster(terms: &Terms, roster: &Signed<Roster>) -> Option<Self> {
        Self::of_roster(terms, roster, Breach::Roster)
    }

    fn of_roster(terms: &Terms, roster: &Signed<Roster>, breach: Breach) -> Option<Self> {
        let accusation = Accusation::Breach(Box::new(roster.clone()), Box::new(breach));
        Self { contract: terms.contract().clone(), accusation }.if_proven(terms.manifest())
    }

    /// A machine that suspects wrongly must not spread it.
    fn if_proven(self, manifest: &Arc<Manifest>) -> Option<Self> {
        self.verify(manifest).is_ok().then_some(self)
    }

    /// What this proves to whoever trusts the manifest.
    ///
    /// # Errors
    /// [`EvidenceError`] says why it proves nothing.
    pub fn verify(&self, manifest: &Arc<Manifest>) -> Result<Proven, EvidenceError> {
        let contract = &self.contract;
        if contract.manifest != *manifest.digest() {
            return Err(EvidenceError::Manifest);
        }
        let (culprit, crime) = match &self.accusation {
            Accusation::Conflict(roster, conflict) => {
                let contract_digest = signing::body_digest(contract)?;
                let session = roster.map(|roster| session_id(&contract_digest, contract.attempt, &roster));
                conflict.prove(&AttemptNames { contract, contract_digest, session })?
            }
            Accusation::Breach(roster, breach) => {
                let Contract { round, attempt, slot, ref task, .. } = *contract;
                let terms = Terms::new(manifest.clone(), round, attempt, slot, task.clone())?;
                breach.prove(Arc::new(terms), roster)?
            }
        };
        if !manifest.contains(&culprit) {
            return Err(EvidenceError::Stranger(culprit));
        }
        let Contract { round, attempt, slot, .. } = *contract;
        Ok(Proven { culprit, crime, round, attempt, slot })
    }

    /// Whom it accuses; whether it proves anything, [`Self::verify`] says.
    #[must_use]
    pub fn accused(&self) -> MemberId {
        match &self.accusation {
            Accusation::Conflict(_, conflict) => conflict.accused(),
            Accusation::Breach(roster, breach) => breach.accused().unwrap_or(roster.signer),
        }
    }

    /// Digest of the manifest under which it was done: the one that [`Self::verify`] takes.
    #[must_use]
    pub fn manifest(&self) -> &Digest {
        &self.contract.manifest
    }

    /// What names this record.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest("evidence", &[&codec::encode(self).unwrap_or_default()])
    }
}
