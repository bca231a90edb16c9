//! `unmasking`: against a valid certificate, one share of each member of the mask set.

use core::mem;

use crate::{
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{Message, consistency_check::Certificate, unmasking::Reveal},
    phase::Phase,
    roster::Session,
    seat::{Outputs, Seat, send},
};

use super::{Refused, held::Disclosure, masked_input::Masked};

/// Reveals for the certified set, or repeats to another aggregator what has been revealed for it.
pub(super) fn reveal(
    seat: &Seat,
    session: &Session,
    masked: &mut Masked,
    certificate: &Certificate,
    to: MemberId,
    out: &mut Outputs,
) -> Result<(), Refused> {
    let survivors = certificate.survivors.digest();
    let reveal = match mem::replace(&mut masked.disclosure, Disclosure::Nothing) {
        Disclosure::Held(held) => {
            let shares = held.reveal(&masked.mask_set, &certificate.survivors);
            seat.sign(Reveal { session: session.id(), survivors, shares })?
        }
        Disclosure::Revealed(reveal) if reveal.body.survivors == survivors => *reveal,
        other => {
            masked.disclosure = other;
            return Err(FaultKind::Equivocation.into());
        }
    };
    out.push(Output::Phase(Phase::Unmasking));
    out.push(Output::Journal(JournalEntry::Revealed(session.id(), survivors)));
    send(out, to, Message::Reveal(Box::new(reveal.clone())));
    masked.disclosure = Disclosure::Revealed(Box::new(reveal));
    Ok(())
}
