//! What has been said in a session, and what a slot may open with.

use crate::{
    rules::Rules,
    words::{MEMBERS, SLOTS, Set, Value, Vote},
};

/// Statements of a slot, in the order in which they can depend on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    #[default]
    MaskSet,
    Opening,
    Votes,
    TimeOuts,
}

/// What honest members have said, as far as anything can still depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Session {
    /// The slot of its contract.
    pub(crate) first: u8,
    /// The slot and the step of the newest statement.
    pub(crate) slot: u8,
    pub(crate) step: Step,
    /// The mask set that somebody has accepted; empty for none.
    pub(crate) mask_set: Set,
    /// Values of each slot whose passage (the proposal, and what opened its slot) can be shown.
    pub(crate) shown: [Set; SLOTS],
    /// Each member's latest vote.
    pub(crate) latest: [Option<Vote>; MEMBERS],
    /// One more than the highest slot that each member has given up; 0 where nothing depends on it any more.
    pub(crate) given_up: [u8; MEMBERS],
    /// Honest members that hold all vectors of a survivor set.
    pub(crate) holders: [Set; 2],
    /// Values for which t votes of one slot may exist.
    pub(crate) certified: Set,
    /// The lowest slot that has ended the attempt.
    pub(crate) abandoned: Option<u8>,
    /// Members that have declared the round void.
    pub(crate) void: Set,
    /// Who ever voted for a value; kept only where votes of several slots are added up.
    pub(crate) ever: [Set; 3],
}

/// What time-outs of a threshold can report: one entry for each choice of them, and of what corrupt members
/// say in theirs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Openings {
    /// No vote: any value may be proposed.
    pub(crate) anything: bool,
    /// One value in the highest slot: only this one may be proposed.
    pub(crate) only: Set,
    /// Two values in the highest slot: their aggregator signed both. The slots.
    pub(crate) contradictions: Set,
}

impl Openings {
    /// What may be proposed.
    pub(crate) fn values(&self) -> Set {
        if self.anything { Set::first(Value::ALL.len()) } else { self.only }
    }
}

impl Session {
    pub(crate) fn begin(first: u8) -> Self {
        Self { first, slot: first, ..Self::default() }
    }

    pub(crate) fn voted_in(&self, member: usize, slot: usize) -> bool {
        self.latest[member].is_some_and(|vote| usize::from(vote.slot) >= slot)
    }

    /// Honest members whose newest time-out is for the slot before this one.
    pub(crate) fn timed_out_before(&self, slot: usize) -> Set {
        (0..MEMBERS).filter(|member| usize::from(self.given_up[*member]) == slot && slot > 0).collect()
    }

    /// With what a slot may open on time-outs of these honest members and of corrupt ones.
    ///
    /// Corrupt members report no vote, or any whose passage can be shown.
    pub(crate) fn openings(&self, rules: &Rules, corrupt: Set, slot: usize, timed_out: Set) -> Openings {
        let enough = |honest: usize| honest + corrupt.len() >= rules.threshold;
        let reporting = |wanted: &dyn Fn(Option<Vote>) -> bool| {
            timed_out.iter().filter(|member| wanted(self.latest[*member])).count()
        };
        let mut openings =
            Openings { anything: enough(reporting(&|vote| vote.is_none())), ..Openings::default() };
        for highest in usize::from(self.first)..slot.min(rules.slots) {
            let gives_way = |slot: usize| slot < highest || (rules.any_slot && slot > highest);
            let below = reporting(&|vote| vote.is_none_or(|vote| gives_way(usize::from(vote.slot))));
            let votes =
                Value::ALL.map(|value| reporting(&|vote| vote == Some(Vote { slot: highest as u8, value })));
            let told: Set = (0..votes.len()).filter(|value| votes[*value] > 0).collect();
            let lies = match corrupt.is_empty() {
                true => Set::EMPTY,
                false if rules.believe_votes => Set::first(Value::ALL.len()),
                false => self.shown[highest],
            };
            for value in told.or(lies).iter().filter(|value| enough(below + votes[*value])) {
                openings.only = openings.only.with(value);
            }
            // each member tells of one value
            let different = told.or(lies).len().min(told.len() + corrupt.len());
            if different > 1 && enough(below + votes.iter().sum::<usize>()) {
                openings.contradictions = openings.contradictions.with(highest);
            }
        }
        openings
    }

    /// A vote is cast: it may complete a certificate.
    pub(crate) fn vote(&mut self, rules: &Rules, corrupt: Set, member: usize, vote: Vote) {
        self.latest[member] = Some(vote);
        let value = vote.value.at();
        let voters = if rules.mixed_slots {
            self.ever[value] = self.ever[value].with(member);
            self.ever[value].len()
        } else {
            self.latest.iter().filter(|latest| **latest == Some(vote)).count()
        };
        // corrupt members vote for everything
        if voters + corrupt.len() >= rules.threshold {
            self.certified = self.certified.with(value);
            if vote.value == Value::Abandon {
                self.ended_by(vote.slot);
            }
        }
    }

    pub(crate) fn ended_by(&mut self, slot: u8) {
        self.abandoned = Some(self.abandoned.map_or(slot, |earlier| earlier.min(slot)));
    }

    /// Forgets what nothing depends on, and puts members that differ in nothing in order.
    pub(crate) fn normalize(&mut self, rules: &Rules, corrupt: Set) {
        for given_up in &mut self.given_up {
            let counts = if self.step > Step::Opening { self.slot + 1 } else { self.slot };
            if *given_up < counts {
                *given_up = 0;
            }
        }
        for holders in &mut self.holders {
            *holders = rules.seen(corrupt, *holders);
        }
        // whoever has opened its slot has no part but a member's any more
        let from = usize::from(self.slot) + usize::from(self.step > Step::Opening);
        for alike in rules.alike(corrupt, from) {
            self.sort(alike);
        }
    }

    fn sort(&mut self, alike: Set) {
        if alike.len() < 2 {
            return;
        }
        let what = |session: &Self, member: usize| {
            (session.latest[member], session.given_up[member], session.sets().map(|set| set.has(member)))
        };
        let mut all: Vec<_> = alike.iter().map(|member| what(self, member)).collect();
        all.sort_unstable();
        for (member, (latest, given_up, is_in)) in alike.iter().zip(all) {
            (self.latest[member], self.given_up[member]) = (latest, given_up);
            let [x1, x2] = &mut self.holders;
            let [ever_x1, ever_x2, ever_abandon] = &mut self.ever;
            let sets = [x1, x2, ever_x1, ever_x2, ever_abandon, &mut self.void];
            for (set, is_in) in sets.into_iter().zip(is_in) {
                set.put(member, is_in);
            }
        }
    }

    fn sets(&self) -> [Set; 6] {
        let ([x1, x2], [ever_x1, ever_x2, ever_abandon]) = (self.holders, self.ever);
        [x1, x2, ever_x1, ever_x2, ever_abandon, self.void]
    }
}
