//! A member's side of an attempt: the current phase, and nothing but dispatch.
//!
//! ```text
//! advertise-keys ─ roster → share-keys ─ mask set → masked-input ─ proposal → consistency-check
//!                                                        ↑                          │ certificate
//!                                                   new slot                        ▼
//!                              acknowledged ← stored ─ publish ← published ─── unmasking
//! ```
//!
//! Each arrow is a signed statement of the aggregator that the next phase's file checks before it acts. A
//! phase is a value that is consumed when it ends, and its secrets with it: after the mask set nothing is
//! left of the member's own secrets but the seeds of its masks, and shares that others hold.
//!
//! An aggregator that is lost, silent or wrong loses its slot (`failover.rs`): the member promises not to
//! vote in it any more and follows the next one, which goes on with the same vectors.
//!
//! What is assumed of the channel: messages come from authenticated peers; they may be lost, late,
//! repeated or wrong. What is assumed of the aggregator: nothing.

mod advertise_keys;
mod ballot;
mod consistency_check;
mod failover;
mod guarding;
mod held;
mod masked_input;
mod playing;
mod publish;
pub(crate) mod sealing;
mod share_keys;
mod standby;
mod unmasking;
mod waiting;

use core::{mem, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_core::CryptoRng;

use crate::{
    certificate::check_abandonment,
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
    seat::{self, Outputs, Seat},
    signing::{Identity, Signed},
};

use advertise_keys::AdvertiseKeys;
use playing::{Playing, Stage};
pub(crate) use waiting::{ALONE, PASS_OVER};

/// A member in one attempt.
pub struct Member {
    seat: Seat,
    state: State,
    /// When the phase, or the wait for the next slot, has lasted long enough.
    deadline: Now,
    /// When the aggregator last said anything.
    heard: Now,
    /// Since when too few can be reached for any slot.
    alone: Option<Now>,
    /// Members that are connected, but elsewhere: none of them opens a slot here.
    left: BTreeSet<MemberId>,
    /// Whether a roster was accepted.
    bound: bool,
    /// Why the round is void, as far as this member can see, until it has waited for a certificate that
    /// outranks this.
    void: Option<AbortReason>,
}

enum State {
    AdvertiseKeys(Box<AdvertiseKeys>),
    Playing(Box<Playing>),
    Closed,
}

/// Why a step did not lead anywhere.
enum Refused {
    /// The message has no effect.
    Dropped(FaultKind),
    /// The attempt cannot go on for this member.
    Fatal(AbortReason),
}

impl From<FaultKind> for Refused {
    fn from(kind: FaultKind) -> Self {
        Self::Dropped(kind)
    }
}

impl From<AbortReason> for Refused {
    fn from(reason: AbortReason) -> Self {
        Self::Fatal(reason)
    }
}

impl Member {
    /// Joins an attempt whose contract has been accepted: fresh keys go to the aggregator.
    ///
    /// `seen` holds the keys of earlier sessions, `guard` the survivor sets of earlier sums of the same label,
    /// `absent` the members that are not connected.
    pub fn join(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        guard: Arc<Guard>,
        absent: BTreeSet<MemberId>,
        now: Now,
        rng: &mut impl CryptoRng,
    ) -> (Self, Vec<Output>) {
        let seat = Seat::new(identity, terms, seen, guard, absent);
        let mut out = Outputs::new();
        let state = match AdvertiseKeys::begin(&seat, rng, &mut out) {
            Ok(phase) => State::AdvertiseKeys(Box::new(phase)),
            Err(reason) => {
                seat::abort(&mut out, reason);
                State::Closed
            }
        };
        let mut member = Self {
            seat,
            state,
            deadline: now,
            heard: now,
            alone: None,
            left: BTreeSet::new(),
            bound: false,
            void: None,
        };
        member.extend_deadline(now);
        (member, out)
    }

    /// Looks on in a session whose roster came when its keys were gone: it may only help to end it, and
    /// gives up all slots up to `given_up` at once.
    pub(crate) fn spectate(
        identity: Arc<Identity>,
        session: Session,
        guard: Arc<Guard>,
        absent: BTreeSet<MemberId>,
        given_up: u32,
        now: Now,
    ) -> (Self, Vec<Output>) {
        let seat = Seat::new(identity, session.terms().clone(), Arc::default(), guard, absent);
        let mut out = vec![Output::Journal(advertise_keys::accepted(&session))];
        let playing = Playing::new(&seat, Arc::new(session), Stage::Spectating, BTreeMap::new());
        let state = State::Playing(Box::new(playing));
        let mut member = Self {
            seat,
            state,
            deadline: now,
            heard: now,
            alone: None,
            left: BTreeSet::new(),
            bound: true,
            void: None,
        };
        member.give_up(given_up, AbortReason::AggregatorLost { phase: Phase::ShareKeys }, now, &mut out);
        (member, out)
    }

    /// The phase in which this member is; `None` once the attempt is over.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match &self.state {
            State::AdvertiseKeys(_) => Some(Phase::AdvertiseKeys),
            State::Playing(playing) => Some(playing.phase()),
            State::Closed => None,
        }
    }

    /// The slot that this member is in.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.seat.slot
    }

    /// The session, once the roster is accepted and until the attempt is over.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            State::Playing(playing) => Some(&playing.session),
            State::AdvertiseKeys(_) | State::Closed => None,
        }
    }

    /// Whether it has ever accepted a roster: then the others may go on with what it has said.
    pub(crate) fn was_bound(&self) -> bool {
        self.bound
    }

    /// Whether it will not act in this slot any more.
    pub(crate) fn is_past(&self, slot: u32) -> bool {
        match &self.state {
            State::Playing(_) if self.void.is_some() => true,
            State::Playing(playing) => playing.ballot.awaited().is_none_or(|awaited| awaited > slot),
            State::AdvertiseKeys(_) | State::Closed => true,
        }
    }

    /// How long a whole vector may take.
    pub(crate) fn bulk_time(&self) -> Duration {
        let terms = &self.seat.terms;
        terms.deadline(Phase::MaskedInput).saturating_sub(terms.deadline(Phase::ShareKeys))
    }

    /// Commitments of all dealers whose shares this member holds, for an aggregator on the same node.
    pub(crate) fn commitments(&self) -> BTreeMap<MemberId, DealtCommitments> {
        match &self.state {
            State::Playing(playing) => playing.commitments.clone(),
            State::AdvertiseKeys(_) | State::Closed => BTreeMap::new(),
        }
    }

    /// Whether it waits for the roster of this contract, with all its keys.
    pub(crate) fn waits_for(&self, contract: &Digest) -> bool {
        matches!(self.state, State::AdvertiseKeys(_)) && self.seat.terms.digest() == contract
    }

    /// Digest of what it has advertised, while it waits for the roster.
    pub(crate) fn advertised(&self) -> Option<Digest> {
        match &self.state {
            State::AdvertiseKeys(phase) => Some(phase.advertised()),
            State::Playing(_) | State::Closed => None,
        }
    }

    /// What this node knows and tells nobody, while it waits for the roster: an adversary that has corrupted it
    /// knows as much.
    #[cfg(feature = "sim")]
    pub(crate) fn spied(&self) -> Option<crate::sim::Spied> {
        match &self.state {
            State::AdvertiseKeys(phase) => Some(phase.spied()),
            State::Playing(_) | State::Closed => None,
        }
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut impl CryptoRng) -> Vec<Output> {
        let mut out = Outputs::new();
        let Some(phase) = self.phase() else { return out };
        let slot = self.seat.slot;
        match input {
            Input::Message(from, message) => {
                if from == self.seat.aggregator() {
                    self.heard = now;
                }
                self.message(from, *message, now, rng, &mut out);
            }
            Input::Lost(peer) => {
                self.left.remove(&peer);
                self.seat.absent.insert(peer);
                self.lost(peer, now, &mut out);
            }
            Input::Connected(peer) => {
                self.left.remove(&peer);
                self.seat.absent.remove(&peer);
                self.connected(peer, &mut out);
            }
            Input::Left(peer) => {
                self.left.insert(peer);
                self.wait_no_longer_for(peer, now);
            }
            Input::Tick => self.tick(now, &mut out),
            Input::Done(work) => self.done(work, phase, now, &mut out),
        }
        let moved = self.phase().is_some_and(|next| next != phase) || self.seat.slot != slot;
        if moved && !self.has_given_up() {
            self.extend_deadline(now);
        }
        out
    }

    fn message(
        &mut self,
        from: MemberId,
        message: Message,
        now: Now,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) {
        let Some(phase) = self.phase() else { return };
        if self.void.is_some() && !matches!(message, Message::Published(_)) {
            return;
        }
        if let Message::Abort(abort) = &message
            && self.passes_its_turn(from, abort)
        {
            return self.give_up(abort.body.slot, abort.body.reason.clone().from_peer(phase), now, out);
        }
        let aggregator = self.seat.aggregator();
        if only_aggregator_may_say(&message) && from != aggregator {
            // whoever had an earlier slot may not know that it is over
            if !self.had_a_slot(from) {
                let kind = FaultKind::Author { signer: from, expected: aggregator };
                out.push(Seat::fault(from, phase, kind));
            }
            return;
        }
        let result = match message {
            Message::Abort(abort) => match self.seat.check_abort(&abort) {
                Ok(()) => return self.slot_over(abort.body.reason.from_peer(phase), now, out),
                Err(kind) => Err(kind.into()),
            },
            Message::Alive(_) => return,
            message => self.step(from, message, now, rng, out),
        };
        match result {
            Ok(()) => {}
            Err(Refused::Dropped(kind)) => {
                out.push(Seat::fault(from, phase, kind.clone()));
                if from == aggregator && is_fatal(&kind) {
                    self.slot_over(AbortReason::Inconsistent { phase, detail: kind.to_string() }, now, out);
                }
            }
            Err(Refused::Fatal(reason @ AbortReason::Void { .. })) => self.linger(reason, now),
            Err(Refused::Fatal(reason)) => self.close(reason, out),
        }
    }

    fn step(
        &mut self,
        from: MemberId,
        message: Message,
        now: Now,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        match (&mut self.state, message) {
            (State::AdvertiseKeys(phase), Message::Shares(shares)) => {
                Ok(phase.early_shares(&self.seat, from, *shares)?)
            }
            (State::AdvertiseKeys(phase), Message::Roster(roster)) => {
                let session = phase.check(&self.seat, &roster)?;
                let State::AdvertiseKeys(phase) = mem::replace(&mut self.state, State::Closed) else {
                    return Ok(());
                };
                self.bound = true;
                let playing = phase.roster_accepted(&self.seat, session, rng, out)?;
                self.state = State::Playing(Box::new(playing));
                Ok(())
            }
            (State::Playing(playing), Message::NewSlot(shown)) => {
                if playing.new_slot(&mut self.seat, *shown, out)? {
                    let root = playing.root();
                    playing.standing_by.confirm(&self.seat, root, out)?;
                }
                Ok(())
            }
            (State::Playing(playing), Message::TimedOut(timeout)) => {
                if timeout.signer != from {
                    return Err(FaultKind::Author { signer: timeout.signer, expected: from }.into());
                }
                if let Some(slot) = playing.ballot.heard(&timeout)? {
                    let reason = AbortReason::AggregatorLost { phase: playing.phase() };
                    self.give_up(slot, reason, now, out);
                }
                Ok(())
            }
            (State::Playing(playing), Message::Abandonment(abandonment)) => {
                if abandonment.session.roster.digest() != playing.session.proof().roster.digest() {
                    return Ok(());
                }
                check_abandonment(&playing.session, &abandonment)?;
                let why = "its members voted to begin again".into();
                Err(AbortReason::Abandoned { slot: abandonment.slot, why }.into())
            }
            (State::Playing(playing), message) => playing.message(&self.seat, from, message, out),
            // of an earlier attempt of this round
            (
                _,
                Message::MaskSet(_)
                | Message::Proposal(_)
                | Message::Certificate(_)
                | Message::Published(_)
                | Message::Standby(_)
                | Message::TimedOut(_)
                | Message::NewSlot(_)
                | Message::Abandonment(_),
            ) => Ok(()),
            _ => Err(FaultKind::Unexpected.into()),
        }
    }

    /// Whether the one whose slot I wait for says that it will not open it.
    fn passes_its_turn(&self, from: MemberId, abort: &Signed<Abort>) -> bool {
        let State::Playing(playing) = &self.state else { return false };
        let slot = abort.body.slot;
        playing.ballot.has_given_up()
            && playing.fetching.is_empty()
            && playing.ballot.awaited() == Some(slot)
            && self.seat.terms.holder(slot) == Some(from)
            && abort.signer == from
            && abort.body.contract == *self.seat.terms.digest()
            && abort.verify().is_ok()
    }

    /// A peer is back: what it may have missed is said again.
    fn connected(&mut self, peer: MemberId, out: &mut Outputs) {
        if self.void.is_some() {
            return;
        }
        let aggregator = self.seat.aggregator();
        let result = match &mut self.state {
            State::AdvertiseKeys(phase) => {
                if peer == aggregator {
                    phase.resend(&self.seat, out);
                }
                Ok(())
            }
            State::Playing(playing) => {
                let repeated = match &mut playing.stage {
                    Stage::ShareKeys(sharing) => sharing.resend(&self.seat, peer, out),
                    Stage::MaskedInput(masked) if peer == aggregator => {
                        masked.resend(&self.seat, out);
                        Ok(())
                    }
                    _ => Ok(()),
                };
                if peer == aggregator {
                    playing.serve(&self.seat, |_| true, out);
                }
                repeated.and_then(|()| playing.repeat_timeout(&self.seat, peer, out))
            }
            State::Closed => Ok(()),
        };
        if let Err(reason) = result {
            self.close(reason, out);
        }
    }

    fn done(&mut self, work: Work, phase: Phase, now: Now, out: &mut Outputs) {
        let State::Playing(playing) = &mut self.state else { return };
        let result = match work {
            Work::Uploaded(to, root) => playing.uploaded(&self.seat, to, root, out).and_then(|()| {
                let root = playing.root();
                playing.standing_by.confirm(&self.seat, root, out)
            }),
            Work::Held(member, root) => {
                let mine = playing.root();
                playing.standing_by.held(&self.seat, mine, (member, root), out)
            }
            Work::Stored(root) => self.sum_is_here(&root, Ok(()), now, out),
            Work::Unreadable(root, detail) => self.sum_is_here(&root, Err(detail), now, out),
            Work::Audited(root) => self.audited(&root, out),
            Work::Disproved(root, disproof) => self.disproved(&root, disproof, now, out),
            Work::Failed(detail) => Err(AbortReason::Local { phase, detail }),
            Work::Received(..) | Work::PassedOn(..) | Work::Summed(_) => Ok(()),
        };
        if let Err(reason) = result {
            self.close(reason, out);
        }
    }

    /// Whether somebody had an earlier slot, or has the one that I look to: it may not know better.
    fn had_a_slot(&self, id: MemberId) -> bool {
        let awaited = match &self.state {
            State::Playing(playing) => playing.ballot.awaited(),
            State::AdvertiseKeys(_) | State::Closed => None,
        };
        (0..=awaited.unwrap_or(self.seat.slot)).any(|slot| self.seat.terms.holder(slot) == Some(id))
    }

    fn close(&mut self, reason: AbortReason, out: &mut Outputs) {
        self.state = State::Closed;
        seat::abort(out, reason);
    }
}

fn only_aggregator_may_say(message: &Message) -> bool {
    matches!(
        message,
        Message::Contract(_)
            | Message::Roster(_)
            | Message::MaskSet(_)
            | Message::Proposal(_)
            | Message::Certificate(_)
            | Message::Standby(_)
            | Message::Abort(_)
    )
}

/// Whether nothing better can follow from an aggregator that said this. A message of another session may
/// be an old one that comes late, of two contradicting statements the first holds, and of two mask sets I may have
/// been shown the one that nobody else knows.
fn is_fatal(kind: &FaultKind) -> bool {
    !matches!(kind, FaultKind::Session | FaultKind::Unexpected | FaultKind::Equivocation | FaultKind::MaskSet)
}
