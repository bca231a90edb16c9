//! What a simulation reports.

use std::collections::BTreeMap;

use crate::{
    encoding::Aggregate,
    evidence::Evidence,
    fault::PeerFault,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Now},
    messages::Message,
    report::{AbortReason, Outcome},
};

use super::{monitor::Violation, oracle::Extracted};

/// A control message on its way.
#[derive(Clone)]
pub struct Envelope {
    /// Who sends it.
    pub from: MemberId,
    /// To whom.
    pub to: MemberId,
    /// What it says.
    pub message: Message,
}

/// A slot that was given up, as one node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOver {
    /// The attempt.
    pub attempt: u32,
    /// The slot.
    pub slot: u32,
    /// Why.
    pub reason: AbortReason,
}

/// What came of a simulated round.
#[derive(Default)]
pub struct Report {
    /// How it ended for each node that lives.
    pub outcomes: BTreeMap<MemberId, Outcome>,
    /// How it ended for the last aggregator.
    pub aggregator: Option<Outcome>,
    /// The decoded aggregate of each member that has stored one.
    pub aggregates: BTreeMap<MemberId, Aggregate>,
    /// Packed chunks of every vector of the last session that reached an aggregator.
    pub vectors: BTreeMap<MemberId, Vec<Vec<u8>>>,
    /// What each node journalled, in order.
    pub journals: BTreeMap<MemberId, Vec<JournalEntry>>,
    /// Slots that each node has seen given up, in order.
    pub slots: BTreeMap<MemberId, Vec<SlotOver>>,
    /// Faults, with the node that found them.
    pub faults: Vec<(MemberId, PeerFault)>,
    /// What members have said no to, with their words, in order.
    pub declined: Vec<(MemberId, String)>,
    /// What was proved, with the node that proved it.
    pub evidence: Vec<(MemberId, Evidence)>,
    /// Sums of honest inputs that a coalition has computed by itself, with the plain values.
    pub extracted: Vec<Extracted>,
    /// What no run may show, in the order in which it was seen.
    pub violations: Vec<Violation>,
    /// Hash of everything that was sent, in order.
    pub transcript: Digest,
    /// When the last of it happened.
    pub ended: Now,
}

impl Report {
    /// The survivors of the certificate, if anybody has a result.
    #[must_use]
    pub fn survivors(&self) -> Option<Vec<MemberId>> {
        let outcomes = self.aggregator.iter().chain(self.outcomes.values());
        Some(outcomes.filter_map(Outcome::survivors).next()?.ids().collect())
    }
}
