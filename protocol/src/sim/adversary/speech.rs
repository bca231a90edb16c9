//! Lies that need not look at what is said: to withhold it, to say it to some, to repeat it.

use crate::{
    ids::MemberId,
    messages::Message,
    signing::{Signature, Signed, Statement},
};

use super::{Liar, Lie, Said};

/// How often a liar says again what it has heard.
const ECHO_EVERY: u64 = 3;

/// Whether a message does not leave, at all or to this receiver.
pub(super) fn is_withheld(liar: &Liar, to: &MemberId, message: &Message) -> bool {
    withholds(liar.lie, message) || (withholds_from_some(liar.lie, message) && !liar.favours(to))
}

fn withholds(lie: Lie, message: &Message) -> bool {
    match lie {
        Lie::NoContract => matches!(message, Message::Contract(_)),
        Lie::NoAdvertisement => matches!(message, Message::Advertise(_)),
        Lie::NoRoster => matches!(message, Message::Roster(_)),
        Lie::NoShares => matches!(message, Message::Shares(_)),
        Lie::NoReceipt => matches!(message, Message::Receipt(..)),
        Lie::NoMaskSet => matches!(message, Message::MaskSet(_)),
        Lie::NoMaskedInput => matches!(message, Message::MaskedInput(_)),
        Lie::NoStandbyReceipt => matches!(message, Message::StandbyReceipt(_)),
        Lie::NoProposal => matches!(message, Message::Proposal(_)),
        Lie::NoVote => matches!(message, Message::Vote(_)),
        Lie::NoCertificate => matches!(message, Message::Certificate(_)),
        Lie::NoReveal => matches!(message, Message::Reveal(_)),
        Lie::NoResult => matches!(message, Message::Published(_)),
        Lie::NoAcknowledgement => matches!(message, Message::Acknowledge(_)),
        Lie::NoTimeout => matches!(message, Message::Timeout(_) | Message::TimedOut(_)),
        _ => false,
    }
}

fn withholds_from_some(lie: Lie, message: &Message) -> bool {
    match lie {
        Lie::ContractToSome => matches!(message, Message::Contract(_)),
        Lie::RosterToSome => matches!(message, Message::Roster(_)),
        Lie::SharesToSome => matches!(message, Message::Shares(_)),
        Lie::MaskSetToSome => matches!(message, Message::MaskSet(_)),
        Lie::ProposalToSome => matches!(message, Message::Proposal(_)),
        Lie::CertificateToSome => matches!(message, Message::Certificate(_)),
        Lie::ResultToSome => matches!(message, Message::Published(_)),
        Lie::NewSlotToSome => matches!(message, Message::NewSlot(_)),
        _ => false,
    }
}

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match liar.lie {
        Lie::Replay => vec![(to, message.clone()), (to, message)],
        Lie::BrokenSignatures => vec![(to, broken(message))],
        _ => vec![(to, message)],
    }
}

/// Says again to somebody what it has heard before.
pub(super) fn incoming(liar: &mut Liar, _message: &Message) -> Said {
    let draw = rand_core::Rng::next_u64(&mut liar.rng);
    if !draw.is_multiple_of(ECHO_EVERY) {
        return Said::new();
    }
    let others: Vec<MemberId> = liar.known.everybody().into_iter().filter(|id| *id != liar.me).collect();
    let pick = |length: usize, shift: u32| ((draw >> shift) as usize).checked_rem(length);
    let to = pick(others.len(), 8).and_then(|at| others.get(at)).copied();
    let heard = pick(liar.known.heard.len(), 32).and_then(|at| liar.known.heard.get(at)).cloned();
    to.zip(heard).into_iter().collect()
}

/// The same words under a signature that does not verify.
pub(super) fn unsigned<T: Statement>(signed: Signed<T>) -> Signed<T> {
    let mut bytes = signed.signature().to_bytes();
    bytes[0] ^= 1;
    let signer = signed.signer;
    Signed::from_parts(signed.body, signer, Signature::from_bytes(&bytes))
}

fn broken(message: Message) -> Message {
    match message {
        Message::Advertise(it) => Message::Advertise(Box::new(unsigned(*it))),
        Message::Roster(it) => Message::Roster(Box::new(unsigned(*it))),
        Message::Receipt(it, commitments) => Message::Receipt(Box::new(unsigned(*it)), commitments),
        Message::MaskSet(it) => Message::MaskSet(Box::new(unsigned(*it))),
        Message::MaskedInput(it) => Message::MaskedInput(Box::new(unsigned(*it))),
        Message::Proposal(it) => Message::Proposal(Box::new(unsigned(*it))),
        Message::Vote(it) => Message::Vote(Box::new(unsigned(*it))),
        Message::Reveal(it) => Message::Reveal(Box::new(unsigned(*it))),
        Message::TimedOut(it) => Message::TimedOut(Box::new(unsigned(*it))),
        other => other,
    }
}
