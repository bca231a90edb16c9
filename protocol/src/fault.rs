//! Whose fault it was: a message that a check refused, with the peer that sent it.

use crate::{ids::MemberId, phase::Phase};

/// A peer did something that the protocol does not allow. The message had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} in {phase}: {kind}")]
pub struct PeerFault {
    /// Who sent it, or signed it.
    pub who: MemberId,
    /// The phase in which it arrived.
    pub phase: Phase,
    /// What was wrong.
    pub kind: FaultKind,
}

impl PeerFault {
    /// Whether only somebody who breaks the rules does this. What is late, or comes from somebody who is
    /// elsewhere in the round, is refused as well, and says nothing against its sender.
    #[must_use]
    pub fn blames(&self) -> bool {
        match &self.kind {
            FaultKind::Session | FaultKind::Unexpected | FaultKind::MaskSet => false,
            // shares may be lost on their way to me, and the aggregator cannot know
            FaultKind::Unconfirmed { .. } => false,
            // of an aggregator that proposes many values, not all are kept
            FaultKind::Unproven => false,
            // who had or will have another slot speaks as its aggregator
            FaultKind::Author { signer, .. } => *signer != self.who,
            _ => true,
        }
    }
}

/// What was wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FaultKind {
    #[error("the signature does not verify")]
    Signature,
    #[error("signed by {signer}, but sent where only {expected} may speak")]
    Author { signer: MemberId, expected: MemberId },
    #[error("it is for another session or contract")]
    Session,
    #[error("it rests on another mask set than the one that I accepted")]
    MaskSet,
    #[error("this message does not belong in this phase")]
    Unexpected,
    #[error("a second, different statement where only one is allowed")]
    Equivocation,
    #[error("the list is not in strictly ascending order")]
    Order,
    #[error("{0} is not a member or not on the roster")]
    Stranger(MemberId),
    #[error("it has {found} entries, at least {needed} are needed")]
    TooFew { found: usize, needed: usize },
    #[error("my own entry was changed")]
    Altered,
    #[error("a key is unusable, or was seen before")]
    Key,
    #[error("the sealed shares do not open")]
    Seal,
    #[error("the shares do not match the commitments")]
    Share,
    #[error("the commitments do not match the advertised keys, the threshold or their digest")]
    Commitments,
    #[error("I hold shares of {found} of its dealers, {needed} are needed")]
    Unconfirmed { found: usize, needed: usize },
    #[error("the vector does not match the signed root")]
    Root,
    #[error("{valid} valid votes, {needed} are needed")]
    Votes { valid: usize, needed: usize },
    #[error("{found} standbys hold the vectors, {needed} are needed")]
    Standbys { found: usize, needed: usize },
    #[error("{found} valid time-outs, {needed} are needed")]
    Timeouts { found: usize, needed: usize },
    #[error("a reported vote comes without the proposal that it was for, or what allowed that")]
    Unproven,
    #[error("it proposes another value than the votes so far allow")]
    NotAllowed,
    #[error("it does not show the secrets that lift the masks, or others than the advertised ones")]
    Opening,
    #[error("it reveals the wrong kind of share, or of somebody outside of the roster")]
    RevealKind,
}
