//! Plain sums out of masked vectors: the oracle takes off every mask that it knows.

use std::collections::BTreeSet;

use crate::{
    bulk::ChunkSum,
    encoding::Aggregate,
    ids::{MemberId, SessionId},
    masking::{MaskPlan, MaskSeed, Sign, pairwise_mask_seed, self_mask_seed},
};

use super::{
    super::bulk::{Chunks, decode},
    Loot, Oracle,
};

/// A sum of honest inputs that a coalition has computed by itself.
pub struct Extracted {
    /// From which session.
    pub session: SessionId,
    /// Whose inputs are in it.
    pub members: BTreeSet<MemberId>,
    /// Their plain sum.
    pub sum: Aggregate,
}

impl Oracle {
    /// A masked vector is known to the coalition: packed chunks, in order.
    pub fn vector(&mut self, session: SessionId, owner: MemberId, chunks: &[Vec<u8>]) {
        if self.corrupt.is_empty() || self.corrupt.contains(&owner) {
            return;
        }
        if let Some(loot) = self.loot.get_mut(&session) {
            loot.chunks.entry(owner).or_insert_with(|| chunks.to_vec());
        }
    }

    /// Every minimal sum that the coalition can compute, computed.
    #[must_use]
    pub fn extracted(&self) -> Vec<Extracted> {
        let of_session = |(session, loot): (&SessionId, &Loot)| {
            let sets = loot.minimal_sets(&self.corrupt);
            let sums = sets.into_iter().filter_map(|members| {
                let sum = self.open(loot, &members)?;
                Some(Extracted { session: *session, members, sum })
            });
            sums.collect::<Vec<_>>()
        };
        self.loot.iter().flat_map(of_session).collect()
    }

    /// `None` where a vector of the set is not known, or the sum is none that honest members can have.
    fn open(&self, loot: &Loot, members: &BTreeSet<MemberId>) -> Option<Aggregate> {
        let masks = members.iter().map(|id| self.masks(loot, members, id)).collect::<Option<Vec<_>>>()?;
        let plan = MaskPlan::new(masks.into_iter().flatten().collect());
        let mut chunks = Chunks::new();
        for chunk in loot.session.terms().layout().chunks() {
            let mut sum = ChunkSum::new(chunk);
            for id in members {
                sum.add(loot.chunks.get(id)?.get(chunk.index as usize)?).ok()?;
            }
            chunks.push(sum.unmask(&plan).ok()?);
        }
        decode(loot.session.terms(), &chunks, members.len())
    }

    /// The masks on one vector that do not cancel within the set, with the signs that take them off.
    fn masks(&self, loot: &Loot, set: &BTreeSet<MemberId>, of: &MemberId) -> Option<Vec<(Sign, MaskSeed)>> {
        let session = &loot.session;
        let own = self_mask_seed(loot.self_masks.get(of)?, &session.id());
        let mut masks = vec![(Sign::Subtract, own)];
        let mine = session.participant(of)?;
        for id in loot.partners(of)?.iter().filter(|id| *id != of) {
            let Some(other) = session.participant(id) else { continue };
            if set.contains(id) && loot.partners(id).is_some_and(|partners| partners.contains(of)) {
                continue;
            }
            let spied = self.spied.get(id).into_iter().flatten().find(|it| it.belongs_to(session, id));
            let shared = match (loot.mask_keys.get(of), loot.mask_keys.get(id), spied) {
                (Some(key), _, _) => key.diffie_hellman(&other.mask_key),
                (_, Some(key), _) => key.diffie_hellman(&mine.mask_key),
                (_, _, Some(spied)) => spied.mask_key.diffie_hellman(&mine.mask_key),
                _ => None,
            }?;
            let seed =
                pairwise_mask_seed(&shared, &session.id(), (*of, &mine.mask_key), (*id, &other.mask_key));
            masks.push((Sign::for_pair(of, id).inverse(), seed));
        }
        Some(masks)
    }
}
