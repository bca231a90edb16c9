//! The secret behind a member's self mask.

use curve25519_dalek::{EdwardsPoint, Scalar};
use rand_core::CryptoRng;
use zeroize::ZeroizeOnDrop;

use super::{PublicPoint, feldman::sealed::Secret};

/// The secret b of a self mask: a random scalar. It erases itself on drop and does not print.
#[derive(ZeroizeOnDrop)]
pub struct SelfMaskSecret(pub(super) Scalar);

impl SelfMaskSecret {
    /// A fresh secret, used in one session only.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Scalar::random(rng))
    }

    /// b·B, advertised before the shares are dealt.
    #[must_use]
    pub fn public_point(&self) -> PublicPoint {
        PublicPoint::of(&EdwardsPoint::mul_base(&self.0))
    }

    /// The 32 canonical bytes of b, which seed the mask.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The same secret once more, for an observer who knows what a corrupt node knows.
    #[cfg(feature = "sim")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0)
    }

    #[cfg(test)]
    pub(crate) fn from_canonical(bytes: [u8; 32]) -> Self {
        Self(Option::from(Scalar::from_canonical_bytes(bytes)).unwrap())
    }
}

impl Secret for SelfMaskSecret {
    fn scalar(&self) -> Scalar {
        self.0
    }
}
