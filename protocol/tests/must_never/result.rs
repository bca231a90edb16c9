//! No result without its certificate.

use consort_protocol::{
    codec,
    fault::FaultKind,
    io::{Input, Output, Work},
    messages::{
        Abort, Message,
        publish::{Published, Sum},
        share_keys::MaskSet,
    },
    phase::Phase,
    report::{AbortReason, Outcome},
    signing::Signed,
};

use crate::world::{World, faults, gave_up, ignored, refused, root_of, sent};

fn revealed() -> World {
    let world = World::new(8, 2).shared().masked();
    let everybody = world.everybody();
    world.voted(&everybody).revealed(&everybody)
}

fn honest(world: &World) -> Published {
    world.published(world.certificate(world.survivors(&world.everybody()), &world.everybody()))
}

fn fetches(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Fetch(_))).count()
}

fn offer(change: impl FnOnce(&World, &mut Published)) -> Vec<Output> {
    let mut world = revealed();
    let mut published = honest(&world);
    change(&world, &mut published);
    world.tell(Message::Published(Box::new(published)))
}

#[test]
fn an_honest_one_is_fetched_and_acknowledged_once_it_is_stored() {
    let mut world = revealed();
    let victim = world.victim();
    let published = honest(&world);
    let out = world.tell(Message::Published(Box::new(published)));
    assert_eq!((fetches(&out), sent(&out).len()), (1, 0));
    let stored = consort_protocol::io::Input::Done(consort_protocol::io::Work::Stored([9; 32]));
    assert!(matches!(sent(&world.input(&victim, stored))[..], [(_, Message::Acknowledge(_))]));
}

#[test]
fn anybody_may_pass_it_on() {
    let mut world = revealed();
    let (other, victim) = (world.honest_ids()[1], world.victim());
    let published = honest(&world);
    assert_eq!(fetches(&world.say(other, &victim, Message::Published(Box::new(published)))), 1);
}

#[test]
fn without_enough_votes() {
    let out = offer(|_, published| published.certificate.votes.truncate(5));
    refused(&out, FaultKind::Votes { valid: 5, needed: 6 });
    let out = offer(|_, published| published.certificate.votes.clear());
    refused(&out, FaultKind::Votes { valid: 0, needed: 6 });
}

#[test]
fn with_the_certificate_of_another_set_session_or_slot() {
    let out = offer(|world, published| {
        let smaller = world.survivors(&world.everybody()[1..]);
        published.certificate = world.certificate(smaller, &world.everybody());
    });
    refused(&out, FaultKind::Session);
    refused(&offer(|_, published| published.certificate.session.0[0] ^= 1), FaultKind::Session);
    // the sum is of whose slot it was
    let mut author = None;
    let out = offer(|world, published| {
        published.certificate.slot = 1;
        let expected = world.terms.holder(1).unwrap();
        author = Some(FaultKind::Author { signer: world.aggregator(), expected });
    });
    refused(&out, author.unwrap());
}

#[test]
fn with_a_forged_vote() {
    let out = offer(|_, published| {
        published.certificate.votes.truncate(6);
        published.certificate.votes[0].1 = published.certificate.votes[1].1;
    });
    refused(&out, FaultKind::Votes { valid: 5, needed: 6 });
}

fn resigned(change: impl FnOnce(&mut Sum)) -> Vec<Output> {
    offer(|world, published| {
        let mut sum = published.sum.body;
        change(&mut sum);
        published.sum = world.decree(sum);
    })
}

#[test]
fn of_another_session_or_set() {
    refused(&resigned(|sum| sum.session.0[0] ^= 1), FaultKind::Session);
    refused(&resigned(|sum| sum.survivors[0] ^= 1), FaultKind::Session);
}

#[test]
fn signed_by_somebody_else_or_not_at_all() {
    let out = offer(|world, published| published.sum.body.root = [1 ^ world.honest.len() as u8; 32]);
    refused(&out, FaultKind::Signature);
    let mut author = None;
    let out = offer(|world, published| {
        let other = world.victim();
        author = Some(FaultKind::Author { signer: other, expected: world.aggregator() });
        published.sum = world.sign(published.sum.body, &other);
    });
    refused(&out, author.unwrap());
}

/// Whoever holds the vectors can add up only with the secrets that its author has.
#[test]
fn without_the_secrets_that_lift_the_masks_or_with_others() {
    refused(&offer(|_, published| published.opening = None), FaultKind::Opening);
    let shortened = |published: &mut Published| {
        let opening = codec::encode(&published.opening).unwrap();
        let mut secrets: Option<Vec<[u8; 32]>> = codec::decode(&opening).unwrap();
        secrets.as_mut().unwrap().pop();
        published.opening = codec::decode(&codec::encode(&secrets).unwrap()).unwrap();
    };
    refused(&offer(|_, published| shortened(published)), FaultKind::Opening);
    let exchanged = |published: &mut Published| {
        let opening = codec::encode(&published.opening).unwrap();
        let mut secrets: Option<Vec<[u8; 32]>> = codec::decode(&opening).unwrap();
        secrets.as_mut().unwrap().swap(0, 1);
        published.opening = codec::decode(&codec::encode(&secrets).unwrap()).unwrap();
    };
    refused(&offer(|_, published| exchanged(published)), FaultKind::Opening);
    // who only passes it on may have forgotten them
    let mut world = revealed();
    let (other, victim) = (world.honest_ids()[1], world.victim());
    let published = honest(&world).without_opening();
    assert_eq!(fetches(&world.say(other, &victim, Message::Published(Box::new(published)))), 1);
}

/// Who holds all vectors, and has been asked for none of them.
fn stands_by(world: &mut World, but: usize) {
    let victim = world.victim();
    for id in world.everybody().into_iter().filter(|id| *id != victim).skip(but) {
        assert_eq!(world.input(&victim, Input::Done(Work::Held(id, root_of(&id)))).len(), 0);
    }
}

fn audits(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Audit(..))).count()
}

/// The vector that made it one that can add up came after the result, and who passed that on has no secrets.
#[test]
fn whoever_can_add_up_waits_for_the_secrets() {
    let mut world = revealed();
    let (other, victim) = (world.honest_ids()[1], world.victim());
    let published = honest(&world);
    stands_by(&mut world, 1);
    let copy = published.without_opening();
    assert_eq!(fetches(&world.say(other, &victim, Message::Published(Box::new(copy.clone())))), 1);
    stands_by(&mut world, 0);
    assert_eq!(world.input(&victim, Input::Done(Work::Stored([9; 32]))).len(), 0);
    ignored(&world.say(other, &victim, Message::Published(Box::new(copy))));
    let out = world.tell(Message::Published(Box::new(published.clone())));
    assert_eq!((fetches(&out), audits(&out)), (0, 1));
    ignored(&world.tell(Message::Published(Box::new(published))));
    let out = world.input(&victim, Input::Done(Work::Audited([9; 32])));
    assert!(matches!(sent(&out)[..], [(_, Message::Acknowledge(_))]));
}

/// It may be a lie of the aggregator or of a member: another aggregator may know better.
#[test]
fn a_sum_that_cannot_be_read_is_left_to_the_next_aggregator() {
    let unreadable = || Input::Done(Work::Unreadable([9; 32], "element 3 is out of range".into()));
    let mut world = revealed();
    let victim = world.victim();
    let published = honest(&world);
    world.tell(Message::Published(Box::new(published.clone())));
    let out = world.input(&victim, unreadable());
    assert_eq!(gave_up(&out).timeout.body.slot, 0);
    assert!(!out.iter().any(|output| matches!(output, Output::Finished(_))));
    ignored(&world.tell(Message::Published(Box::new(published.clone()))));
    // whose sum was none has no other one: it could keep everybody waiting for a next one for ever
    let mut other = published.clone();
    other.sum = world.decree(Sum { root: [8; 32], ..published.sum.body });
    ignored(&world.tell(Message::Published(Box::new(other))));
    // whoever can adds up, and knows whose lie it is
    let mut world = revealed();
    let published = honest(&world);
    stands_by(&mut world, 0);
    world.tell(Message::Published(Box::new(published)));
    assert_eq!(audits(&world.input(&victim, unreadable())), 1);
    let out = world.input(&victim, Input::Done(Work::Audited([9; 32])));
    let [Output::Finished(Outcome::Aborted(AbortReason::Inconsistent { detail, .. }))] = &out[..] else {
        panic!("it ends")
    };
    assert!(detail.contains("a member's input") && detail.contains("element 3"), "{detail}");
}

/// Its certificate is all that a result needs: whoever has missed what led to it, even the mask set, takes it.
/// Before the roster there is nothing to check it against.
#[test]
fn whoever_has_missed_the_rest_takes_it() {
    let published = honest(&revealed());
    let mut unbound = World::new(8, 2);
    ignored(&unbound.tell(Message::Published(Box::new(published.clone()))));
    for mut world in [World::new(8, 2).shared(), World::new(8, 2).shared().masked()] {
        let out = world.tell(Message::Published(Box::new(published.clone())));
        assert_eq!((faults(&out).len(), fetches(&out), sent(&out).len()), (0, 1, 0));
    }
}

/// The mask set that comes with it is checked like any other.
#[test]
fn with_another_mask_set() {
    let restated = |change: &dyn Fn(&mut MaskSet)| {
        offer(|world, published| {
            let mut body = published.mask_set.body.clone();
            change(&mut body);
            published.mask_set = world.decree(body);
        })
    };
    refused(&restated(&|body| body.session.0[0] ^= 1), FaultKind::Session);
    refused(&restated(&|body| body.dealers.swap(0, 1)), FaultKind::Order);
    refused(&restated(&|body| body.dealers.truncate(5)), FaultKind::TooFew { found: 5, needed: 6 });
    // its author has signed it, too, but the masks that were lifted are those of another one
    refused(&restated(&|body| body.dealers.truncate(7)), FaultKind::MaskSet);
    let out = offer(|_, published| published.mask_set.body.dealers[0].1 = [1; 32]);
    refused(&out, FaultKind::Signature);
}

#[test]
fn an_abort_counts_from_the_aggregator_and_for_this_contract_only() {
    let mut world = World::new(8, 2).shared();
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let reason = AbortReason::AggregatorLost { phase: Phase::ShareKeys };
    let body = Abort { contract: *world.terms.digest(), slot: 0, phase: Phase::ShareKeys, reason };

    let by_other = world.sign(body.clone(), &other);
    let author = FaultKind::Author { signer: other, expected: aggregator };
    let out = world.say(other, &victim, Message::Abort(Box::new(by_other.clone())));
    assert_eq!(out.len(), 1, "somebody else ends the slot");
    refused(&out, author.clone());
    for elsewhere in [Abort { contract: [1; 32], ..body.clone() }, Abort { slot: 1, ..body.clone() }] {
        let elsewhere = world.decree(elsewhere);
        refused(&world.tell(Message::Abort(Box::new(elsewhere))), FaultKind::Session);
    }
    // one that tells lies about its own end has no further use
    let wrong = world.signature(world.mask_set_like(), &aggregator);
    let forged = Signed::from_parts(body.clone(), aggregator, wrong);
    for (lie, kind) in [(by_other, author), (forged, FaultKind::Signature)] {
        let mut world = World::new(8, 2).shared();
        refused(&world.tell(Message::Abort(Box::new(lie))), kind);
    }

    let real = world.decree(body);
    let shown = gave_up(&world.tell(Message::Abort(Box::new(real.clone()))));
    assert_eq!((shown.timeout.body.slot, shown.timeout.body.vote), (0, None));
    ignored(&world.tell(Message::Abort(Box::new(real))));
}
