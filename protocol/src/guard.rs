//! The differencing guard: two sums of the same data must not differ by a few members.
//!
//! Whoever has the sum over a set A and the sum over a set X of the same data can subtract them and has the sum
//! of those who are in one of them only. A label says that inputs are the same data again, so a member keeps
//! every set of a label that may be known, and has part in no other that comes near one of them:
//!
//! - of those who are only in A, and of those who are only in X, there are none, or at least c + m.
//!
//! c of them may be corrupt and subtract their own, so that m, at least two, honest inputs stay mixed. The rule
//! compares pairs. It does not stop whoever combines many sums of rotating sets (docs/threat-model.md).

use std::collections::BTreeSet;

use crate::ids::MemberId;

/// Sets of one label that are remembered. At 256 a set that is not one of them is refused: to forget one would be to
/// stop guarding it.
pub const MAX_COHORTS: usize = 256;

/// The least and the usual m: with one, the difference of two sums would be a single honest input.
pub const MIN_MARGIN: u16 = 2;

/// The survivor sets of one label of which this node knows that their sums may be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    margin: usize,
    /// Each in ascending order.
    cohorts: BTreeSet<Vec<MemberId>>,
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(MIN_MARGIN, [])
    }
}

/// Why the guard refuses a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It comes too near an earlier one.
    #[error(
        "a sum of this label over almost the same members may be known, {differ} differ; none or at least \
         {needed} may, or the difference of the two sums shows too much"
    )]
    Near {
        /// How many are in the one set only.
        differ: usize,
        /// The least that may, c + m.
        needed: usize,
    },
    /// No more sets are remembered.
    #[error(
        "{MAX_COHORTS} different sets of this label may be known, and no more are kept; give data that has changed another label"
    )]
    Full,
}

impl Guard {
    /// A guard with these earlier sets, in any order of their members. `margin` is m; less than [`MIN_MARGIN`] counts as
    /// that.
    #[must_use]
    pub fn new(margin: u16, cohorts: impl IntoIterator<Item = Vec<MemberId>>) -> Self {
        let mut guard = Self { margin: margin.max(MIN_MARGIN).into(), cohorts: BTreeSet::new() };
        for cohort in cohorts {
            guard.cohorts.insert(sorted(cohort));
        }
        guard
    }

    /// Whether a sum over these members may become known, of whom c may be corrupt.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn check(
        &self,
        survivors: impl IntoIterator<Item = MemberId>,
        corrupt: usize,
    ) -> Result<(), Refusal> {
        let survivors = sorted(survivors.into_iter().collect());
        let needed = corrupt.saturating_add(self.margin);
        for cohort in &self.cohorts {
            for differ in [only_in(cohort, &survivors), only_in(&survivors, cohort)] {
                if (1..needed).contains(&differ) {
                    return Err(Refusal::Near { differ, needed });
                }
            }
        }
        if self.cohorts.len() >= MAX_COHORTS && !self.cohorts.contains(&survivors) {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// A set of at least `least` of these members that passes: all of them, or else the largest earlier set among
    /// them.
    ///
    /// # Errors
    /// [`Refusal`] of all of them, where neither does.
    pub fn choose(
        &self,
        available: &BTreeSet<MemberId>,
        least: usize,
        corrupt: usize,
    ) -> Result<BTreeSet<MemberId>, Refusal> {
        let Err(refusal) = self.check(available.iter().copied(), corrupt) else {
            return Ok(available.clone());
        };
        let within = |cohort: &&Vec<MemberId>| {
            cohort.len() >= least
                && cohort.iter().all(|id| available.contains(id))
                && self.check(cohort.iter().copied(), corrupt).is_ok()
        };
        let largest = self.cohorts.iter().filter(within).max_by_key(|cohort| cohort.len());
        largest.map(|cohort| cohort.iter().copied().collect()).ok_or(refusal)
    }

    /// The sum over these members may be known from now on. Gives whether that is new. Once [`MAX_COHORTS`] are kept no
    /// more are: whatever is none of those is refused anyway.
    pub fn reveal(&mut self, survivors: impl IntoIterator<Item = MemberId>) -> bool {
        self.cohorts.len() < MAX_COHORTS && self.cohorts.insert(sorted(survivors.into_iter().collect()))
    }
}

fn sorted(mut members: Vec<MemberId>) -> Vec<MemberId> {
    members.sort_unstable();
    members.dedup();
    members
}

/// How many are in the first set and not in the second; both are in ascending order.
fn only_in(one: &[MemberId], other: &[MemberId]) -> usize {
    one.iter().filter(|id| other.binary_search(id).is_err()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(members: impl IntoIterator<Item = u8>) -> Vec<MemberId> {
        members.into_iter().map(|member| MemberId([member; 32])).collect()
    }

    fn near(differ: usize, needed: usize) -> Result<(), Refusal> {
        Err(Refusal::Near { differ, needed })
    }

    #[test]
    fn sets_are_equal_or_far_apart_on_both_sides() {
        let guard = Guard::new(2, [set(0..10)]);
        let check = |members: Vec<MemberId>| guard.check(members, 2);
        assert_eq!(check(set(0..10)), Ok(()));
        assert_eq!(check(set((0..10).rev())), Ok(()), "whatever the order");
        for missing in 1..4 {
            assert_eq!(check(set(missing..10)), near(missing.into(), 4));
            assert_eq!(check(set(0..10 + missing)), near(missing.into(), 4));
        }
        assert_eq!(check(set(4..10)), Ok(()));
        assert_eq!(check(set(0..14)), Ok(()));
        // far on one side does not make up for near on the other
        assert_eq!(check(set(4..11)), near(1, 4));
        assert_eq!(check(set(1..20)), near(1, 4));
        assert_eq!(check(set(4..14)), Ok(()));
    }

    #[test]
    fn the_margin_is_at_least_two() {
        for margin in 0..3 {
            assert_eq!(Guard::new(margin, [set(0..8)]).check(set(2..8), 1), near(2, 3));
        }
        assert_eq!(Guard::new(2, [set(0..8)]).check(set(3..8), 1), Ok(()));
        assert_eq!(Guard::new(3, [set(0..8)]).check(set(3..8), 1), near(3, 4));
    }

    #[test]
    fn every_earlier_set_counts_and_equal_ones_once() {
        let mut guard = Guard::default();
        assert!(guard.reveal(set(0..8)));
        assert!(!guard.reveal(set((0..8).rev())), "it is known already");
        assert!(guard.reveal(set(20..28)));
        assert_eq!(guard.check(set(0..7), 1), near(1, 3));
        assert_eq!(guard.check(set(20..27), 1), near(1, 3));
    }

    #[test]
    fn when_no_more_can_be_kept_others_are_refused_and_none_is_forgotten() {
        let many = |number: usize| {
            let id = |at: u8| {
                MemberId(
                    [[number as u8, (number >> 8) as u8, at], [at; 3]].concat().repeat(6)[..32]
                        .try_into()
                        .unwrap(),
                )
            };
            (0..4).map(id).collect::<Vec<_>>()
        };
        let mut guard = Guard::default();
        for number in 0..MAX_COHORTS {
            assert_eq!(guard.check(many(number), 1), Ok(()));
            assert!(guard.reveal(many(number)));
        }
        assert_eq!(guard.check(many(MAX_COHORTS), 1), Err(Refusal::Full));
        assert!(!guard.reveal(many(MAX_COHORTS)));
        assert_eq!(guard.check(many(0), 1), Ok(()), "one that is kept may be summed again");
        let mut almost = many(0);
        almost.pop();
        assert_eq!(guard.check(almost, 1), near(1, 3));
    }

    #[test]
    fn whoever_chooses_takes_all_or_an_earlier_set() {
        let all = |members: Vec<MemberId>| members.into_iter().collect::<BTreeSet<_>>();
        let guard = Guard::new(2, [set(0..7)]);
        assert_eq!(guard.choose(&all(set(0..7)), 5, 2), Ok(all(set(0..7))));
        assert_eq!(guard.choose(&all(set(0..8)), 5, 2), Ok(all(set(0..7))), "the newcomer is left out");
        assert_eq!(guard.choose(&all(set(0..8)), 8, 2), Err(Refusal::Near { differ: 1, needed: 4 }));
        assert_eq!(guard.choose(&all(set(0..6)), 5, 2), Err(Refusal::Near { differ: 1, needed: 4 }));
        assert_eq!(guard.choose(&all(set(0..12)), 5, 2), Ok(all(set(0..12))));
    }

    proptest! {
        /// Whatever passes leaves, in the difference of the two sums, at least m members beyond any c.
        #[test]
        fn what_passes_mixes_m_honest_inputs_on_each_side(
            earlier in prop::collection::btree_set(0..24u8, 3..20),
            later in prop::collection::btree_set(0..24u8, 3..20),
            corrupt in 1..6usize,
            margin in 2..5u16,
        ) {
            let guard = Guard::new(margin, [set(earlier.clone())]);
            let passes = guard.check(set(later.clone()), corrupt).is_ok();
            let sides = [earlier.difference(&later).count(), later.difference(&earlier).count()];
            let mixed = sides.iter().all(|side| *side == 0 || *side >= corrupt + usize::from(margin));
            prop_assert_eq!(passes, mixed);
        }
    }
}
