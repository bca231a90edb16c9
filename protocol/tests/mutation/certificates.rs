//! Certificates of three sets: without one agreed set, every member answers for the set that it is shown.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    messages::consistency_check::{SurvivorSet, Value, Vote},
    mutation::Check,
    signing::{Signature, sign_body},
};

use crate::{
    attack::leaks_without,
    split::{Split, left},
    world::World,
};

type Votes = Vec<(MemberId, Signature)>;

/// Each group is shown a certificate of its own set, which nobody but the coalition has heard of.
fn shown(prepare: impl Fn(&mut World), votes: impl Fn(&World, &Vote) -> Votes) -> World {
    let mut world = World::new(7).shared();
    let mut dealers = world.dealers();
    dealers.retain(|(id, _)| world.session().position(id).is_some());
    world.mask(dealers);
    let split = Split::of(&world);
    prepare(&mut world);
    for (set, group) in split.sets.iter().zip(&split.groups) {
        let set = SurvivorSet::of(&world.statements_of(set));
        let value = Value::Survivors(set.digest());
        let cast = votes(&world, &Vote { session: world.session().id(), slot: 0, value });
        world.certify((0, 0), &set, cast, group);
    }
    world
}

fn signature(world: &World, vote: &Vote, by: &MemberId) -> Signature {
    sign_body(vote, world.identity(by)).unwrap()
}

fn of_coalition(world: &World, vote: &Vote) -> Votes {
    world.corrupt_ids().iter().map(|id| (*id, signature(world, vote, id))).collect()
}

#[test]
fn with_votes_of_the_coalition_alone() {
    let attack = || shown(|_| {}, of_coalition);
    let votes = |kind: &FaultKind| *kind == FaultKind::Votes { valid: 2, needed: 5 };
    leaks_without(&[Check::EnoughVotes], attack, Some(&votes), left);
}

#[test]
fn with_votes_that_nobody_signed() {
    let forged = |world: &World, vote: &Vote| {
        let any = signature(world, vote, &world.aggregator());
        world.session().participants().iter().map(|it| (it.id, any)).collect()
    };
    let votes = |kind: &FaultKind| *kind == FaultKind::Votes { valid: 1, needed: 5 };
    leaks_without(&[Check::VoteSignature], || shown(|_| {}, forged), Some(&votes), left);
}

#[test]
fn with_one_vote_many_times() {
    let repeated = |world: &World, vote: &Vote| {
        let aggregator = world.aggregator();
        vec![(aggregator, signature(world, vote, &aggregator)); 5]
    };
    let order = |kind: &FaultKind| *kind == FaultKind::Order;
    leaks_without(&[Check::VotersDistinct], || shown(|_| {}, repeated), Some(&order), left);
}

#[test]
fn with_votes_of_strangers() {
    let attack = || {
        shown(
            |world| {
                world.strangers(5);
            },
            of_coalition,
        )
    };
    let stranger = |kind: &FaultKind| matches!(kind, FaultKind::Stranger(_));
    leaks_without(&[Check::VotersInMaskSet], attack, Some(&stranger), left);
}

/// All three sets are proposed in one slot, and certified by whoever votes for them.
#[test]
fn with_votes_of_members_that_vote_again() {
    let attack = || {
        let mut world = World::new(7).shared().masked();
        let split = Split::of(&world);
        let sets = split.sets.each_ref().map(|set| {
            let statements = world.statements_of(set);
            world.propose(0, &statements)
        });
        for (set, group) in sets.iter().zip(&split.groups) {
            let votes = world.votes(0, set);
            world.certify((0, 0), set, votes, group);
        }
        world
    };
    leaks_without(&[Check::OneVote], attack, Some(&|kind| *kind == FaultKind::Equivocation), left);
}
