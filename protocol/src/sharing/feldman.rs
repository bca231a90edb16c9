//! Dealing: a random polynomial through the secret, its values for the members, commitments to it for all.

use core::fmt;

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};
use rand_core::CryptoRng;
use vsss_rs::{IdentifierPrimeField, ValueGroup, feldman};
use zeroize::Zeroize as _;

use super::{Commitments, Share, SharingError, Threshold};

/// What can be shared: a [`MaskKey`](super::MaskKey) or a [`SelfMaskSecret`](super::SelfMaskSecret).
pub trait SharedSecret: sealed::Secret {}

impl<S: sealed::Secret> SharedSecret for S {}

pub(super) mod sealed {
    use curve25519_dalek::Scalar;

    /// Access to the scalar that is shared, for this module alone.
    pub trait Secret {
        /// The secret mod ℓ. The caller erases it.
        fn scalar(&self) -> Scalar;
    }
}

/// What a dealer produces for one secret.
pub struct Dealing {
    /// Commitments to the polynomial, the same for all members.
    pub commitments: Commitments,
    /// `shares[i]` is for the member at position `i` of the roster, the dealer included.
    pub shares: Vec<Share>,
}

/// Shares a secret among the `members` of a roster, so that any `threshold` of them determine it and
/// fewer say nothing about it.
///
/// # Errors
/// [`SharingError::Threshold`] where the roster has fewer members than the threshold, or more than 65535.
pub fn deal(
    secret: &impl SharedSecret,
    threshold: Threshold,
    members: usize,
    rng: &mut impl CryptoRng,
) -> Result<Dealing, SharingError> {
    // held in a share for the sake of its drop
    let secret = DealtShare { identifier: Default::default(), value: IdentifierPrimeField(secret.scalar()) };
    let generator = ValueGroup(ED25519_BASEPOINT_POINT);
    let (shares, points) = feldman::split_secret::<DealtShare, ValueGroup<EdwardsPoint>>(
        threshold.get(),
        members,
        &secret.value,
        Some(generator),
        rng,
    )
    .map_err(|_| SharingError::Threshold { threshold: threshold.get(), members })?;
    // the generator comes back in front of the commitments; it must not travel
    let points = points.iter().skip(1).map(|point| point.0);
    Ok(Dealing {
        commitments: Commitments::of(points),
        shares: shares.iter().map(|share| Share(share.value.0)).collect(),
    })
}

/// A share as vsss-rs wants it. The crate's own share types neither erase themselves nor stay silent;
/// its polynomials are made of shares, so with this one the coefficients are erased too.
#[derive(Clone, PartialEq, Eq, Default)]
struct DealtShare {
    identifier: IdentifierPrimeField<Scalar>,
    value: IdentifierPrimeField<Scalar>,
}

impl fmt::Debug for DealtShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DealtShare")
    }
}

impl Drop for DealtShare {
    fn drop(&mut self) {
        self.identifier.0.zeroize();
        self.value.0.zeroize();
    }
}

impl vsss_rs::Share for DealtShare {
    type Identifier = IdentifierPrimeField<Scalar>;
    type Value = IdentifierPrimeField<Scalar>;

    fn with_identifier_and_value(identifier: Self::Identifier, value: Self::Value) -> Self {
        Self { identifier, value }
    }

    fn identifier(&self) -> &Self::Identifier {
        &self.identifier
    }

    fn identifier_mut(&mut self) -> &mut Self::Identifier {
        &mut self.identifier
    }

    fn value(&self) -> &Self::Value {
        &self.value
    }

    fn value_mut(&mut self) -> &mut Self::Value {
        &mut self.value
    }
}
