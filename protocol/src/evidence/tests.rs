//! The guilty are convicted by each kind of evidence, and nobody honest by any.

mod honest;
mod sum;
mod transcript;

use super::*;
use crate::{
    manifest::Policy,
    messages::{
        consistency_check::{Proposal, SurvivorSet, Value},
        share_keys::{DealtCommitments, DealtShares, SecretKind},
        unmasking::{Reveal, RevealedDigests, RevealedShare},
    },
    sharing::{Commitments, Share},
    sim::consortium,
};
use transcript::{MEMBERS, Transcript, five, statements, task};

fn transcript() -> Transcript {
    Transcript::of(&five(), 2)
}

/// The evidence survives its encoding, and convicts this member of this, before anybody with the manifest.
#[track_caller]
fn convicts(evidence: Option<Evidence>, culprit: MemberId, crime: Crime) -> Evidence {
    let evidence = evidence.expect("it is proved");
    let read: Evidence = codec::decode(&codec::encode(&evidence).unwrap()).unwrap();
    assert!(read == evidence);
    let proven = read.verify(&five().manifest).unwrap();
    assert_eq!(proven, Proven { culprit, crime, round: 2, attempt: 0, slot: 0 });
    evidence
}

#[track_caller]
fn two<T: Exclusive>(play: &Transcript, first: &Signed<T>, alter: impl FnOnce(&mut T), crime: Crime) {
    let second = play.altered(first, alter);
    let evidence = convicts(Evidence::conflict(&play.session, first, &second), first.signer, crime);
    assert!(Evidence::conflict(&play.session, first, first).is_none(), "saying it twice is no crime");
    // a statement that its author has not signed is worth nothing, first or second
    let mut forged = second.clone();
    forged.signer = play.identities.keys().copied().find(|id| *id != first.signer).unwrap();
    assert!(Evidence::conflict(&play.session, first, &forged).is_none());
    forged = Signed::from_parts(second.body.clone(), first.signer, first.signature());
    assert!(Evidence::conflict(&play.session, first, &forged).is_none());
    assert!(Evidence::conflict(&play.session, &forged, first).is_none());
    // nor is it in a session that it does not name, or before another manifest
    let elsewhere = Transcript::of(&five(), 3);
    assert!(Evidence::conflict(&elsewhere.session, first, &second).is_none());
    let another = consortium(4, Policy::default(), 8).unwrap().manifest;
    assert_eq!(evidence.verify(&another), Err(EvidenceError::Manifest));
}

#[test]
fn two_statements_of_which_one_is_allowed() {
    let play = transcript();
    let (aggregator, member) = (play.aggregator(), play.member());
    let other_task = task(play.terms.manifest(), 4);
    two(&play, &play.contract, |it| it.task = other_task, Crime::TwoContracts);
    let advertisement = play.by(&play.advertisements, &member);
    two(&play, advertisement, |it| it.sealing_key = [3; 32], Crime::TwoAdvertisements);
    two(&play, &play.roster, |it| it.advertisements.truncate(MEMBERS - 1), Crime::TwoRosters);
    two(&play, &play.mask_set, |it| it.dealers.truncate(4), Crime::TwoMaskSets);
    two(&play, play.by(&play.inputs, &member), |it| it.root = [1; 32], Crime::TwoMaskedInputs);
    two(&play, &play.proposal, |it| statements(it).truncate(MEMBERS - 2), Crime::TwoProposals);
    two(&play, play.by(&play.votes, &aggregator), |it| it.value = Value::Survivors([1; 32]), Crime::TwoVotes);
    two(&play, play.by(&play.receipts, &member), |it| it.confirmed[4].1 = [1; 32], Crime::TwoReceipts);
    two(&play, &play.sum, |it| it.root = [1; 32], Crime::TwoSums);
}

#[test]
fn two_masked_inputs_under_two_mask_sets() {
    let play = transcript();
    let input = play.by(&play.inputs, &play.member());
    two(&play, input, |it| it.mask_set = [1; 32], Crime::TwoMaskedInputs);
}

#[test]
fn two_dealings_are_shown_without_a_share() {
    let play = transcript();
    let [first, second, ..] = play.dealt[&play.member()].as_slice() else { panic!("it deals to all") };
    assert!(conflict_of_dealings(&play, first, second).is_none(), "one dealing, two receivers");
    let other = play.commitments[&play.aggregator()].clone();
    let otherwise = play.altered(second, |it| it.commitments = other);
    convicts(conflict_of_dealings(&play, first, &otherwise), play.member(), Crime::TwoDealings);
    let another_share = second.body.self_mask.clone();
    let otherwise = play.altered(first, |it| it.self_mask = another_share);
    let evidence =
        convicts(conflict_of_dealings(&play, first, &otherwise), play.member(), Crime::TwoDealings);
    for share in [&first.body.mask_key, &first.body.self_mask, &second.body.self_mask] {
        assert!(!shows(&evidence, share));
    }
}

fn conflict_of_dealings(
    play: &Transcript,
    a: &Signed<DealtShares>,
    b: &Signed<DealtShares>,
) -> Option<Evidence> {
    use crate::messages::share_keys::Dealing;
    Evidence::conflict(&play.session, &Dealing::of_signed(a), &Dealing::of_signed(b))
}

fn shows(evidence: &Evidence, share: &Share) -> bool {
    let bytes = codec::encode(evidence).unwrap();
    bytes.windows(32).any(|window| window == share.to_bytes())
}

#[test]
fn two_reveals_are_shown_without_a_share() {
    let play = transcript();
    let first = play.by(&play.reveals, &play.member());
    let lost = *play.identities.keys().last().unwrap();
    let at = play.session.position(&play.member()).unwrap();
    let kept = play.dealt[&lost][at].body.self_mask.clone();
    let both = play.altered(first, |it| drop(it.shares.insert(lost, RevealedShare::SelfMask(kept.clone()))));
    let other_set = play.altered(first, |it| it.survivors = [1; 32]);
    for second in [both, other_set] {
        let [one, other] = [first, &second].map(RevealedDigests::of_signed);
        let evidence = Evidence::conflict(&play.session, &one, &other);
        assert!(!shows(&convicts(evidence, play.member(), Crime::TwoReveals), &kept));
    }
    // what comes later, and says more, contradicts nothing
    let fewer = play.altered(first, |it| drop(it.shares.remove(&lost)));
    let [one, other] = [first, &fewer].map(RevealedDigests::of_signed);
    assert!(Evidence::conflict(&play.session, &one, &other).is_none());
}

#[test]
fn a_wrong_share_is_shown_alone() {
    let play = transcript();
    let dealer = play.member();
    let good = &play.dealt[&dealer][2];
    assert!(Breach::of_dealing(&play.session, good).is_none());
    let wrong = play.dealt[&dealer][3].body.clone();
    for kind in [SecretKind::MaskKey, SecretKind::SelfMask] {
        let bad = play.altered(good, |it| match kind {
            SecretKind::MaskKey => it.mask_key = wrong.mask_key.clone(),
            SecretKind::SelfMask => it.self_mask = wrong.self_mask.clone(),
        });
        let breach = Breach::of_dealing(&play.session, &bad).unwrap();
        let evidence = convicts(Evidence::breach(&play.session, breach), dealer, Crime::BadShare);
        assert_eq!(shows(&evidence, &bad.body.mask_key), kind == SecretKind::MaskKey);
        assert_eq!(shows(&evidence, &bad.body.self_mask), kind == SecretKind::SelfMask);
    }
}

#[test]
fn commitments_to_another_secret_or_of_another_length() {
    let play = transcript();
    let (dealer, other) = (play.member(), play.aggregator());
    let good = &play.dealt[&dealer][2];
    let shorter = |commitments: &Commitments| {
        let mut points: Vec<[u8; 32]> = codec::decode(&codec::encode(commitments).unwrap()).unwrap();
        points.pop();
        codec::decode::<Commitments>(&codec::encode(&points).unwrap()).unwrap()
    };
    let DealtCommitments { mask_key, self_mask } = &good.body.commitments;
    let strange = &play.commitments[&other];
    for commitments in [
        DealtCommitments { mask_key: strange.mask_key.clone(), self_mask: self_mask.clone() },
        DealtCommitments { mask_key: mask_key.clone(), self_mask: strange.self_mask.clone() },
        DealtCommitments { mask_key: mask_key.clone(), self_mask: shorter(self_mask) },
    ] {
        let bad = play.altered(good, |it| it.commitments = commitments);
        let breach = Breach::of_dealing(&play.session, &bad).unwrap();
        let evidence = convicts(Evidence::breach(&play.session, breach), dealer, Crime::BadCommitments);
        for share in [&bad.body.mask_key, &bad.body.self_mask] {
            assert!(!shows(&evidence, share));
        }
    }
}

fn of_reveal(play: &Transcript, reveal: &Signed<Reveal>, dealer: &MemberId) -> Option<Evidence> {
    let receipt = play.by(&play.receipts, &reveal.signer);
    let breach = Breach::of_reveal(reveal, receipt, dealer, &play.commitments[dealer]).unwrap();
    Evidence::breach(&play.session, breach)
}

#[test]
fn a_wrong_revealed_share_of_either_kind_is_shown_alone() {
    let play = transcript();
    let (revealer, survivor) = (play.member(), play.aggregator());
    let lost = *play.identities.keys().last().unwrap();
    let good = play.by(&play.reveals, &revealer);
    let wrong = play.dealt[&lost][4].body.clone();
    for (dealer, share) in [
        (survivor, RevealedShare::SelfMask(wrong.self_mask.clone())),
        (lost, RevealedShare::PairwiseKey(wrong.mask_key.clone())),
    ] {
        assert!(of_reveal(&play, good, &dealer).is_none());
        let bad = play.altered(good, |it| drop(it.shares.insert(dealer, share)));
        let evidence = convicts(of_reveal(&play, &bad, &dealer), revealer, Crime::BadReveal);
        for (other, share) in &bad.body.shares {
            assert_eq!(shows(&evidence, share.open().1), *other == dealer);
        }
    }
}

#[test]
fn the_wrong_kind_for_the_set_that_it_names() {
    let play = transcript();
    let good = play.by(&play.reveals, &play.member());
    let proof = |reveal: &Signed<Reveal>, survivors: &SurvivorSet| {
        let breach = Breach::RevealedKind(RevealedDigests::of_signed(reveal), survivors.clone());
        Evidence::breach(&play.session, breach)
    };
    assert!(proof(good, &play.survivors).is_none());
    let share = good.body.shares[&play.aggregator()].open().1.clone();
    let bad = play.altered(good, |it| {
        it.shares.insert(play.aggregator(), RevealedShare::PairwiseKey(share));
    });
    convicts(proof(&bad, &play.survivors), play.member(), Crime::BadReveal);
    let mut fewer = play.survivors.clone();
    fewer.vectors.pop();
    assert!(proof(good, &fewer).is_none(), "another set than the reveal names");
}

#[test]
fn rosters_that_no_honest_aggregator_signs() {
    let play = transcript();
    let (aggregator, member) = (play.aggregator(), play.member());
    assert!(Evidence::bad_roster(&play.terms, &play.roster).is_none());
    let stranger = crate::signing::Identity::from_secret(&[77; 32]);
    let strange = Signed::new(play.advertisements[0].body.clone(), &stranger).unwrap();
    let another = Transcript::of(&five(), 3).advertisements[0].clone();
    let alterations: [&dyn Fn(&mut Roster); 7] = [
        &|it| it.advertisements.truncate(3),
        &|it| it.advertisements.reverse(),
        &|it| it.advertisements[1] = it.advertisements[0].clone(),
        &|it| it.advertisements[0].body.sealing_key = [5; 32],
        &|it| it.advertisements[0] = another.clone(),
        &|it| it.advertisements[0] = strange.clone(),
        &|it| {
            let first = it.advertisements[0].body.sealing_key;
            let twice = play.altered(&it.advertisements[1], |it| it.sealing_key = first);
            it.advertisements[1] = twice;
        },
    ];
    for alter in alterations {
        let bad = play.altered(&play.roster, alter);
        convicts(Evidence::bad_roster(&play.terms, &bad), aggregator, Crime::BadRoster);
        let forged = Signed::from_parts(bad.body, aggregator, play.roster.signature());
        assert!(Evidence::bad_roster(&play.terms, &forged).is_none());
    }
    let out_of_turn = play.sign(play.roster.body.clone(), &member);
    convicts(Evidence::bad_roster(&play.terms, &out_of_turn), member, Crime::BadRoster);
}

#[test]
fn mask_sets_that_no_honest_aggregator_signs() {
    let play = transcript();
    let proof = |it: &Signed<_>| Evidence::breach(&play.session, Breach::MaskSet(it.clone()));
    assert!(proof(&play.mask_set).is_none());
    let alterations: [&dyn Fn(&mut crate::messages::share_keys::MaskSet); 3] =
        [&|it| it.dealers.truncate(3), &|it| it.dealers.reverse(), &|it| it.dealers[0].0.0 = [0; 32]];
    for alter in alterations {
        let bad = play.altered(&play.mask_set, alter);
        convicts(proof(&bad), play.aggregator(), Crime::BadMaskSet);
        assert!(proof(&Signed::from_parts(bad.body, bad.signer, play.mask_set.signature())).is_none());
    }
}

#[test]
fn proposals_that_no_honest_aggregator_signs() {
    let play = transcript();
    let proof = |it: &Signed<_>| Evidence::breach(&play.session, Breach::Proposal(it.clone()));
    assert!(proof(&play.proposal).is_none());
    let another = Transcript::of(&five(), 3).inputs[0].clone();
    let otherwise = play.altered(&play.inputs[0], |it| it.mask_set = [1; 32]);
    let alterations: [&dyn Fn(&mut Proposal); 5] = [
        &|it| statements(it).truncate(3),
        &|it| statements(it).reverse(),
        &|it| statements(it)[0].body.root = [1; 32],
        &|it| statements(it)[0] = another.clone(),
        &|it| statements(it)[0] = otherwise.clone(),
    ];
    for alter in alterations {
        let bad = play.altered(&play.proposal, alter);
        convicts(proof(&bad), play.aggregator(), Crime::BadProposal);
        assert!(proof(&Signed::from_parts(bad.body, bad.signer, play.proposal.signature())).is_none());
    }
}
