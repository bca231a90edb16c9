//! A member takes no roster but a whole, fresh and only one that lists it as it is.

use consort_protocol::{
    fault::FaultKind,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
    },
    roster::{SeenKeys, Session},
    sharing::MaskKey,
    signing::Signed,
};

use crate::world::{World, faults, ignored, random, refused, sent, sign, stranger, terms};

/// The aggregator sends a roster of its own making.
fn offer(change: impl FnOnce(&World, &mut Roster)) -> Vec<consort_protocol::io::Output> {
    let mut world = World::new(8, 2);
    let mut roster = world.roster_body();
    change(&world, &mut roster);
    let roster = world.decree(roster);
    world.tell(Message::Roster(Box::new(roster)))
}

fn entry(world: &World, roster: &Roster, id: consort_protocol::ids::MemberId) -> usize {
    let at = roster.advertisements.iter().position(|advertisement| advertisement.signer == id);
    at.unwrap_or_else(|| panic!("{id} of {} is on the roster", world.consortium.manifest.name()))
}

#[test]
fn an_honest_roster_is_accepted() {
    let out = offer(|_, _| {});
    assert_eq!(faults(&out), []);
    assert_eq!(sent(&out).len(), 7, "shares for everybody else");
}

#[test]
fn without_me() {
    let out = offer(|world, roster| {
        let mine = entry(world, roster, world.victim());
        roster.advertisements.remove(mine);
    });
    refused(&out, FaultKind::Altered);
}

#[test]
fn with_another_advertisement_that_i_signed_myself() {
    let out = offer(|world, roster| {
        let mine = entry(world, roster, world.victim());
        let mut body = roster.advertisements[mine].body.clone();
        body.mask_key = MaskKey::generate(&mut random()).public();
        roster.advertisements[mine] = world.sign(body, &world.victim());
    });
    refused(&out, FaultKind::Altered);
}

#[test]
fn with_my_keys_changed() {
    let out = offer(|world, roster| {
        let mine = entry(world, roster, world.victim());
        roster.advertisements[mine].body.sealing_key = [9; 32];
    });
    refused(&out, FaultKind::Signature);
}

#[test]
fn with_the_keys_of_somebody_else_changed() {
    let out = offer(|world, roster| {
        let other = entry(world, roster, *world.honest.keys().last().unwrap());
        roster.advertisements[other].body.mask_key = MaskKey::generate(&mut random()).public();
    });
    refused(&out, FaultKind::Signature);
}

#[test]
fn with_a_stranger() {
    let id = stranger().id();
    let out = offer(|world, roster| {
        let puppet = crate::puppet::Puppet::new(stranger().into(), &mut random());
        roster.advertisements.push(sign(puppet.advertisement(world.terms.digest()), &puppet.identity));
        roster.advertisements.sort_by_key(|advertisement| advertisement.signer);
    });
    refused(&out, FaultKind::Stranger(id));
}

#[test]
fn with_a_member_twice() {
    let out = offer(|_, roster| roster.advertisements.insert(1, roster.advertisements[0].clone()));
    refused(&out, FaultKind::Order);
}

#[test]
fn out_of_order() {
    let out = offer(|_, roster| roster.advertisements.swap(2, 3));
    refused(&out, FaultKind::Order);
}

#[test]
fn with_too_few() {
    let out = offer(|world, roster| {
        // c is 2 of 8, so two halves cannot both complete a round from 6 on
        let mut others = world.honest_ids().into_iter().skip(1);
        roster.advertisements.retain(|advertisement| advertisement.signer == world.victim());
        roster.advertisements.extend(others.by_ref().take(4).map(|id| world.advertisements[&id].clone()));
    });
    refused(&out, FaultKind::TooFew { found: 5, needed: 6 });
}

#[test]
fn of_another_contract() {
    let out = offer(|world, roster| roster.contract = *terms(&world.consortium, 3, 1, 4).digest());
    refused(&out, FaultKind::Session);
}

#[test]
fn with_an_advertisement_for_another_contract() {
    let out = offer(|world, roster| {
        let other = *terms(&world.consortium, 3, 1, 4).digest();
        for id in world.puppet_ids() {
            let body = world.puppets[&id].advertisement(&other);
            let at = entry(world, roster, id);
            roster.advertisements[at] = world.sign(body, &id);
        }
    });
    refused(&out, FaultKind::Session);
}

/// Replaces the advertisement of a puppet that does not aggregate by one with other keys.
fn with_keys(change: impl FnOnce(&World, &mut Advertisement)) -> Vec<consort_protocol::io::Output> {
    offer(|world, roster| {
        let puppet = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
        let at = entry(world, roster, puppet);
        let mut body = roster.advertisements[at].body.clone();
        change(world, &mut body);
        roster.advertisements[at] = world.sign(body, &puppet);
    })
}

#[test]
fn with_a_key_of_somebody_else() {
    let out = with_keys(|world, body| {
        body.self_mask = world.advertisements[&world.victim()].body.self_mask;
    });
    refused(&out, FaultKind::Key);
}

#[test]
fn with_one_key_for_two_purposes() {
    let out = with_keys(|_, body| body.sealing_key = body.mask_key.to_bytes());
    refused(&out, FaultKind::Key);
}

#[test]
fn with_a_sealing_key_of_small_order() {
    for key in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let out = with_keys(|_, body| body.sealing_key = key);
        refused(&out, FaultKind::Key);
    }
}

#[test]
fn with_a_key_of_an_earlier_session() {
    let before = World::new(8, 2);
    let puppet = before.advertisements[before.puppets.keys().next().unwrap()].body.clone();
    for key in [puppet.mask_key.to_bytes(), puppet.self_mask.to_bytes(), puppet.sealing_key] {
        let mut seen = SeenKeys::default();
        seen.extend([key]);
        let mut world = World::with(8, 2, 4, seen);
        let roster = world.decree(world.roster_body());
        let out = world.tell(Message::Roster(Box::new(roster)));
        refused(&out, FaultKind::Key);
    }
}

#[test]
fn from_somebody_who_is_not_the_aggregator() {
    let mut world = World::new(8, 2);
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let roster = world.sign(world.roster_body(), &other);
    let author = FaultKind::Author { signer: other, expected: aggregator };
    refused(&world.say(other, &victim, Message::Roster(Box::new(roster.clone()))), author.clone());
    refused(&world.tell(Message::Roster(Box::new(roster))), author);
}

#[test]
fn with_a_forged_signature() {
    let mut world = World::new(8, 2);
    let body = world.roster_body();
    let wrong = world.signature(world.mask_set_like(), &world.aggregator());
    let roster = Signed::from_parts(body, world.aggregator(), wrong);
    refused(&world.tell(Message::Roster(Box::new(roster))), FaultKind::Signature);
}

#[test]
fn a_second_one_for_the_same_attempt() {
    let mut world = World::new(8, 2).shared();
    let first = world.decree(world.roster_body());
    ignored(&world.tell(Message::Roster(Box::new(first))));
    let mut smaller = world.roster_body();
    let gone = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    smaller.advertisements.retain(|advertisement| advertisement.signer != gone);
    let second = world.decree(smaller);
    refused(&world.tell(Message::Roster(Box::new(second))), FaultKind::Equivocation);
    // the first one holds
    world.masked();
}

#[test]
fn two_rosters_are_two_sessions() {
    let world = World::new(8, 2);
    let id = |roster: Roster| {
        Session::new(world.terms.clone(), &world.decree(roster), &SeenKeys::default()).unwrap().id()
    };
    let mut smaller = world.roster_body();
    smaller.advertisements.pop();
    assert_ne!(id(world.roster_body()), id(smaller));
}
