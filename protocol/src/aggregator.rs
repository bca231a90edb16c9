//! The aggregator's side of an attempt: the current phase, and nothing but dispatch.
//!
//! The aggregator collects, orders and passes on. It is a member too, and plays that part through a
//! [`crate::member::Member`] of its own, which trusts it no more than the others do.
//!
//! A slot that is not the first begins with time-outs of the one before (`Aggregator::succeed`).
//!
//! A phase ends as soon as everybody who can still answer has, or at its deadline; then it goes on with
//! those who did, or ends the attempt where they are too few. Votes and revealed shares are enough as soon as
//! there is a threshold of them.

mod advertise_keys;
mod consistency_check;
mod masked_input;
mod publish;
mod share_keys;
mod standbys;
mod succession;
mod unmasking;
mod verifiers;

use core::mem;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_core::CryptoRng;

use crate::{
    contract::Terms,
    fault::FaultKind,
    guard::Guard,
    hash::Digest,
    ids::MemberId,
    io::{Input, Now, Output, Work},
    messages::{Abort, Message, share_keys::DealtCommitments},
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
use succession::Succession;
use unmasking::{Summing, Unmasking};

/// The aggregator of one slot.
pub struct Aggregator {
    seat: Seat,
    state: State,
    deadline: Now,
    /// When to say again that it is there.
    heartbeat: Now,
}

enum State {
    AdvertiseKeys(AdvertiseKeys),
    Succession(Succession),
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
            Self::Succession(phase) => Some(&phase.session),
            Self::ShareKeys(phase) => Some(&phase.session),
            Self::MaskedInput(phase) => Some(&phase.session),
            Self::ConsistencyCheck(phase) => Some(&phase.session),
            Self::Unmasking(phase) => Some(&phase.session),
            Self::Summing(phase) => Some(&phase.session),
            Self::Publish(phase) => Some(&phase.session),
            Self::AdvertiseKeys(_) | Self::Closed => None,
        }
    }

    /// What has been said to all on the roster.
    fn announced(&self) -> &[Message] {
        match self {
            Self::ShareKeys(phase) => &phase.announced,
            Self::MaskedInput(phase) => &phase.announced,
            Self::ConsistencyCheck(phase) => &phase.announced,
            Self::Unmasking(phase) => &phase.announced,
            Self::Summing(phase) => &phase.announced,
            Self::Publish(phase) => &phase.announced,
            Self::AdvertiseKeys(_) | Self::Succession(_) | Self::Closed => &[],
        }
    }
}

/// What became of a phase.
enum Progress<P, N> {
    /// Somebody who can still answer has not.
    Waiting(P),
    /// The next phase has begun.
    Next(N),
    /// The slot leads nowhere.
    Impossible(AbortReason),
}

impl Aggregator {
    /// Proposes an attempt to everybody who is connected.
    ///
    /// `terms` are of a slot that is this node's. `seen` holds the keys of earlier sessions, `guard` the survivor sets of
    /// earlier sums of the same label, `absent` the members that are not connected.
    pub fn propose(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        guard: Arc<Guard>,
        absent: BTreeSet<MemberId>,
        now: Now,
    ) -> (Self, Vec<Output>) {
        let seat = Seat::new(identity, terms, seen, guard, absent);
        let mut out = Outputs::new();
        let state = match AdvertiseKeys::begin(&seat, &mut out) {
            Ok(phase) => State::AdvertiseKeys(phase),
            Err(reason) => {
                seat::abort(&mut out, reason);
                State::Closed
            }
        };
        let deadline = now + seat.terms.deadline(Phase::AdvertiseKeys);
        (Self { seat, state, deadline, heartbeat: now + Terms::HEARTBEAT }, out)
    }

    /// Waits for time-outs that open this node's slot of a session. `commitments` are those that its member
    /// knows.
    pub(crate) fn succeed(
        identity: Arc<Identity>,
        session: Arc<Session>,
        slot: u32,
        commitments: BTreeMap<MemberId, DealtCommitments>,
        guard: Arc<Guard>,
        absent: BTreeSet<MemberId>,
        now: Now,
    ) -> Self {
        let mut seat = Seat::new(identity, session.terms().clone(), Arc::default(), guard, absent);
        seat.slot = slot;
        let state = State::Succession(Succession::begin(session, commitments));
        Self { seat, state, deadline: Now::MAX, heartbeat: now + Terms::HEARTBEAT }
    }

    /// When [`Input::Tick`] is due at the latest; `None` once the slot is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Closed | State::Succession(_) => None,
            // the sum takes as long as it takes: it waits for nobody
            State::Summing(_) => Some(self.heartbeat),
            _ => Some(self.deadline.min(self.heartbeat)),
        }
    }

    /// The phase in which the slot is; `None` before it has begun and once it is over.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match &self.state {
            State::AdvertiseKeys(_) => Some(Phase::AdvertiseKeys),
            State::ShareKeys(_) => Some(Phase::ShareKeys),
            State::MaskedInput(_) => Some(Phase::MaskedInput),
            State::ConsistencyCheck(_) => Some(Phase::ConsistencyCheck),
            State::Unmasking(_) | State::Summing(_) => Some(Phase::Unmasking),
            State::Publish(_) => Some(Phase::Publish),
            State::Succession(_) | State::Closed => None,
        }
    }

    /// Its slot.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.seat.slot
    }

    /// Whether nothing can come of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Root of a member's vector that this slot has to have, where earlier votes require a set.
    pub(crate) fn required_root(&self, of: &MemberId) -> Option<Digest> {
        match &self.state {
            State::MaskedInput(phase) => phase.required_root(of),
            _ => None,
        }
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut impl CryptoRng) -> Vec<Output> {
        let mut out = Outputs::new();
        if self.is_over() {
            return out;
        }
        let phase = self.phase().unwrap_or(Phase::ConsistencyCheck);
        match input {
            Input::Message(from, message) => {
                if let Err(kind) = self.message(from, *message, &mut out) {
                    out.push(Seat::fault(from, phase, kind));
                }
            }
            Input::Lost(peer) | Input::Left(peer) => {
                self.seat.absent.insert(peer);
            }
            Input::Connected(peer) => {
                self.seat.absent.remove(&peer);
                match &self.state {
                    State::AdvertiseKeys(advertising) => advertising.invite(peer, &mut out),
                    state if state.session().is_some_and(|session| session.position(&peer).is_some()) => {
                        for message in state.announced() {
                            send(&mut out, peer, message.clone());
                        }
                    }
                    _ => {}
                }
            }
            Input::Tick => self.beat(now, &mut out),
            Input::Done(work) => self.done(work, phase, &mut out),
        }
        self.advance(now, rng, &mut out);
        out
    }

    fn beat(&mut self, now: Now, out: &mut Outputs) {
        if now < self.heartbeat || matches!(self.state, State::Succession(_)) {
            return;
        }
        self.heartbeat = now + Terms::HEARTBEAT;
        let everybody: Vec<MemberId> = seat::others(&self.seat).chain([self.seat.me]).collect();
        for member in everybody {
            send(out, member, Message::Alive(*self.seat.terms.digest()));
        }
    }

    fn message(&mut self, from: MemberId, message: Message, out: &mut Outputs) -> Result<(), FaultKind> {
        match (&mut self.state, message) {
            (State::AdvertiseKeys(phase), Message::Advertise(advertisement)) => {
                phase.advertisement(&self.seat, from, *advertisement)
            }
            (State::AdvertiseKeys(phase), Message::Decline(decline)) => {
                phase.decline(&self.seat, from, &decline, out)
            }
            (State::ConsistencyCheck(phase), Message::Decline(decline)) => {
                phase.decline(&self.seat, from, &decline, out)
            }
            (State::Succession(phase), Message::Timeout(shown)) => phase.timeout(&self.seat, from, *shown),
            (State::ShareKeys(phase), Message::Receipt(receipt, commitments)) => {
                phase.receipt(from, *receipt, &commitments)
            }
            (State::MaskedInput(phase), Message::MaskedInput(statement)) => {
                phase.statement(from, *statement, out)
            }
            (State::MaskedInput(phase), Message::StandbyReceipt(receipt)) => {
                phase.receipt(&self.seat, from, *receipt)
            }
            (State::ConsistencyCheck(phase), Message::Vote(vote)) => phase.vote(&self.seat, from, &vote),
            (State::Unmasking(phase), Message::Reveal(reveal)) => phase.reveal(from, *reveal),
            (State::Publish(phase), Message::Acknowledge(acknowledgement)) => {
                phase.acknowledge(from, &acknowledgement)
            }
            (_, Message::Commitments(known)) => {
                self.commitments(&known.dealers);
                Ok(())
            }
            // what comes after its phase has ended is late, not wrong
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
            (_, message) if message.is_for_aggregator() => Ok(()),
            _ => Err(FaultKind::Unexpected),
        }
    }

    fn commitments(&mut self, dealers: &[(MemberId, DealtCommitments)]) {
        for (dealer, commitments) in dealers {
            match &mut self.state {
                State::MaskedInput(phase) => phase.commitments(*dealer, commitments),
                State::ConsistencyCheck(phase) => phase.commitments(*dealer, commitments),
                State::Unmasking(phase) => phase.commitments(*dealer, commitments),
                _ => {}
            }
        }
    }

    fn done(&mut self, work: Work, phase: Phase, out: &mut Outputs) {
        match (&mut self.state, work) {
            (State::MaskedInput(receiving), Work::Received(from, root)) => {
                if let Err(kind) = receiving.received(from, root, out) {
                    out.push(Seat::fault(from, phase, kind));
                }
            }
            (State::MaskedInput(receiving), Work::PassedOn(of, root)) => receiving.passed_on(of, root, out),
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
            let phase = self.phase();
            let late = now >= self.deadline;
            let seat = &self.seat;
            let state = mem::replace(&mut self.state, State::Closed);
            let progress = match state {
                State::AdvertiseKeys(p) => waiting(p.advance(seat, late, out), State::AdvertiseKeys),
                State::Succession(p) => waiting(p.advance(seat, out), State::Succession),
                State::ShareKeys(p) => waiting(p.advance(seat, late, out), State::ShareKeys),
                State::MaskedInput(p) => {
                    waiting(p.advance(seat, now, &mut self.deadline, out), State::MaskedInput)
                }
                State::ConsistencyCheck(p) => waiting(p.advance(seat, late, out), State::ConsistencyCheck),
                State::Unmasking(p) => waiting(p.advance(seat, late, rng, out), State::Unmasking),
                State::Publish(p) => {
                    if self.deadline == Now::MAX {
                        self.deadline = now + seat.terms.deadline(Phase::Publish);
                    }
                    match p.finish(seat, now >= self.deadline, out) {
                        Some(unfinished) => Progress::Waiting(State::Publish(unfinished)),
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
                Progress::Impossible(reason) => {
                    return self.close(reason, phase.unwrap_or(Phase::ConsistencyCheck), out);
                }
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
        let (contract, slot) = (*self.seat.terms.digest(), self.seat.slot);
        if let Ok(abort) = self.seat.sign(Abort { contract, slot, phase, reason }) {
            send(out, member, Message::Abort(Box::new(abort)));
        }
    }
}

fn waiting<P>(progress: Progress<P, State>, wrap: impl FnOnce(P) -> State) -> Progress<State, State> {
    match progress {
        Progress::Waiting(phase) => Progress::Waiting(wrap(phase)),
        Progress::Next(state) => Progress::Next(state),
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
