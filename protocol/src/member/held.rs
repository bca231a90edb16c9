//! The shares that a member holds of the others' secrets, and of its own.

use std::collections::BTreeMap;

use crate::{
    certificate::AcceptedMaskSet,
    hash::Digest,
    ids::MemberId,
    messages::{
        consistency_check::SurvivorSet,
        unmasking::{Reveal, RevealedShare},
    },
    sharing::Share,
    signing::Signed,
};

/// Both shares of one dealer's secrets. They erase themselves on drop.
pub(super) struct HeldShare {
    /// Of the mask key's scalar.
    pub(super) mask_key: Share,
    /// Of the self-mask secret.
    pub(super) self_mask: Share,
    /// Digest of the commitments against which both were verified.
    pub(super) commitments: Digest,
}

/// The shares before and after they were revealed: what has been said can be repeated, and nothing else
/// can be said any more.
pub(super) enum Disclosure {
    /// Nothing has been revealed.
    Held(HeldShares),
    /// This has been revealed.
    Revealed(Box<Signed<Reveal>>),
    /// They could not be revealed, and are gone.
    Nothing,
}

/// Shares by dealer. Consumed by [`HeldShares::reveal`], so no second reveal can be made from them.
#[derive(Default)]
pub(super) struct HeldShares(BTreeMap<MemberId, HeldShare>);

impl HeldShares {
    pub(super) fn insert(&mut self, dealer: MemberId, share: HeldShare) {
        self.0.entry(dealer).or_insert(share);
    }

    pub(super) fn get(&self, dealer: &MemberId) -> Option<&HeldShare> {
        self.0.get(dealer)
    }

    /// What a receipt says.
    pub(super) fn confirmed(&self) -> Vec<(MemberId, Digest)> {
        self.0.iter().map(|(dealer, share)| (*dealer, share.commitments)).collect()
    }

    /// Drops all shares but those of the mask set, under the commitments that it names.
    pub(super) fn retain(&mut self, dealers: &[(MemberId, Digest)]) {
        self.0.retain(|dealer, share| {
            dealers
                .binary_search_by_key(dealer, |(id, _)| *id)
                .ok()
                .and_then(|at| dealers.get(at))
                .is_some_and(|(_, commitments)| *commitments == share.commitments)
        });
    }

    /// Number of dealers whose shares are held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One share of each member of the mask set: of the self mask of a survivor, of the mask key of
    /// anyone else. The other share of each is erased here.
    pub(super) fn reveal(
        self,
        mask_set: &AcceptedMaskSet,
        survivors: &SurvivorSet,
    ) -> BTreeMap<MemberId, RevealedShare> {
        self.0
            .into_iter()
            .filter(|(dealer, _)| mask_set.contains(dealer))
            .map(|(dealer, held)| {
                let share = if survivors.contains(&dealer) {
                    RevealedShare::SelfMask(held.self_mask)
                } else {
                    RevealedShare::PairwiseKey(held.mask_key)
                };
                (dealer, share)
            })
            .collect()
    }
}
