//! When an aggregator is given up: time-outs, the next slot, standbys, and the end of an attempt without a
//! result (docs/protocol.md, section 10).

use serde::{Deserialize, Serialize};

use crate::{
    codec,
    election::MAX_SLOTS,
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::MAX_MEMBERS,
    signing::{Signature, Signed, Statement},
};

use super::{
    advertise_keys::Roster,
    consistency_check::{Proposal, SurvivorSet, Value, Vote},
    share_keys::{DealtCommitments, MaskSet},
};

/// A member's latest vote, as its time-out reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestVote {
    /// The slot.
    pub slot: u32,
    /// What it voted for.
    pub value: Value,
}

/// A member's promise not to vote in this slot or any earlier one of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout {
    /// The session.
    pub session: SessionId,
    /// The slot that is given up.
    pub slot: u32,
    /// Digest of the mask set that it accepted.
    pub mask_set: Option<Digest>,
    /// Its latest vote in any slot.
    pub vote: Option<LatestVote>,
}

impl Statement for Timeout {
    const CONTEXT: &'static str = "timeout";
}

impl Timeout {
    /// Whether its author cannot honestly have cast this vote: in a slot that it had given up, and not reported.
    pub(crate) fn denies(&self, cast: &Vote) -> bool {
        let unreported = match self.vote {
            Some(reported) if reported.slot == cast.slot => reported.value != cast.value,
            reported => reported.map(|reported| reported.slot) < Some(cast.slot),
        };
        cast.slot <= self.slot && unreported
    }
}

/// The next aggregator opens its slot with the time-outs of a threshold of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSlot {
    /// The session.
    pub session: SessionId,
    /// The slot that begins.
    pub slot: u32,
    /// Time-outs of the slot before, in ascending order of their signers.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub timeouts: Vec<Signed<Timeout>>,
}

impl Statement for NewSlot {
    const CONTEXT: &'static str = "new slot";
}

/// What allowed a vote: the proposal, and what opened its slot if that was not the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// What opened the slot; `None` for the slot of the contract.
    pub new_slot: Option<Signed<NewSlot>>,
    /// What was proposed in it.
    pub proposal: Signed<Proposal>,
}

/// Names an attempt that has a roster: everything else of its contract is known to whoever has the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionProof {
    /// The attempt.
    pub attempt: u32,
    /// The slot of its contract.
    pub slot: u32,
    /// The roster.
    pub roster: Signed<Roster>,
}

/// A time-out with everything that the next aggregator needs to act on it.
#[derive(Clone, Serialize, Deserialize)]
pub struct ShownTimeout {
    /// The promise.
    pub timeout: Signed<Timeout>,
    /// The session, for one who has not seen its roster.
    pub session: SessionProof,
    /// The mask set that the promise names.
    pub mask_set: Option<Signed<MaskSet>>,
    /// What allowed the reported vote, and the votes reported in there; by ascending slots.
    #[serde(deserialize_with = "codec::at_most::<MAX_SLOTS, _, _>")]
    pub history: Vec<Passage>,
}

/// A new slot with everything that members need to check it.
#[derive(Clone, Serialize, Deserialize)]
pub struct ShownNewSlot {
    /// The new slot.
    pub new_slot: Signed<NewSlot>,
    /// The mask set, if anybody has accepted one.
    pub mask_set: Option<Signed<MaskSet>>,
    /// What allowed the reported votes; by ascending slots.
    #[serde(deserialize_with = "codec::at_most::<MAX_SLOTS, _, _>")]
    pub history: Vec<Passage>,
    /// Dealers whose commitments the aggregator does not have.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub missing: Vec<MemberId>,
}

/// Commitments of dealers for an aggregator that took over: whoever signed the mask set pinned their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCommitments {
    /// The session.
    pub session: SessionId,
    /// Dealers and their commitments.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub dealers: Vec<(MemberId, DealtCommitments)>,
}

/// The aggregator asks a standby to confirm that it holds the vectors of these survivors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyRequest {
    /// The session.
    pub session: SessionId,
    /// The aggregator's slot.
    pub slot: u32,
    /// Whose vectors, with their roots.
    pub survivors: SurvivorSet,
}

/// A standby holds the vectors of a survivor set: they do not die with the aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyReceipt {
    /// The session.
    pub session: SessionId,
    /// The slot whose aggregator asked.
    pub slot: u32,
    /// Digest of the survivor set, which names all roots.
    pub survivors: Digest,
}

impl Statement for StandbyReceipt {
    const CONTEXT: &'static str = "standby receipt";
}

/// The abandonment certificate: votes of a threshold of the roster, in one slot, to end an attempt without
/// a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandonment {
    /// The attempt that ends.
    pub session: SessionProof,
    /// The slot in which all votes were cast.
    pub slot: u32,
    /// Who voted, in ascending order.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub votes: Vec<(MemberId, Signature)>,
}
