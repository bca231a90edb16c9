//! One member's share of one secret.

use curve25519_dalek::Scalar;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SharingError;
use crate::hash;

/// A share: the value of the dealer's polynomial at the holder's [`ShareIndex`](super::ShareIndex).
///
/// It erases itself on drop, does not print, and compares in constant time. Encoded as 32 canonical
/// little-endian bytes; others are refused when decoded.
#[derive(Clone, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct Share(pub(super) Scalar);

impl Share {
    /// A share from its canonical encoding.
    ///
    /// # Errors
    /// [`SharingError::Scalar`] where the integer is not below the group order ℓ.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SharingError> {
        Option::from(Scalar::from_canonical_bytes(bytes)).map(Self).ok_or(SharingError::Scalar)
    }

    /// The canonical encoding. The caller erases it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Names the share without saying anything of it, as long as fewer than the threshold are known.
    #[must_use]
    pub fn digest(&self) -> hash::Digest {
        hash::digest("share", &[self.0.as_bytes()])
    }
}

impl ConstantTimeEq for Share {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Share {}

impl TryFrom<[u8; 32]> for Share {
    type Error = SharingError;

    fn try_from(mut bytes: [u8; 32]) -> Result<Self, Self::Error> {
        let share = Self::from_bytes(bytes);
        bytes.zeroize();
        share
    }
}

impl From<Share> for [u8; 32] {
    fn from(share: Share) -> Self {
        share.to_bytes()
    }
}
