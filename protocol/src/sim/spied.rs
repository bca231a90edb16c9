//! What a corrupt node knows and does not say: the secrets of its own in one attempt.

use std::sync::Arc;

use crate::{
    codec,
    ids::MemberId,
    member::sealing::{Envelope, SealingKey},
    messages::share_keys::{DealtCommitments, DealtShares, SealedShares},
    roster::Session,
    sharing::{MaskKey, SelfMaskSecret, Share, deal},
    signing::{Identity, Signed},
};

/// Secrets of a corrupt node in one attempt.
pub struct Spied {
    pub(crate) sealing: SealingKey,
    pub(crate) mask_key: MaskKey,
    pub(crate) self_mask: SelfMaskSecret,
}

/// A whole dealing, by positions of the roster.
pub(super) struct Dealt {
    pub(super) commitments: DealtCommitments,
    pub(super) shares: Vec<(Share, Share)>,
}

impl Spied {
    /// Whether these are the secrets behind what a participant advertised.
    pub(super) fn belongs_to(&self, session: &Session, id: &MemberId) -> bool {
        session.participant(id).is_some_and(|participant| participant.sealing_key == self.sealing.public())
    }

    /// Opens what was sealed for this node, or by it.
    pub(super) fn open(
        &self,
        session: &Session,
        me: &MemberId,
        sealed: &SealedShares,
    ) -> Option<Signed<DealtShares>> {
        let other = if sealed.dealer == *me { sealed.receiver } else { sealed.dealer };
        let peer = session.participant(&other)?;
        let plaintext = self.sealing.open(&peer.sealing_key, envelope(sealed), &sealed.ciphertext)?;
        codec::decode(&plaintext).ok()
    }

    /// Seals what this node deals.
    pub(super) fn seal(
        &self,
        session: &Session,
        identity: &Identity,
        shares: DealtShares,
    ) -> Option<SealedShares> {
        let (receiver, dealer) = (shares.receiver, identity.id());
        let peer = session.participant(&receiver)?;
        let signed = Signed::new(shares, identity).ok()?;
        let mut sealed = SealedShares { session: session.id(), dealer, receiver, ciphertext: Vec::new() };
        sealed.ciphertext =
            self.sealing.seal(&peer.sealing_key, envelope(&sealed), &codec::encode(&signed).ok()?)?;
        Some(sealed)
    }

    /// Deals the same secrets under new polynomials.
    pub(super) fn deal(&self, session: &Arc<Session>, rng: &mut impl rand_core::CryptoRng) -> Option<Dealt> {
        let (threshold, members) = (session.threshold(), session.participants().len());
        let mask_key = deal(&self.mask_key, threshold, members, rng).ok()?;
        let self_mask = deal(&self.self_mask, threshold, members, rng).ok()?;
        let commitments =
            DealtCommitments { mask_key: mask_key.commitments, self_mask: self_mask.commitments };
        Some(Dealt { commitments, shares: mask_key.shares.into_iter().zip(self_mask.shares).collect() })
    }
}

const fn envelope(sealed: &SealedShares) -> Envelope {
    Envelope { session: sealed.session, dealer: sealed.dealer, receiver: sealed.receiver }
}
