//! Survivor sets in which the victim is the only honest member.

use consort_protocol::{fault::FaultKind, ids::MemberId, mutation::Check};

use crate::{
    attack::{leaks_without, victim},
    world::World,
};

/// These survivors are proposed to everybody, certified with every vote that there is, and all are asked.
fn survive(mut world: World, survivors: &[MemberId]) -> World {
    let statements = world.statements_of(survivors);
    let set = world.propose(0, &statements);
    let votes = world.votes(0, &set);
    world.certify((0, 0), &set, votes, &world.honest_ids());
    world
}

fn victim_and_coalition(world: &World) -> Vec<MemberId> {
    let mut survivors = world.corrupt_ids();
    survivors.push(world.victim());
    survivors.sort();
    survivors
}

#[test]
fn below_the_minimum_one_is_enough() {
    let attack = || {
        let world = World::new(8).shared().masked();
        let survivors = victim_and_coalition(&world);
        survive(world, &survivors)
    };
    let too_few = |kind: &FaultKind| *kind == FaultKind::TooFew { found: 3, needed: 6 };
    leaks_without(&[Check::MinSurvivors], attack, Some(&too_few), victim);
}

#[test]
fn listed_twice_one_counts_for_many() {
    let attack = || {
        let world = World::new(8).shared().masked();
        let mut survivors = victim_and_coalition(&world);
        survivors.extend([world.victim(); 3]);
        survivors.sort();
        survive(world, &survivors)
    };
    leaks_without(&[Check::SurvivorsDistinct], attack, Some(&|kind| *kind == FaultKind::Order), victim);
}

#[test]
fn from_outside_of_the_mask_set_anybody_counts() {
    let attack = || {
        let mut world = World::new(8).shared();
        world.strangers(3);
        // statements of strangers, for a mask set without them
        let mut dealers = world.dealers();
        dealers.retain(|(id, _)| world.session().position(id).is_some());
        world.mask(dealers);
        let survivors = victim_and_coalition(&world);
        survive(world, &survivors)
    };
    let stranger = |kind: &FaultKind| matches!(kind, FaultKind::Stranger(_));
    leaks_without(&[Check::SurvivorsInMaskSet], attack, Some(&stranger), victim);
}
