//! `consistency-check`: one vote in this slot, and the certificate back.
//!
//! A certificate is checked by [`check_certificate`]; this file adds what only the member itself can see:
//! 1. if I am among the survivors, then with the root that I signed.

use std::sync::Arc;

use crate::{
    certificate::{AcceptedMaskSet, check_certificate},
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::{Certificate, Proposal, SurvivorSet, Vote},
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    signing::Signed,
};

use super::{held::HeldShares, masked_input::MaskedInput, publish::AwaitingResult, unmasking};

pub(super) struct ConsistencyCheck {
    session: Arc<Session>,
    mask_set: AcceptedMaskSet,
    held: HeldShares,
    root: Option<Digest>,
    me: MemberId,
    /// Digest of the proposal that got the vote.
    pub(super) proposal: Digest,
}

impl ConsistencyCheck {
    pub(super) fn begin(
        seat: &Seat,
        masked: MaskedInput,
        survivors: &SurvivorSet,
        proposal: &Signed<Proposal>,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let MaskedInput { session, mask_set, held, root, .. } = masked;
        let (slot, survivors) = (proposal.body.slot, survivors.digest());
        let vote = seat.sign(Vote { session: session.id(), slot, survivors })?;
        out.push(Output::Phase(Phase::ConsistencyCheck));
        out.push(Output::Journal(JournalEntry::Voted(session.id(), slot, survivors)));
        send(out, seat.terms.aggregator(), Message::Vote(Box::new(vote)));
        Ok(Self { session, mask_set, held, root, me: seat.me, proposal: proposal.digest() })
    }

    pub(super) fn check(&self, certificate: &Certificate) -> Result<(), FaultKind> {
        check_certificate(&self.session, &self.mask_set, certificate)?;
        let survivors = &certificate.survivors;
        if survivors.contains(&self.me) && survivors.root_of(&self.me) != self.root.as_ref() {
            return Err(FaultKind::Altered);
        }
        Ok(())
    }

    pub(super) fn certified(
        self,
        seat: &Seat,
        certificate: &Certificate,
        out: &mut Outputs,
    ) -> Result<AwaitingResult, AbortReason> {
        unmasking::reveal(seat, &self.session, &self.mask_set, self.held, certificate, out)?;
        Ok(AwaitingResult::new(self.session, self.mask_set))
    }
}
