//! What a corrupt node knows and does not say: the secrets of its own in one attempt.

use crate::{
    codec,
    hash::Digest,
    ids::MemberId,
    member::sealing::{Envelope, SealingKey},
    messages::{
        advertise_keys::Advertisement,
        share_keys::{DealtCommitments, DealtShares, SealedShares},
    },
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
pub struct Dealt {
    /// The same for all receivers.
    pub commitments: DealtCommitments,
    /// Of the mask key and of the self mask.
    pub shares: Vec<(Share, Share)>,
}

impl Spied {
    /// Fresh ones, for a corrupt member that no honest node stands behind.
    #[must_use]
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        Self {
            sealing: SealingKey::generate(rng),
            mask_key: MaskKey::generate(rng),
            self_mask: SelfMaskSecret::generate(rng),
        }
    }

    /// The same once more.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            sealing: self.sealing.duplicate(),
            mask_key: self.mask_key.duplicate(),
            self_mask: self.self_mask.duplicate(),
        }
    }

    /// What a member with these secrets advertises under a contract.
    #[must_use]
    pub fn advertisement(&self, contract: Digest) -> Advertisement {
        Advertisement {
            contract,
            mask_key: self.mask_key.public(),
            self_mask: self.self_mask.public_point(),
            sealing_key: self.sealing.public(),
        }
    }

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

    /// Seals what this node deals; `None` for somebody who is not on the roster.
    #[must_use]
    pub fn seal(&self, session: &Session, identity: &Identity, shares: DealtShares) -> Option<SealedShares> {
        let (receiver, dealer) = (shares.receiver, identity.id());
        let peer = session.participant(&receiver)?;
        let signed = Signed::new(shares, identity).ok()?;
        let mut sealed = SealedShares { session: session.id(), dealer, receiver, ciphertext: Vec::new() };
        sealed.ciphertext =
            self.sealing.seal(&peer.sealing_key, envelope(&sealed), &codec::encode(&signed).ok()?)?;
        Some(sealed)
    }

    /// Deals the same secrets under new polynomials.
    #[must_use]
    pub fn deal(&self, session: &Session, rng: &mut impl rand_core::CryptoRng) -> Option<Dealt> {
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
