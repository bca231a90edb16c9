//! What dealers' revealed shares are checked against.

use std::collections::BTreeMap;

use crate::{
    hash::Digest, ids::MemberId, messages::share_keys::DealtCommitments, roster::Session, sharing::Verifier,
};

/// Of one dealer.
pub(super) struct DealerVerifiers {
    pub(super) mask_key: Verifier,
    pub(super) self_mask: Verifier,
}

/// Of all dealers whose commitments are known.
#[derive(Default)]
pub(super) struct Verifiers(BTreeMap<MemberId, (Digest, DealerVerifiers)>);

impl Verifiers {
    /// Takes commitments that match the dealer's advertised keys, and the pinned digest where there is one.
    /// Gives whether they are known now; the first ones of a dealer stay.
    pub(super) fn add(
        &mut self,
        session: &Session,
        dealer: MemberId,
        commitments: &DealtCommitments,
        pinned: Option<&Digest>,
    ) -> bool {
        let digest = commitments.digest();
        if let Some((first, _)) = self.0.get(&dealer) {
            return *first == digest;
        }
        let Some(participant) = session.participant(&dealer) else { return false };
        if pinned.is_some_and(|pinned| *pinned != digest) {
            return false;
        }
        let threshold = session.threshold();
        let mask_key = commitments.mask_key.verifier(threshold, &participant.mask_key.point());
        let self_mask = commitments.self_mask.verifier(threshold, &participant.self_mask);
        let (Ok(mask_key), Ok(self_mask)) = (mask_key, self_mask) else { return false };
        self.0.insert(dealer, (digest, DealerVerifiers { mask_key, self_mask }));
        true
    }

    pub(super) fn has(&self, dealer: &MemberId) -> bool {
        self.0.contains_key(dealer)
    }

    pub(super) fn get(&self, dealer: &MemberId) -> Option<&DealerVerifiers> {
        self.0.get(dealer).map(|(_, verifiers)| verifiers)
    }

    /// Digest of a dealer's commitments.
    pub(super) fn digest_of(&self, dealer: &MemberId) -> Option<&Digest> {
        self.0.get(dealer).map(|(digest, _)| digest)
    }

    /// Dealers with the digests of their commitments.
    pub(super) fn digests(&self) -> impl Iterator<Item = (MemberId, Digest)> + '_ {
        self.0.iter().map(|(dealer, (digest, _))| (*dealer, *digest))
    }
}
