//! A set that may be certified must not die with its aggregator: nobody votes before enough others have signed
//! that they hold all its vectors, and nobody signs that who does not.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    io::{Input, Output, Work},
    messages::{
        Message,
        consistency_check::Proposed,
        failover::{StandbyReceipt, StandbyRequest},
    },
    signing::Signed,
};

use crate::world::{World, faults, gave_up, ignored, refused, root_of, sent, stranger};

type Receipts = Vec<Signed<StandbyReceipt>>;

/// Proposes everybody with other receipts.
fn offer(change: impl FnOnce(&World, &mut Receipts)) -> Vec<Output> {
    let mut world = World::new(8, 2).shared().masked();
    let mut body = world.proposal_body(&world.everybody());
    let Proposed::Survivors { standbys, .. } = &mut body.value else { panic!("it is for a sum") };
    // n − t of them
    assert_eq!(standbys.len(), 2);
    change(&world, standbys);
    let proposal = world.decree(body);
    world.tell(Message::Proposal(Box::new(proposal)))
}

/// It is refused for want of receipts, and nothing is voted for: see what is shown of it.
#[track_caller]
fn too_few(out: &[Output], found: usize) {
    refused(out, FaultKind::Standbys { found, needed: 2 });
    assert_eq!(gave_up(&out[1..]).timeout.body.vote, None);
}

#[test]
fn enough_are_enough() {
    for more in [0, 1] {
        let out = offer(|world, receipts| {
            let body = receipts[0].body;
            let new = |id: &&MemberId| receipts.iter().all(|receipt| receipt.signer != **id);
            let other: Vec<MemberId> = world.honest_ids().iter().filter(new).take(more).copied().collect();
            receipts.extend(other.iter().map(|id| world.sign(body, id)));
            receipts.sort_by_key(|receipt| receipt.signer);
        });
        assert_eq!(faults(&out), []);
        assert!(matches!(sent(&out)[..], [(_, Message::Vote(_))]));
    }
}

#[test]
fn none_or_one_too_few() {
    too_few(&offer(|_, receipts| receipts.clear()), 0);
    too_few(&offer(|_, receipts| receipts.truncate(1)), 1);
}

#[test]
fn one_twice_or_out_of_order() {
    refused(&offer(|_, receipts| receipts[1] = receipts[0].clone()), FaultKind::Order);
    refused(&offer(|_, receipts| receipts.swap(0, 1)), FaultKind::Order);
}

/// Signed by this one instead of an honest standby.
fn signed_by(who: impl FnOnce(&World) -> MemberId) -> Vec<Output> {
    offer(|world, receipts| {
        let (body, id) = (receipts[0].body, who(world));
        receipts.truncate(1);
        receipts[0] = world.sign(body, &id);
        let other = world.honest_ids().into_iter().find(|it| *it != id).unwrap();
        receipts.push(world.sign(body, &other));
        receipts.sort_by_key(|receipt| receipt.signer);
    })
}

/// What it holds itself dies with it.
#[test]
fn of_the_aggregator_itself() {
    assert_eq!(faults(&signed_by(|world| world.honest_ids()[3])), []);
    too_few(&signed_by(World::aggregator), 1);
}

#[test]
fn of_a_stranger_or_nobody() {
    let out = offer(|_, receipts| {
        receipts[0] = crate::world::sign(receipts[0].body, &stranger());
        receipts.sort_by_key(|receipt| receipt.signer);
    });
    too_few(&out, 1);
    let out = offer(|world, receipts| {
        let wrong = world.signature(world.mask_set_like(), &receipts[0].signer);
        receipts[0] = Signed::from_parts(receipts[0].body, receipts[0].signer, wrong);
    });
    too_few(&out, 1);
}

/// A member of the consortium that is not on the roster takes no part, and holds nothing.
#[test]
fn of_somebody_who_is_not_on_the_roster() {
    let mut world = World::new(8, 2);
    let gone = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    world.advertisements.remove(&gone);
    world.puppets.remove(&gone);
    let mut world = world.shared().masked();
    let mut body = world.proposal_body(&world.everybody());
    let Proposed::Survivors { standbys, .. } = &mut body.value else { panic!("it is for a sum") };
    let needed = standbys.len();
    standbys[0] = world.sign(standbys[0].body, &gone);
    standbys.sort_by_key(|receipt| receipt.signer);
    let proposal = world.decree(body);
    let out = world.tell(Message::Proposal(Box::new(proposal)));
    refused(&out, FaultKind::Standbys { found: needed - 1, needed });
}

#[test]
fn for_another_session_slot_or_set() {
    let changes: [&dyn Fn(&mut StandbyReceipt); 3] =
        [&|receipt| receipt.session.0[0] ^= 1, &|receipt| receipt.slot = 1, &|receipt| {
            receipt.survivors[0] ^= 1
        }];
    for change in changes {
        let out = offer(|world, receipts| {
            let mut body = receipts[1].body;
            change(&mut body);
            receipts[1] = world.sign(body, &receipts[1].signer);
        });
        too_few(&out, 1);
    }
}

fn request(world: &World) -> StandbyRequest {
    let survivors = world.survivors(&world.everybody());
    StandbyRequest { session: world.session().id(), slot: 0, survivors }
}

fn ask(world: &mut World, request: StandbyRequest) -> Vec<Output> {
    world.tell(Message::Standby(Box::new(request)))
}

/// Asks the victim, and gives it the vectors of these members.
fn asked(holding: impl Fn(&World) -> Vec<(MemberId, [u8; 32])>) -> (World, Vec<Output>) {
    let mut world = World::new(8, 2).shared().masked();
    let victim = world.victim();
    let wanted = request(&world);
    ignored(&ask(&mut world, wanted));
    let mut out = Vec::new();
    for (member, root) in holding(&world) {
        out.extend(world.input(&victim, Input::Done(Work::Held(member, root))));
    }
    (world, out)
}

fn others(world: &World) -> Vec<(MemberId, [u8; 32])> {
    let victim = world.victim();
    world.without(&[victim]).into_iter().map(|id| (id, root_of(&id))).collect()
}

#[test]
fn it_signs_once_all_vectors_are_here() {
    let (world, out) = asked(others);
    let [(to, Message::StandbyReceipt(receipt))] = &sent(&out)[..] else { panic!("it signs once") };
    assert_eq!((out.len(), *to), (1, world.aggregator()));
    receipt.verify().unwrap();
    let StandbyRequest { session, slot, survivors } = request(&world);
    assert_eq!(receipt.body, StandbyReceipt { session, slot, survivors: survivors.digest() });
}

#[test]
fn it_signs_for_nothing_that_it_lacks_or_has_otherwise() {
    for which in 0..7 {
        let (_, out) = asked(|world| {
            let mut held = others(world);
            held.remove(which);
            held
        });
        ignored(&out);
        let (_, out) = asked(|world| {
            let mut held = others(world);
            held[which].1 = [1; 32];
            held
        });
        ignored(&out);
    }
}

/// Its own vector it does not have from others.
#[test]
fn it_signs_for_its_own_vector_under_the_root_that_it_signed() {
    let mut world = World::new(8, 2).shared().masked();
    let victim = world.victim();
    let mut wanted = request(&world);
    wanted.survivors.vectors.iter_mut().find(|(id, _)| *id == victim).unwrap().1 = [1; 32];
    ignored(&ask(&mut world, wanted));
    let mut held = others(&world);
    held.push((victim, [1; 32]));
    for (member, root) in held {
        ignored(&world.input(&victim, Input::Done(Work::Held(member, root))));
    }
}

#[test]
fn it_is_asked_by_the_slots_aggregator_for_this_session_and_slot() {
    let mut world = World::new(8, 2).shared().masked();
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let wanted = request(&world);
    for change in 0..2 {
        let mut other = wanted.clone();
        if change == 0 {
            other.slot = 1;
        } else {
            other.session.0[0] ^= 1;
        }
        refused(&ask(&mut world, other), FaultKind::Session);
    }
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let out = world.say(other, &victim, Message::Standby(Box::new(wanted)));
    refused(&out, FaultKind::Author { signer: other, expected: aggregator });
}

/// The set of standbys follows from sizes: as many as may be lost, or as the policy pays for.
#[test]
fn how_many_have_to_stand_by() {
    let world = World::new(8, 2).shared();
    let session = world.session();
    assert_eq!((session.standbys(8), session.standbys(6)), (2, 2));
    // 64 MiB are paid for; eight vectors of 4 MiB are 32
    let large = World::with(8, 2, 1 << 19, Default::default()).shared();
    assert_eq!((large.session().standbys(8), large.session().standbys(6)), (2, 2));
    let larger = World::with(8, 2, 1 << 20, Default::default()).shared();
    assert_eq!((larger.session().standbys(8), larger.session().standbys(9)), (1, 0));
}
