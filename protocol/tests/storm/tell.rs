//! Tells what is said, for whoever looks into one seed.

use consort_protocol::{
    encoding::{Layout, ValidInput},
    masking::MaskPlan,
    messages::Message,
    sim::{Envelope, Host, SequentialHost},
};

/// Prints every message as it is sent.
pub(crate) struct Telling;

impl Host for Telling {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.mask(input, plan, layout)
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.sum(vectors, plan, layout)
    }

    fn sent(&mut self, Envelope { from, to, message }: &Envelope, _bytes: usize) {
        eprintln!("{from} -> {to} {}", words(message));
    }
}

fn words(message: &Message) -> String {
    match message {
        Message::Contract(it) => format!("contract {}.{}", it.body.attempt, it.body.slot),
        Message::Advertise(_) => "advertise".into(),
        Message::Decline(it) => format!("decline: {}", it.body.reason),
        Message::Roster(it) => format!("roster of {}, by {}", it.body.advertisements.len(), it.signer),
        Message::Shares(it) => format!("shares {:?}", it.session),
        Message::Receipt(it, _) => format!("receipt for {}", it.body.confirmed.len()),
        Message::MaskSet(it) => format!("mask set of {} in {:?}", it.body.dealers.len(), it.body.session),
        Message::MaskedInput(it) => format!("masked input in {:?}", it.body.session),
        Message::Proposal(it) => format!("proposal {} {:?}", it.body.slot, it.body.value.value()),
        Message::Vote(it) => format!("vote {} {:?}", it.body.slot, it.body.value),
        Message::Certificate(it) => format!("certificate {} of {}", it.slot, it.survivors.vectors.len()),
        Message::Reveal(it) => format!("reveal for {}", hex::encode(&it.body.survivors[..4])),
        Message::Published(it) => format!("published {}", it.certificate.slot),
        Message::Acknowledge(_) => "acknowledge".into(),
        Message::Abort(it) => format!("abort {}: {}", it.body.slot, it.body.reason),
        Message::Alive(_) => "alive".into(),
        Message::Timeout(it) => format!("time-out {} {:?}", it.timeout.body.slot, it.timeout.body.vote),
        Message::TimedOut(it) => format!("timed out {} {:?}", it.body.slot, it.body.vote),
        Message::NewSlot(it) => {
            format!("new slot {} in {:?}", it.new_slot.body.slot, it.new_slot.body.session)
        }
        Message::Commitments(_) => "commitments".into(),
        Message::Standby(it) => format!("standby {}", it.slot),
        Message::StandbyReceipt(it) => format!("standby receipt {}", it.body.slot),
        Message::Abandonment(it) => format!("abandonment {}.{}", it.session.attempt, it.slot),
        Message::Evidence(_) => "evidence".into(),
        Message::Manifest(_) => "manifest".into(),
        Message::Reminder(_) => "reminder".into(),
    }
}
