//! What a member has promised and voted for in a session, so that it keeps to it:
//!
//! - one vote in a slot, for what the slot allows;
//! - none in a slot that it has given up, or below one that it has followed into.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    messages::{
        consistency_check::{Proposal, Proposed, SurvivorSet, Value},
        failover::{LatestVote, NewSlot, Passage, ShownNewSlot, Timeout},
    },
    mutation::{Check, checked},
    roster::Session,
    signing::Signed,
    slots::{Allowed, Slots},
};

pub(super) struct Ballot {
    session: Arc<Session>,
    slots: Slots,
    /// The highest slot that I have followed into.
    slot: u32,
    allowed: Allowed,
    new_slot: Option<Signed<NewSlot>>,
    /// Digest of the proposal that got my vote in this slot.
    voted: Option<Digest>,
    latest: Option<LatestVote>,
    given_up: Option<u32>,
    /// The highest slot that each of the others has given up.
    heard: BTreeMap<MemberId, u32>,
}

impl Ballot {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self {
            slots: Slots::new(session.clone()),
            slot: session.terms().contract().slot,
            session,
            allowed: Allowed::Anything,
            new_slot: None,
            voted: None,
            latest: None,
            given_up: None,
            heard: BTreeMap::new(),
        }
    }

    /// The highest slot that I have promised not to vote in.
    pub(super) fn given_up(&self) -> Option<u32> {
        self.given_up
    }

    /// Whether I have promised not to vote in the slot that I am in.
    pub(super) fn has_given_up(&self) -> bool {
        self.given_up.is_some_and(|given_up| given_up >= self.slot)
    }

    /// The slot whose aggregator I look to; `None` after the last.
    pub(super) fn awaited(&self) -> Option<u32> {
        match self.given_up.filter(|given_up| *given_up >= self.slot) {
            Some(given_up) => self.session.next_slot(given_up),
            None => Some(self.slot),
        }
    }

    /// Checks a proposal in the slot that I am in. Nothing where it is the one that I voted for, or where I
    /// have given the slot up.
    pub(super) fn check(
        &mut self,
        mask_set: Option<&AcceptedMaskSet>,
        proposal: &Signed<Proposal>,
    ) -> Result<Option<Value>, FaultKind> {
        if proposal.body.slot != self.slot {
            return Err(FaultKind::Session);
        }
        if let Some(voted) = self.voted.filter(|_| checked(Check::OneVote)) {
            return if voted == proposal.digest() { Ok(None) } else { Err(FaultKind::Equivocation) };
        }
        if self.has_given_up() && checked(Check::Promise) {
            return Ok(None);
        }
        let value = proposal.body.value.value();
        if !self.allowed.allows(&value) && checked(Check::AllowedValue) {
            return Err(FaultKind::NotAllowed);
        }
        let passage = Passage { new_slot: self.new_slot.clone(), proposal: proposal.clone() };
        let mut slots = self.slots.clone();
        slots.learn(mask_set, &[passage])?;
        self.slots = slots;
        Ok(Some(value))
    }

    /// I vote for a proposal that has been checked.
    pub(super) fn vote(&mut self, proposal: &Signed<Proposal>, value: Value) {
        self.voted = Some(proposal.digest());
        self.latest = Some(LatestVote { slot: self.slot, value });
    }

    /// I promise not to vote in this slot or any earlier one.
    pub(super) fn give_up(&mut self, slot: u32, mask_set: Option<&AcceptedMaskSet>) -> Timeout {
        self.given_up = self.given_up.max(Some(slot));
        Timeout {
            session: self.session.id(),
            slot,
            mask_set: mask_set.map(|mask_set| *mask_set.digest()),
            vote: self.latest,
        }
    }

    /// What shows my latest vote to others.
    pub(super) fn history(&self) -> Vec<Passage> {
        self.latest.map_or_else(Vec::new, |vote| self.slots.history(vote.slot))
    }

    /// Somebody has given up a slot. Gives the highest slot that so many have given up that one of them is
    /// honest, if I have not.
    pub(super) fn heard(&mut self, timeout: &Signed<Timeout>) -> Result<Option<u32>, FaultKind> {
        if timeout.body.session != self.session.id() {
            return Err(FaultKind::Session);
        }
        if self.session.position(&timeout.signer).is_none() {
            return Err(FaultKind::Stranger(timeout.signer));
        }
        timeout.verify().map_err(|_| FaultKind::Signature)?;
        let heard = self.heard.entry(timeout.signer).or_insert(timeout.body.slot);
        *heard = timeout.body.slot.max(*heard);
        let mut slots: Vec<u32> = self.heard.values().copied().collect();
        slots.sort_unstable_by(|left, right| right.cmp(left));
        let corrupt = self.session.terms().manifest().corrupt();
        let believed = slots.get(corrupt).copied();
        // a slot that does not exist is nobody's to give up
        let exists = |slot: &u32| self.session.terms().holder(*slot).is_some();
        Ok(believed.filter(exists).filter(|slot| self.awaited().is_some_and(|awaited| *slot >= awaited)))
    }

    /// Checks that a later slot may begin. Whoever gets here follows.
    pub(super) fn check_new_slot(
        &mut self,
        mask_set: Option<&AcceptedMaskSet>,
        shown: &ShownNewSlot,
    ) -> Result<Option<Allowed>, FaultKind> {
        let NewSlot { slot, .. } = shown.new_slot.body;
        let promised = self.given_up.is_some_and(|given_up| given_up >= slot) && checked(Check::Promise);
        if slot < self.slot || promised {
            return Ok(None);
        }
        if slot == self.slot {
            let same = self.new_slot.as_ref().is_none_or(|mine| mine.digest() == shown.new_slot.digest());
            return if same { Ok(None) } else { Err(FaultKind::Equivocation) };
        }
        // before the many signatures in there are looked at
        self.slots.check_author(&shown.new_slot)?;
        let mut slots = self.slots.clone();
        slots.learn(mask_set, &shown.history)?;
        let allowed = slots.check_new_slot(&shown.new_slot)?;
        let reported = shown.new_slot.body.timeouts.iter().filter_map(|timeout| timeout.body.vote);
        slots.retain(reported.chain(self.latest));
        self.slots = slots;
        Ok(Some(allowed))
    }

    /// The survivors that the slot which I am in has to be for, with their roots.
    pub(super) fn required(&self) -> Option<SurvivorSet> {
        let Allowed::Only(value @ Value::Survivors(_)) = self.allowed else { return None };
        let timeouts = &self.new_slot.as_ref()?.body.timeouts;
        let slot = timeouts.iter().filter_map(|it| it.body.vote).map(|vote| vote.slot).max()?;
        match &self.slots.proposal(slot, &value)?.body.value {
            Proposed::Survivors { statements, .. } => Some(SurvivorSet::of(statements)),
            Proposed::Abandon => None,
        }
    }

    pub(super) fn follow(&mut self, new_slot: Signed<NewSlot>, allowed: Allowed) {
        self.slot = new_slot.body.slot;
        self.allowed = allowed;
        self.new_slot = Some(new_slot);
        self.voted = None;
    }
}
