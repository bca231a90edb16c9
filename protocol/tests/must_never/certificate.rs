//! A member reveals once, against enough votes for one set, and then one share of each dealer.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::{Certificate, Value},
        unmasking::RevealedShare,
    },
};

use crate::world::{World, faults, ignored, refused, sent, stranger};

fn voted() -> World {
    let world = World::new(8, 2).shared().masked();
    let everybody = world.everybody();
    world.voted(&everybody)
}

fn honest_certificate(world: &World) -> Certificate {
    world.certificate(world.survivors(&world.everybody()), &world.everybody())
}

fn offer(change: impl FnOnce(&World, &mut Certificate)) -> Vec<Output> {
    let mut world = voted();
    let mut certificate = honest_certificate(&world);
    change(&world, &mut certificate);
    world.tell(Message::Certificate(Box::new(certificate)))
}

#[test]
fn enough_votes_are_enough() {
    let out = offer(|_, certificate| certificate.votes.truncate(6));
    assert_eq!(faults(&out), []);
    let at = |wanted: &dyn Fn(&Output) -> bool| out.iter().position(wanted).unwrap();
    let journalled = at(&|output| matches!(output, Output::Journal(JournalEntry::Revealed(..))));
    let revealed =
        at(&|output| matches!(output, Output::Send(_, message) if matches!(**message, Message::Reveal(_))));
    assert!(journalled < revealed);
    assert_eq!(sent(&out).len(), 1);
}

#[test]
fn one_vote_too_few() {
    let out = offer(|_, certificate| certificate.votes.truncate(5));
    refused(&out, FaultKind::Votes { valid: 5, needed: 6 });
    refused(&offer(|_, certificate| certificate.votes.clear()), FaultKind::Votes { valid: 0, needed: 6 });
}

#[test]
fn with_a_voter_twice() {
    let out = offer(|_, certificate| {
        certificate.votes.truncate(5);
        certificate.votes.insert(0, certificate.votes[0]);
    });
    refused(&out, FaultKind::Order);
}

#[test]
fn with_forged_votes() {
    let out = offer(|_, certificate| {
        certificate.votes.truncate(6);
        certificate.votes[1].1 = certificate.votes[0].1;
    });
    refused(&out, FaultKind::Votes { valid: 5, needed: 6 });
}

#[test]
fn with_votes_of_another_slot_session_or_set() {
    for change in 0..3 {
        let out = offer(|world, certificate| {
            let mut vote = world.votes[&world.victim()].body;
            match change {
                0 => vote.slot = 1,
                1 => vote.session.0[0] ^= 1,
                _ => vote.value = Value::Survivors([1; 32]),
            }
            certificate.votes.truncate(6);
            let (voter, signature) = &mut certificate.votes[2];
            *signature = world.signature(&vote, voter);
        });
        refused(&out, FaultKind::Votes { valid: 5, needed: 6 });
    }
}

#[test]
fn of_another_slot_or_session() {
    // votes of another slot do not add up to anything in this one
    let out = offer(|_, certificate| certificate.slot = 1);
    refused(&out, FaultKind::Votes { valid: 0, needed: 6 });
    refused(&offer(|_, certificate| certificate.session.0[0] ^= 1), FaultKind::Session);
}

#[test]
fn with_votes_of_strangers() {
    let id = stranger().id();
    let out = offer(|world, certificate| {
        let vote = world.votes[&world.victim()].body;
        let signature = consort_protocol::signing::sign_body(&vote, &stranger()).unwrap();
        certificate.votes.truncate(5);
        certificate.votes.push((id, signature));
        certificate.votes.sort_by_key(|(voter, _)| *voter);
    });
    refused(&out, FaultKind::Stranger(id));
}

/// Members of the roster whose shares were not dealt have no vote.
#[test]
fn with_a_vote_from_outside_of_the_mask_set() {
    let mut world = World::new(8, 2).shared();
    let outside = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    world.commitments.remove(&outside);
    let world = world.masked();
    let survivors = world.without(&[outside]);
    let mut world = world.voted(&survivors);
    let certificate = world.certificate(world.survivors(&survivors), &world.everybody());
    refused(&world.tell(Message::Certificate(Box::new(certificate))), FaultKind::Stranger(outside));
}

/// Its author may have signed another mask set, too: what was voted for under that one is not what I masked for.
#[test]
fn for_vectors_that_were_masked_for_another_mask_set() {
    let mut world = voted();
    let mut survivors = world.survivors(&world.everybody());
    survivors.mask_set[0] ^= 1;
    let certificate = world.certificate(survivors, &world.everybody());
    let out = world.tell(Message::Certificate(Box::new(certificate)));
    refused(&out, FaultKind::MaskSet);
    // who passes it on may not know better, and a certificate for mine may still come
    assert!(!out.iter().any(|output| matches!(output, Output::SlotOver { .. })));
}

#[test]
fn with_me_under_another_root() {
    let mut world = voted();
    let mut survivors = world.survivors(&world.everybody());
    let victim = world.victim();
    survivors.vectors.iter_mut().find(|(id, _)| *id == victim).unwrap().1 = [1; 32];
    let certificate = world.certificate(survivors, &world.everybody());
    refused(&world.tell(Message::Certificate(Box::new(certificate))), FaultKind::Altered);
}

#[test]
fn for_too_few_survivors() {
    let mut world = voted();
    let five = world.everybody()[..5].to_vec();
    let certificate = world.certificate(world.survivors(&five), &world.everybody());
    let out = world.tell(Message::Certificate(Box::new(certificate)));
    refused(&out, FaultKind::TooFew { found: 5, needed: 6 });
}

#[test]
fn for_survivors_outside_of_the_mask_set_or_out_of_order() {
    let id = stranger().id();
    let mut world = voted();
    let mut survivors = world.survivors(&world.everybody());
    survivors.vectors.push((id, [1; 32]));
    survivors.vectors.sort();
    let certificate = world.certificate(survivors, &world.everybody());
    refused(&world.tell(Message::Certificate(Box::new(certificate))), FaultKind::Stranger(id));

    let mut world = voted();
    let mut survivors = world.survivors(&world.everybody());
    survivors.vectors.swap(0, 1);
    let certificate = world.certificate(survivors, &world.everybody());
    refused(&world.tell(Message::Certificate(Box::new(certificate))), FaultKind::Order);
}

/// The votes of the others are enough: whoever was away while they were cast, or has given the slot up, still
/// helps to open what is certified.
#[test]
fn whoever_has_not_voted_reveals_as_well() {
    let mut world = World::new(8, 2).shared().masked();
    let victim = world.victim();
    let certificate = world.certificate(world.survivors(&world.everybody()), &world.without(&[victim]));
    let out = world.tell(Message::Certificate(Box::new(certificate)));
    assert_eq!(faults(&out), []);
    assert!(matches!(sent(&out)[..], [(_, Message::Reveal(_))]));
}

/// A certificate in which I have a root says nothing to a member that has signed none.
#[test]
fn before_i_have_sent_anything() {
    let ready = World::new(8, 2).shared().masked();
    let certificate = honest_certificate(&ready);
    let mut world = World::new(8, 2).shared();
    ignored(&world.tell(Message::Certificate(Box::new(certificate.clone()))));
    let mask_set = world.decree(world.mask_set_body());
    world.tell(Message::MaskSet(Box::new(mask_set)));
    refused(&world.tell(Message::Certificate(Box::new(certificate))), FaultKind::Altered);
}

#[test]
fn from_somebody_who_is_not_the_aggregator() {
    let mut world = voted();
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let certificate = honest_certificate(&world);
    let out = world.say(other, &victim, Message::Certificate(Box::new(certificate)));
    refused(&out, FaultKind::Author { signer: other, expected: aggregator });
}

/// With every key in the aggregator's hands there are certificates of two sets; a member follows one.
#[test]
fn a_second_one_reveals_nothing() {
    let mut world = voted();
    let first = honest_certificate(&world);
    let revealed = sent(&world.tell(Message::Certificate(Box::new(first.clone()))));
    let [(_, Message::Reveal(reveal))] = &revealed[..] else { panic!("it reveals once") };
    let smaller = world.everybody()[1..].to_vec();
    let second = world.certificate(world.survivors(&smaller), &world.everybody());
    refused(&world.tell(Message::Certificate(Box::new(second))), FaultKind::Equivocation);
    // the first one again, from whoever goes on with it, gets the same shares again
    let again = sent(&world.tell(Message::Certificate(Box::new(first))));
    let [(_, Message::Reveal(repeated))] = &again[..] else { panic!("it reveals again") };
    assert!(repeated == reveal, "it reveals something else");
}

/// Of each survivor the share of its self mask, of each other dealer the share of its mask key, of nobody
/// else anything: share by share against what the dealers dealt.
#[test]
fn what_is_revealed() {
    let world = World::new(8, 2).shared();
    let outside = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    let mut world = world;
    world.commitments.remove(&outside);
    let world = world.masked();
    let lost = *world.honest.keys().last().unwrap();
    let survivors = world.without(&[outside, lost]);
    let world = world.voted(&survivors).revealed(&survivors);
    let session = world.session();

    assert_eq!(world.reveals.len(), 6, "who did not survive reveals as well");
    for (id, reveal) in &world.reveals {
        assert_eq!((reveal.body.session, reveal.signer), (session.id(), *id));
        assert_eq!(reveal.body.survivors, world.survivors(&survivors).digest());
        let dealers: Vec<MemberId> = reveal.body.shares.keys().copied().collect();
        assert_eq!(dealers, world.without(&[outside]));
        let index = session.share_index(id).unwrap();
        for (dealer, share) in &reveal.body.shares {
            let participant = session.participant(dealer).unwrap();
            let commitments = &world.commitments[dealer];
            let threshold = session.threshold();
            match share {
                RevealedShare::SelfMask(share) => {
                    assert!(survivors.contains(dealer));
                    let verifier = commitments.self_mask.verifier(threshold, &participant.self_mask).unwrap();
                    verifier.verify(index, share).unwrap();
                }
                RevealedShare::PairwiseKey(share) => {
                    assert_eq!(*dealer, lost);
                    let advertised = participant.mask_key.point();
                    let verifier = commitments.mask_key.verifier(threshold, &advertised).unwrap();
                    verifier.verify(index, share).unwrap();
                }
            }
        }
    }
}
