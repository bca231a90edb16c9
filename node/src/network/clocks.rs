//! Whose clock is wrong. Nothing of a round depends on one; relays, `rounds_per_day` and whoever reads the log do.
//!
//! Members tell each other the time when a link comes up. It is their word, so it is compared and told to people, and
//! never acted on.

use std::collections::{BTreeMap, BTreeSet};

use consort_protocol::ids::MemberId;

/// Clocks that differ by more are wrong: machines that are never set drift by seconds a day.
const TOLERANCE: u64 = 600;

/// What members said of the time, compared with this machine's.
#[derive(Default)]
pub(super) struct Clocks {
    /// By how many seconds each is ahead.
    ahead: BTreeMap<MemberId, i64>,
    /// What was said is not said again: it is somebody's word, and must not fill the log.
    said: BTreeSet<(Option<MemberId>, bool)>,
}

/// A clock that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// This machine's: more than half of the members whose time is known, and two at least, say that it is behind (or
    /// ahead) by more than [`TOLERANCE`].
    Mine { behind: bool, members: usize },
    /// This member's.
    Theirs(MemberId),
}

impl Clocks {
    /// A member says what time it is. Gives whose clock is wrong, if that is news.
    pub(super) fn heard(&mut self, member: MemberId, theirs: u64, mine: u64) -> Option<Wrong> {
        let ahead = i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub_unsigned(mine);
        self.ahead.insert(member, ahead);
        let off = |ahead: &&i64| ahead.unsigned_abs() > TOLERANCE;
        let agree =
            |behind: bool| self.ahead.values().filter(off).filter(|ahead| (**ahead > 0) == behind).count();
        let most = |members: &usize| *members >= 2 && *members * 2 > self.ahead.len();
        let mine = [true, false].into_iter().find_map(|behind| {
            Some(agree(behind)).filter(most).map(|members| Wrong::Mine { behind, members })
        });
        let wrong = mine.or_else(|| off(&&ahead).then_some(Wrong::Theirs(member)))?;
        let said = match wrong {
            Wrong::Mine { behind, .. } => (None, behind),
            Wrong::Theirs(member) => (Some(member), false),
        };
        self.said.insert(said).then_some(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const HOUR: u64 = 3600;

    fn member(number: u8) -> MemberId {
        MemberId([number; 32])
    }

    #[test]
    fn one_that_is_an_hour_off_is_named_once() {
        let mut clocks = Clocks::default();
        for (number, theirs) in [(1, NOW + 590), (2, NOW - 590), (3, NOW)] {
            assert_eq!(clocks.heard(member(number), theirs, NOW), None);
        }
        assert_eq!(clocks.heard(member(4), NOW - HOUR, NOW), Some(Wrong::Theirs(member(4))));
        assert_eq!(clocks.heard(member(4), NOW - HOUR, NOW), None);
        // it is its own word, and no number is too large
        assert_eq!(clocks.heard(member(3), u64::MAX, NOW), Some(Wrong::Theirs(member(3))));
        // nor do two that take turns fill the log
        assert_eq!(clocks.heard(member(4), NOW - HOUR, NOW), None);
    }

    #[test]
    fn mine_is_wrong_where_most_members_say_so() {
        for (theirs, behind) in [(NOW + HOUR, true), (NOW - HOUR, false)] {
            let mut clocks = Clocks::default();
            // one alone may be wrong itself
            assert_eq!(clocks.heard(member(1), theirs, NOW), Some(Wrong::Theirs(member(1))));
            assert_eq!(clocks.heard(member(2), theirs, NOW), Some(Wrong::Mine { behind, members: 2 }));
            assert_eq!(clocks.heard(member(3), theirs, NOW), None, "that is known");
            // it was set
            assert_eq!(clocks.heard(member(1), theirs, theirs), None);
        }
    }
}
