//! From all that a coalition holds, it rebuilds what it can: never both secrets of an honest member.

use std::collections::BTreeMap;

use consort_protocol::{
    ids::MemberId,
    manifest::quorum,
    messages::{
        Message,
        consistency_check::{Certificate, Value, Vote},
        unmasking::RevealedShare,
    },
    sharing::{Commitments, Lagrange, PublicPoint, Share, ShareIndex},
};

use crate::world::{World, sent};

/// Which secrets of a member a coalition can rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    self_mask: bool,
    mask_key: bool,
}

#[derive(Default)]
struct Loot {
    self_mask: BTreeMap<ShareIndex, Share>,
    mask_key: BTreeMap<ShareIndex, Share>,
}

fn rebuilds(
    world: &World,
    shares: &BTreeMap<ShareIndex, Share>,
    commitments: &Commitments,
    advertised: &PublicPoint,
) -> bool {
    let threshold = world.session().threshold();
    let verifier = commitments.verifier(threshold, advertised).unwrap();
    let (indices, values): (Vec<_>, Vec<_>) = shares.iter().take(threshold.get()).unzip();
    let Ok(lagrange) = Lagrange::new(&indices.into_iter().copied().collect::<Vec<_>>()) else { return false };
    lagrange.combine(&values).unwrap().check(&verifier).is_ok()
}

impl Loot {
    fn known(&self, world: &World, of: &MemberId) -> Known {
        let participant = world.session().participant(of).unwrap();
        let commitments = &world.commitments[of];
        Known {
            self_mask: rebuilds(world, &self.self_mask, &commitments.self_mask, &participant.self_mask),
            mask_key: rebuilds(world, &self.mask_key, &commitments.mask_key, &participant.mask_key.point()),
        }
    }
}

/// The coalition proposes the set with the target to some and the set without it to the others, votes for
/// both itself, and shows every certificate that comes of it to everybody.
fn split_view(members: usize, coalition: usize, with_target: u32, target_first: bool) -> Known {
    let mut world = World::new(members, coalition).shared().masked();
    let aggregator = world.aggregator();
    let target = *world.honest.keys().last().unwrap();
    let sets = [world.everybody(), world.without(&[target])];
    let mut votes: [BTreeMap<MemberId, _>; 2] = Default::default();

    for (bit, id) in world.honest_ids().into_iter().enumerate() {
        let side = usize::from(with_target >> bit & 1 == 0);
        let mut sides = [side, 1 - side];
        sides.sort_by_key(|&offered| (offered != side, offered));
        for offered in sides {
            let proposal = world.decree(world.proposal_body(&sets[offered]));
            let out = world.say(aggregator, &id, Message::Proposal(Box::new(proposal)));
            for (_, message) in sent(&out) {
                let Message::Vote(vote) = message else { panic!("it votes") };
                assert_eq!(offered, side, "a second vote in the slot");
                votes[offered].insert(id, vote.signature());
            }
        }
    }
    let mut certificates = Vec::new();
    for (set, mut votes) in sets.iter().zip(votes) {
        let (session, slot, survivors) = (world.session().id(), 0, world.survivors(set));
        let vote = Vote { session, slot, value: Value::Survivors(survivors.digest()) };
        votes.extend(world.puppets.keys().map(|id| (*id, world.signature(&vote, id))));
        certificates.push(Certificate { session, slot, survivors, votes: votes.into_iter().collect() });
    }

    let session = world.session().clone();
    let mut loot = Loot::default();
    for (id, puppet) in &world.puppets {
        let index = session.share_index(id).unwrap();
        loot.self_mask.insert(index, puppet.held[&target].self_mask.clone());
        loot.mask_key.insert(index, puppet.held[&target].mask_key.clone());
    }
    for (bit, id) in world.honest_ids().into_iter().enumerate() {
        let first = usize::from((with_target >> bit & 1 == 1) != target_first);
        for which in [first, 1 - first] {
            let certificate = Box::new(certificates[which].clone());
            for (_, message) in sent(&world.say(aggregator, &id, Message::Certificate(certificate))) {
                let reveal = match message {
                    Message::Reveal(reveal) => reveal,
                    // it gives the liar's slot up
                    Message::TimedOut(_) | Message::Timeout(_) => continue,
                    _ => panic!("it reveals"),
                };
                let index = session.share_index(&id).unwrap();
                match reveal.body.shares.get(&target) {
                    Some(RevealedShare::SelfMask(share)) => loot.self_mask.insert(index, share.clone()),
                    Some(RevealedShare::PairwiseKey(share)) => loot.mask_key.insert(index, share.clone()),
                    None => None,
                };
            }
        }
    }
    loot.known(&world, &target)
}

/// Every way to split the honest members between the two sets.
fn all_splits(members: usize, coalition: usize) -> Vec<Known> {
    let splits = 0..1u32 << (members - coalition);
    splits.flat_map(|split| [true, false].map(|first| split_view(members, coalition, split, first))).collect()
}

const BOTH: Known = Known { self_mask: true, mask_key: true };

#[test]
fn as_many_corrupt_members_as_planned_never_get_both_secrets_of_anybody() {
    for (members, coalition) in [(4, 1), (5, 1), (7, 2)] {
        let outcomes = all_splits(members, coalition);
        assert!(!outcomes.contains(&BOTH), "{coalition} of {members}");
        // the oracle has power: it gets one or the other where it should
        for known in [(true, false), (false, true)] {
            let known = Known { self_mask: known.0, mask_key: known.1 };
            assert!(outcomes.contains(&known), "{known:?} of {members}");
        }
        // and none where the votes can be split so that neither set is certified
        let (honest, threshold) = (members - coalition, quorum(members, coalition));
        let splits = |with: usize| with.max(honest - with) + coalition < threshold;
        let none = Known { self_mask: false, mask_key: false };
        assert_eq!(outcomes.contains(&none), (0..=honest).any(splits), "{members}");
    }
}

/// One more than planned is one too many, and the oracle sees it.
#[test]
fn one_corrupt_member_more_gets_both() {
    for (members, coalition) in [(4, 2), (7, 3)] {
        assert!(all_splits(members, coalition).contains(&BOTH), "{coalition} of {members}");
    }
}
