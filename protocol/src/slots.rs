//! What the slots of a session allow: which value may be voted for once an aggregator has been given up.
//!
//! Votes of one slot only make a certificate. Whoever opens a later slot shows time-outs of a threshold of
//! members: two thresholds share an honest member, so any value that could have been certified before is
//! among the votes that they report, and the latest of those is the only one that may still be:
//!
//! - none is reported: anything may be proposed;
//! - a value: only this one;
//! - two values of one slot: its aggregator proposed both, and nothing is safe.
//!
//! A vote is believed only together with its proposal and with what had opened that slot, checked in the
//! same way ([`Slots::learn`]). A time-out that reports a vote without them does not count at all: to
//! count it as one that reports nothing would let whoever shows it hide a vote.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::{AcceptedMaskSet, check_proposal},
    fault::FaultKind,
    messages::{
        consistency_check::{Proposal, Value},
        failover::{LatestVote, NewSlot, Passage, Timeout},
    },
    mutation::{Check, checked},
    roster::{Session, ascending},
    signing::Signed,
};

/// What may be proposed in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Nobody can have been certified: any value.
    Anything,
    /// This value may have been certified.
    Only(Value),
    /// Two values were proposed in this slot.
    Contradiction(u32),
}

impl Allowed {
    /// Whether a value may be proposed.
    #[must_use]
    pub fn allows(&self, value: &Value) -> bool {
        match self {
            Self::Anything => true,
            Self::Only(only) => only == value,
            Self::Contradiction(_) => false,
        }
    }
}

/// Proposals of a session that have been shown to be in order.
#[derive(Clone)]
pub struct Slots {
    session: Arc<Session>,
    proposals: BTreeMap<(u32, Value), Passage>,
}

impl Slots {
    /// Nothing has been proposed yet.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, proposals: BTreeMap::new() }
    }

    /// Takes in proposals with what opened their slots, in ascending order of the slots. A message that is
    /// refused must leave nothing behind: learn on a copy, and keep the copy only with the message.
    ///
    /// # Errors
    /// [`FaultKind`]: one of them is not in order, or rests on one that is not shown.
    pub fn learn(
        &mut self,
        mask_set: Option<&AcceptedMaskSet>,
        history: &[Passage],
    ) -> Result<(), FaultKind> {
        for passage in history {
            let Proposal { slot, value, .. } = &passage.proposal.body;
            let key = (*slot, value.value());
            if self.proposals.contains_key(&key) {
                continue;
            }
            let allowed = match &passage.new_slot {
                Some(new_slot) if new_slot.body.slot == *slot => self.check_new_slot(new_slot)?,
                None if *slot == self.session.terms().contract().slot => Allowed::Anything,
                _ => return Err(FaultKind::Unproven),
            };
            if !allowed.allows(&key.1) && checked(Check::AllowedValue) {
                return Err(FaultKind::NotAllowed);
            }
            check_proposal(&self.session, mask_set, &passage.proposal)?;
            self.proposals.insert(key, passage.clone());
        }
        Ok(())
    }

    /// Checks that a slot may begin, and says what may be proposed in it:
    ///
    /// 1. it is signed by the slot's aggregator, for this session and one of its slots;
    /// 2. it shows time-outs of a threshold of the roster for the slot before, each member once;
    /// 3. every vote that they report has been learnt.
    ///
    /// # Errors
    /// [`FaultKind`] says which check failed; its author is to blame.
    pub fn check_new_slot(&self, new_slot: &Signed<NewSlot>) -> Result<Allowed, FaultKind> {
        self.check_author(new_slot)?;
        let NewSlot { slot, timeouts, .. } = &new_slot.body;
        if !ascending(timeouts.iter().map(|timeout| timeout.signer)) && checked(Check::TimeoutsDistinct) {
            return Err(FaultKind::Order);
        }
        let mut found = 0;
        for timeout in timeouts {
            if self.session.next_slot(timeout.body.slot) != Some(*slot) && checked(Check::TimeoutSlot) {
                return Err(FaultKind::Session);
            }
            self.check_timeout(timeout)?;
            found += 1;
        }
        let needed = self.session.threshold().get();
        if found < needed && checked(Check::EnoughTimeouts) {
            return Err(FaultKind::Timeouts { found, needed });
        }
        let votes = timeouts.iter().filter_map(|timeout| timeout.body.vote);
        let Some(highest) = votes.clone().map(|vote| vote.slot).max() else { return Ok(Allowed::Anything) };
        let mut values = votes.filter(|vote| vote.slot == highest).map(|vote| vote.value);
        let Some(first) = values.next() else { return Ok(Allowed::Anything) };
        let same = values.all(|value| value == first);
        Ok(if same { Allowed::Only(first) } else { Allowed::Contradiction(highest) })
    }

    /// Whether a slot of this session is opened by whose slot it is.
    ///
    /// # Errors
    /// [`FaultKind`] says which check failed; its author is to blame.
    pub fn check_author(&self, new_slot: &Signed<NewSlot>) -> Result<(), FaultKind> {
        let NewSlot { session, slot, .. } = &new_slot.body;
        if *session != self.session.id() || *slot <= self.session.terms().contract().slot {
            return Err(FaultKind::Session);
        }
        let expected = self.session.terms().holder(*slot).ok_or(FaultKind::Session)?;
        if new_slot.signer != expected {
            return Err(FaultKind::Author { signer: new_slot.signer, expected });
        }
        new_slot.verify().map_err(|_| FaultKind::Signature)
    }

    /// Checks one time-out: signed by a participant, for this session, and its vote has been learnt.
    ///
    /// # Errors
    /// [`FaultKind`] says which check failed.
    pub fn check_timeout(&self, timeout: &Signed<Timeout>) -> Result<(), FaultKind> {
        let Timeout { session, slot, vote, .. } = &timeout.body;
        if *session != self.session.id() {
            return Err(FaultKind::Session);
        }
        if self.session.position(&timeout.signer).is_none() && checked(Check::TimeoutMembers) {
            return Err(FaultKind::Stranger(timeout.signer));
        }
        if let Some(vote) = vote
            && (vote.slot > *slot || !self.proposals.contains_key(&(vote.slot, vote.value)))
            && checked(Check::ReportedVotes)
        {
            return Err(FaultKind::Unproven);
        }
        let signed = timeout.verify().is_ok() || !checked(Check::TimeoutSignature);
        if signed { Ok(()) } else { Err(FaultKind::Signature) }
    }

    /// Forgets everything but what these votes rest on, so that what is kept is bounded by who voted, and not
    /// by what somebody shows.
    pub fn retain(&mut self, votes: impl IntoIterator<Item = LatestVote>) {
        let mut wanted: Vec<(u32, Value)> = votes.into_iter().map(|vote| (vote.slot, vote.value)).collect();
        let mut kept = BTreeMap::new();
        while let Some(key) = wanted.pop() {
            let Some(passage) = self.proposals.remove(&key) else { continue };
            let timeouts = passage.new_slot.iter().flat_map(|new_slot| &new_slot.body.timeouts);
            wanted.extend(timeouts.filter_map(|it| it.body.vote).map(|vote| (vote.slot, vote.value)));
            kept.insert(key, passage);
        }
        self.proposals = kept;
    }

    /// The proposal of a value in a slot.
    #[must_use]
    pub fn proposal(&self, slot: u32, value: &Value) -> Option<&Signed<Proposal>> {
        self.proposals.get(&(slot, *value)).map(|passage| &passage.proposal)
    }

    /// Everything learnt of slots up to this one, in ascending order: what shows a vote in it to others.
    #[must_use]
    pub fn history(&self, up_to: u32) -> Vec<Passage> {
        let shown = self.proposals.iter().filter(|((slot, _), _)| *slot <= up_to);
        shown.map(|(_, passage)| passage.clone()).collect()
    }
}
