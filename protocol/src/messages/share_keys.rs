//! `share-keys`: sealed shares to neighbours, receipts to the aggregator, and the mask set.

use serde::{Deserialize, Serialize};

use crate::{
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    sharing::{Commitments, Share},
    signing::Statement,
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
    const CONTEXT: &'static str = "shares";
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
    pub ciphertext: Vec<u8>,
}

/// Whose shares a member has verified and holds, with the digest of the commitments it verified them
/// against, in ascending order of the dealers; itself included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The session.
    pub session: SessionId,
    /// Dealers and the digests of their commitments.
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
    pub dealers: Vec<(MemberId, Digest)>,
}

impl Statement for MaskSet {
    const CONTEXT: &'static str = "mask set";
}
