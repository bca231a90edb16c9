//! States, what may be said in each, and what must hold.

use stateright::{Model, Property};

use crate::{
    completion::{End, end},
    rules::{MaskSets, Rules},
    session::{Session, Step},
    words::{Set, Value, Vote},
};

/// At most one value is certified in a session.
pub(crate) const ONE_VALUE: &str = "one certified value in a session";
/// No honest input is in two certified sets.
pub(crate) const ONE_SUM: &str = "no input in two certified sets";
/// Where a threshold lives, a session ends with a certificate or with evidence.
pub(crate) const NOT_STUCK: &str = "a live threshold is never stuck";
/// Where a threshold lives, it holds all vectors of a set that was voted for.
pub(crate) const NOT_LOST: &str = "no vector is lost while a threshold lives";
/// Whoever has declared a round void still takes a certificate.
pub(crate) const OUTRANKED: &str = "a certificate outranks void";

/// Everything that a state is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) corrupt: Set,
    pub(crate) attempt: u8,
    /// What the attempt before has certified.
    pub(crate) before: Set,
    pub(crate) session: Session,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Somebody accepts a mask set.
    MaskSet(Set),
    /// The slot's aggregator opens its slot and proposes a value, for which these honest standbys have signed.
    Propose {
        slot: usize,
        value: Value,
        standbys: Set,
    },
    /// The slot's aggregator opens its slot with two values of one slot.
    Void {
        slot: usize,
    },
    Vote {
        member: usize,
        slot: usize,
        value: Value,
    },
    TimeOut {
        member: usize,
        slot: usize,
    },
    /// With an abandonment certificate the next attempt begins, in the slot that ended this one.
    NextAttempt,
}

impl Rules {
    fn may_vote(&self, session: &Session, member: usize, slot: usize, value: Value) -> bool {
        let survivors = value != Value::Abandon;
        !session.voted_in(member, slot)
            && usize::from(session.given_up[member]) <= slot
            && (!survivors || session.mask_set.has(member))
            && !(self.one_vote && session.latest[member].is_some_and(|vote| vote.value != value))
            && !(self.members_of_x_vote && survivors && !self.survivors(value).has(member))
    }

    fn mask_sets(&self, session: &Session, actions: &mut Vec<Action>) {
        if session.step == Step::MaskSet && session.mask_set.is_empty() {
            actions.push(Action::MaskSet(self.roster()));
            if self.mask_sets == MaskSets::Thin {
                actions.push(Action::MaskSet(Set::first(self.members - 1)));
            }
        }
    }

    fn openings(&self, State { corrupt, session, .. }: &State, slot: usize, actions: &mut Vec<Action>) {
        let holder = self.holder(slot);
        let honest = !corrupt.has(holder);
        if honest && (!session.shown[slot].is_empty() || session.void.has(holder)) {
            return;
        }
        let allowed = if slot == usize::from(session.first) {
            Set::first(Value::ALL.len())
        } else {
            let timed_out = session.timed_out_before(slot);
            let openings = session.openings(self, *corrupt, slot, timed_out);
            if honest && !openings.contradictions.is_empty() {
                actions.push(Action::Void { slot });
            }
            openings.values()
        };
        let new = |value: &Value| allowed.has(value.at()) && !session.shown[slot].has(value.at());
        for value in Value::ALL.into_iter().filter(new) {
            if value == Value::Abandon {
                actions.push(Action::Propose { slot, value, standbys: Set::EMPTY });
            } else if self.survivors(value).within(session.mask_set) {
                // corrupt standbys sign and hold nothing, so as many of them as there are is the worst case
                let others = self.roster().without(Set::EMPTY.with(holder));
                let liars = others.and(*corrupt).len().min(self.standbys);
                let choices = others.without(*corrupt).choose(self.standbys - liars);
                actions.extend(choices.map(|standbys| Action::Propose { slot, value, standbys }));
            }
        }
    }

    fn apply(&self, state: &mut State, action: Action) {
        let State { corrupt, session, .. } = state;
        let (slot, step) = match action {
            Action::MaskSet(mask_set) => {
                session.mask_set = mask_set;
                (usize::from(session.slot), Step::MaskSet)
            }
            Action::Propose { slot, value, standbys } => {
                session.shown[slot] = session.shown[slot].with(value.at());
                if value != Value::Abandon {
                    let mine = Set::EMPTY.with(self.holder(slot)).without(*corrupt);
                    let holders = &mut session.holders[value.at()];
                    *holders = holders.or(standbys).or(mine);
                }
                (slot, Step::Opening)
            }
            Action::Void { slot } => {
                session.void = session.void.with(self.holder(slot));
                (slot, Step::Opening)
            }
            Action::Vote { member, slot, value } => {
                session.vote(self, *corrupt, member, Vote { slot: slot as u8, value });
                (slot, Step::Votes)
            }
            Action::TimeOut { member, slot } => {
                session.given_up[member] = slot as u8 + 1;
                if self.timeouts_abandon {
                    let timed_out = session.timed_out_before(slot + 1);
                    if session.openings(self, *corrupt, slot + 1, timed_out).anything {
                        session.ended_by(slot as u8);
                    }
                }
                (slot, Step::TimeOuts)
            }
            Action::NextAttempt => {
                state.attempt += 1;
                state.before = session.certified;
                *session = Session::begin(session.abandoned.unwrap_or(session.slot));
                (usize::from(session.first), Step::MaskSet)
            }
        };
        (session.slot, session.step) = (slot as u8, step);
        session.normalize(self, *corrupt);
    }

    /// The worst end of the session among all choices of members that crash.
    fn worst_end(&self, State { corrupt, session, .. }: &State) -> End {
        let honest = self.roster().without(*corrupt);
        // where the corrupt alone are too many for a threshold to be left, nothing is promised
        let Some(crashes) = self.losses().checked_sub(corrupt.len()) else { return End::Certificate };
        let choices = (0..=crashes).flat_map(|count| honest.choose(count));
        choices.map(|crashed| end(self, session, *corrupt, crashed)).max().unwrap_or(End::Certificate)
    }
}

impl Model for Rules {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // of members that are alike the first are corrupt
        let in_order = |corrupt: &Set| {
            let first = |alike: Set| alike.iter().take(alike.and(*corrupt).len()).all(|it| corrupt.has(it));
            self.alike(Set::EMPTY, 0).into_iter().all(first)
        };
        // where no loss is left beside the corrupt, fewer of them can do no more
        let least = if self.losses() == self.corrupt { self.corrupt } else { 0 };
        let corrupt = (least..=self.corrupt).flat_map(|count| self.roster().choose(count)).filter(in_order);
        let session = Session::begin(0);
        let state = |corrupt| State { corrupt, attempt: 0, before: Set::EMPTY, session: session.clone() };
        corrupt.map(state).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let State { corrupt, session, .. } = state;
        if state.attempt == 0 && session.abandoned.is_some() {
            actions.push(Action::NextAttempt);
        }
        self.mask_sets(session, actions);
        let active = self.roster().without(*corrupt).without(session.void);
        for slot in usize::from(session.slot)..self.slots {
            let now = slot == usize::from(session.slot);
            if !now || session.step <= Step::Opening {
                self.openings(state, slot, actions);
            }
            if now && session.step <= Step::Votes {
                let votes = Value::ALL.into_iter().filter(|value| session.shown[slot].has(value.at()));
                for value in votes {
                    let voters = active.iter().filter(|it| self.may_vote(session, *it, slot, value));
                    actions.extend(voters.map(|member| Action::Vote { member, slot, value }));
                }
            }
            // a time-out of the last slot leads nowhere
            if slot + 1 < self.slots {
                let patient = active.iter().filter(|it| usize::from(session.given_up[*it]) <= slot);
                actions.extend(patient.map(|member| Action::TimeOut { member, slot }));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_VALUE, |_, state: &State| state.session.certified.len() <= 1),
            Property::always(ONE_SUM, |rules: &Self, state: &State| {
                let earlier = inputs(rules, state.before);
                earlier.and(inputs(rules, state.session.certified)).without(state.corrupt).is_empty()
            }),
            Property::always(NOT_STUCK, |rules: &Self, state: &State| rules.worst_end(state) != End::Stuck),
            Property::always(NOT_LOST, |rules: &Self, state: &State| rules.worst_end(state) != End::Lost),
            Property::always(OUTRANKED, |rules: &Self, State { session, .. }: &State| {
                !rules.void_is_final || session.void.is_empty() || session.certified.is_empty()
            }),
            Property::sometimes("a set is certified in a later slot", |_, State { session, .. }: &State| {
                session.slot > session.first && session.certified.has(Value::X1.at())
            }),
            Property::sometimes("a set is certified in the next attempt", |_, state: &State| {
                state.attempt == 1 && state.session.certified.has(Value::X2.at())
            }),
            Property::sometimes("a round is void, with evidence", |_, state: &State| {
                !state.session.void.is_empty()
            }),
        ]
    }
}

/// Whose inputs are in the certified sets.
fn inputs(rules: &Rules, certified: Set) -> Set {
    let sets = Value::SURVIVORS.into_iter().filter(|value| certified.has(value.at()));
    sets.fold(Set::EMPTY, |all, value| all.or(rules.survivors(value)))
}
