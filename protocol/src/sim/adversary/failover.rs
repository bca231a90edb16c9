//! Lies about slots: time-outs, new slots, the end of an attempt.

use crate::{
    ids::MemberId,
    messages::{
        Abort, Message,
        consistency_check::{Proposal, Proposed, Value},
        failover::{Abandonment, LatestVote, NewSlot, ShownNewSlot, ShownTimeout, Timeout},
    },
    phase::Phase,
    report::AbortReason,
    signing::Signed,
};

use super::{Liar, Lie, Said};

/// Slots that are given up before they begin.
const EARLY: u32 = 3;

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::Timeout(shown) => {
            let ShownTimeout { timeout, session, mask_set, mut history } = *shown;
            let timeout = self::timeout(liar, timeout);
            if timeout.body.vote.is_none() {
                history.clear();
            }
            vec![(to, Message::Timeout(Box::new(ShownTimeout { timeout, session, mask_set, history })))]
        }
        Message::TimedOut(timeout) => {
            // whoever is told of the slot alone gets the truth, and can compare
            vec![(to, Message::TimedOut(timeout))]
        }
        Message::NewSlot(shown) if shown.new_slot.signer == liar.me => new_slot(liar, to, *shown),
        message => vec![(to, message)],
    }
}

fn timeout(liar: &Liar, honest: Signed<Timeout>) -> Signed<Timeout> {
    let vote = match liar.lie {
        Lie::HiddenVote => None,
        Lie::InventedVote => Some(LatestVote { slot: honest.body.slot, value: Value::Survivors([7; 32]) }),
        _ => return honest,
    };
    liar.sign(Timeout { vote, ..honest.body.clone() }).unwrap_or(honest)
}

fn new_slot(liar: &Liar, to: MemberId, honest: ShownNewSlot) -> Said {
    let say = |shown| (to, Message::NewSlot(Box::new(shown)));
    let NewSlot { session, slot, timeouts } = &honest.new_slot.body;
    let threshold = liar.known.session().map_or(1, |session| session.threshold().get());
    let mut chosen = timeouts.clone();
    match liar.lie {
        Lie::ThinNewSlot => chosen.truncate(threshold - 1),
        Lie::HiddenVotes => chosen.retain(|timeout| timeout.body.vote.is_none()),
        Lie::TwoNewSlots => chosen.rotate_left(1),
        _ => return vec![say(honest)],
    }
    let body = NewSlot { session: *session, slot: *slot, timeouts: chosen };
    let other = liar.sign(body).map(|new_slot| say(ShownNewSlot { new_slot, ..honest.clone() }));
    let first = (liar.lie == Lie::TwoNewSlots).then(|| say(honest));
    first.into_iter().chain(other).collect()
}

/// The set without the victim, whatever was voted for before.
pub(super) fn propose_other(liar: &Liar, to: MemberId, honest: Signed<Proposal>) -> Said {
    let Proposal { session, slot, value } = &honest.body;
    let first = liar.known.sessions.get(session).map(|session| session.terms().contract().slot);
    let value = match value {
        Proposed::Survivors { statements, standbys } if first < Some(*slot) => {
            let statements = liar.without_victim(statements);
            Proposed::Survivors { statements, standbys: standbys.clone() }
        }
        value => value.clone(),
    };
    let other = liar.sign(Proposal { session: *session, slot: *slot, value });
    vec![(to, Message::Proposal(Box::new(other.unwrap_or(honest))))]
}

pub(super) fn incoming(liar: &mut Liar, message: &Message) -> Said {
    match (liar.lie, message) {
        (Lie::EarlyTimeouts, Message::Roster(_)) => early_timeouts(liar),
        (Lie::FalseAbandonment, Message::Roster(_) | Message::MaskSet(_)) => abandonment(liar),
        (Lie::FalseAbort, Message::Receipt(..)) => abort(liar),
        _ => Said::new(),
    }
}

fn early_timeouts(liar: &mut Liar) -> Said {
    let Some(session) = liar.known.session() else { return Said::new() };
    let first = session.terms().contract().slot;
    let promise = |slot| {
        let body = Timeout { session: session.id(), slot, mask_set: None, vote: None };
        liar.sign(body).map(|timeout| Message::TimedOut(Box::new(timeout)))
    };
    let promises: Vec<Message> = (first..first + EARLY).filter_map(promise).collect();
    let others = session.participants().iter().map(|participant| participant.id);
    others
        .filter(|id| *id != liar.me)
        .flat_map(|to| promises.iter().map(move |message| (to, message.clone())))
        .collect()
}

/// Nobody voted for it but those who conspire.
fn abandonment(liar: &mut Liar) -> Said {
    let Some(session) = liar.known.session() else { return Said::new() };
    let slot = session.terms().contract().slot;
    let vote =
        crate::messages::consistency_check::Vote { session: session.id(), slot, value: Value::Abandon };
    let sign = |fellow: &std::sync::Arc<crate::signing::Identity>| {
        Some((fellow.id(), crate::signing::sign_body(&vote, fellow).ok()?))
    };
    let mut votes: Vec<_> = liar.fellows.iter().filter_map(sign).collect();
    votes.sort_unstable_by_key(|(id, _)| *id);
    let message = Message::Abandonment(Box::new(Abandonment { session: session.proof(), slot, votes }));
    liar.known.everybody().into_iter().filter(|id| *id != liar.me).map(|to| (to, message.clone())).collect()
}

fn abort(liar: &mut Liar) -> Said {
    if std::mem::replace(&mut liar.plan.done, true) {
        return Said::new();
    }
    let Some(session) = liar.known.session() else { return Said::new() };
    let (contract, slot) = (*session.terms().digest(), session.terms().contract().slot);
    let reason = AbortReason::AggregatorFailed { phase: Phase::ShareKeys };
    let Some(abort) = liar.sign(Abort { contract, slot, phase: Phase::ShareKeys, reason }) else {
        return Said::new();
    };
    let everybody = liar.known.everybody();
    let told = everybody.into_iter().filter(|id| *id != liar.me && !liar.favours(id));
    told.map(|to| (to, Message::Abort(Box::new(abort.clone())))).collect()
}
