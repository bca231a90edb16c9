//! `publish`: the result with its certificate, fetched, stored and acknowledged.
//!
//! A result is accepted, from whoever passes it on, when
//! 1. the aggregator of the certificate's slot signed it for this session;
//! 2. its certificate is valid, and for the set that the result names;
//! 3. its mask set is one of this session.

use crate::{
    certificate::{AcceptedMaskSet, check_certificate},
    fault::FaultKind,
    io::{JournalEntry, Output},
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    mutation::{Check, checked},
    report::{AbortReason, Outcome},
    roster::Session,
    seat::{Outputs, Seat, send},
};

pub(super) fn check(session: &Session, published: &Published) -> Result<(), FaultKind> {
    let Published { sum, certificate, mask_set } = published;
    let expected = session.terms().holder(certificate.slot).ok_or(FaultKind::Session)?;
    if sum.signer != expected && checked(Check::ResultAuthor) {
        return Err(FaultKind::Author { signer: sum.signer, expected });
    }
    if sum.body.session != session.id() || sum.body.survivors != certificate.survivors.digest() {
        return Err(FaultKind::Session);
    }
    sum.verify().map_err(|_| FaultKind::Signature)?;
    let shown = AcceptedMaskSet::check(session, mask_set)?;
    if checked(Check::ResultCertificate) { check_certificate(session, &shown, certificate) } else { Ok(()) }
}

/// The sum is here: whoever announced it hears of it, and the attempt is over.
pub(super) fn stored(
    seat: &Seat,
    session: &Session,
    published: Published,
    out: &mut Outputs,
) -> Result<(), AbortReason> {
    let (id, root) = (session.id(), published.sum.body.root);
    let acknowledgement = seat.sign(Acknowledgement { session: id, root })?;
    out.push(Output::Journal(JournalEntry::Acknowledged(id, root)));
    let message = Message::Acknowledge(Box::new(acknowledgement));
    if seat.aggregator() != published.sum.signer {
        send(out, seat.aggregator(), message.clone());
    }
    send(out, published.sum.signer, message);
    let threshold = session.threshold().get();
    out.push(Output::Finished(Outcome::Completed { published: Box::new(published), threshold }));
    Ok(())
}
