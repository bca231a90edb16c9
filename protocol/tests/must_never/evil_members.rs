//! Members that cheat an honest aggregator: they are named, and the others finish without them.

use std::{collections::BTreeSet, sync::Arc};

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    messages::{Message, consistency_check::Value, unmasking::RevealedShare},
    phase::Phase,
    report::{AbortReason, Outcome},
    sharing::Share,
    signing::{Identity, Signature, Signed, Statement},
    sim::Envelope,
};

use crate::monitor::{Played, Scene};

fn scene() -> Scene {
    Scene::new(8, 3, 0)
}

/// Changes what these members say about one thing, and signs it anew.
pub(crate) fn resign<T: Statement + Clone>(
    signed: &mut Signed<T>,
    by: &[Arc<Identity>],
    change: impl FnOnce(&mut T),
) -> bool {
    let Some(identity) = by.iter().find(|identity| identity.id() == signed.signer) else { return false };
    let mut body = signed.body.clone();
    change(&mut body);
    *signed = Signed::new(body, identity).unwrap();
    true
}

fn ids(identities: &[Arc<Identity>]) -> Vec<MemberId> {
    identities.iter().map(|identity| identity.id()).collect()
}

pub(crate) fn blamed(played: &Played, scene: &Scene, kind: &FaultKind) -> Vec<MemberId> {
    let aggregator = scene.terms.aggregator();
    let blames = played.blames().into_iter();
    let mut who: Vec<MemberId> =
        blames.filter(|(by, _, found)| *by == aggregator && found == kind).map(|(_, who, _)| who).collect();
    who.sort_unstable();
    who
}

/// Every aggregator of the round comes to nothing for this reason, and so does the round, for everybody. Those
/// who hear of it from other members first only know that the aggregator is given up.
#[track_caller]
fn every_slot_fails(played: &Played, scene: &Scene, because: &str) {
    for outcome in played.report.outcomes.values() {
        let Outcome::Aborted(AbortReason::Void { detail }) = outcome else { panic!("{outcome:?}") };
        assert!(detail.contains("may be known within the one sum"), "{detail}");
    }
    let slots = (0..).take_while(|slot| scene.terms.holder(*slot).is_some()).count() as u32;
    // the last one is not given up for another
    for slot in 0..slots - 1 {
        let all = played.report.slots.values().flatten().filter(|over| over.slot == slot);
        let mut reasons: Vec<String> = all.map(|over| over.reason.to_string()).collect();
        assert!(reasons.len() >= 6, "slot {slot}");
        reasons.retain(|reason| !reason.contains("the aggregator was lost"));
        assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == because), "{slot}: {reasons:?}");
    }
    assert!(played.report.aggregates.is_empty());
}

fn other_share(share: &Share) -> Share {
    let mut bytes = share.to_bytes();
    bytes[0] ^= 1;
    Share::from_bytes(bytes).unwrap()
}

#[test]
fn wrong_shares_are_named_and_the_rest_are_enough() {
    let scene = scene();
    // n is 8 and t is 6: two liars are bearable
    let liars = [scene.member(0), scene.member(1)];
    let mut lies = 0;
    // somebody is lost after the vectors, so that shares of both kinds are revealed
    let lost = scene.member(6).id();
    let played = scene.play(4, |mut envelope| {
        match &mut envelope.message {
            Message::Reveal(reveal) => {
                lies += usize::from(resign(reveal, &liars, |body| {
                    for share in body.shares.values_mut() {
                        let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = share;
                        *it = other_share(it);
                    }
                }));
            }
            Message::MaskedInput(statement) if statement.signer == lost => {
                statement.body.root = [1; 32];
            }
            _ => {}
        }
        vec![envelope]
    });
    assert_eq!(lies, 2);
    let mut expected = ids(&liars);
    expected.sort_unstable();
    let named = blamed(&played, &scene, &FaultKind::Share);
    assert!(named.iter().all(|who| expected.contains(who)), "an honest member is blamed");
    assert!(!named.is_empty());
    assert_eq!(played.survivors().len(), 7);
    assert_eq!(played.report.aggregates.len(), 8);
}

/// Liars answer first: each wrong share is met, and each liar named.
#[test]
fn every_wrong_share_that_is_used_is_named() {
    let scene = scene();
    let liars = [scene.member(0), scene.member(1)];
    let mut held: Vec<Envelope> = Vec::new();
    let mut met = 0;
    let played = scene.play(4, |mut envelope| {
        let Message::Reveal(reveal) = &mut envelope.message else { return vec![envelope] };
        let lied = resign(reveal, &liars, |body| {
            for share in body.shares.values_mut() {
                let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = share;
                *it = other_share(it);
            }
        });
        met += usize::from(lied);
        if !lied && met < 2 {
            held.push(envelope);
            return Vec::new();
        }
        let mut said = vec![envelope];
        if met == 2 {
            said.append(&mut held);
        }
        said
    });
    let mut expected = ids(&liars);
    expected.sort_unstable();
    assert_eq!(blamed(&played, &scene, &FaultKind::Share), expected);
    assert_eq!(played.report.aggregates.len(), 8);
}

#[test]
fn one_liar_too_many_is_an_abort_for_a_stated_reason() {
    let scene = scene();
    let liars = [scene.member(0), scene.member(1), scene.member(2)];
    let played = scene.play(4, |mut envelope| {
        if let Message::Reveal(reveal) = &mut envelope.message {
            resign(reveal, &liars, |body| {
                for share in body.shares.values_mut() {
                    let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = share;
                    *it = other_share(it);
                }
            });
        }
        vec![envelope]
    });
    // the next aggregators fare no better, and each says why; after the last the round is void
    every_slot_fails(&played, &scene, "5 members are left in unmasking, 6 are needed");
    played.only_blamed(&ids(&liars));
}

#[test]
fn the_wrong_kind_of_share_is_refused() {
    let scene = scene();
    let liars = [scene.member(3)];
    let played = scene.play(4, |mut envelope| {
        if let Message::Reveal(reveal) = &mut envelope.message {
            resign(reveal, &liars, |body| {
                let share = body.shares.values_mut().next().unwrap();
                let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = &*share;
                *share = RevealedShare::PairwiseKey(it.clone());
            });
        }
        vec![envelope]
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::RevealKind), ids(&liars));
    assert_eq!(played.report.aggregates.len(), 8);
}

#[test]
fn shares_of_somebody_outside_of_the_mask_set_are_refused() {
    let scene = scene();
    let liars = [scene.member(3)];
    let played = scene.play(4, |mut envelope| {
        if let Message::Reveal(reveal) = &mut envelope.message {
            resign(reveal, &liars, |body| {
                let (_, share) = body.shares.pop_first().unwrap();
                // of the kind that is right for who did not survive
                let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = share;
                body.shares.insert(crate::world::stranger().id(), RevealedShare::PairwiseKey(it));
            });
        }
        vec![envelope]
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::RevealKind), ids(&liars));
    assert_eq!(played.report.aggregates.len(), 8);
}

/// The first statement of each kind to the aggregator, sent on by another member or with a broken signature.
#[test]
fn what_others_signed_and_what_nobody_signed_is_refused() {
    for broken in [false, true] {
        let scene = scene();
        let liar = scene.member(3).id();
        let mut tried = BTreeSet::new();
        let played = scene.play(4, |envelope| {
            let mut forged = envelope.clone();
            macro_rules! forge {
                ($signed:expr) => {{
                    if broken {
                        let (body, signer) = ($signed.body.clone(), $signed.signer);
                        let mut signature = $signed.signature().to_bytes();
                        signature[40] ^= 1;
                        **$signed = Signed::from_parts(body, signer, Signature::from_bytes(&signature));
                    } else {
                        forged.from = liar;
                    }
                    true
                }};
            }
            let to_aggregator = match &mut forged.message {
                Message::Advertise(it) => forge!(it),
                Message::Receipt(it, _) => forge!(it),
                Message::MaskedInput(it) => forge!(it),
                Message::Vote(it) => forge!(it),
                Message::Reveal(it) => forge!(it),
                Message::Acknowledge(it) => forge!(it),
                Message::StandbyReceipt(it) => forge!(it),
                _ => false,
            };
            let kind = crate::monitor::bytes(&envelope.message)[1];
            if to_aggregator && envelope.from != liar && tried.insert(kind) {
                vec![forged, envelope]
            } else {
                vec![envelope]
            }
        });
        assert_eq!(tried.len(), 7);
        let refused = played.blames().into_iter().filter(|(_, who, kind)| match kind {
            FaultKind::Signature => broken,
            FaultKind::Author { expected, .. } => !broken && *who == liar && *expected == liar,
            _ => false,
        });
        assert_eq!(refused.count(), 7, "broken: {broken}");
        assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
    }
}

#[test]
fn a_vector_that_is_not_the_signed_one_is_left_out() {
    let scene = scene();
    let liars = [scene.member(2)];
    let played = scene.play(4, |mut envelope| {
        if let Message::MaskedInput(statement) = &mut envelope.message {
            resign(statement, &liars, |body| body.root = [1; 32]);
        }
        vec![envelope]
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::Root), ids(&liars));
    assert_eq!(played.survivors().len(), 7);
    assert!(!played.survivors().contains(&liars[0].id()));
}

#[test]
fn a_second_statement_of_a_vector_is_refused() {
    let scene = scene();
    let liars = [scene.member(2)];
    let played = scene.play(4, |envelope| {
        let mut second = envelope.clone();
        let contradicts = match &mut second.message {
            Message::MaskedInput(it) => resign(it, &liars, |body| body.root = [1; 32]),
            _ => false,
        };
        if contradicts { vec![envelope, second] } else { vec![envelope] }
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::Equivocation), ids(&liars));
    assert_eq!(played.survivors().len(), 8);
}

/// Whose shares too few can open is not in the mask set; one who spoils a few stays in. With n = 8 and t = 6
/// one may be missing: if two were and the dealer fell silent, too few would hold its shares.
#[test]
fn a_dealer_whose_shares_do_not_open() {
    for spoiled in [1, 2] {
        let scene = scene();
        let dealer = scene.member(2).id();
        let mut left = spoiled;
        let mut receivers = Vec::new();
        let played = scene.play(4, |mut envelope| {
            if let Message::Shares(sealed) = &mut envelope.message
                && sealed.dealer == dealer
                && sealed.receiver != scene.terms.aggregator()
                && left > 0
            {
                left -= 1;
                sealed.ciphertext[50] ^= 1;
                receivers.push(sealed.receiver);
            }
            vec![envelope]
        });
        let blames = played.blames().into_iter().filter(|(_, _, kind)| *kind == FaultKind::Seal);
        let mut by: Vec<MemberId> =
            blames.inspect(|(_, who, _)| assert_eq!(*who, dealer)).map(|it| it.0).collect();
        by.sort_unstable();
        receivers.sort_unstable();
        assert_eq!(by, receivers);
        assert_eq!(played.survivors().len(), if spoiled == 1 { 8 } else { 7 });
        assert_eq!(played.survivors().contains(&dealer), spoiled == 1);
        // who was left out gets the result all the same
        assert_eq!(played.report.aggregates.len(), 8);
    }
}

/// Votes and acknowledgements for something else do not count.
#[test]
fn votes_for_another_set_slot_or_session_do_not_count() {
    for change in 0..3 {
        let scene = scene();
        let liars = [scene.member(0), scene.member(1), scene.member(2)];
        let played = scene.play(4, |mut envelope| {
            if let Message::Vote(vote) = &mut envelope.message {
                resign(vote, &liars, |body| match change {
                    0 => body.value = Value::Survivors([1; 32]),
                    1 => body.slot += 1,
                    _ => body.session.0[0] ^= 1,
                });
            }
            vec![envelope]
        });
        every_slot_fails(&played, &scene, "5 members are left in consistency-check, 6 are needed");
        let mut expected = ids(&liars);
        expected.sort_unstable();
        let mut named = blamed(&played, &scene, &FaultKind::Session);
        named.dedup();
        assert_eq!(named, expected);
        played.only_blamed(&expected);
        assert!(
            played
                .report
                .journals
                .values()
                .flatten()
                .all(|entry| { !matches!(entry, consort_protocol::io::JournalEntry::Revealed(..)) })
        );
    }
}

/// What somebody says again after its phase is late; it costs nobody its place.
#[test]
fn a_participant_that_advertises_again_stays_in() {
    let scene = scene();
    let mut first = None;
    let again = scene.member(3).id();
    let mut sent = 0;
    let played = scene.play(4, |envelope| {
        if let Message::Advertise(it) = &envelope.message
            && it.signer == again
        {
            first = Some(envelope.clone());
        }
        match (&envelope.message, &first) {
            (Message::Receipt(..) | Message::MaskedInput(_) | Message::Vote(_), Some(advertisement)) => {
                sent += 1;
                vec![advertisement.clone(), envelope]
            }
            _ => vec![envelope],
        }
    });
    assert!(sent > 10);
    assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
}

/// Who comes too late for the roster is told so, and need not wait.
#[test]
fn a_member_that_advertises_too_late_is_told_so() {
    let scene = scene();
    let late = scene.member(3).id();
    let mut held = None;
    let played = scene.play(4, |envelope| match &envelope.message {
        Message::Advertise(it) if it.signer == late => {
            held = Some(envelope);
            Vec::new()
        }
        Message::MaskedInput(_) if held.is_some() => held.take().into_iter().chain([envelope]).collect(),
        _ => vec![envelope],
    });
    assert_eq!(played.survivors().len(), 7);
    // where it could still take part it would, but nobody comes back to it
    assert_eq!(played.report.slots[&late][0].reason, AbortReason::LeftOut { phase: Phase::AdvertiseKeys });
    assert!(matches!(played.report.outcomes[&late], Outcome::Aborted(AbortReason::Void { .. })));
}
