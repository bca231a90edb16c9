//! `unmasking`: against a valid certificate, one share of each member of the mask set.

use crate::{
    certificate::AcceptedMaskSet,
    io::{JournalEntry, Output},
    messages::{Message, consistency_check::Certificate, unmasking::Reveal},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
};

use super::held::HeldShares;

/// Reveals for the certified set. It takes the shares by value: there is nothing left to reveal a second time.
pub(super) fn reveal(
    seat: &Seat,
    session: &Session,
    mask_set: &AcceptedMaskSet,
    held: HeldShares,
    certificate: &Certificate,
    out: &mut Outputs,
) -> Result<(), AbortReason> {
    let survivors = certificate.survivors.digest();
    let shares = held.reveal(mask_set, &certificate.survivors);
    let reveal = seat.sign(Reveal { session: session.id(), survivors, shares })?;
    out.push(Output::Phase(Phase::Unmasking));
    out.push(Output::Journal(JournalEntry::Revealed(session.id(), survivors)));
    send(out, seat.terms.aggregator(), Message::Reveal(Box::new(reveal)));
    Ok(())
}
