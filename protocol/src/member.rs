//! A member's side of an attempt: the current phase, and nothing but dispatch.
//!
//! ```text
//! advertise-keys ─ roster → share-keys ─ mask set → masked-input ─ proposal → consistency-check
//!                                                                                   │ certificate
//!                              acknowledged ← stored ─ publish ← published ─── unmasking
//! ```
//!
//! Each arrow is a signed statement of the aggregator that the next phase's file checks before it acts. A
//! phase is a value that is consumed when it ends, and its secrets with it: after the upload nothing is
//! left of the member's own secrets but shares that others hold.
//!
//! What is assumed of the channel: messages come from authenticated peers; they may be lost, late,
//! repeated or wrong. What is assumed of the aggregator: nothing.

mod advertise_keys;
mod consistency_check;
mod held;
mod masked_input;
mod publish;
mod sealing;
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
    messages::Message,
    phase::Phase,
    report::AbortReason,
    roster::SeenKeys,
    seat::{self, Outputs, Seat},
    signing::Identity,
};

use advertise_keys::AdvertiseKeys;
use consistency_check::ConsistencyCheck;
use masked_input::MaskedInput;
use publish::{AwaitingResult, Fetching};
use share_keys::ShareKeys;

/// A member in one attempt.
pub struct Member {
    seat: Seat,
    state: State,
    deadline: Now,
}

enum State {
    AdvertiseKeys(Box<AdvertiseKeys>),
    ShareKeys(Box<ShareKeys>),
    MaskedInput(Box<MaskedInput>),
    ConsistencyCheck(Box<ConsistencyCheck>),
    AwaitingResult(Box<AwaitingResult>),
    Fetching(Box<Fetching>),
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
    /// `seen` holds the keys of earlier sessions, `absent` the members that are not connected.
    pub fn join(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        absent: BTreeSet<MemberId>,
        now: Now,
        rng: &mut impl CryptoRng,
    ) -> (Self, Vec<Output>) {
        let seat = Seat::new(identity, terms, seen, absent);
        let mut out = Outputs::new();
        let state = match AdvertiseKeys::begin(&seat, rng, &mut out) {
            Ok(phase) => State::AdvertiseKeys(Box::new(phase)),
            Err(reason) => {
                seat::abort(&mut out, reason);
                State::Closed
            }
        };
        let mut member = Self { seat, state, deadline: now };
        member.extend_deadline(now);
        (member, out)
    }

    /// When [`Input::Tick`] is due at the latest; `None` once the attempt is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Closed => None,
            State::ShareKeys(phase) => {
                Some(phase.report_at.map_or(self.deadline, |at| at.min(self.deadline)))
            }
            _ => Some(self.deadline),
        }
    }

    /// The phase in which this member is; `None` once the attempt is over.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match &self.state {
            State::AdvertiseKeys(_) => Some(Phase::AdvertiseKeys),
            State::ShareKeys(_) => Some(Phase::ShareKeys),
            State::MaskedInput(_) => Some(Phase::MaskedInput),
            State::ConsistencyCheck(_) => Some(Phase::ConsistencyCheck),
            State::AwaitingResult(_) => Some(Phase::Unmasking),
            State::Fetching(_) => Some(Phase::Publish),
            State::Closed => None,
        }
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut impl CryptoRng) -> Vec<Output> {
        let mut out = Outputs::new();
        let Some(phase) = self.phase() else { return out };
        match input {
            Input::Message(from, message) => self.message(from, *message, phase, rng, &mut out),
            Input::Lost(peer) => {
                self.seat.absent.insert(peer);
                self.lost(peer, phase, &mut out);
            }
            Input::Connected(peer) => {
                self.seat.absent.remove(&peer);
            }
            Input::Tick => self.tick(now, phase, &mut out),
            Input::Done(work) => self.done(work, phase, &mut out),
        }
        if self.phase().is_some_and(|next| next != phase) {
            self.extend_deadline(now);
        }
        out
    }

    /// A member is patient for as long as the aggregator may wait in this phase, and a little longer. One
    /// that waits for the result may have been left out before the vectors were sent, and the sum takes its
    /// time, too.
    fn extend_deadline(&mut self, now: Now) {
        if let Some(phase) = self.phase() {
            let terms = &self.seat.terms;
            let waits = match &self.state {
                State::AwaitingResult(_) => {
                    terms.deadline(Phase::MaskedInput)
                        + terms.deadline(Phase::ConsistencyCheck)
                        + terms.deadline(Phase::Unmasking)
                }
                _ => terms.deadline(phase),
            };
            self.deadline = now + waits + terms.deadline(Phase::AdvertiseKeys);
            if let State::ShareKeys(sharing) = &mut self.state {
                sharing.report_at = Some(now + self.seat.terms.deadline(phase) / 2);
            }
        }
    }

    fn message(
        &mut self,
        from: MemberId,
        message: Message,
        phase: Phase,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) {
        let aggregator = self.seat.terms.aggregator();
        if only_aggregator_may_say(&message) && from != aggregator {
            let kind = FaultKind::Author { signer: from, expected: aggregator };
            out.push(Seat::fault(from, phase, kind));
            return;
        }
        if let Message::Abort(abort) = &message {
            match self.seat.check_abort(abort) {
                Ok(()) => self.close(abort.body.reason.clone().from_peer(), out),
                Err(kind) => out.push(Seat::fault(from, phase, kind)),
            }
            return;
        }
        let state = mem::replace(&mut self.state, State::Closed);
        let (state, refused) = step(&self.seat, state, from, message, rng, out);
        self.state = state;
        match refused {
            None => {}
            Some(Refused::Dropped(kind)) => {
                out.push(Seat::fault(from, phase, kind.clone()));
                if from == aggregator && is_fatal(&kind) {
                    self.close(AbortReason::Inconsistent { phase, detail: kind.to_string() }, out);
                }
            }
            Some(Refused::Fatal(reason)) => self.close(reason, out),
        }
    }

    fn lost(&mut self, peer: MemberId, phase: Phase, out: &mut Outputs) {
        if let State::ShareKeys(sharing) = &mut self.state
            && let Err(reason) = sharing.report_if_complete(&self.seat, out)
        {
            self.close(reason, out);
            return;
        }
        // once it has revealed, a member may still hear of the result from the others
        let depends = !matches!(self.state, State::AwaitingResult(_) | State::Fetching(_));
        if peer == self.seat.terms.aggregator() && depends {
            self.close(AbortReason::AggregatorLost { phase }, out);
        }
    }

    fn tick(&mut self, now: Now, phase: Phase, out: &mut Outputs) {
        if let State::ShareKeys(sharing) = &mut self.state
            && sharing.report_at.is_some_and(|at| now >= at)
            && let Err(reason) = sharing.report(&self.seat, out)
        {
            self.close(reason, out);
            return;
        }
        if now >= self.deadline {
            self.close(AbortReason::AggregatorLost { phase }, out);
        }
    }

    fn done(&mut self, work: Work, phase: Phase, out: &mut Outputs) {
        let result = match (&mut self.state, work) {
            (State::MaskedInput(masked), Work::Uploaded(root)) => masked.uploaded(&self.seat, root, out),
            (State::Fetching(fetching), Work::Stored) => {
                let result = fetching.stored(&self.seat, out);
                self.state = State::Closed;
                result
            }
            (_, Work::Failed(detail)) => Err(AbortReason::Local { phase, detail }),
            // an upload that ends after the aggregator went on without it
            _ => Ok(()),
        };
        if let Err(reason) = result {
            self.close(reason, out);
        }
    }

    fn close(&mut self, reason: AbortReason, out: &mut Outputs) {
        self.state = State::Closed;
        seat::abort(out, reason);
    }
}

fn step(
    seat: &Seat,
    state: State,
    from: MemberId,
    message: Message,
    rng: &mut impl CryptoRng,
    out: &mut Outputs,
) -> (State, Option<Refused>) {
    match (state, message) {
        (State::AdvertiseKeys(mut phase), Message::Shares(shares)) => {
            let refused = phase.early_shares(seat, from, *shares).err().map(Refused::from);
            (State::AdvertiseKeys(phase), refused)
        }
        (State::AdvertiseKeys(phase), Message::Roster(roster)) => match phase.check(seat, &roster) {
            Ok(session) => match phase.roster_accepted(seat, session, &roster, rng, out) {
                Ok(next) => (State::ShareKeys(Box::new(next)), None),
                Err(reason) => (State::Closed, Some(reason.into())),
            },
            Err(kind) => (State::AdvertiseKeys(phase), Some(kind.into())),
        },
        (State::ShareKeys(mut phase), Message::Shares(shares)) => {
            let refused = phase.shares(seat, from, &shares, out).err();
            (State::ShareKeys(phase), refused)
        }
        (State::ShareKeys(phase), Message::MaskSet(mask_set)) => match phase.check(seat, &mask_set) {
            Ok(accepted) => match phase.mask_set_accepted(seat, accepted, out) {
                Ok(share_keys::Next::Masked(next)) => (State::MaskedInput(next), None),
                Ok(share_keys::Next::LeftOut(next)) => (State::AwaitingResult(next), None),
                Err(reason) => (State::Closed, Some(reason.into())),
            },
            Err(kind) => (State::ShareKeys(phase), Some(kind.into())),
        },
        (State::ShareKeys(phase), Message::Roster(roster)) => {
            let again = seat::repeated(&phase.roster, &roster.digest());
            (State::ShareKeys(phase), again.map(Refused::from))
        }
        (State::MaskedInput(phase), Message::Proposal(proposal)) => match phase.check(&proposal) {
            Ok(survivors) => match phase.proposal_accepted(seat, survivors, &proposal, out) {
                Ok(next) => (State::ConsistencyCheck(Box::new(next)), None),
                Err(reason) => (State::Closed, Some(reason.into())),
            },
            Err(kind) => (State::MaskedInput(phase), Some(kind.into())),
        },
        (State::MaskedInput(phase), Message::MaskSet(mask_set)) => {
            let again = seat::repeated(&phase.mask_set.digest, &mask_set.digest());
            (State::MaskedInput(phase), again.map(Refused::from))
        }
        (State::ConsistencyCheck(phase), Message::Certificate(certificate)) => {
            match phase.check(&certificate) {
                Ok(()) => match phase.certified(seat, &certificate, out) {
                    Ok(next) => (State::AwaitingResult(Box::new(next)), None),
                    Err(reason) => (State::Closed, Some(reason.into())),
                },
                Err(kind) => (State::ConsistencyCheck(phase), Some(kind.into())),
            }
        }
        (State::ConsistencyCheck(phase), Message::Proposal(proposal)) => {
            let again = seat::repeated(&phase.proposal, &proposal.digest());
            (State::ConsistencyCheck(phase), again.map(Refused::from))
        }
        (State::AwaitingResult(phase), Message::Published(published)) => {
            match phase.check(seat, &published) {
                Ok(()) => (State::Fetching(Box::new(phase.published(*published, out))), None),
                Err(kind) => (State::AwaitingResult(phase), Some(kind.into())),
            }
        }
        (state, Message::Shares(_) | Message::Published(_)) => (state, None),
        (state, _) => (state, Some(FaultKind::Unexpected.into())),
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
            | Message::Abort(_)
    )
}

/// Whether nothing better can follow from an aggregator that said this. A message of another session may
/// be an old one that comes late, and of two contradicting statements the first holds.
fn is_fatal(kind: &FaultKind) -> bool {
    !matches!(kind, FaultKind::Session | FaultKind::Unexpected | FaultKind::Equivocation)
}
