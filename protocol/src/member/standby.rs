//! Standing by: holding the others' vectors, masked as they are, so that they do not die with the aggregator.
//!
//! A receipt is signed when
//! 1. the slot's aggregator asks for it, for this session and slot;
//! 2. every vector of the set is here under the root that it names; mine, under the root that I signed.
//!
//! Where a later slot is for a set that was voted for, whoever holds vectors of it passes on those whose
//! owners are gone to its aggregator: it may not have been a standby itself.

use std::collections::BTreeSet;

use crate::{
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    messages::{
        Message,
        consistency_check::SurvivorSet,
        failover::{StandbyReceipt, StandbyRequest},
    },
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
};

use super::Refused;

/// What a standby holds, and what it was asked for.
#[derive(Default)]
pub(super) struct StandingBy {
    /// Members and the roots of vectors that are here as theirs.
    held: BTreeSet<(MemberId, Digest)>,
    asked: Option<StandbyRequest>,
}

impl StandingBy {
    pub(super) fn asked(
        &mut self,
        seat: &Seat,
        session: &Session,
        root: Option<Digest>,
        request: StandbyRequest,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        if request.session != session.id() || request.slot != seat.slot {
            return Err(FaultKind::Session.into());
        }
        self.asked = Some(request);
        Ok(self.confirm(seat, root, out)?)
    }

    /// Whether every vector of the set is here.
    pub(super) fn holds(&self, seat: &Seat, mine: Option<Digest>, survivors: &SurvivorSet) -> bool {
        survivors.vectors.iter().all(|vector| match vector.0 == seat.me {
            true => mine == Some(vector.1),
            false => self.held.contains(vector),
        })
    }

    /// Vectors of these survivors that are here and whose owners cannot send them again.
    pub(super) fn orphans<'a>(
        &'a self,
        seat: &'a Seat,
        survivors: &'a SurvivorSet,
    ) -> impl Iterator<Item = &'a (MemberId, Digest)> {
        let gone =
            survivors.vectors.iter().filter(|(owner, _)| *owner != seat.me && seat.absent.contains(owner));
        gone.filter(|vector| self.held.contains(vector))
    }

    /// A vector is here.
    pub(super) fn held(
        &mut self,
        seat: &Seat,
        mine: Option<Digest>,
        vector: (MemberId, Digest),
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        self.held.insert(vector);
        self.confirm(seat, mine, out)
    }

    /// Signs for what was asked for once all of it is here.
    pub(super) fn confirm(
        &mut self,
        seat: &Seat,
        mine: Option<Digest>,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let Some(StandbyRequest { session, slot, survivors }) = &self.asked else { return Ok(()) };
        if *slot != seat.slot || !self.holds(seat, mine, survivors) {
            return Ok(());
        }
        let receipt =
            seat.sign(StandbyReceipt { session: *session, slot: *slot, survivors: survivors.digest() })?;
        self.asked = None;
        send(out, seat.aggregator(), Message::StandbyReceipt(Box::new(receipt)));
        Ok(())
    }
}
