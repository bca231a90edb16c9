//! `publish`: the result with its certificate, fetched, stored and acknowledged.
//!
//! A result is accepted, from whoever passes it on, when
//! 1. the slot's aggregator signed it for this session;
//! 2. its certificate is valid, and for the set that the result names.

use std::sync::Arc;

use crate::{
    certificate::{AcceptedMaskSet, check_certificate},
    fault::FaultKind,
    io::{JournalEntry, Output},
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::Session,
    seat::{Outputs, Seat, send},
};

/// Waits for the result: a member that has revealed, or one that is not in the mask set.
pub(super) struct AwaitingResult {
    session: Arc<Session>,
    mask_set: AcceptedMaskSet,
}

impl AwaitingResult {
    pub(super) fn new(session: Arc<Session>, mask_set: AcceptedMaskSet) -> Self {
        Self { session, mask_set }
    }

    pub(super) fn check(&self, seat: &Seat, published: &Published) -> Result<(), FaultKind> {
        let Published { sum, certificate } = published;
        let aggregator = seat.terms.aggregator();
        if sum.signer != aggregator {
            return Err(FaultKind::Author { signer: sum.signer, expected: aggregator });
        }
        if sum.body.session != self.session.id() || sum.body.survivors != certificate.survivors.digest() {
            return Err(FaultKind::Session);
        }
        sum.verify().map_err(|_| FaultKind::Signature)?;
        check_certificate(&self.session, &self.mask_set, certificate)
    }

    pub(super) fn published(self, published: Published, out: &mut Outputs) -> Fetching {
        out.push(Output::Phase(Phase::Publish));
        out.push(Output::Fetch(Box::new(published.clone())));
        Fetching { session: self.session, published }
    }
}

/// The sum with the announced root is on its way.
pub(super) struct Fetching {
    session: Arc<Session>,
    published: Published,
}

impl Fetching {
    pub(super) fn stored(&mut self, seat: &Seat, out: &mut Outputs) -> Result<(), AbortReason> {
        let (session, root) = (self.session.id(), self.published.sum.body.root);
        let acknowledgement = seat.sign(Acknowledgement { session, root })?;
        out.push(Output::Journal(JournalEntry::Acknowledged(session, root)));
        send(out, seat.terms.aggregator(), Message::Acknowledge(Box::new(acknowledgement)));
        out.push(Output::Finished(Outcome::Completed {
            published: Box::new(self.published.clone()),
            threshold: self.session.threshold().get(),
        }));
        Ok(())
    }
}
