//! From slot to slot and from attempt to attempt: how each begins, and what the end of a member's part leads to.

use super::*;

impl Round {
    pub(super) fn member_finished(
        &mut self,
        outcome: Outcome,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        let slot = self.current_slot();
        let bound = self.member.take().is_some_and(|member| member.was_bound());
        match outcome {
            Outcome::Completed { published, threshold } => {
                self.published = Some((*published).clone());
                self.finish(Outcome::Completed { published, threshold }, deeds);
            }
            Outcome::Aborted(reason @ AbortReason::Abandoned { slot: ended, .. }) => {
                self.slot_over(ended, reason, deeds);
                self.next_attempt(ended, now, rng, deeds);
            }
            Outcome::Aborted(reason) if bound || matches!(reason, AbortReason::Local { .. }) => {
                self.finish(Outcome::Aborted(reason), deeds);
            }
            Outcome::Aborted(reason) => {
                self.skip(slot, reason, now, rng, deeds);
            }
        }
    }

    /// The attempt was abandoned in a slot. Whoever has abandoned its own contract does not get another try, or
    /// it could use up all attempts.
    pub(super) fn next_attempt(&mut self, ended: u32, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let proposed = self.abandoned.get(&self.attempt).map(|abandonment| abandonment.session.slot);
        let slot = if proposed == Some(ended) { ended.saturating_add(1) } else { ended };
        self.successors.clear();
        self.advertised.clear();
        self.passes.clear();
        if self.attempt + 1 >= MAX_ATTEMPTS {
            let detail = format!("{MAX_ATTEMPTS} attempts were abandoned");
            return self.finish(Outcome::Aborted(AbortReason::Void { detail }), deeds);
        }
        if let Some(reason) = self.refused() {
            return self.finish(Outcome::Aborted(reason), deeds);
        }
        self.enter(self.attempt + 1, slot, now, rng, deeds);
    }

    /// Why a fresh attempt would come to nothing: no set of the members that are there gets past my own guard.
    fn refused(&self) -> Option<AbortReason> {
        let RoundSetup { manifest, task, guard, .. } = &self.setup;
        let elsewhere = self.elsewhere();
        let ids = manifest.members().iter().map(|member| member.id);
        let present: BTreeSet<MemberId> = ids.filter(|id| !elsewhere.contains(id)).collect();
        let least = manifest.min_survivors(present.len())?;
        task.label.as_ref().filter(|_| checked(Check::DifferencingGuard))?;
        let refusal = guard.choose(&present, least, manifest.corrupt()).err()?;
        Some(seat::refused(Phase::AdvertiseKeys, &refusal))
    }

    /// A slot begins in which no roster is known yet.
    pub(super) fn enter(
        &mut self,
        attempt: u32,
        slot: u32,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        (self.attempt, self.slot, self.since) = (attempt, slot, now);
        self.offers.retain(|(of, _)| *of >= attempt);
        if self.follow_aside(now, rng, deeds) {
            return;
        }
        match self.holder(slot) {
            None => {
                let detail = "no slot is left: every member had its turns and none got as far as a roster; \
                              check who is connected"
                    .into();
                self.finish(Outcome::Aborted(AbortReason::Void { detail }), deeds);
            }
            Some(holder) if holder == self.me && !self.setup.aggregates => self.pass_turn(now, rng, deeds),
            Some(holder) if holder == self.me => self.propose(now, rng, deeds),
            Some(_) if self.passed.contains(&(attempt, slot)) => {
                self.skip(slot, turns::refused(Phase::AdvertiseKeys), now, rng, deeds);
            }
            Some(_) => self.join_offered(now, rng, deeds),
        }
    }
}
