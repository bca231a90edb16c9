//! How a session ends if from now on everything goes well: whoever is neither corrupt nor crashed acts, what
//! they say to each other arrives, and corrupt members only sign time-outs.
//!
//! All live members give up every slot that was reached. The next slot whose holder is one of them opens with
//! time-outs of a threshold; which ones, and what corrupt members say in theirs, is the adversary's choice.
//! The holder proposes what the slot allows, and all who may vote do. Where the slot comes to nothing, the next
//! one follows; that slots run out is not looked at.

use crate::{
    rules::Rules,
    session::Session,
    words::{SOMEBODY, Set, Value},
};

/// How a session ends; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// A value gets its certificate: the result, or the next attempt.
    Certificate,
    /// A corrupt aggregator has signed two values of its slot: the round is void, and says who did it.
    Evidence,
    /// The round is void, since nobody who lives holds a vector of the set that was voted for.
    Lost,
    /// None of these.
    Stuck,
}

/// How the session ends where `crashed` members say nothing more.
pub(crate) fn end(rules: &Rules, session: &Session, corrupt: Set, crashed: Set) -> End {
    if !session.void.is_empty() {
        return End::Evidence;
    }
    let live = rules.roster().without(corrupt).without(crashed);
    let reached = session.given_up.iter().map(|given_up| usize::from(*given_up)).max().unwrap_or(0);
    let next = reached.max(usize::from(session.slot) + 1);
    let slots = (next..next + rules.aggregators).filter(|slot| live.has(rules.holder(*slot)));
    slots.map(|slot| worst(rules, session, corrupt, live, slot)).min().unwrap_or(End::Stuck)
}

/// The worst that the adversary can make of a slot of a live member.
fn worst(rules: &Rules, session: &Session, corrupt: Set, live: Set, slot: usize) -> End {
    let openings = session.openings(rules, corrupt, slot, live);
    let anything = openings.anything.then(|| go_on(rules, session, live));
    let only = Value::ALL.into_iter().filter(|value| openings.only.has(value.at()));
    let only = only.map(|value| resume(rules, session, live, slot, value));
    let contradictions = openings.contradictions.iter().map(|slot| match corrupt.has(rules.holder(slot)) {
        true => End::Evidence,
        false => End::Stuck,
    });
    anything.into_iter().chain(only).chain(contradictions).max().unwrap_or(End::Stuck)
}

/// Nothing binds the slot: it may propose those who are there, or to abandon.
fn go_on(rules: &Rules, session: &Session, live: Set) -> End {
    let free = live.iter().filter(|member| !rules.one_vote || session.latest[*member].is_none()).count();
    if free >= rules.threshold { End::Certificate } else { End::Stuck }
}

/// The slot may propose one value only.
fn resume(rules: &Rules, session: &Session, live: Set, slot: usize, value: Value) -> End {
    let mut voters = live;
    if value != Value::Abandon {
        let set = rules.survivors(value);
        let holders = session.holders[value.at()].and(live.with(SOMEBODY));
        let passes_on = !holders.is_empty() && !rules.standbys_keep;
        if !set.within(live) && !passes_on && !holders.has(rules.holder(slot)) {
            return if holders.is_empty() { End::Lost } else { End::Stuck };
        }
        voters = voters.and(session.mask_set);
        if rules.members_of_x_vote {
            voters = voters.and(set);
        }
    }
    let bound = |member: &usize| session.latest[*member].is_some_and(|vote| vote.value != value);
    let votes = voters.iter().filter(|member| !rules.one_vote || !bound(member)).count();
    // a proposal shows receipts of others than its author
    let receipts = if value == Value::Abandon { 0 } else { rules.standbys };
    if votes >= rules.threshold && live.len() > receipts { End::Certificate } else { End::Stuck }
}
