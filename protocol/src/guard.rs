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

#[cfg(test)]
mod tests;

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
