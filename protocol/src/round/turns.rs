//! Turns that are passed on: a node that does not aggregate says so, signed, as soon as a slot is its own.
//!
//! It is the abort of its own slot, and nobody else can sign it. It changes nobody's place in the order: whoever hears
//! it gives the slot up, as for an aggregator that is lost, and does not wait for that long.

use super::*;

/// What the others read.
const WHY: &str = "it does not aggregate, by its own settings";

impl Round {
    /// My slot begins before there is a roster: it is the next one's turn.
    pub(super) fn pass_turn(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let (attempt, slot) = (self.attempt, self.slot);
        let Some(terms) = self.terms(attempt, slot) else { return };
        if let Some(abort) = self.sign(abort_of(*terms.digest(), slot, Phase::AdvertiseKeys)) {
            let members = self.setup.manifest.members().iter().map(|member| member.id);
            for peer in members.filter(|id| *id != self.me && !self.setup.away.contains_key(id)) {
                deeds.push((
                    Role::Aggregator,
                    Output::Send(peer, Box::new(Message::Abort(Box::new(abort.clone())))),
                ));
            }
            self.passes.push(abort);
        }
        self.skip(slot, refused(Phase::AdvertiseKeys), now, rng, deeds);
    }

    /// Whoever connects may not know which turns I have passed.
    pub(super) fn repeat_passes(&self, to: MemberId, deeds: &mut Deeds) {
        let aborts = self.passes.iter().map(|abort| Message::Abort(Box::new(abort.clone())));
        deeds.extend(aborts.map(|message| (Role::Aggregator, Output::Send(to, Box::new(message)))));
    }

    /// Somebody shows me that the slot before mine is given up in a session.
    pub(super) fn pass_turn_in(&self, session: &Session, slot: u32, to: MemberId, deeds: &mut Deeds) {
        if let Some(abort) = self.sign(abort_of(*session.terms().digest(), slot, Phase::ConsistencyCheck)) {
            deeds.push((Role::Aggregator, Output::Send(to, Box::new(Message::Abort(Box::new(abort))))));
        }
    }

    /// Before there is a roster: the holder of a slot does not take its turn. Gives whether that is what was said.
    pub(super) fn turn_passed(
        &mut self,
        from: MemberId,
        abort: &Signed<Abort>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) -> bool {
        let (attempt, slot) = (self.attempt, abort.body.slot);
        let holds = abort.signer == from && self.holder(slot) == Some(from);
        if self.over || self.is_bound() || !holds {
            return false;
        }
        let Some(terms) = self.terms(attempt, slot).filter(|terms| *terms.digest() == abort.body.contract)
        else {
            return false;
        };
        if abort.verify().is_err() {
            return false;
        }
        // one that has asked for keys ends its slot in another way
        if self.member.as_ref().is_some_and(|member| member.waits_for(terms.digest())) {
            return false;
        }
        self.passed.insert((attempt, slot));
        if self.member.is_none() {
            if slot == self.slot {
                self.skip(slot, abort.body.reason.clone().from_peer(Phase::AdvertiseKeys), now, rng, deeds);
            } else {
                self.join_offered(now, rng, deeds);
            }
        }
        true
    }

    /// A slot in which nobody proposes gives way to the next.
    pub(super) fn skip(
        &mut self,
        slot: u32,
        reason: AbortReason,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        self.slot_over(slot, reason, deeds);
        self.enter(self.attempt, slot.saturating_add(1), now, rng, deeds);
    }
}

/// Why a slot is over whose holder has passed its turn.
pub(super) fn refused(phase: Phase) -> AbortReason {
    AbortReason::Refused { phase, why: WHY.into() }
}

fn abort_of(contract: Digest, slot: u32, phase: Phase) -> Abort {
    Abort { contract, slot, phase, reason: refused(phase) }
}
