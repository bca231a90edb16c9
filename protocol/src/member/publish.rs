//! `publish`: the result with its certificate, fetched, stored and acknowledged.
//!
//! A result is accepted, from whoever passes it on, when [`check_published`](crate::certificate::check_published)
//! accepts it.

use crate::{
    io::{JournalEntry, Output},
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    report::{AbortReason, Outcome},
    roster::Session,
    seat::{Outputs, Seat, send},
};

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
