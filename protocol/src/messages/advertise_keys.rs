//! `advertise-keys`: fresh public keys, and the roster that repeats them verbatim.

use serde::{Deserialize, Serialize};

use crate::{
    codec,
    hash::Digest,
    manifest::MAX_MEMBERS,
    sharing::{PublicMaskKey, PublicPoint},
    signing::{Signed, Statement},
};

/// The fresh public keys of one member for one attempt.
///
/// The commitments to the shares cannot be named here, because their number is the threshold, which
/// follows from the size of the roster; [`super::share_keys::Receipt`] pins them instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// Digest of the accepted contract, which names round, attempt and slot.
    pub contract: Digest,
    /// C₀ of the mask key: its Montgomery form is the X25519 public key.
    pub mask_key: PublicMaskKey,
    /// C₀ of the self-mask secret.
    pub self_mask: PublicPoint,
    /// X25519 public key to which shares for this member are sealed.
    pub sealing_key: [u8; 32],
}

impl Statement for Advertisement {
    const CONTEXT: &'static str = "advertisement";
}

/// A member stays out of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// Digest of the contract it was offered.
    pub contract: Digest,
    /// Why, in words; the aggregator neither keeps nor shows them.
    pub reason: String,
}

impl Statement for Decline {
    const CONTEXT: &'static str = "decline";
}

/// Who takes part: the advertisements verbatim, in ascending order of their signers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Digest of the contract.
    pub contract: Digest,
    /// The signed advertisements.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub advertisements: Vec<Signed<Advertisement>>,
}

impl Statement for Roster {
    const CONTEXT: &'static str = "roster";
}
