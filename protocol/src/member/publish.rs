//! `publish`: the result with its certificate, fetched, stored and acknowledged.
//!
//! A result is accepted, from whoever passes it on, when [`check_published`] accepts it, which is
//! 1. the aggregator of the certificate's slot signed it for this session;
//! 2. its certificate is valid, and for the set that the result names;
//! 3. its mask set is one of this session, and the one that the result names;
//!
//! and
//! 4. the secrets that it shows are those whose points were advertised, and its author shows them.
//!
//! Whoever holds all vectors of the set, a standby, adds them up itself before it acknowledges; it takes no result
//! that does not show the secrets.

use crate::{
    certificate::{AcceptedMaskSet, check_published},
    evidence::{Breach, Disproof, Evidence},
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    report::{AbortReason, Outcome},
    roster::Session,
    seat::{Outputs, Seat, send},
};

pub(super) fn check(session: &Session, from: MemberId, published: &Published) -> Result<(), FaultKind> {
    let shown = check_published(session, published)?;
    match &published.opening {
        Some(opening) => opening.check(session, &shown, &published.certificate.survivors).map(drop),
        None if from == published.sum.signer => Err(FaultKind::Opening),
        None => Ok(()),
    }
}

/// The sum is here: whoever holds the vectors adds them up.
pub(super) fn audit(session: &Session, published: &Published, out: &mut Outputs) -> Result<(), FaultKind> {
    let mask_set = AcceptedMaskSet::check(session, &published.mask_set)?;
    let opening = published.opening.as_ref().ok_or(FaultKind::Opening)?;
    let plan = opening.plan(session, &mask_set, &published.certificate.survivors)?;
    out.push(Output::Audit(Box::new(published.clone()), Box::new(plan)));
    Ok(())
}

/// The sum is false: everybody is shown why, and this member does not take it.
pub(super) fn disproved(
    session: &Session,
    published: Published,
    disproof: Box<Disproof>,
    out: &mut Outputs,
) -> AbortReason {
    let breach = Breach::Sum(Box::new(published), disproof);
    out.extend(Evidence::breach(session, breach).map(|it| Output::Evidence(Box::new(it))));
    AbortReason::FalseSum
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
