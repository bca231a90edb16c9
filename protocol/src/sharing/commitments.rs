//! Commitments to a dealer's polynomial, and the check of shares against them.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    traits::{IsIdentity, VartimeMultiscalarMul as _},
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vsss_rs::elliptic_curve::Group as _;

use super::{PublicPoint, Share, ShareIndex, SharingError, Threshold, point};
use crate::{
    codec, hash,
    manifest::MAX_MEMBERS,
    mutation::{Check, checked},
};

/// Fewer shares are checked faster one by one: the weights of a batch are long, an index is short.
const BATCH_FROM: usize = 4;

/// A dealer's commitments C₀ … C₍ₜ₋₁₎ to the coefficients of its polynomial, as they travel: compressed
/// points of edwards25519 under the standard base point, which is not among them.
///
/// Decoding says nothing yet about what they are: call [`Commitments::verifier`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitments(
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")] pub(super) Vec<[u8; 32]>,
);

impl Commitments {
    pub(super) fn of(points: impl Iterator<Item = EdwardsPoint>) -> Self {
        let points: Vec<_> = points.collect();
        Self(EdwardsPoint::compress_batch_alloc(&points).iter().map(|point| point.to_bytes()).collect())
    }

    /// Hash of all commitments in order, advertised before they are sent.
    #[must_use]
    pub fn digest(&self) -> hash::Digest {
        let parts: Vec<&[u8]> = self.0.iter().map(<[u8; 32]>::as_slice).collect();
        hash::digest("commitments", &parts)
    }

    /// The compressed C₀, if there is one.
    #[must_use]
    pub fn constant(&self) -> Option<&[u8; 32]> {
        self.0.first()
    }

    /// Decodes all commitments once, to check shares with.
    ///
    /// `threshold` and the `advertised` point come from what was agreed before, never from the message
    /// that brought the commitments.
    ///
    /// # Errors
    /// [`SharingError::CommitmentCount`], [`SharingError::Constant`] or [`SharingError::Point`].
    pub fn verifier(&self, threshold: Threshold, advertised: &PublicPoint) -> Result<Verifier, SharingError> {
        if self.0.len() != threshold.get() {
            return Err(SharingError::CommitmentCount { found: self.0.len(), expected: threshold.get() });
        }
        if self.constant() != Some(&advertised.to_bytes()) && checked(Check::AdvertisedSecret) {
            return Err(SharingError::Constant);
        }
        Ok(Verifier { points: self.0.iter().map(point::decompress).collect::<Result<_, _>>()? })
    }
}

/// Commitments that were decoded and belong to the advertised secret.
#[derive(Clone)]
pub struct Verifier {
    points: Vec<EdwardsPoint>,
}

impl Verifier {
    /// Checks one share: 8·share·B = 8·Σ indexʲ·Cⱼ.
    ///
    /// The right side is evaluated by Horner's rule in the exponent. The index is small and public, so
    /// each step is a few doublings and additions in variable time.
    ///
    /// # Errors
    /// [`SharingError::Share`].
    pub fn verify(&self, index: ShareIndex, share: &Share) -> Result<(), SharingError> {
        let mut value = EdwardsPoint::identity();
        for point in self.points.iter().rev() {
            value = times_small(&value, index.get()) + point;
        }
        if same_up_to_torsion(&EdwardsPoint::mul_base(&share.0), &value) {
            Ok(())
        } else {
            Err(SharingError::Share(index))
        }
    }

    /// Checks many members' shares of this one secret together, and returns the indices of bad ones.
    ///
    /// One multiplication of the commitments by Σᵢ zᵢ·iʲ with random 128-bit weights zᵢ replaces one
    /// evaluation per share; a bad share passes with probability 2⁻¹²⁸. Where the batch fails, single
    /// checks name who is to blame. The other way round, many dealers' shares for one index, single
    /// checks are faster: a weight costs more there than the small index.
    #[must_use]
    pub fn find_bad(&self, shares: &[(ShareIndex, &Share)], rng: &mut impl CryptoRng) -> Vec<ShareIndex> {
        if shares.len() >= BATCH_FROM && self.batch_holds(shares, rng) {
            return Vec::new();
        }
        let is_bad = |(index, share): &&(ShareIndex, &Share)| self.verify(*index, share).is_err();
        shares.iter().filter(is_bad).map(|(index, _)| *index).collect()
    }

    /// Whether `secret` is the one committed to.
    pub(super) fn commits_to(&self, secret: &Scalar) -> bool {
        let secret_point = EdwardsPoint::mul_base(secret);
        self.points.first().is_some_and(|constant| same_up_to_torsion(&secret_point, constant))
    }

    pub(super) fn batch_holds(&self, shares: &[(ShareIndex, &Share)], rng: &mut impl CryptoRng) -> bool {
        let mut weighted_share = Scalar::ZERO;
        let mut coefficients = vec![Scalar::ZERO; self.points.len()];
        for (index, share) in shares {
            let mut weight = [0u8; 16];
            rng.fill_bytes(&mut weight);
            let mut power = Scalar::from(u128::from_le_bytes(weight));
            weighted_share += power * share.0;
            let index = Scalar::from(index.get());
            for coefficient in &mut coefficients {
                *coefficient += power;
                power *= index;
            }
        }
        let value = EdwardsPoint::vartime_multiscalar_mul(&coefficients, &self.points);
        same_up_to_torsion(&EdwardsPoint::mul_base(&weighted_share), &value)
    }
}

pub(super) fn same_up_to_torsion(left: &EdwardsPoint, right: &EdwardsPoint) -> bool {
    IsIdentity::is_identity(&(left - right).mul_by_cofactor())
}

/// `factor`·point in variable time; the factor is public and not zero.
pub(super) fn times_small(point: &EdwardsPoint, factor: u16) -> EdwardsPoint {
    let below_top = u16::BITS - factor.leading_zeros().min(u16::BITS - 1) - 1;
    (0..below_top).rev().fold(*point, |product, bit| {
        let doubled = product.double();
        if (factor >> bit) & 1 == 1 { doubled + point } else { doubled }
    })
}
