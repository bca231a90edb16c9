//! A member sends its vector for one mask set only: one that it is in and whose dealers' shares it holds.

use consort_protocol::{
    fault::FaultKind,
    io::Output,
    messages::{Message, masked_input::MaskedInput, share_keys::MaskSet},
    phase::Phase,
    signing::Signed,
};

use crate::world::{World, faults, ignored, refused, root_of, sent, stranger};

fn offer(change: impl FnOnce(&World, &mut MaskSet)) -> Vec<Output> {
    let mut world = World::new(8, 2).shared();
    let mut body = world.mask_set_body();
    change(&world, &mut body);
    let mask_set = world.decree(body);
    world.tell(Message::MaskSet(Box::new(mask_set)))
}

fn uploads(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Upload(..))).count()
}

#[test]
fn an_honest_one_is_accepted() {
    let out = offer(|_, _| {});
    assert_eq!((faults(&out).len(), uploads(&out)), (0, 1));
}

#[test]
fn the_least_that_is_accepted() {
    let out = offer(|world, body| {
        let gone = &world.honest_ids()[4..];
        body.dealers.retain(|(dealer, _)| !gone.contains(dealer));
        assert_eq!(body.dealers.len(), 6);
    });
    assert_eq!((faults(&out).len(), uploads(&out)), (0, 1));
}

#[test]
fn below_the_minimum() {
    let out = offer(|world, body| {
        let gone = &world.honest_ids()[3..];
        body.dealers.retain(|(dealer, _)| !gone.contains(dealer));
    });
    refused(&out, FaultKind::TooFew { found: 5, needed: 6 });
}

#[test]
fn with_dealers_whose_shares_i_do_not_hold() {
    for (changed, refuses) in [(2, false), (3, true)] {
        let out = offer(|world, body| {
            let others = &world.honest_ids()[1..=changed];
            for (dealer, commitments) in &mut body.dealers {
                if others.contains(dealer) {
                    commitments[0] ^= 1;
                }
            }
        });
        if refuses {
            refused(&out, FaultKind::Unconfirmed { found: 5, needed: 6 });
        } else {
            assert_eq!((faults(&out).len(), uploads(&out)), (0, 1));
        }
    }
}

#[test]
fn before_anybody_has_dealt_to_me() {
    let ready = World::new(8, 2).shared();
    let mut world = World::new(8, 2);
    let (victim, roster) = (world.victim(), world.decree(world.roster_body()));
    world.tell(Message::Roster(Box::new(roster)));
    let out = world.at(world.terms.deadline(Phase::ShareKeys));
    let [(_, Message::Receipt(receipt, _))] = &sent(&out)[..] else { panic!("it reports what it has") };
    let [mine] = receipt.body.confirmed[..] else { panic!("nobody has dealt to it") };
    assert_eq!((mine.0, receipt.body.session), (victim, ready.session().id()));

    let mut body = ready.mask_set_body();
    *body.dealers.iter_mut().find(|(dealer, _)| *dealer == victim).unwrap() = mine;
    let mask_set = world.decree(body);
    let out = world.tell(Message::MaskSet(Box::new(mask_set)));
    refused(&out, FaultKind::Unconfirmed { found: 1, needed: 6 });
}

#[test]
fn with_other_commitments_of_mine() {
    let out = offer(|world, body| {
        let mine = body.dealers.iter_mut().find(|(dealer, _)| *dealer == world.victim()).unwrap();
        mine.1[0] ^= 1;
    });
    refused(&out, FaultKind::Altered);
}

#[test]
fn with_a_stranger() {
    let id = stranger().id();
    let out = offer(|_, body| {
        body.dealers.push((id, [1; 32]));
        body.dealers.sort();
    });
    refused(&out, FaultKind::Stranger(id));
}

/// A member of the consortium, but not of this roster.
#[test]
fn with_somebody_who_is_not_on_the_roster() {
    let mut world = World::new(8, 2);
    let gone = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    world.advertisements.remove(&gone);
    world.puppets.remove(&gone);
    let mut world = world.shared();
    let mut body = world.mask_set_body();
    body.dealers.push((gone, [1; 32]));
    body.dealers.sort();
    let mask_set = world.decree(body);
    refused(&world.tell(Message::MaskSet(Box::new(mask_set))), FaultKind::Stranger(gone));
}

#[test]
fn with_a_dealer_twice_or_out_of_order() {
    refused(&offer(|_, body| body.dealers.insert(0, body.dealers[0])), FaultKind::Order);
    refused(&offer(|_, body| body.dealers.swap(0, 1)), FaultKind::Order);
}

#[test]
fn of_another_session() {
    refused(&offer(|_, body| body.session.0[0] ^= 1), FaultKind::Session);
}

#[test]
fn from_somebody_who_is_not_the_aggregator() {
    let mut world = World::new(8, 2).shared();
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let mask_set = world.sign(world.mask_set_body(), &other);
    let author = FaultKind::Author { signer: other, expected: aggregator };
    refused(&world.say(other, &victim, Message::MaskSet(Box::new(mask_set.clone()))), author.clone());
    refused(&world.tell(Message::MaskSet(Box::new(mask_set))), author);
}

#[test]
fn with_a_forged_signature() {
    let mut world = World::new(8, 2).shared();
    let wrong = world.signature(world.mask_set_like(), &world.aggregator());
    let mask_set = Signed::from_parts(world.mask_set_body(), world.aggregator(), wrong);
    refused(&world.tell(Message::MaskSet(Box::new(mask_set))), FaultKind::Signature);
}

#[test]
fn a_second_one_gets_no_second_vector() {
    let mut world = World::new(8, 2).shared().masked();
    let first = world.decree(world.mask_set_body());
    ignored(&world.tell(Message::MaskSet(Box::new(first))));
    let mut body = world.mask_set_body();
    body.dealers.pop();
    let second = world.decree(body);
    refused(&world.tell(Message::MaskSet(Box::new(second))), FaultKind::Equivocation);
}

/// Who is left out sends no vector, votes for nothing and reveals nothing, whatever follows.
#[test]
fn without_me() {
    let mut world = World::new(8, 2).shared();
    let victim = world.victim();
    let mut body = world.mask_set_body();
    body.dealers.retain(|(dealer, _)| *dealer != victim);
    let mask_set = world.decree(body);
    ignored(&world.tell(Message::MaskSet(Box::new(mask_set.clone()))));

    let (session, mask_set_digest) = (world.session().id(), mask_set.digest());
    for (id, _) in &mask_set.body.dealers {
        let body = MaskedInput { session, mask_set: mask_set_digest, root: root_of(id) };
        world.statements.insert(*id, world.sign(body, id));
    }
    world.mask_set = Some(mask_set);
    let survivors = world.everybody();
    let proposal = world.decree(world.proposal_body(&survivors));
    refused(&world.tell(Message::Proposal(Box::new(proposal))), FaultKind::Unexpected);
    let certificate = world.certificate(world.survivors(&survivors), &survivors);
    ignored(&world.tell(Message::Certificate(Box::new(certificate.clone()))));
    // but the result is for it, too
    let published = world.published(certificate);
    let (other, victim) = (world.honest_ids()[1], world.victim());
    let out = world.say(other, &victim, Message::Published(Box::new(published)));
    assert!(sent(&out).is_empty() && out.iter().any(|output| matches!(output, Output::Fetch(_))));
}
