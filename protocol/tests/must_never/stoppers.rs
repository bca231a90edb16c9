//! Single members that try to stop a round, or to fill the memory of those who wait for them.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    io::Output,
    messages::{Abort, Message, share_keys::SealedShares},
    phase::Phase,
    report::{AbortReason, Outcome},
    signing::Signed,
};

use crate::{
    monitor::Scene,
    world::{World, gave_up, ignored, refused},
};

/// n is 8 and t is 6. With its own, the dealer's shares are with exactly t members.
#[test]
fn a_dealer_that_deals_to_just_enough_and_falls_silent_stops_nobody() {
    let scene = Scene::new(8, 3, 0);
    let dealer = scene.member(0).id();
    let unserved = [scene.member(1).id(), scene.member(2).id()];
    let mut withheld = 0;
    let played = scene.play(4, |envelope| {
        let quiet = envelope.from == dealer
            && match &envelope.message {
                Message::Shares(shares) => unserved.contains(&shares.receiver),
                Message::MaskedInput(_) | Message::Vote(_) | Message::Reveal(_) => true,
                _ => false,
            };
        withheld += usize::from(quiet);
        if quiet { Vec::new() } else { vec![envelope] }
    });
    assert!(withheld >= 2);
    assert!(matches!(played.report.aggregator, Some(Outcome::Completed { .. })), "one member stopped it");
    assert_eq!(played.survivors().len(), 7);
}

#[test]
fn a_member_that_confirms_nobody_keeps_nobody_out() {
    let scene = Scene::new(8, 3, 0);
    let liar = scene.member(0);
    let played = scene.play(4, |mut envelope| {
        if let Message::Receipt(receipt, _) = &mut envelope.message
            && receipt.signer == liar.id()
        {
            let mut body = receipt.body.clone();
            body.confirmed.retain(|(dealer, _)| *dealer == liar.id());
            **receipt = Signed::new(body, &liar).unwrap();
        }
        vec![envelope]
    });
    assert_eq!(played.survivors().len(), 8);
}

/// Whoever could confirm ever new commitments would fill the aggregator's memory.
#[test]
fn a_receipt_that_contradicts_the_first_is_refused() {
    let scene = Scene::new(8, 3, 0);
    let liar = scene.member(0);
    let played = scene.play(4, |envelope| {
        let Message::Receipt(receipt, commitments) = &envelope.message else { return vec![envelope] };
        if receipt.signer != liar.id() {
            return vec![envelope];
        }
        let mut body = receipt.body.clone();
        for (_, digest) in body.confirmed.iter_mut().filter(|(dealer, _)| *dealer != liar.id()) {
            digest[0] ^= 1;
        }
        let second = Box::new(Signed::new(body, &liar).unwrap());
        let mut contradiction = envelope.clone();
        contradiction.message = Message::Receipt(second, commitments.clone());
        vec![envelope, contradiction]
    });
    let aggregator = scene.terms.aggregator();
    assert!(played.blames().contains(&(aggregator, liar.id(), FaultKind::Equivocation)));
    assert_eq!(played.survivors().len(), 8);
}

#[test]
fn early_shares_longer_than_any_can_be_are_not_kept() {
    let mut world = World::new(8, 2);
    let victim = world.victim();
    let dealer: MemberId = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    let session = consort_protocol::ids::SessionId([1; 32]);
    let sealed = |length| {
        let ciphertext = vec![0; length];
        Message::Shares(Box::new(SealedShares { session, dealer, receiver: victim, ciphertext }))
    };
    ignored(&world.say(dealer, &victim, sealed(512)));
    refused(&world.say(dealer, &victim, sealed(1 << 19)), FaultKind::Seal);
}

/// It ends up in logs, reports and the ledger.
#[test]
fn the_words_of_an_abort_are_cut_and_cleaned() {
    let mut world = World::new(8, 2).shared();
    let detail = format!("\u{1b}[2J\n{}", "ä".repeat(1 << 15));
    let reason = AbortReason::Inconsistent { phase: Phase::ShareKeys, detail };
    let abort =
        world.decree(Abort { contract: *world.terms.digest(), slot: 0, phase: Phase::ShareKeys, reason });
    let out = world.tell(Message::Abort(Box::new(abort)));
    gave_up(&out);
    let Output::SlotOver { reason: AbortReason::Inconsistent { detail, .. }, .. } = &out[0] else {
        panic!("the slot ends for another reason")
    };
    assert!(detail.len() <= 256 && detail.starts_with(" [2J ä"), "{detail}");
}
