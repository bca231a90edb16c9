//! `unmasking`: the shares that lift the masks of exactly one certified set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    hash::Digest,
    ids::{MemberId, SessionId},
    sharing::Share,
    signing::Statement,
};

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
    const CONTEXT: &'static str = "reveal";
}
