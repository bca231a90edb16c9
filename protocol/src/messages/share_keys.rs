//! `share-keys`: sealed shares to neighbours, receipts to the aggregator, and the mask set.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    manifest::MAX_MEMBERS,
    sharing::{Commitments, Share},
    signing::{Signed, Statement},
};

/// Feldman commitments to both secrets of a dealer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealtCommitments {
    /// To the mask key's scalar.
    pub mask_key: Commitments,
    /// To the self-mask secret.
    pub self_mask: Commitments,
}

impl DealtCommitments {
    /// What receipts and the mask set name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest("commitments", &[&self.mask_key.digest(), &self.self_mask.digest()])
    }

    /// The commitments to one of the secrets.
    #[must_use]
    pub fn to(&self, kind: SecretKind) -> &Commitments {
        match kind {
            SecretKind::MaskKey => &self.mask_key,
            SecretKind::SelfMask => &self.self_mask,
        }
    }
}

/// One share of each secret for one receiver, signed by the dealer so that a wrong one can be shown to
/// others. It holds secrets: it has no `Debug` and travels only inside [`SealedShares`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealtShares {
    /// The session.
    pub session: SessionId,
    /// For whom.
    pub receiver: MemberId,
    /// Commitments that the shares are checked against.
    pub commitments: DealtCommitments,
    /// Share of the mask key's scalar.
    pub mask_key: Share,
    /// Share of the self-mask secret.
    pub self_mask: Share,
}

impl Statement for DealtShares {
    const CONTEXT: &'static str = Dealing::CONTEXT;

    fn signed_digest(&self) -> Result<Digest, CodecError> {
        Dealing::of(self).signed_digest()
    }
}

/// Which of a dealer's two secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretKind {
    /// The secret of the self mask.
    SelfMask,
    /// The mask key.
    MaskKey,
}

/// [`DealtShares`] with digests in place of what they are of: what the dealer signs. It can be shown to
/// anybody: whoever disputes one of the four opens that one alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealing {
    /// The session.
    pub session: SessionId,
    /// For whom.
    pub receiver: MemberId,
    /// Of the commitments to the mask key, then to the self mask.
    pub commitments: [Digest; 2],
    /// Of the share of the mask key, then of the self mask.
    pub shares: [Digest; 2],
}

impl Statement for Dealing {
    const CONTEXT: &'static str = "shares";
}

impl Dealing {
    /// What a dealer signs for these shares.
    #[must_use]
    pub fn of(dealt: &DealtShares) -> Self {
        let DealtShares { session, receiver, commitments, mask_key, self_mask } = dealt;
        Self {
            session: *session,
            receiver: *receiver,
            commitments: [commitments.mask_key.digest(), commitments.self_mask.digest()],
            shares: [mask_key.digest(), self_mask.digest()],
        }
    }

    /// The same statement of the same dealer, without what is secret.
    #[must_use]
    pub fn of_signed(dealt: &Signed<DealtShares>) -> Signed<Self> {
        Signed::from_parts(Self::of(&dealt.body), dealt.signer, dealt.signature())
    }

    /// Digests of the commitments and of the share of one secret.
    #[must_use]
    pub fn part(&self, kind: SecretKind) -> (Digest, Digest) {
        let [mask_key, self_mask] = self.commitments;
        let [mask_key_share, self_mask_share] = self.shares;
        match kind {
            SecretKind::MaskKey => (mask_key, mask_key_share),
            SecretKind::SelfMask => (self_mask, self_mask_share),
        }
    }
}

/// `Signed<DealtShares>` under ChaCha20-Poly1305 with a key that only dealer and receiver can derive in
/// this session.
#[derive(Clone, Serialize, Deserialize)]
pub struct SealedShares {
    /// The session.
    pub session: SessionId,
    /// Who deals.
    pub dealer: MemberId,
    /// For whom.
    pub receiver: MemberId,
    /// Ciphertext with its tag.
    #[serde(deserialize_with = "codec::at_most::<{ codec::MAX_CONTROL_BYTES }, _, _>")]
    pub ciphertext: Vec<u8>,
}

/// Whose shares a member has verified and holds, with the digest of the commitments it verified them
/// against, in ascending order of the dealers; itself included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The session.
    pub session: SessionId,
    /// Dealers and the digests of their commitments.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub confirmed: Vec<(MemberId, Digest)>,
}

impl Statement for Receipt {
    const CONTEXT: &'static str = "receipt";
}

/// Whose masks enter the vectors (U2): dealers confirmed by at least a threshold of members, with the
/// digest of the commitments that they confirmed, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskSet {
    /// The session.
    pub session: SessionId,
    /// Dealers and the digests of their commitments.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub dealers: Vec<(MemberId, Digest)>,
}

impl Statement for MaskSet {
    const CONTEXT: &'static str = "mask set";
}
