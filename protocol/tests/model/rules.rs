//! The rules of a roster, and the ways in which the tests break them.

use crate::words::{MEMBERS, SLOTS, SOMEBODY, Set, Value};

/// Which mask sets there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskSets {
    /// Everybody is in it.
    Whole,
    /// The last member may be left out of it, although it lives.
    Thin,
}

/// Numbers of a roster, and rules: `false` in each flag is what docs/protocol.md says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) members: usize,
    /// Most corrupt members.
    pub(crate) corrupt: usize,
    pub(crate) threshold: usize,
    /// Members that may aggregate: the first so many, in this order.
    pub(crate) aggregators: usize,
    /// Slots of all attempts together.
    pub(crate) slots: usize,
    /// Receipts of standbys that a proposal has to show.
    pub(crate) standbys: usize,
    pub(crate) mask_sets: MaskSets,
    /// Votes of several slots make a certificate together.
    pub(crate) mixed_slots: bool,
    /// Any vote that time-outs report may decide, not only those of the highest slot.
    pub(crate) any_slot: bool,
    /// A vote is believed without the proposal and the `NewSlot` that allowed it.
    pub(crate) believe_votes: bool,
    /// A member votes for one value only in a session.
    pub(crate) one_vote: bool,
    /// Only members of a survivor set vote for it.
    pub(crate) members_of_x_vote: bool,
    /// Time-outs of a threshold that report no vote end an attempt.
    pub(crate) timeouts_abandon: bool,
    /// Who has declared a round void does not listen to a certificate any more.
    pub(crate) void_is_final: bool,
    /// Standbys pass nothing on: they resume only what they hold in a slot of their own.
    pub(crate) standbys_keep: bool,
}

impl Rules {
    /// The rules as they are.
    pub(crate) fn of(members: usize, corrupt: usize, slots: usize) -> Self {
        assert!(members <= MEMBERS && slots <= SLOTS);
        let threshold = (members + corrupt) / 2 + 1;
        Self {
            members,
            corrupt,
            threshold,
            aggregators: members,
            slots,
            standbys: members - threshold,
            mask_sets: MaskSets::Whole,
            mixed_slots: false,
            any_slot: false,
            believe_votes: false,
            one_vote: false,
            members_of_x_vote: false,
            timeouts_abandon: false,
            void_is_final: false,
            standbys_keep: false,
        }
    }

    pub(crate) fn roster(&self) -> Set {
        Set::first(self.members)
    }

    /// How many may be corrupt or crash while a threshold is left.
    pub(crate) fn losses(&self) -> usize {
        self.members - self.threshold
    }

    /// Whose slot it is.
    pub(crate) fn holder(&self, slot: usize) -> usize {
        slot % self.aggregators
    }

    /// The two survivor sets: as small as they may be, with as many others at the end as there are.
    pub(crate) fn survivors(&self, value: Value) -> Set {
        let (n, t) = (self.members, self.min_survivors());
        match value {
            Value::X1 => Set::first(t),
            Value::X2 => (0..2 * t - n).chain(t..n).collect(),
            Value::Abandon => Set::EMPTY,
        }
    }

    fn min_survivors(&self) -> usize {
        // the threshold as it should be: a test that lowers it changes nothing else
        (self.members + self.corrupt) / 2 + 1
    }

    /// Whether it may ever matter who holds the vectors of a set, or is in it.
    fn members_matter(&self, corrupt: Set) -> bool {
        let may_crash = self.losses() > corrupt.len();
        may_crash || self.standbys_keep || self.members_of_x_vote || self.mask_sets == MaskSets::Thin
    }

    /// Honest members that differ in nothing but their numbers while the slots from this one on are left: they
    /// hold none of them and, where that matters, are in the same survivor sets.
    pub(crate) fn alike(&self, corrupt: Set, from: usize) -> [Set; 2] {
        let holders: Set = (from..self.slots).map(|slot| self.holder(slot)).collect();
        let free = self.roster().without(corrupt).without(holders);
        if self.members_matter(corrupt) {
            let (first, second) = (self.survivors(Value::X1), self.survivors(Value::X2));
            [free.and(first.without(second)), free.and(second.without(first))]
        } else {
            [free, Set::EMPTY]
        }
    }

    /// Holders as far as it matters who they are.
    pub(crate) fn seen(&self, corrupt: Set, holders: Set) -> Set {
        let somebody = || holders.iter().take(1).map(|_| SOMEBODY).collect();
        if self.members_matter(corrupt) { holders } else { somebody() }
    }
}
