//! The same rules without any of the shortcuts of the model, for a roster and slots that are small enough:
//! every vote and time-out is kept, with what it reported; members follow into a slot, and aggregators open
//! it, in steps of their own; statements come in any order; every choice of time-outs is tried one by one.
//!
//! What is reached must be what the model reaches.

use std::collections::BTreeSet;

use stateright::Model;

use crate::{
    model::State,
    rules::Rules,
    session::{Session, Step},
    words::{MEMBERS, SLOTS, Set, Value, Vote},
};

/// What a slot allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Allowed {
    Anything,
    Only(Value),
    Contradiction,
}

impl Allowed {
    fn allows(self, value: Value) -> bool {
        self == Self::Anything || self == Self::Only(value)
    }
}

/// What a member has promised and voted for.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ballot {
    /// The slot that it has followed into, with what that one allows; the first one allows anything.
    slot: usize,
    allowed: Option<Allowed>,
    votes: [Option<Value>; SLOTS],
    /// What its time-out of each slot reports.
    timeouts: [Option<Option<Vote>>; SLOTS],
}

impl Ballot {
    fn latest(&self) -> Option<Vote> {
        let vote = |slot: usize| Some(Vote { slot: slot as u8, value: self.votes[slot]? });
        (0..SLOTS).rev().find_map(vote)
    }

    /// One more than the highest slot that it has given up.
    fn given_up(&self) -> usize {
        (0..SLOTS).rev().find(|slot| self.timeouts[*slot].is_some()).map_or(0, |slot| slot + 1)
    }
}

/// Everything that honest members have said, and the proposals of corrupt ones.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    corrupt: Set,
    mask_set: Set,
    ballots: [Ballot; MEMBERS],
    opened: [Option<Allowed>; SLOTS],
    /// Proposals with their honest standbys.
    proposals: [[Option<Set>; 3]; SLOTS],
}

impl Said {
    /// With what a slot may open: all choices of a threshold of time-outs, and of what corrupt members report.
    fn openings(&self, rules: &Rules, slot: usize) -> BTreeSet<Allowed> {
        if slot == 0 {
            return BTreeSet::from([Allowed::Anything]);
        }
        let shown = (0..slot).flat_map(|slot| Value::ALL.map(|value| Vote { slot: slot as u8, value }));
        let shown = shown.filter(|vote| self.proposals[usize::from(vote.slot)][vote.value.at()].is_some());
        let lies: Vec<Option<Vote>> = shown.map(Some).chain([None]).collect();
        let mut found = BTreeSet::new();
        for signers in rules.roster().choose(rules.threshold) {
            let mut choices = vec![Vec::new()];
            for signer in signers.iter() {
                let reports: Vec<Option<Vote>> = if self.corrupt.has(signer) {
                    lies.clone()
                } else {
                    self.ballots[signer].timeouts[slot - 1].into_iter().collect()
                };
                let longer = |choice: &Vec<Option<Vote>>| {
                    reports.iter().map(|it| [&choice[..], &[*it]].concat()).collect::<Vec<_>>()
                };
                choices = choices.iter().flat_map(longer).collect();
            }
            found.extend(choices.iter().map(|choice| decide(choice)));
        }
        found
    }

    fn proposed(&self, slot: usize, value: Value) -> bool {
        self.proposals[slot][value.at()].is_some()
    }

    /// The same in the words of the model.
    fn in_short(&self, rules: &Rules) -> State {
        let mut session = Session { mask_set: self.mask_set, ..Session::begin(0) };
        let mut newest = (0, Step::MaskSet);
        for slot in 0..rules.slots {
            for value in Value::ALL {
                if let Some(standbys) = self.proposals[slot][value.at()] {
                    newest = newest.max((slot, Step::Opening));
                    session.shown[slot] = session.shown[slot].with(value.at());
                    if value != Value::Abandon {
                        let mine = Set::EMPTY.with(rules.holder(slot)).without(self.corrupt);
                        let holders = &mut session.holders[value.at()];
                        *holders = holders.or(standbys).or(mine);
                    }
                }
                let voters = self.ballots.iter().filter(|it| it.votes[slot] == Some(value)).count();
                if voters > 0 {
                    newest = newest.max((slot, Step::Votes));
                }
                if voters > 0 && voters + self.corrupt.len() >= rules.threshold {
                    session.certified = session.certified.with(value.at());
                    if value == Value::Abandon {
                        session.ended_by(slot as u8);
                    }
                }
            }
            // an aggregator that opens a slot with a contradiction leaves the round
            if self.opened[slot] == Some(Allowed::Contradiction) {
                newest = newest.max((slot, Step::Opening));
                session.void = session.void.with(rules.holder(slot));
            }
            if self.ballots.iter().any(|ballot| ballot.timeouts[slot].is_some()) {
                newest = newest.max((slot, Step::TimeOuts));
            }
        }
        (session.slot, session.step) = (newest.0 as u8, newest.1);
        for (member, ballot) in self.ballots.iter().enumerate() {
            session.latest[member] = ballot.latest();
            session.given_up[member] = ballot.given_up() as u8;
        }
        session.normalize(rules, self.corrupt);
        State { corrupt: self.corrupt, attempt: 0, before: Set::EMPTY, session }
    }
}

/// What time-outs allow, by the votes that they report.
fn decide(reports: &[Option<Vote>]) -> Allowed {
    let votes = || reports.iter().flatten();
    let Some(highest) = votes().map(|vote| vote.slot).max() else { return Allowed::Anything };
    let values: BTreeSet<Value> = votes().filter(|it| it.slot == highest).map(|it| it.value).collect();
    match values.iter().next() {
        Some(value) if values.len() == 1 => Allowed::Only(*value),
        _ => Allowed::Contradiction,
    }
}

/// Rules whose statements come in any order.
struct Literal(Rules);

impl Literal {
    fn aggregator(&self, said: &Said, slot: usize, next: &mut Vec<Said>) {
        let rules = &self.0;
        let holder = rules.holder(slot);
        let honest = !said.corrupt.has(holder);
        let mut push = |change: &dyn Fn(&mut Said)| {
            let mut changed = said.clone();
            change(&mut changed);
            next.push(changed);
        };
        let ballot = &said.ballots[holder];
        let allowed: Vec<Allowed> = if !honest {
            said.openings(rules, slot).into_iter().collect()
        } else if slot == 0 {
            vec![Allowed::Anything]
        } else if let Some(opened) = said.opened[slot] {
            vec![opened]
        } else {
            if ballot.slot.max(ballot.given_up()) <= slot && !left(rules, said, holder) {
                for opening in said.openings(rules, slot) {
                    push(&|said| said.opened[slot] = Some(opening));
                }
            }
            return;
        };
        if honest && (Value::ALL.iter().any(|it| said.proposed(slot, *it)) || ballot.given_up() > slot) {
            return;
        }
        for value in Value::ALL.into_iter().filter(|value| allowed.iter().any(|it| it.allows(*value))) {
            let survivors = value != Value::Abandon;
            if said.proposed(slot, value) || (survivors && said.mask_set.is_empty()) {
                continue;
            }
            let others = rules.roster().without(Set::EMPTY.with(holder));
            let liars = others.and(said.corrupt).len().min(rules.standbys);
            let receipts = if survivors { rules.standbys - liars } else { 0 };
            for standbys in others.without(said.corrupt).choose(receipts) {
                push(&|said| said.proposals[slot][value.at()] = Some(standbys));
            }
        }
    }

    fn member(&self, said: &Said, member: usize, slot: usize, next: &mut Vec<Said>) {
        let rules = &self.0;
        let ballot = &said.ballots[member];
        let mut push = |change: &dyn Fn(&mut Ballot)| {
            let mut changed = said.clone();
            change(&mut changed.ballots[member]);
            next.push(changed);
        };
        if slot > ballot.slot && ballot.given_up() <= slot {
            let opened = match said.corrupt.has(rules.holder(slot)) {
                true => said.openings(rules, slot).into_iter().collect(),
                false => Vec::from_iter(said.opened[slot]),
            };
            for allowed in opened.into_iter().filter(|it| *it != Allowed::Contradiction) {
                push(&|ballot| (ballot.slot, ballot.allowed) = (slot, Some(allowed)));
            }
        }
        if slot == ballot.slot && ballot.given_up() <= slot && ballot.votes[slot].is_none() {
            let allowed = ballot.allowed.unwrap_or(Allowed::Anything);
            let proposed = Value::ALL.into_iter().filter(|value| said.proposed(slot, *value));
            for value in proposed.filter(|value| allowed.allows(*value)) {
                push(&|ballot| ballot.votes[slot] = Some(value));
            }
        }
        if slot >= ballot.slot.max(ballot.given_up()) && slot + 1 < rules.slots {
            push(&|ballot| ballot.timeouts[slot] = Some(ballot.latest()));
        }
    }
}

/// Whether a member has declared the round void.
fn left(rules: &Rules, said: &Said, member: usize) -> bool {
    let void = |slot: usize| said.opened[slot] == Some(Allowed::Contradiction);
    (0..SLOTS).any(|slot| rules.holder(slot) == member && void(slot))
}

impl Literal {
    fn next(&self, said: &Said) -> Vec<Said> {
        let mut next = Vec::new();
        // as in the model the mask set comes first: without one nothing but `abandon` can be proposed
        if *said == (Said { corrupt: said.corrupt, ..Said::default() }) {
            next.push(Said { mask_set: self.0.roster(), ..said.clone() });
        }
        for slot in 0..self.0.slots {
            self.aggregator(said, slot, &mut next);
            for member in self.0.roster().without(said.corrupt).iter() {
                if !left(&self.0, said, member) {
                    self.member(said, member, slot, &mut next);
                }
            }
        }
        next
    }
}

fn reached<S: Clone + Ord>(first: Vec<S>, next: impl Fn(&S) -> Vec<S>) -> BTreeSet<S> {
    let mut reached: BTreeSet<S> = first.iter().cloned().collect();
    let mut pending = first;
    while let Some(state) = pending.pop() {
        pending.extend(next(&state).into_iter().filter(|state| reached.insert(state.clone())));
    }
    reached
}

/// Compares what is reached in the first attempt; the next one begins like it.
fn compare(rules: Rules) {
    for State { corrupt, .. } in rules.init_states() {
        let begin = Said { corrupt, ..Said::default() };
        let literal = reached(vec![begin], |said| Literal(rules).next(said));
        let in_short: BTreeSet<State> = literal.iter().map(|said| said.in_short(&rules)).collect();
        let first = rules.init_states().into_iter().filter(|state| state.corrupt == corrupt).collect();
        let model = reached(first, |state| {
            let next = rules.next_states(state);
            next.into_iter().filter(|state| state.attempt == 0).collect()
        });
        eprintln!("corrupt {corrupt:?}: {} states, {} in short", literal.len(), in_short.len());
        assert_eq!(in_short.difference(&model).next(), None, "the model leaves it out");
        assert_eq!(model.difference(&in_short).next(), None, "the model makes it up");
    }
}

#[test]
fn the_model_reaches_what_can_be_reached() {
    compare(Rules::of(3, 1, 3));
    compare(Rules::of(4, 1, 2));
}
