//! Rosters on which the victim is alone among the coalition.

use consort_protocol::{
    fault::FaultKind,
    mutation::{Check, Removed},
};

use crate::{
    attack::{leaks_without, victim},
    world::World,
};

/// The victim among those of the coalition that are on the roster: every rule of the protocol is kept.
fn alone(mut world: World) -> World {
    let victim = world.victim();
    let mut advertisements = world.advertisements.clone();
    advertisements.retain(|id, _| *id == victim || world.corrupt.contains_key(id));
    let survivors: Vec<_> = advertisements.keys().copied().collect();
    world.roster(advertisements.into_values().collect());
    world.mask(world.dealers());
    let statements = world.statements_of(&survivors);
    let set = world.propose(0, &statements);
    if world.honest_votes(0, &set) > 0 {
        let votes = world.votes(0, &set);
        world.certify((0, 0), &set, votes, &[victim]);
    }
    world
}

#[test]
fn with_too_few_it_is_two_against_one() {
    let attack = || alone(World::new(8));
    let too_few = |kind: &FaultKind| *kind == FaultKind::TooFew { found: 3, needed: 6 };
    {
        // no threshold fits so few
        let _out = Removed::new(&[Check::MinParticipants]);
        assert_eq!(attack().leaked(), []);
    }
    leaks_without(&[Check::MinParticipants, Check::QuorumOfAll], attack, Some(&too_few), victim);
}

#[test]
fn with_strangers_the_coalition_is_as_large_as_it_likes() {
    let attack = || {
        let mut world = World::new(8);
        world.strangers(5);
        alone(world)
    };
    let stranger = |kind: &FaultKind| matches!(kind, FaultKind::Stranger(_));
    leaks_without(&[Check::RosterMembers], attack, Some(&stranger), victim);
}
