//! Pairwise mask keys: X25519 (RFC 7748) whose secret can be shared and rebuilt.

use core::fmt;

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, scalar::clamp_integer};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{PublicPoint, SharingError, feldman::sealed::Secret};

/// Bits of an integer mod ℓ.
const SCALAR_BITS: usize = 253;

/// A member's secret mask key of one session. It erases itself on drop and does not print.
#[derive(ZeroizeOnDrop)]
pub struct MaskKey(StaticSecret);

impl MaskKey {
    /// A fresh key, used in one session only.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(StaticSecret::random_from_rng(rng))
    }

    /// The public key, which is also the constant term of this key's commitments.
    #[must_use]
    pub fn public(&self) -> PublicMaskKey {
        let point = EdwardsPoint::mul_base_clamped(*self.0.as_bytes());
        PublicMaskKey { point: PublicPoint::of(&point), u: point.to_montgomery().to_bytes() }
    }

    /// The X25519 Diffie-Hellman value with a peer, or `None` where the peer contributed nothing to it.
    #[must_use]
    pub fn diffie_hellman(&self, peer: &PublicMaskKey) -> Option<DhSecret> {
        let shared = self.0.diffie_hellman(&PublicKey::from(peer.u));
        shared.was_contributory().then(|| DhSecret(shared.to_bytes()))
    }

    /// The same key once more, for an observer who knows what a corrupt node knows.
    #[cfg(feature = "sim")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }
}

impl Secret for MaskKey {
    /// The clamped integer mod ℓ. The base point has order ℓ, so the public key does not change.
    fn scalar(&self) -> Scalar {
        let clamped = Zeroizing::new(clamp_integer(*self.0.as_bytes()));
        Scalar::from_bytes_mod_order(*clamped)
    }
}

/// A public mask key: a point of edwards25519 whose Montgomery form is the X25519 public key.
///
/// Encoded as the 32 compressed bytes of the point; a key that is not canonical or of small order is
/// refused when decoded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PublicPoint", into = "PublicPoint")]
pub struct PublicMaskKey {
    point: PublicPoint,
    pub(super) u: [u8; 32],
}

impl PublicMaskKey {
    /// A public key from the compressed bytes of its point.
    ///
    /// # Errors
    /// [`SharingError::Point`] or [`SharingError::SmallOrder`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SharingError> {
        Self::try_from(PublicPoint::from_bytes(bytes)?)
    }

    /// The compressed bytes of the point: what is advertised, and what enters the seeds of masks.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.point.to_bytes()
    }

    /// The point, to check commitments against.
    #[must_use]
    pub fn point(&self) -> PublicPoint {
        self.point
    }

    /// The X25519 public key (RFC 7748), a u-coordinate.
    #[must_use]
    pub fn to_montgomery(&self) -> [u8; 32] {
        self.u
    }
}

impl TryFrom<PublicPoint> for PublicMaskKey {
    type Error = SharingError;

    fn try_from(point: PublicPoint) -> Result<Self, Self::Error> {
        Ok(Self { point, u: point.decompress()?.to_montgomery().to_bytes() })
    }
}

impl From<PublicMaskKey> for PublicPoint {
    fn from(key: PublicMaskKey) -> Self {
        key.point
    }
}

impl fmt::Debug for PublicMaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicMaskKey({}…)", hex::encode(&self.to_bytes()[..4]))
    }
}

/// A contributory Diffie-Hellman value of two members, the seed of their pairwise mask. It erases
/// itself on drop, does not print, and compares in constant time.
#[derive(ZeroizeOnDrop)]
pub struct DhSecret([u8; 32]);

impl DhSecret {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ConstantTimeEq for DhSecret {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for DhSecret {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for DhSecret {}

/// A mask key rebuilt from shares, with which the masks that its owner left behind are removed.
///
/// X25519 multiplies by the clamped integer, a multiple of 8, and only its residue s mod ℓ was shared.
/// 8·(s/8 mod ℓ) is a multiple of 8 with that residue, so it acts like the clamped integer on every
/// peer key, those with a part of small order included. Clamping s itself would give another key.
#[derive(ZeroizeOnDrop)]
pub struct RecoveredMaskKey {
    eighth: Scalar,
}

impl RecoveredMaskKey {
    pub(super) fn new(secret: &Scalar) -> Self {
        Self { eighth: secret * Scalar::from(8u8).invert() }
    }

    /// The Diffie-Hellman value that the owner and this peer agreed on, or `None` where it was not
    /// contributory.
    #[must_use]
    pub fn diffie_hellman(&self, peer: &PublicMaskKey) -> Option<DhSecret> {
        let bytes = self.eighth.as_bytes();
        let bit = |i: usize| (bytes[i / 8] >> (i % 8)) & 1 == 1;
        let bits = (0..SCALAR_BITS).rev().map(bit).chain([false; 3]);
        let shared = DhSecret(MontgomeryPoint(peer.u).mul_bits_be(bits).to_bytes());
        let contributory = !bool::from(shared.0.ct_eq(&[0; 32]));
        contributory.then_some(shared)
    }
}
