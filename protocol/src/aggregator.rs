//! The aggregator's side of an attempt: the current phase, and nothing but dispatch.
//!
//! The aggregator collects, orders and passes on. It is a member too, and plays that part through a
//! [`crate::member::Member`] of its own, which trusts it no more than the others do.
//!
//! A phase ends as soon as everybody who can still answer has, or at its deadline; then it goes on with
//! those who did, or ends the attempt where they are too few. Votes and revealed shares are enough as soon as
//! there is a threshold of them.

mod advertise_keys;
mod consistency_check;
mod masked_input;
mod publish;
mod share_keys;
mod unmasking;

use core::mem;
use std::{collections::BTreeSet, sync::Arc};

use rand_core::CryptoRng;

use crate::{
    contract::Terms,
    fault::FaultKind,
    ids::MemberId,
    io::{Input, Now, Output, Work},
    messages::{Abort, Message},
    phase::Phase,
    report::AbortReason,
    roster::{SeenKeys, Session},
    seat::{self, Outputs, Seat, send},
    signing::Identity,
};

use advertise_keys::AdvertiseKeys;
use consistency_check::ConsistencyCheck;
use masked_input::MaskedInput;
use publish::Publish;
use share_keys::ShareKeys;
use unmasking::{Summing, Unmasking};

/// The aggregator of one attempt.
pub struct Aggregator {
    seat: Seat,
    state: State,
    deadline: Now,
}

enum State {
    AdvertiseKeys(AdvertiseKeys),
    ShareKeys(ShareKeys),
    MaskedInput(MaskedInput),
    ConsistencyCheck(ConsistencyCheck),
    Unmasking(Unmasking),
    Summing(Summing),
    Publish(Publish),
    Closed,
}

impl State {
    /// The session, once the roster is out.
    fn session(&self) -> Option<&Session> {
        match self {
            Self::ShareKeys(phase) => Some(&phase.session),
            Self::MaskedInput(phase) => Some(&phase.session),
            Self::ConsistencyCheck(phase) => Some(&phase.session),
            Self::Unmasking(phase) => Some(&phase.session),
            Self::Summing(phase) => Some(&phase.session),
            Self::Publish(phase) => Some(&phase.session),
            Self::AdvertiseKeys(_) | Self::Closed => None,
        }
    }
}

/// What became of a phase.
enum Progress<P, N> {
    /// Somebody who can still answer has not.
    Waiting(P),
    /// The next phase has begun.
    Next(N),
    /// The attempt cannot go on.
    Impossible(AbortReason),
}

impl Aggregator {
    /// Proposes an attempt to everybody who is connected.
    ///
    /// `terms` are of a slot that is this node's. `seen` holds the keys of earlier sessions, `absent` the
    /// members that are not connected.
    pub fn propose(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        absent: BTreeSet<MemberId>,
        now: Now,
    ) -> (Self, Vec<Output>) {
        let seat = Seat::new(identity, terms, seen, absent);
        let mut out = Outputs::new();
        let state = match AdvertiseKeys::begin(&seat, &mut out) {
            Ok(phase) => State::AdvertiseKeys(phase),
            Err(reason) => {
                seat::abort(&mut out, reason);
                State::Closed
            }
        };
        let deadline = now + seat.terms.deadline(Phase::AdvertiseKeys);
        (Self { seat, state, deadline }, out)
    }

    /// When [`Input::Tick`] is due at the latest; `None` once the attempt is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.state {
            // the sum takes as long as it takes: it waits for nobody
            State::Closed | State::Summing(_) => None,
            _ => Some(self.deadline),
        }
    }

    /// The phase in which the attempt is; `None` once it is over.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match &self.state {
            State::AdvertiseKeys(_) => Some(Phase::AdvertiseKeys),
            State::ShareKeys(_) => Some(Phase::ShareKeys),
            State::MaskedInput(_) => Some(Phase::MaskedInput),
            State::ConsistencyCheck(_) => Some(Phase::ConsistencyCheck),
            State::Unmasking(_) | State::Summing(_) => Some(Phase::Unmasking),
            State::Publish(_) => Some(Phase::Publish),
            State::Closed => None,
        }
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut impl CryptoRng) -> Vec<Output> {
        let mut out = Outputs::new();
        let Some(phase) = self.phase() else { return out };
        match input {
            Input::Message(from, message) => {
                if let Err(kind) = self.message(from, *message, &mut out) {
                    out.push(Seat::fault(from, phase, kind));
                }
            }
            Input::Lost(peer) => {
                self.seat.absent.insert(peer);
            }
            Input::Connected(peer) => {
                self.seat.absent.remove(&peer);
                if let State::AdvertiseKeys(advertising) = &self.state {
                    advertising.invite(peer, &mut out);
                }
            }
            Input::Tick => {}
            Input::Done(work) => self.done(work, phase, &mut out),
        }
        self.advance(now, rng, &mut out);
        out
    }

    fn message(&mut self, from: MemberId, message: Message, out: &mut Outputs) -> Result<(), FaultKind> {
        match (&mut self.state, message) {
            (State::AdvertiseKeys(phase), Message::Advertise(advertisement)) => {
                phase.advertisement(&self.seat, from, *advertisement)
            }
            (State::AdvertiseKeys(phase), Message::Decline(decline)) => {
                phase.decline(&self.seat, from, &decline)
            }
            (State::ShareKeys(phase), Message::Receipt(receipt, commitments)) => {
                phase.receipt(from, *receipt, &commitments)
            }
            (State::MaskedInput(phase), Message::MaskedInput(statement)) => phase.statement(from, *statement),
            (State::ConsistencyCheck(phase), Message::Vote(vote)) => phase.vote(from, &vote),
            (State::Unmasking(phase), Message::Reveal(reveal)) => phase.reveal(from, *reveal),
            (State::Publish(phase), Message::Acknowledge(acknowledgement)) => {
                phase.acknowledge(from, &acknowledgement)
            }
            // what comes after its phase has ended is late, not wrong
            (State::AdvertiseKeys(_), _) => Err(FaultKind::Unexpected),
            (state, Message::Advertise(advertisement)) => {
                // who repeats itself, or answers an earlier contract, is not left out of this attempt
                let mine = advertisement.body.contract == *self.seat.terms.digest();
                if !mine || state.session().is_none_or(|session| session.position(&from).is_some()) {
                    return Ok(());
                }
                let reason = AbortReason::LeftOut { phase: Phase::AdvertiseKeys };
                self.tell(from, reason, Phase::AdvertiseKeys, out);
                Ok(())
            }
            (
                _,
                Message::Decline(_)
                | Message::Receipt(..)
                | Message::MaskedInput(_)
                | Message::Vote(_)
                | Message::Reveal(_)
                | Message::Acknowledge(_),
            ) => Ok(()),
            _ => Err(FaultKind::Unexpected),
        }
    }

    fn done(&mut self, work: Work, phase: Phase, out: &mut Outputs) {
        match (&mut self.state, work) {
            (State::MaskedInput(receiving), Work::Received(from, root)) => {
                if let Err(kind) = receiving.received(from, root) {
                    out.push(Seat::fault(from, phase, kind));
                }
            }
            (State::Summing(_), Work::Summed(root)) => {
                let State::Summing(summing) = mem::replace(&mut self.state, State::Closed) else { return };
                match summing.summed(&self.seat, root, out) {
                    Ok(next) => {
                        self.state = State::Publish(next);
                        self.deadline = Now::MAX;
                    }
                    Err(reason) => self.close(reason, phase, out),
                }
            }
            (_, Work::Failed(detail)) => self.close(AbortReason::Local { phase, detail }, phase, out),
            _ => {}
        }
    }

    /// Moves on as far as what is known allows.
    fn advance(&mut self, now: Now, rng: &mut impl CryptoRng, out: &mut Outputs) {
        loop {
            let Some(phase) = self.phase() else { return };
            let late = now >= self.deadline;
            let seat = &self.seat;
            let state = mem::replace(&mut self.state, State::Closed);
            let progress = match state {
                State::AdvertiseKeys(p) => {
                    wrap(p.advance(seat, late, out), State::AdvertiseKeys, State::ShareKeys)
                }
                State::ShareKeys(p) => wrap(p.advance(seat, late, out), State::ShareKeys, State::MaskedInput),
                State::MaskedInput(p) => {
                    wrap(p.advance(seat, late, out), State::MaskedInput, State::ConsistencyCheck)
                }
                State::ConsistencyCheck(p) => {
                    wrap(p.advance(seat, late, out), State::ConsistencyCheck, State::Unmasking)
                }
                State::Unmasking(p) => {
                    wrap(p.advance(seat, late, rng, out), State::Unmasking, State::Summing)
                }
                State::Publish(p) => {
                    if self.deadline == Now::MAX {
                        self.deadline = now + seat.terms.deadline(Phase::Publish);
                    }
                    match p.finish(seat, now >= self.deadline, out) {
                        Some(waiting) => Progress::Waiting(State::Publish(waiting)),
                        None => return,
                    }
                }
                state @ (State::Summing(_) | State::Closed) => Progress::Waiting(state),
            };
            match progress {
                Progress::Waiting(state) => {
                    self.state = state;
                    return;
                }
                Progress::Next(state) => {
                    self.state = state;
                    if let Some(next) = self.phase() {
                        self.deadline = now + self.seat.terms.deadline(next);
                    }
                }
                Progress::Impossible(reason) => return self.close(reason, phase, out),
            }
        }
    }

    fn close(&mut self, reason: AbortReason, phase: Phase, out: &mut Outputs) {
        // what went wrong on this machine is for its own log: it may name paths
        let told = match &reason {
            AbortReason::Local { phase, .. } => AbortReason::AggregatorFailed { phase: *phase },
            other => other.clone(),
        };
        let everybody: Vec<MemberId> = seat::others(&self.seat).chain([self.seat.me]).collect();
        for member in everybody {
            self.tell(member, told.clone(), phase, out);
        }
        self.state = State::Closed;
        seat::abort(out, reason);
    }

    fn tell(&self, member: MemberId, reason: AbortReason, phase: Phase, out: &mut Outputs) {
        if let Ok(abort) = self.seat.sign(Abort { contract: *self.seat.terms.digest(), phase, reason }) {
            send(out, member, Message::Abort(Box::new(abort)));
        }
    }
}

fn wrap<P, N>(
    progress: Progress<P, N>,
    waiting: impl FnOnce(P) -> State,
    next: impl FnOnce(N) -> State,
) -> Progress<State, State> {
    match progress {
        Progress::Waiting(phase) => Progress::Waiting(waiting(phase)),
        Progress::Next(phase) => Progress::Next(next(phase)),
        Progress::Impossible(reason) => Progress::Impossible(reason),
    }
}

/// Whether everybody has answered who can: those who are connected and not done.
fn all_answered<'a>(
    seat: &Seat,
    mut expected: impl Iterator<Item = &'a MemberId>,
    done: impl Fn(&MemberId) -> bool,
) -> bool {
    expected.all(|member| done(member) || seat.absent.contains(member))
}

fn too_few(phase: Phase, found: usize, needed: usize) -> AbortReason {
    let [found, needed] = [found, needed].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    AbortReason::TooFewMembers { phase, found, needed }
}
