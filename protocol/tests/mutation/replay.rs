//! Certificates of earlier rounds: each member is shown that of a round which it missed.

use std::collections::{BTreeMap, BTreeSet};

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    messages::{Message, consistency_check::Certificate},
    mutation::Check,
};

use crate::{attack::leaks_without, world::World};

const MEMBERS: usize = 10;

/// Which two members besides a viewer missed the round whose certificate it is shown, by positions among the
/// honest ones: the first four are missing for four viewers each at least, which with three of the coalition are
/// a threshold of 7. The last three are missing for nobody but themselves.
const MISSED_WITH: [[usize; 2]; 7] = [[1, 2], [2, 3], [3, 0], [0, 1], [0, 1], [2, 3], [0, 1]];

/// A round of the past that these members missed, and its certificate.
fn certified(coalition: &[MemberId], round: u64, missed: &BTreeSet<MemberId>) -> Option<Certificate> {
    let mut world = World::of(MEMBERS, round, coalition)?.shared().masked();
    let survivors: Vec<_> = world.statements.keys().filter(|id| !missed.contains(id)).copied().collect();
    let set = world.propose(0, &world.statements_of(&survivors));
    let votes = world.votes(0, &set);
    Some(Certificate { session: world.session().id(), slot: 0, survivors: set, votes })
}

fn attack() -> World {
    let mut world = World::new(MEMBERS).shared().masked();
    let (honest, coalition) = (world.honest_ids(), world.corrupt_ids());
    let mut rounds = 10..;
    let mut shown = BTreeMap::new();
    for (viewer, with) in honest.iter().zip(MISSED_WITH) {
        let missed: BTreeSet<_> = with.iter().map(|at| honest[*at]).chain([*viewer]).collect();
        let certificate = rounds.find_map(|round| certified(&coalition, round, &missed));
        shown.insert(*viewer, certificate.unwrap());
    }
    for (viewer, certificate) in shown {
        world.say(0, &viewer, Message::Certificate(Box::new(certificate)));
    }
    world
}

#[test]
fn of_rounds_that_each_member_missed() {
    let left = |world: &World| world.honest_ids().into_iter().skip(4).collect();
    let session = |kind: &FaultKind| *kind == FaultKind::Session;
    // the mask set that it names is of that session, too
    let both = [Check::CertificateSession, Check::CertifiedMaskSet];
    leaks_without(&both, attack, Some(&session), left);
}
