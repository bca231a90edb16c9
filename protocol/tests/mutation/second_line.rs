//! Checks that are one of several: without one alone something gets through, but no input; where others are
//! taken out as well it is shown what they hold back together.

use consort_protocol::{
    fault::FaultKind,
    messages::failover::{NewSlot, ShownNewSlot},
    messages::{Message, masked_input::MaskedInput},
    mutation::{Check, Removed},
};

use crate::{
    attack::{leaks_without, victim},
    world::World,
};

/// Nothing leaks without this one alone.
#[track_caller]
fn holds_without(checks: &[Check], attack: impl Fn() -> World) -> World {
    let _out = Removed::new(checks);
    let world = attack();
    assert_eq!(world.leaked(), [], "it leaks without {checks:?}");
    world
}

/// The victim is shown a roster on which the keys of all others are the coalition's, and deals to these keys. It
/// sends its vector only if it does not mind that nobody but the coalition has dealt to it.
#[test]
fn forged_advertisements_and_no_shares_of_others() {
    let attack = || {
        let mut world = World::new(8);
        for id in world.honest_ids().into_iter().skip(1) {
            world.impersonate(&id);
        }
        let mut world = world.shared();
        world.wait_for_shares();
        let mut dealers = world.dealers();
        let known: Vec<_> = dealers.iter().map(|(id, _)| *id).collect();
        let others = world.advertisements.keys().filter(|id| !known.contains(id));
        dealers.extend(others.map(|id| (*id, [1; 32])));
        dealers.sort();
        world.mask(dealers);
        world
    };
    let signature = |kind: &FaultKind| *kind == FaultKind::Signature;
    let both = [Check::AdvertisementSignature, Check::SharesHeld];
    leaks_without(&both, attack, Some(&signature), victim);
    let world = holds_without(&both[..1], attack);
    assert!(world.refused.contains(&FaultKind::Unconfirmed { found: 3, needed: 6 }));
    let world = holds_without(&both[1..], attack);
    assert!(world.refused.contains(&FaultKind::Signature));
}

/// My own entry cannot be changed without my signature: either check is enough.
#[test]
fn my_own_keys_changed() {
    let attack = || {
        let mut world = World::new(8);
        let victim = world.victim();
        let mut body = world.advertisements[&victim].body.clone();
        body.sealing_key = world.advertisements[&world.aggregator()].body.sealing_key;
        body.sealing_key[0] ^= 2;
        let forged = world.forge(body, victim);
        world.advertisements.insert(victim, forged);
        world.shared()
    };
    let both = [Check::AdvertisementSignature, Check::OwnAdvertisement];
    let dealt =
        |world: &World| world.honest_ids().iter().filter(|id| world.honest[id].session().is_some()).count();
    assert_eq!(dealt(&holds_without(&[], attack)), 0);
    assert_eq!(dealt(&holds_without(&both[1..], attack)), 0);
    // the others cannot know, and go on
    assert_eq!(dealt(&holds_without(&both[..1], attack)), 5);
    assert_eq!(dealt(&holds_without(&both, attack)), 6);
}

/// Members with different mask sets. A set has to lie within that of each voter, so the masks in it cancel.
#[test]
fn different_mask_sets() {
    let attack = || {
        let mut world = World::new(8).shared();
        let honest = world.honest_ids();
        let (some, others) = honest.split_at(3);
        let mut smaller = world.dealers();
        smaller.retain(|(id, _)| *id != others[2]);
        world.mask_for(world.dealers(), some);
        world.mask_for(smaller, &others[..2]);
        let survivors: Vec<_> = world.statements.keys().copied().collect();
        let set = world.propose(0, &world.statements_of(&survivors));
        let votes = world.votes(0, &set);
        world.certify((0, 0), &set, votes, &world.honest_ids());
        world
    };
    let world = holds_without(&[], attack);
    assert!(world.refused.contains(&FaultKind::Session));
    let world = holds_without(&[Check::SameMaskSet], attack);
    let set = world.survivors();
    assert_eq!(world.honest_votes(0, &set), 5, "they vote for a set of vectors that were masked differently");
}

/// A survivor that has sent nothing: what is certified cannot be summed, and nothing is learnt from trying.
#[test]
fn statements_that_nobody_signed() {
    let attack = || {
        let mut world = World::new(8).shared();
        let mut told = world.honest_ids();
        let silent = told.pop().unwrap();
        world.mask_for(world.dealers(), &told);
        let body = MaskedInput { root: [2; 32], ..world.statements[&told[0]].body.clone() };
        let forged = world.forge(body, silent);
        world.statements.insert(silent, forged);
        let set =
            world.propose(0, &world.statements_of(&world.statements.keys().copied().collect::<Vec<_>>()));
        let votes = world.votes(0, &set);
        world.certify((0, 0), &set, votes, &told);
        world
    };
    let world = holds_without(&[], attack);
    assert!(world.refused.contains(&FaultKind::Signature));
    let world = holds_without(&[Check::SurvivorSignature], attack);
    assert_eq!(world.honest_votes(0, &world.survivors()), 5);
    assert!(world.oracle.extracted().is_empty(), "the masks of the silent one are on every vector");
}

/// The victim under a root that it has not signed: its signature and its own eyes, either is enough.
#[test]
fn my_own_vector_exchanged() {
    let attack = || {
        let mut world = World::new(8).shared().masked();
        let victim = world.victim();
        let body = MaskedInput { root: [2; 32], ..world.statements[&victim].body.clone() };
        let forged = world.forge(body, victim);
        world.statements.insert(victim, forged);
        world.propose(0, &world.statements_of(&world.statements.keys().copied().collect::<Vec<_>>()));
        world
    };
    let both = [Check::SurvivorSignature, Check::OwnRoot];
    let voted = |world: &World| world.honest_votes(0, &world.survivors());
    assert_eq!(voted(&holds_without(&[], attack)), 0);
    assert_eq!(voted(&holds_without(&both[1..], attack)), 0);
    // the others cannot know; without the victim they are enough
    assert_eq!(voted(&holds_without(&both[..1], attack)), 5);
    assert_eq!(voted(&holds_without(&both, attack)), 6);
}

/// An input that changes between two uploads: the second vector gets a root of its own.
#[test]
fn two_vectors_under_the_same_masks() {
    let attack = || {
        let mut world = World::with_slots(8, &[0, 1]).shared().masked();
        let victim = world.victim();
        world.give_up(0);
        world.overwrite_input(&victim);
        let timeouts = world.timeouts.values().map(|shown| shown.timeout.clone()).collect();
        let body = NewSlot { session: world.session().id(), slot: 1, timeouts };
        let new_slot = world.sign(body, &world.terms.holder(1).unwrap());
        let shown = ShownNewSlot { new_slot, mask_set: None, history: Vec::new(), missing: Vec::new() };
        world.say(1, &victim, Message::NewSlot(Box::new(shown)));
        world
    };
    let roots = |world: &World| {
        let victim = world.victim();
        let mut of_victim: Vec<_> = world.stated.iter().filter(|it| it.signer == victim).collect();
        of_victim.iter().for_each(|it| it.verify().unwrap());
        of_victim.dedup_by_key(|it| it.body.root);
        of_victim.len()
    };
    assert_eq!(roots(&holds_without(&[], attack)), 1);
    assert_eq!(roots(&holds_without(&[Check::OneVector], attack)), 2, "its own word is against it");
}
