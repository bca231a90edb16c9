//! How long a node waits for a slot to get a roster, and for the round to end.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::{
    aggregator::Aggregator,
    io::Now,
    member::{ALONE, Member, PASS_OVER},
    phase::Phase,
    report::{AbortReason, Outcome},
    seat,
};

use super::{Deeds, Round};

/// A round that comes to nothing for so many times as long as a phase may last is given up.
const LIFETIME: u32 = 60;

impl Round {
    /// When [`Tick`](crate::io::Input::Tick) is due at the latest; `None` once the round is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        if self.is_over() {
            return None;
        }
        let machines = [
            self.member.as_ref().and_then(Member::deadline),
            self.aggregator.as_ref().and_then(Aggregator::deadline),
        ];
        let waiting = (!self.over && self.member.is_none()).then(|| self.pass_over_at());
        let end = (!self.over).then(|| self.end());
        machines.into_iter().flatten().chain(waiting).chain(end).min()
    }

    pub(super) fn tick(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        if self.over {
            return;
        }
        if now >= self.end() {
            self.member = None;
            let detail = "it came to nothing for too long; its inputs may be known within the one sum that \
                          was voted for, if any was"
                .into();
            return self.finish(Outcome::Aborted(AbortReason::Void { detail }), deeds);
        }
        if self.member.is_some() || now < self.pass_over_at() {
            return;
        }
        if !self.may_start() {
            // no slot is used up until the others are back
            self.since = now;
            let alone = *self.alone.get_or_insert(now);
            let patience = Duration::from_millis(self.setup.manifest.policy().deadline_ms) * ALONE;
            if now >= alone + patience {
                let present = self.setup.manifest.members().len() - self.setup.away.len();
                let needed = self.setup.manifest.min_participants();
                let reason = seat::too_few(Phase::AdvertiseKeys, present, needed);
                self.finish(Outcome::Aborted(reason), deeds);
            }
            return;
        }
        self.alone = None;
        let reason = AbortReason::AggregatorLost { phase: Phase::AdvertiseKeys };
        self.skip(self.slot, reason, now, rng, deeds);
    }

    /// When the slot's aggregator, who has not proposed, is passed over. One that is connected may see less
    /// than I do; it has as long as a phase, if it has an input at all.
    fn pass_over_at(&self) -> Now {
        let policy = self.setup.manifest.policy();
        let holder = self.holder(self.slot);
        match holder.and_then(|holder| self.setup.away.get(&holder)) {
            None if holder.is_some_and(|holder| self.left.contains(&holder)) => self.since + PASS_OVER,
            Some(_) if !self.may_start() => self.since + PASS_OVER,
            Some(away) => self.since.max(*away + PASS_OVER),
            None => self.since + Duration::from_millis(policy.gather_ms + policy.deadline_ms),
        }
    }

    /// Whether enough members are there for a roster, and one that may aggregate.
    fn may_start(&self) -> bool {
        let (manifest, away) = (&self.setup.manifest, &self.setup.away);
        manifest.members().len() - away.len() >= manifest.min_participants()
            && self.order.iter().any(|id| match *id == self.me {
                true => self.setup.aggregates,
                false => !away.contains_key(id),
            })
    }

    fn end(&self) -> Now {
        let phase = Duration::from_millis(self.setup.manifest.policy().deadline_ms);
        self.started + phase.saturating_mul(LIFETIME) + self.bulk_time().saturating_mul(LIFETIME)
    }

    fn bulk_time(&self) -> Duration {
        self.member.as_ref().map_or(Duration::ZERO, Member::bulk_time)
    }
}
