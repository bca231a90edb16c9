//! How long a member waits, for whom, and what it does when it has waited long enough.
//!
//! It is patient for as long as the aggregator may wait in a phase, and a little longer; less where it hears nothing
//! at all, or knows that whoever is to act is gone. Then the slot is over for it, and the next one is to open.

use core::time::Duration;

use crate::{
    contract::Terms,
    ids::MemberId,
    io::Now,
    phase::Phase,
    report::AbortReason,
    seat::{self, Outputs},
};

use super::{Member, State, playing::Stage};

/// An aggregator that is not connected is passed over after so long: it may be back at once.
pub(crate) const PASS_OVER: Duration = Duration::from_secs(1);

/// For so many times as long as a phase may last a node waits for enough of the others to be back.
pub(crate) const ALONE: u32 = 6;

/// How often the wait for a slot to open doubles.
const MAX_DOUBLINGS: u32 = 4;

/// What an owner has to know where nothing follows any more after a vote.
pub(super) const VOTED_FOR: &str = "the inputs may be known within the one sum that was voted for";

impl Member {
    /// When [`Tick`](crate::io::Input::Tick) is due at the latest; `None` once the attempt is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let silent = self.heard + self.seat.terms.silence();
        match &self.state {
            State::Closed => None,
            State::AdvertiseKeys(_) => Some(self.deadline.min(silent)),
            State::Playing(_) if self.void.is_some() => Some(self.deadline),
            State::Playing(playing) => {
                let due =
                    if playing.ballot.has_given_up() { self.deadline } else { self.deadline.min(silent) };
                let report = match &playing.stage {
                    Stage::ShareKeys(sharing) => sharing.report_at,
                    _ => None,
                };
                Some(report.map_or(due, |at| at.min(due)))
            }
        }
    }

    pub(super) fn has_given_up(&self) -> bool {
        matches!(&self.state, State::Playing(playing) if playing.ballot.has_given_up())
    }

    /// A member is patient for as long as the aggregator may wait in this phase, and a little longer. One
    /// that waits for the result may have been left out before the vectors were sent, and the sum takes its
    /// time, too.
    pub(super) fn extend_deadline(&mut self, now: Now) {
        let Some(phase) = self.phase() else { return };
        self.heard = now;
        let terms = &self.seat.terms;
        let waits = match phase {
            // standbys take the vectors in before a set is proposed
            Phase::MaskedInput => terms.deadline(Phase::MaskedInput) * 2,
            Phase::Unmasking => {
                terms.deadline(Phase::MaskedInput) * 2
                    + terms.deadline(Phase::ConsistencyCheck)
                    + terms.deadline(Phase::Unmasking)
            }
            _ => terms.deadline(phase),
        };
        self.deadline = now + waits + terms.deadline(Phase::AdvertiseKeys);
        if let State::Playing(playing) = &mut self.state
            && let Stage::ShareKeys(sharing) = &mut playing.stage
        {
            sharing.report_at = Some(now + terms.deadline(phase) / 2);
        }
    }

    /// Nothing that this member could do is safe any more. But a set may have been certified without it, and a
    /// valid certificate outranks void: it waits for one as long as a sum may take to come.
    pub(super) fn linger(&mut self, reason: AbortReason, now: Now) {
        self.deadline =
            now + self.seat.terms.deadline(Phase::Unmasking) + self.seat.terms.deadline(Phase::Publish);
        self.void = Some(reason);
    }

    /// The slot leads nowhere: the next one is to begin.
    pub(super) fn slot_over(&mut self, reason: AbortReason, now: Now, out: &mut Outputs) {
        match &self.state {
            State::AdvertiseKeys(_) => self.close(reason, out),
            State::Playing(_) if self.void.is_some() => {}
            State::Playing(playing) if !playing.ballot.has_given_up() && playing.fetching.is_empty() => {
                self.give_up(self.seat.slot, reason, now, out);
            }
            State::Playing(_) | State::Closed => {}
        }
    }

    pub(super) fn give_up(&mut self, slot: u32, reason: AbortReason, now: Now, out: &mut Outputs) {
        let State::Playing(playing) = &mut self.state else { return };
        match playing.give_up(&self.seat, slot, reason, out) {
            Ok(()) => {
                let awaited = playing.ballot.awaited();
                let next = awaited.and_then(|next| self.seat.terms.holder(next));
                let away =
                    next.is_some_and(|next| self.seat.absent.contains(&next) || self.left.contains(&next));
                let patience = if away { PASS_OVER } else { patience(&self.seat.terms, awaited) };
                self.deadline = now + patience;
            }
            // a sum may still be on its way
            Err(reason @ AbortReason::Void { .. }) => self.linger(reason, now),
            Err(reason) => self.close(reason, out),
        }
    }

    pub(super) fn lost(&mut self, peer: MemberId, now: Now, out: &mut Outputs) {
        let phase = self.phase();
        let mine = peer == self.seat.aggregator();
        let mut failed = None;
        match &mut self.state {
            State::AdvertiseKeys(_) | State::Closed => {}
            State::Playing(playing) => {
                if let Stage::ShareKeys(sharing) = &mut playing.stage {
                    failed = sharing.report_if_complete(&self.seat, out).err();
                }
            }
        }
        if let State::Playing(playing) = &self.state {
            playing.serve(&self.seat, |owner| *owner == peer, out);
        }
        self.wait_no_longer_for(peer, now);
        if let Some(reason) = failed {
            self.close(reason, out);
        } else if let Some(phase) = phase.filter(|_| mine) {
            self.slot_over(AbortReason::AggregatorLost { phase }, now, out);
        }
    }

    /// Where it is to open the next slot, it will not.
    pub(super) fn wait_no_longer_for(&mut self, peer: MemberId, now: Now) {
        let State::Playing(playing) = &self.state else { return };
        let awaited = playing.ballot.awaited().and_then(|slot| self.seat.terms.holder(slot));
        if playing.ballot.has_given_up() && awaited == Some(peer) {
            self.deadline = self.deadline.min(now + PASS_OVER);
        }
    }

    pub(super) fn tick(&mut self, now: Now, out: &mut Outputs) {
        let Some(phase) = self.phase() else { return };
        if let Some(reason) = &self.void {
            if now >= self.deadline {
                self.close(reason.clone(), out);
            }
            return;
        }
        let silent = now >= self.heard + self.seat.terms.silence();
        match &mut self.state {
            State::Closed => {}
            State::AdvertiseKeys(_) => {
                if silent || now >= self.deadline {
                    self.close(AbortReason::AggregatorLost { phase }, out);
                }
            }
            State::Playing(playing) => {
                if let Stage::ShareKeys(sharing) = &mut playing.stage
                    && sharing.report_at.is_some_and(|at| now >= at)
                    && let Err(reason) = sharing.report(&self.seat, out)
                {
                    return self.close(reason, out);
                }
                let Some(awaited) = playing.ballot.awaited() else {
                    // the last slot was given up while a sum was on its way, and it has not come
                    if now >= self.deadline {
                        let detail = format!("every slot was used up; {VOTED_FOR}");
                        self.close(AbortReason::Void { detail }, out);
                    }
                    return;
                };
                let reason = AbortReason::AggregatorLost { phase };
                if !playing.ballot.has_given_up() {
                    if silent || now >= self.deadline {
                        self.give_up(awaited, reason, now, out);
                    }
                } else if now >= self.deadline {
                    // too few to open any slot: none is used up until the others are back;
                    // who is back without what it knew of the session has no part in it any more
                    let gone = |id: &MemberId| {
                        *id != self.seat.me && (self.seat.absent.contains(id) || self.left.contains(id))
                    };
                    let participants = playing.session.participants().iter();
                    let found = participants.filter(|participant| !gone(&participant.id)).count();
                    let needed = playing.session.threshold().get();
                    if found >= needed {
                        self.alone = None;
                        return self.give_up(awaited, reason, now, out);
                    }
                    let alone = *self.alone.get_or_insert(now);
                    self.deadline = now + PASS_OVER;
                    if now >= alone + self.seat.terms.deadline(Phase::ConsistencyCheck) * ALONE {
                        let reason = match playing.ballot.history().is_empty() {
                            true => seat::too_few(phase, found, needed),
                            false => AbortReason::Void { detail: VOTED_FOR.into() },
                        };
                        self.close(reason, out);
                    }
                }
            }
        }
    }
}

/// How long the next slot may take to open. The later it is, the longer: members that were told of a session
/// at different times give up its slots one after the other at the same pace, and would never be in one
/// together.
fn patience(terms: &Terms, awaited: Option<u32>) -> Duration {
    let second = terms.contract().slot.saturating_add(1);
    let later = awaited.unwrap_or(second).saturating_sub(second);
    terms.deadline(Phase::ConsistencyCheck) * (1 << later.min(MAX_DOUBLINGS))
}
