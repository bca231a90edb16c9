//! When the aggregator is silent, lost or wrong: giving its slot up, and following into the next.

use core::mem;

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::Value,
        failover::{KnownCommitments, ShownNewSlot, ShownTimeout, Timeout},
        share_keys::MaskSet,
    },
    phase::Phase,
    report::AbortReason,
    seat::{Outputs, Seat, others, send},
    signing::Signed,
    slots::Allowed,
};

use super::{
    Refused,
    playing::{Playing, Stage},
    waiting::VOTED_FOR,
};

impl Playing {
    /// Gives up all slots up to this one. The next aggregator hears what I have voted for, everybody else
    /// that the slot is given up.
    ///
    /// # Errors
    /// The round is void: no slot is left.
    pub(super) fn give_up(
        &mut self,
        seat: &Seat,
        slot: u32,
        reason: AbortReason,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let terms = self.session.terms().clone();
        if self.session.next_slot(slot).is_none() {
            let detail = match self.ballot.history().is_empty() {
                true => "every slot was used up, and I voted for nothing".into(),
                false => format!("every slot was used up; {VOTED_FOR}"),
            };
            return Err(AbortReason::Void { detail });
        }
        let aggregator = terms.holder(slot).unwrap_or_else(|| terms.aggregator());
        let attempt = terms.contract().attempt;
        out.push(Output::SlotOver { attempt, slot, aggregator, reason });
        let mask_set = self.mask_set().cloned();
        let timeout = seat.sign(self.ballot.give_up(slot, mask_set.as_ref()))?;
        out.push(Output::Journal(JournalEntry::TimedOut(self.session.id(), slot)));
        for member in others(seat).filter(|id| self.session.position(id).is_some()) {
            // whoever has dealt nothing may not have the roster, and is needed to go on
            if !self.commitments.contains_key(&member) {
                send(out, member, Message::Roster(Box::new(self.session.roster().clone())));
            }
            send(out, member, Message::TimedOut(Box::new(timeout.clone())));
        }
        self.show(seat, timeout, out);
        Ok(())
    }

    fn show(&self, seat: &Seat, timeout: Signed<Timeout>, out: &mut Outputs) {
        let next = self.session.next_slot(timeout.body.slot).and_then(|slot| seat.terms.holder(slot));
        if let Some(next) = next.filter(|next| !seat.absent.contains(next)) {
            let shown = ShownTimeout {
                timeout,
                session: self.session.proof(),
                mask_set: self.mask_set().map(AcceptedMaskSet::statement).cloned(),
                history: self.ballot.history(),
            };
            send(out, next, Message::Timeout(Box::new(shown)));
        }
    }

    /// What a peer that was away may have missed of a slot that I have given up.
    pub(super) fn repeat_timeout(
        &mut self,
        seat: &Seat,
        peer: MemberId,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let Some(slot) = self.ballot.given_up().filter(|_| self.ballot.has_given_up()) else { return Ok(()) };
        if self.session.position(&peer).is_none() {
            return Ok(());
        }
        let mask_set = self.mask_set().cloned();
        let timeout = seat.sign(self.ballot.give_up(slot, mask_set.as_ref()))?;
        send(out, peer, Message::TimedOut(Box::new(timeout.clone())));
        if self.session.next_slot(slot).and_then(|next| seat.terms.holder(next)) == Some(peer) {
            self.show(seat, timeout, out);
        }
        Ok(())
    }

    /// Follows into a later slot, if it is in order.
    pub(super) fn new_slot(
        &mut self,
        seat: &mut Seat,
        shown: ShownNewSlot,
        out: &mut Outputs,
    ) -> Result<bool, Refused> {
        if shown.new_slot.body.session != self.session.id() {
            return Err(FaultKind::Session.into());
        }
        let mine = self.mask_set().cloned();
        let mask_set = match (&mine, &shown.mask_set) {
            (Some(mine), _) => Some(mine.clone()),
            (None, Some(statement)) => Some(AcceptedMaskSet::check(&self.session, statement)?),
            (None, None) => None,
        };
        let Some(allowed) = self.ballot.check_new_slot(mask_set.as_ref(), &shown)? else { return Ok(false) };
        if let Allowed::Contradiction(slot) = allowed {
            let detail = format!("the aggregator of slot {slot} proposed two different values");
            return Err(AbortReason::Void { detail }.into());
        }
        let ShownNewSlot { new_slot, mask_set: statement, missing, .. } = shown;
        if !self.ballot.has_given_up() {
            self.slot_over(seat, out);
        }
        out.push(Output::Journal(JournalEntry::Followed(self.session.id(), new_slot.body.slot)));
        seat.slot = new_slot.body.slot;
        self.ballot.follow(new_slot, allowed);
        self.send_commitments(seat, &missing, out);
        if allowed == Allowed::Only(Value::Abandon) {
            return Ok(true);
        }
        if let Some(statement) = statement {
            self.accept_passed_on(seat, &statement, out)?;
        }
        let session = self.session.clone();
        let stage = mem::replace(&mut self.stage, Stage::Spectating);
        self.stage = match stage {
            Stage::ConsistencyCheck(masked) | Stage::Unmasking(masked) | Stage::MaskedInput(masked) => {
                if mine.is_some() {
                    out.push(Output::Phase(Phase::MaskedInput));
                    masked.upload(seat, &session, out);
                }
                Stage::MaskedInput(masked)
            }
            other => other,
        };
        self.serve(seat, |_| true, out);
        Ok(true)
    }

    /// Passes on the vectors that the slot's aggregator has to have and that their owners cannot send.
    pub(super) fn serve(&self, seat: &Seat, wanted: impl Fn(&MemberId) -> bool, out: &mut Outputs) {
        let Some(survivors) = self.ballot.required() else { return };
        let to = seat.aggregator();
        if to == seat.me || seat.absent.contains(&to) || self.ballot.has_given_up() {
            return;
        }
        for (vector, root) in self.standing_by.orphans(seat, &survivors).filter(|(owner, _)| wanted(owner)) {
            out.push(Output::PassOn { vector: *vector, root: *root, to });
        }
    }

    /// A mask set that I have not heard of before: where I cannot act on it, I only look on.
    fn accept_passed_on(
        &mut self,
        seat: &Seat,
        statement: &Signed<MaskSet>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        match self.accept_mask_set(seat, statement, out) {
            Err(Refused::Dropped(FaultKind::Unconfirmed { .. } | FaultKind::Altered)) => Ok(()),
            other => other,
        }
    }

    /// The others have given up a slot in which I still was.
    fn slot_over(&self, seat: &Seat, out: &mut Outputs) {
        out.push(Output::SlotOver {
            attempt: self.session.terms().contract().attempt,
            slot: seat.slot,
            aggregator: seat.aggregator(),
            reason: AbortReason::AggregatorLost { phase: self.phase() },
        });
    }

    fn send_commitments(&self, seat: &Seat, missing: &[MemberId], out: &mut Outputs) {
        let wanted = |dealer: &MemberId| *dealer == seat.me || missing.contains(dealer);
        let known = self.commitments.iter().filter(|(dealer, _)| wanted(dealer));
        let dealers = known.map(|(dealer, commitments)| (*dealer, commitments.clone())).collect();
        let message = KnownCommitments { session: self.session.id(), dealers };
        send(out, seat.aggregator(), Message::Commitments(Box::new(message)));
    }
}
