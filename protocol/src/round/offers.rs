//! Contracts: proposing in one's own slot, joining in another's.
//!
//! A contract is joined when
//! 1. its author signed it, and holds its slot;
//! 2. it is the one that this node would have written for its own task;
//! 3. it is of the current attempt, so every earlier one was abandoned by certificate;
//! 4. its slot is the one that this node looks to, or all slots between belong to members that are away or have passed
//!    their turn.

use super::*;
use crate::{
    contract::{Contract, ContractError},
    messages::advertise_keys::Decline,
    signing,
};

impl Round {
    pub(super) fn contract(
        &mut self,
        from: MemberId,
        contract: &Signed<Contract>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        let Contract { round, attempt, slot, .. } = contract.body;
        if contract.signer != from || self.holder(slot) != Some(from) || round != self.setup.number {
            return;
        }
        if let Some(terms) = self.terms(attempt, slot).filter(|_| attempt < MAX_ATTEMPTS) {
            let proven = self.witness.contract(contract, &terms);
            deeds.extend(proven.into_iter().map(|it| (Role::Member, Output::Evidence(Box::new(it)))));
        }
        if self.over || attempt < self.attempt || attempt >= MAX_ATTEMPTS {
            return self.decline(from, contract, "this attempt is over", deeds);
        }
        match Terms::accept(self.setup.manifest.clone(), contract, &self.setup.task) {
            Ok(_) => {
                self.offers.insert((attempt, slot));
                self.join_offered(now, rng, deeds);
            }
            Err(error @ ContractError::Task) => self.decline(from, contract, &error.to_string(), deeds),
            Err(_) => {}
        }
    }

    fn decline(&self, to: MemberId, contract: &Signed<Contract>, reason: &str, deeds: &mut Deeds) {
        let Ok(digest) = signing::body_digest(&contract.body) else { return };
        if let Some(decline) = self.sign(Decline { contract: digest, reason: reason.into() }) {
            deeds.push((Role::Member, Output::Send(to, Box::new(Message::Decline(Box::new(decline))))));
        }
    }

    /// Joins the offer of the lowest slot that may act, unless an attempt is under way.
    pub(super) fn join_offered(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        if self.over || self.member.is_some() {
            return;
        }
        let offers = self.offers.range((self.attempt, self.slot)..=(self.attempt, u32::MAX));
        let chosen = offers.copied().find(|(_, slot)| self.may_skip_to(*slot));
        let Some((attempt, slot)) = chosen else { return };
        self.offers.remove(&(attempt, slot));
        for skipped in self.slot..slot {
            self.slot_over(skipped, AbortReason::AggregatorLost { phase: Phase::AdvertiseKeys }, deeds);
        }
        if let Some(terms) = self.terms(attempt, slot) {
            self.slot = slot;
            self.join(terms, now, rng, deeds);
        }
    }

    /// Whether the aggregators of all slots from the current one up to `slot` are away, or have passed their turn.
    fn may_skip_to(&self, slot: u32) -> bool {
        (self.slot..slot).all(|skipped| {
            let passed = self.passed.contains(&(self.attempt, skipped));
            self.holder(skipped)
                .is_some_and(|id| id != self.me && (passed || self.setup.away.contains_key(&id)))
        })
    }

    pub(super) fn propose(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let Some(terms) = self.terms(self.attempt, self.slot) else { return };
        // whoever is not connected to this node may still learn of the round
        if let Ok(contract) = terms.sign(&self.setup.identity) {
            deeds.push((Role::Aggregator, Output::Announce(Box::new(Message::Contract(Box::new(contract))))));
        }
        let peers: Vec<MemberId> = self.setup.manifest.members().iter().map(|member| member.id).collect();
        for peer in peers.into_iter().filter(|id| *id != self.me && !self.setup.away.contains_key(id)) {
            self.bring_up_to_date(peer, deeds);
        }
        let (aggregator, outputs) = Aggregator::propose(
            self.setup.identity.clone(),
            terms.clone(),
            self.setup.seen.clone(),
            self.setup.guard.clone(),
            self.elsewhere(),
            now,
        );
        self.aggregator = Some(aggregator);
        self.acted = Some((self.attempt, self.slot));
        self.take(Role::Aggregator, outputs, now, rng, deeds);
        self.join(terms, now, rng, deeds);
    }

    /// Whoever is to join this attempt has to know that the earlier ones were abandoned.
    pub(super) fn bring_up_to_date(&self, peer: MemberId, deeds: &mut Deeds) {
        for abandonment in self.abandoned.values() {
            let message = Message::Abandonment(Box::new(abandonment.clone()));
            deeds.push((Role::Member, Output::Send(peer, Box::new(message))));
        }
    }

    fn join(&mut self, terms: Arc<Terms>, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let digest = *terms.digest();
        let (member, outputs) = Member::join(
            self.setup.identity.clone(),
            terms.clone(),
            self.setup.seen.clone(),
            self.setup.guard.clone(),
            self.absent(),
            now,
            rng,
        );
        if let Some(advertisement) = member.advertised() {
            self.advertised.insert(digest, (terms, advertisement));
        }
        self.member = Some(member);
        self.take(Role::Member, outputs, now, rng, deeds);
        self.tell_who_left(now, rng, deeds);
    }

    pub(super) fn terms(&self, attempt: u32, slot: u32) -> Option<Arc<Terms>> {
        let RoundSetup { manifest, number, task, .. } = &self.setup;
        Terms::new(manifest.clone(), *number, attempt, slot, task.clone()).ok().map(Arc::new)
    }
}
