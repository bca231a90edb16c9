//! Who aggregates: an order that every node computes alone (docs/protocol.md, section 3).
//!
//! The eligible members take their first turns in a pseudo-random permutation, one permutation for each
//! cycle of as many rounds as there are eligible members. It depends on the members' ids, the epoch and
//! the cycle, so no message is needed to agree on it, nobody can grind it, and each member is first
//! exactly once a cycle. It is public, which is harmless: privacy never depends on who aggregates.

use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::{
    hash::digest,
    ids::MemberId,
    manifest::{MAX_MEMBERS, Manifest, ManifestBody},
};

/// How often each member's turn may come in one round before the round is given up.
const TURNS_PER_MEMBER: usize = 3;

/// No attempt has more slots, whoever may aggregate.
pub const MAX_SLOTS: usize = MAX_MEMBERS * TURNS_PER_MEMBER;

/// The aggregators of a round in the order in which they stand in for each other: slot 0 first.
#[must_use]
pub fn order(manifest: &Manifest, round: u64) -> Vec<MemberId> {
    order_of(manifest.body(), round)
}

/// The same for what is not signed yet, to be shown to people.
#[must_use]
pub fn order_of(body: &ManifestBody, round: u64) -> Vec<MemberId> {
    let mut eligible: Vec<MemberId> =
        body.members.iter().filter(|member| member.may_aggregate).map(|member| member.id).collect();
    let turns = eligible.len().max(1) as u64;
    let (cycle, turn) = (round / turns, round % turns);
    shuffle(&mut eligible, body.epoch, cycle);
    eligible.rotate_left(turn as usize);
    eligible
}

/// Whose turn a slot of a round is; `None` beyond the slots in which every eligible member had its turns.
#[must_use]
pub fn holder(manifest: &Manifest, round: u64, slot: u32) -> Option<MemberId> {
    holder_in(&order(manifest, round), slot)
}

/// Whose turn a slot is in the order of its round.
pub(crate) fn holder_in(order: &[MemberId], slot: u32) -> Option<MemberId> {
    let slot = slot as usize;
    if slot >= order.len() * TURNS_PER_MEMBER {
        return None;
    }
    order.get(slot.checked_rem(order.len())?).copied()
}

/// Fisher–Yates over the ids in ascending order.
fn shuffle(ids: &mut [MemberId], epoch: u64, cycle: u64) {
    let listed: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
    let seed = digest("aggregator order", &[&epoch.to_le_bytes(), &cycle.to_le_bytes(), &listed]);
    let mut rng = ChaCha20Rng::from_seed(seed);
    for last in (1..ids.len()).rev() {
        ids.swap(last, below(&mut rng, last as u64 + 1) as usize);
    }
}

/// Uniform below `bound` by rejection.
fn below(rng: &mut ChaCha20Rng, bound: u64) -> u64 {
    let limit = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < limit {
            return draw % bound;
        }
    }
}
