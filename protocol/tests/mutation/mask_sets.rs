//! Mask sets with members that do not exist.

use consort_protocol::{fault::FaultKind, mutation::Check};

use crate::{
    attack::{leaks_without, victim},
    world::World,
};

/// Strangers in the mask set fill the survivors up to the minimum, so that all honest members but one can be
/// declared lost.
#[test]
fn with_strangers_they_survive_in_place_of_members() {
    let attack = || {
        let mut world = World::new(8).shared();
        let victim = world.victim();
        let strangers = world.strangers(3);
        let mut dealers = world.dealers();
        dealers.extend(strangers.iter().map(|id| (*id, [1; 32])));
        dealers.sort();
        world.mask(dealers);
        let mut survivors = world.corrupt_ids();
        survivors.push(victim);
        survivors.sort();
        let statements = world.statements_of(&survivors);
        let set = world.propose(0, &statements);
        let votes = world.votes(0, &set);
        world.certify((0, 0), &set, votes, &world.honest_ids());
        world
    };
    let stranger = |kind: &FaultKind| matches!(kind, FaultKind::Stranger(_));
    leaks_without(&[Check::MaskSetMembers], attack, Some(&stranger), victim);
}
