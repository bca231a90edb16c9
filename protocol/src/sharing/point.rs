//! Points as peers send them: canonical, and where they are public keys, not of small order.

use core::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use serde::{Deserialize, Serialize};

use super::SharingError;

/// The public side of a shared secret, C₀ = secret·B: a compressed point of edwards25519 that is known
/// to be canonical and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct PublicPoint([u8; 32]);

impl PublicPoint {
    /// A public point from its encoding.
    ///
    /// # Errors
    /// [`SharingError::Point`] or [`SharingError::SmallOrder`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SharingError> {
        if decompress(&bytes)?.is_small_order() { Err(SharingError::SmallOrder) } else { Ok(Self(bytes)) }
    }

    /// The 32 compressed bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The point of an own secret, which is in range by construction.
    pub(super) fn of(point: &EdwardsPoint) -> Self {
        Self(point.compress().to_bytes())
    }

    /// # Errors
    /// None in fact: only bytes that decompress are ever wrapped.
    pub(super) fn decompress(self) -> Result<EdwardsPoint, SharingError> {
        decompress(&self.0)
    }
}

impl TryFrom<[u8; 32]> for PublicPoint {
    type Error = SharingError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, Self::Error> {
        Self::from_bytes(bytes)
    }
}

impl From<PublicPoint> for [u8; 32] {
    fn from(point: PublicPoint) -> Self {
        point.0
    }
}

impl fmt::Debug for PublicPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicPoint({}…)", hex::encode(&self.0[..4]))
    }
}

/// Decompresses a point and refuses every encoding but the one that RFC 8032 section 5.1.2 gives it.
///
/// The crate takes y ≥ p and a sign bit on x = 0 as well; two encodings of one point would let two
/// members hash different bytes for the same commitment.
pub(super) fn decompress(bytes: &[u8; 32]) -> Result<EdwardsPoint, SharingError> {
    if !is_canonical(bytes) {
        return Err(SharingError::Point);
    }
    CompressedEdwardsY(*bytes).decompress().ok_or(SharingError::Point)
}

fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let (sign, high) = (high >> 7, high & 0x7f);
    let at_least_p_minus_one = high == 0x7f && middle.iter().all(|&byte| byte == 0xff) && *low >= 0xec;
    let one = high == 0 && middle.iter().all(|&byte| byte == 0) && *low == 1;
    // x is zero exactly where y = ±1, and zero has no sign
    let minus_one = at_least_p_minus_one && *low == 0xec;
    let below_p = !at_least_p_minus_one || minus_one;
    below_p && !(sign == 1 && (one || minus_one))
}
