//! Reconstruction: Lagrange coefficients at zero once for a set of members, then one sum for each secret.

use curve25519_dalek::{EdwardsPoint, Scalar};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::mutation::{Check, checked};

use super::{
    PublicPoint, RecoveredMaskKey, SelfMaskSecret, Share, ShareIndex, SharingError, Verifier,
    commitments::same_up_to_torsion,
};

/// Coefficients at zero for the polynomial through the shares of a set of members. They depend on the
/// set alone, so one computation serves all secrets that the same members reveal.
pub struct Lagrange {
    pub(super) coefficients: Vec<Scalar>,
}

impl Lagrange {
    /// The coefficients λᵢ = Πⱼ≠ᵢ xⱼ / (xⱼ − xᵢ) for these indices. As many as the threshold are enough.
    ///
    /// # Errors
    /// [`SharingError::Indices`] where there are none or one repeats.
    pub fn new(indices: &[ShareIndex]) -> Result<Self, SharingError> {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        if sorted.is_empty() || sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(SharingError::Indices);
        }
        let points: Vec<_> = indices.iter().map(|index| Scalar::from(index.get())).collect();
        let all: Scalar = points.iter().product();
        // λᵢ = Πxⱼ / (xᵢ · Πⱼ≠ᵢ (xⱼ − xᵢ)): one product for all numerators, one inversion for all denominators
        let mut coefficients: Vec<_> = points
            .iter()
            .map(|own| {
                points
                    .iter()
                    .filter(|other| *other != own)
                    .fold(*own, |product, other| product * (other - own))
            })
            .collect();
        Scalar::invert_batch_alloc(&mut coefficients);
        for coefficient in &mut coefficients {
            *coefficient *= all;
        }
        Ok(Self { coefficients })
    }

    /// Interpolates one secret from the shares of these members, in the order of the indices.
    ///
    /// # Errors
    /// [`SharingError::ShareCount`]. Too few shares or bad ones show only in [`UncheckedSecret::check`].
    pub fn combine(&self, shares: &[&Share]) -> Result<UncheckedSecret, SharingError> {
        if shares.len() != self.coefficients.len() {
            return Err(SharingError::ShareCount { found: shares.len(), expected: self.coefficients.len() });
        }
        let mut sum = UncheckedSecret(Scalar::ZERO);
        for (coefficient, share) in self.coefficients.iter().zip(shares) {
            sum.0 += coefficient * share.0;
        }
        Ok(sum)
    }
}

/// What shares interpolate to, or what somebody says they do, which need not be the secret. Good for nothing
/// until it is checked. It erases itself on drop and does not print. Encoded as 32 canonical little-endian bytes;
/// others are refused when decoded.
#[derive(Clone, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct UncheckedSecret(pub(super) Scalar);

impl UncheckedSecret {
    /// Compares with the point that the dealer advertised.
    ///
    /// # Errors
    /// [`SharingError::WrongSecret`].
    pub fn check_point(&self, advertised: &PublicPoint) -> Result<RecoveredSecret, SharingError> {
        let same = same_up_to_torsion(&EdwardsPoint::mul_base(&self.0), &advertised.decompress()?);
        let right = same || !checked(Check::ReconstructedSecret);
        if right { Ok(RecoveredSecret(self.0)) } else { Err(SharingError::WrongSecret) }
    }

    /// Compares with the commitment C₀ of the dealer.
    ///
    /// A success also clears every share that went into it: checking shares one by one is needed only
    /// to name who sent a bad one ([`Verifier::find_bad`]).
    ///
    /// # Errors
    /// [`SharingError::WrongSecret`].
    pub fn check(self, dealer: &Verifier) -> Result<RecoveredSecret, SharingError> {
        let right = dealer.commits_to(&self.0) || !checked(Check::ReconstructedSecret);
        if right { Ok(RecoveredSecret(self.0)) } else { Err(SharingError::WrongSecret) }
    }
}

impl PartialEq for UncheckedSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for UncheckedSecret {}

impl TryFrom<[u8; 32]> for UncheckedSecret {
    type Error = SharingError;

    fn try_from(mut bytes: [u8; 32]) -> Result<Self, Self::Error> {
        let secret = Option::from(Scalar::from_canonical_bytes(bytes)).map(Self).ok_or(SharingError::Scalar);
        bytes.zeroize();
        secret
    }
}

impl From<UncheckedSecret> for [u8; 32] {
    fn from(secret: UncheckedSecret) -> Self {
        secret.0.to_bytes()
    }
}

/// The secret that a dealer committed to, rebuilt from shares.
#[derive(ZeroizeOnDrop)]
pub struct RecoveredSecret(Scalar);

impl RecoveredSecret {
    /// The secret as it is shown to others, who check it themselves.
    #[must_use]
    pub fn to_unchecked(&self) -> UncheckedSecret {
        UncheckedSecret(self.0)
    }

    /// The secret as the mask key of its dealer.
    #[must_use]
    pub fn into_mask_key(self) -> RecoveredMaskKey {
        RecoveredMaskKey::new(&self.0)
    }

    /// The secret as the self mask of its dealer.
    #[must_use]
    pub fn into_self_mask(self) -> SelfMaskSecret {
        SelfMaskSecret(self.0)
    }
}
