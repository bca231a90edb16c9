//! The whole contract with the outside: what goes into a state machine and what comes out.
//!
//! Nothing hidden comes in: time and randomness are arguments. Effects are values: the driver carries
//! them out in the order in which they are given, and a [`Output::Journal`] is on disk before anything
//! after it leaves the process.

use core::time::Duration;
use std::sync::Arc;

use crate::{
    evidence::{Disproof, Evidence},
    fault::PeerFault,
    hash::Digest,
    ids::{MemberId, SessionId},
    masking::MaskPlan,
    messages::{
        Message,
        consistency_check::{SurvivorSet, Value},
        publish::Published,
    },
    phase::Phase,
    report::{AbortReason, Outcome},
};

/// Time since some fixed moment of the caller's choosing. It serves liveness only; no rule of safety reads it.
pub type Now = Duration;

/// Which part a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It gives an input: [`crate::member`].
    Member,
    /// It collects and sums: [`crate::aggregator`].
    Aggregator,
}

/// What happens to a state machine.
pub enum Input {
    /// A control message from an authenticated peer.
    Message(MemberId, Box<Message>),
    /// The last connection to a peer is gone.
    Lost(MemberId),
    /// A peer is connected (again).
    Connected(MemberId),
    /// A peer has nothing for this round, or is in another one: it may be connected, but an aggregator waits
    /// for it in vain. Where it has something after all, [`Input::Connected`] follows.
    Left(MemberId),
    /// A deadline may have passed.
    Tick,
    /// A piece of bulk work is done.
    Done(Work),
}

/// Bulk work that is done beside the state machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Member: the masked vector is with this aggregator, and has this root.
    Uploaded(MemberId, Digest),
    /// Standby: another member's whole vector is here, and has this root.
    Held(MemberId, Digest),
    /// Member: the sum with this root is here as it was announced.
    Stored(Digest),
    /// Member: so is this one, but it is none of values in the range that the contract says.
    Unreadable(Digest, String),
    /// Aggregator: a member's whole vector is here from itself, and has this root.
    Received(MemberId, Digest),
    /// Aggregator: a whole vector is here that another member passed on as this one's, and has this root.
    PassedOn(MemberId, Digest),
    /// Aggregator: the sum is computed and stored, and has this root.
    Summed(Digest),
    /// Standby: the sum with this root is what the vectors add up to.
    Audited(Digest),
    /// Standby: the sum with this root is not, and this shows it.
    Disproved(Digest, Box<Disproof>),
    /// The work could not be done, for this reason.
    Failed(String),
}

/// What a state machine wants done.
pub enum Output {
    /// A phase begins on this node.
    Phase(Phase),
    /// To be on disk before anything that follows leaves the process.
    Journal(JournalEntry),
    /// A control message to one peer, itself included.
    Send(MemberId, Box<Message>),
    /// A control message to whoever listens: a hint for those who are not connected.
    Announce(Box<Message>),
    /// Member: mask the input and upload it to this aggregator, in place of any upload under way.
    Upload(Arc<MaskPlan>, MemberId),
    /// Member: fetch this verified result's sum from the aggregator, or from anyone who has it.
    Fetch(Box<Published>),
    /// Take in the vectors of these members, as an aggregator or a standby; those that are here already
    /// stay, and are reported again. Where several are here as one member's, each is kept.
    Receive(SessionId, Vec<MemberId>),
    /// Pass a member's vector, which is here, on: to a standby, or to an aggregator that took over.
    PassOn {
        /// Whose vector.
        vector: MemberId,
        /// Which: its root.
        root: Digest,
        /// To whom.
        to: MemberId,
    },
    /// Aggregator: add the vectors of these survivors and lift the masks.
    Unmask(SurvivorSet, Box<MaskPlan>),
    /// Standby: compare this result's sum, which is here, with what the vectors of its survivors add up to, which
    /// are here too, under these masks.
    Audit(Box<Published>, Box<MaskPlan>),
    /// Somebody, perhaps this node, has said no, by a rule of its own.
    Declined {
        /// Who.
        who: MemberId,
        /// In which phase.
        phase: Phase,
        /// Why, in words: bounded, without control characters.
        reason: String,
    },
    /// A peer did something that it may not do.
    Fault(PeerFault),
    /// A member broke the protocol, and this proves it to everybody.
    Evidence(Box<Evidence>),
    /// A slot is given up, for this reason; the round goes on with the next.
    SlotOver {
        /// The attempt.
        attempt: u32,
        /// The slot.
        slot: u32,
        /// Whose it was.
        aggregator: MemberId,
        /// Why.
        reason: AbortReason,
    },
    /// The attempt is over for this node.
    Finished(Outcome),
}

/// What a node must still know after a restart, so that it cannot break a rule by forgetting.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum JournalEntry {
    /// It advertised keys in this slot.
    Joined {
        /// The round.
        round: u64,
        /// The attempt.
        attempt: u32,
        /// The slot.
        slot: u32,
    },
    /// It accepted this roster.
    RosterAccepted {
        /// The round.
        round: u64,
        /// The attempt.
        attempt: u32,
        /// The session, which names the roster.
        session: SessionId,
        /// Who is on it.
        participants: Vec<MemberId>,
        /// All keys on it, never to be accepted again.
        keys: Vec<[u8; 32]>,
    },
    /// It began to upload a vector in this session.
    UploadStarted(SessionId),
    /// It signed this root.
    InputSent(SessionId, Digest),
    /// It promised not to vote in this slot or any earlier one.
    TimedOut(SessionId, u32),
    /// It followed into this slot.
    Followed(SessionId, u32),
    /// It opened this slot as its aggregator.
    Opened(SessionId, u32),
    /// It proposed this in this slot.
    Proposed(SessionId, u32, Value),
    /// It voted for this in this slot.
    Voted(SessionId, u32, Value),
    /// It revealed shares for this set.
    Revealed(SessionId, Digest),
    /// It stored and acknowledged a sum with this root.
    Acknowledged(SessionId, Digest),
    /// A sum of this label's data over these members may be known ([`crate::guard`]).
    Cohort {
        /// The label.
        label: String,
        /// The members, in ascending order.
        members: Vec<MemberId>,
    },
}
