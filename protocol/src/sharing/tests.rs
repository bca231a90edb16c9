//! What must hold of sharing, and who tries to break it.

mod algebra;
mod attacks;
mod vectors;

use chacha20::ChaCha20Rng;
use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use rand_core::SeedableRng as _;

use super::{Commitments, Dealing, Lagrange, RecoveredSecret, Share, ShareIndex, SharingError, Verifier};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn index(number: u16) -> ShareIndex {
    ShareIndex::try_from(number).unwrap()
}

fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn scalar(text: &str) -> Scalar {
    Option::from(Scalar::from_canonical_bytes(hex32(text))).unwrap()
}

fn raw_point(text: &str) -> EdwardsPoint {
    CompressedEdwardsY(hex32(text)).decompress().unwrap()
}

/// Rebuilds the secret of a dealing from the shares of these indices.
fn recover(dealing: &Dealing, indices: &[u16], dealer: &Verifier) -> Result<RecoveredSecret, SharingError> {
    let shares: Vec<&Share> = indices.iter().map(|&i| &dealing.shares[usize::from(i) - 1]).collect();
    let indices: Vec<_> = indices.iter().map(|&i| index(i)).collect();
    Lagrange::new(&indices)?.combine(&shares)?.check(dealer)
}

/// Commits honestly to these coefficients, under whatever generator a dealer likes.
fn commit(generator: EdwardsPoint, coefficients: &[Scalar]) -> Commitments {
    Commitments::of(coefficients.iter().map(|coefficient| generator * coefficient))
}

/// Value of a polynomial by the definition, power by power.
fn naive_value(coefficients: &[Scalar], x: u16) -> Scalar {
    let mut power = Scalar::ONE;
    let mut value = Scalar::ZERO;
    for coefficient in coefficients {
        value += coefficient * power;
        power *= Scalar::from(x);
    }
    value
}
