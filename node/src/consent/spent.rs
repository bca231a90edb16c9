//! How many rounds a day: when those of the last 24 hours got as far as a roster.
//!
//! The clock is this machine's. Where it was set back, rounds of the future count as rounds of today.

use std::{collections::BTreeMap, time::Duration};

/// What counts as a day, in seconds.
pub(crate) const DAY: u64 = 24 * 60 * 60;

/// Rounds with the time of their roster, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent(BTreeMap<u64, u64>);

impl Spent {
    pub(crate) fn new(rounds: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self(rounds.into_iter().collect())
    }

    /// A round has a roster. It counts once, however many attempts it takes.
    pub(crate) fn spend(&mut self, round: u64, now: u64) {
        self.0.retain(|_, at| counts(*at, now));
        self.0.entry(round).or_insert(now);
    }

    /// How long it takes until another round may begin, where there may be so many a day.
    pub(crate) fn wait(&self, per_day: u32, now: u64) -> Option<Duration> {
        let mut times: Vec<u64> = self.0.values().copied().filter(|at| counts(*at, now)).collect();
        times.sort_unstable();
        let over = times.len().checked_sub(usize::try_from(per_day).unwrap_or(usize::MAX))?;
        let Some(frees) = times.get(over) else {
            // none is allowed at all
            return Some(Duration::from_secs(DAY));
        };
        Some(Duration::from_secs(frees.saturating_add(DAY).saturating_sub(now)))
    }
}

/// Whether a time is of the last day, or later than now.
pub(crate) fn counts(at: u64, now: u64) -> bool {
    at.saturating_add(DAY) > now
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000;

    #[test]
    fn so_many_within_a_day_and_then_the_oldest_makes_room() {
        let mut spent = Spent::default();
        assert_eq!(spent.wait(2, NOON), None);
        spent.spend(1, NOON);
        spent.spend(1, NOON + 5);
        assert_eq!(spent.wait(2, NOON + 10), None, "another attempt is the same round");
        spent.spend(2, NOON + 10);
        assert_eq!(spent.wait(2, NOON + 20), Some(Duration::from_secs(DAY - 20)));
        assert_eq!(spent.wait(3, NOON + 20), None);
        assert_eq!(spent.wait(1, NOON + 20), Some(Duration::from_secs(DAY - 10)));
        assert_eq!(spent.wait(2, NOON + DAY), None);
        spent.spend(3, NOON + DAY);
        assert_eq!(spent, Spent::new([(2, NOON + 10), (3, NOON + DAY)]), "what counts no more is forgotten");
    }

    #[test]
    fn none_at_all_and_a_clock_that_was_set_back() {
        assert_eq!(Spent::default().wait(0, NOON), Some(Duration::from_secs(DAY)));
        let spent = Spent::new([(7, NOON + 1000)]);
        assert_eq!(spent.wait(1, NOON), Some(Duration::from_secs(DAY + 1000)));
    }
}
