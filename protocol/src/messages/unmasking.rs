//! `unmasking`: the shares that lift the masks of exactly one certified set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    codec::CodecError,
    hash::Digest,
    ids::{MemberId, SessionId},
    sharing::Share,
    signing::{Signed, Statement},
};

use super::share_keys::SecretKind;

/// What is revealed of one member: one or the other, never both.
///
/// Its self mask and its pairwise masks together hide a member's input; who learns a threshold of shares
/// of both secrets reads the input. Revealing both is therefore not a check that could be forgotten but a
/// value that does not exist: a [`Reveal`] maps each member to *one* of these.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevealedShare {
    /// Of a survivor: the share of its self-mask secret.
    SelfMask(Share),
    /// Of a member of the mask set that did not survive: the share of its mask key.
    PairwiseKey(Share),
}

/// A member's shares of every member of the mask set, against a certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The session.
    pub session: SessionId,
    /// Digest of the certified survivor set.
    pub survivors: Digest,
    /// One share for each dealer that this member holds shares of.
    pub shares: BTreeMap<MemberId, RevealedShare>,
}

impl Statement for Reveal {
    const CONTEXT: &'static str = RevealedDigests::CONTEXT;

    fn signed_digest(&self) -> Result<Digest, CodecError> {
        RevealedDigests::of(self).signed_digest()
    }
}

impl RevealedShare {
    /// The share, and of which secret it is.
    #[must_use]
    pub fn open(&self) -> (SecretKind, &Share) {
        match self {
            Self::SelfMask(share) => (SecretKind::SelfMask, share),
            Self::PairwiseKey(share) => (SecretKind::MaskKey, share),
        }
    }
}

/// A [`Reveal`] with digests in place of the shares: what is signed. It can be shown to anybody: whoever
/// disputes a share opens that one alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealedDigests {
    /// The session.
    pub session: SessionId,
    /// Digest of the certified survivor set.
    pub survivors: Digest,
    /// Kind and digest of each dealer's share.
    pub shares: BTreeMap<MemberId, (SecretKind, Digest)>,
}

impl Statement for RevealedDigests {
    const CONTEXT: &'static str = "reveal";
}

impl RevealedDigests {
    /// What is signed of a reveal.
    #[must_use]
    pub fn of(reveal: &Reveal) -> Self {
        let Reveal { session, survivors, shares } = reveal;
        let named = |(dealer, revealed): (&MemberId, &RevealedShare)| {
            let (kind, share) = revealed.open();
            (*dealer, (kind, share.digest()))
        };
        Self { session: *session, survivors: *survivors, shares: shares.iter().map(named).collect() }
    }

    /// The same statement of the same member, without the shares.
    #[must_use]
    pub fn of_signed(reveal: &Signed<Reveal>) -> Signed<Self> {
        Signed::from_parts(Self::of(&reveal.body), reveal.signer, reveal.signature())
    }
}
