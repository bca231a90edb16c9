//! Feldman's verifiable secret sharing (1987) over edwards25519: one mechanism for both secrets of a session.
//!
//! The secret of a mask key is its clamped X25519 integer mod ℓ, so the constant term of its
//! commitments, C₀ = s·B, *is* the public mask key: its Montgomery form is the X25519 public key. The
//! secret of a self mask is a random scalar and is shared in the same way.
//!
//! Three rules that the crates do not enforce hold here by construction:
//! - the generator is a constant and never comes from the wire: a dealer who shares under another one
//!   would pass a verifier set that carries its own generator;
//! - a [`Verifier`] exists only once C₀ equals the advertised point byte for byte, and a
//!   [`RecoveredSecret`] only once it matches C₀, because interpolating too few shares succeeds silently;
//! - a reduced scalar is never clamped again: [`RecoveredMaskKey`] multiplies by 8·(s/8 mod ℓ).
//!
//! Equations between points are checked times the cofactor 8. What a dealer adds of small order then
//! has no effect on anybody, and checking shares singly, in a batch or through the secret that they give
//! always comes to the same verdict.

mod commitments;
mod feldman;
mod lagrange;
mod mask_key;
mod point;
mod self_mask;
mod share;
#[cfg(test)]
mod tests;
mod threshold;

pub use commitments::{Commitments, Verifier};
pub use feldman::{Dealing, SharedSecret, deal};
pub use lagrange::{Lagrange, RecoveredSecret, UncheckedSecret};
pub use mask_key::{DhSecret, MaskKey, PublicMaskKey, RecoveredMaskKey};
pub use point::PublicPoint;
pub use self_mask::SelfMaskSecret;
pub use share::Share;
pub use threshold::{ShareIndex, Threshold};

/// Why a secret could not be shared, a share was refused, or shares gave no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharingError {
    /// No threshold for this number of members.
    #[error("threshold {threshold} of {members} members, expected 2 ≤ threshold ≤ members ≤ {}", u16::MAX)]
    Threshold {
        /// Threshold asked for.
        threshold: usize,
        /// Number of members who hold shares.
        members: usize,
    },
    /// A position on the roster that no share can have.
    #[error("roster position {0}, expected less than {max}", max = u16::MAX)]
    Position(usize),
    /// Bytes that are not the one encoding of a scalar mod ℓ.
    #[error("not a canonical scalar: expected 32 little-endian bytes of an integer below the group order")]
    Scalar,
    /// Bytes that are not the one encoding of a point of edwards25519.
    #[error("not a canonical point: expected the 32-byte compressed form of a point of edwards25519")]
    Point,
    /// A public point of order 1, 2, 4 or 8: whoever uses one contributes no secret.
    #[error("a point of small order, expected a public key that contributes a secret")]
    SmallOrder,
    /// A commitment vector of the wrong length.
    #[error("{found} commitments, expected one for each of {expected} coefficients")]
    CommitmentCount {
        /// Number of commitments found.
        found: usize,
        /// The threshold.
        expected: usize,
    },
    /// Commitments to another secret than the advertised one.
    #[error("the first commitment is not the advertised point: the dealer shares another secret")]
    Constant,
    /// A share that does not satisfy its dealer's commitments.
    #[error("the share for position {position} does not match its dealer's commitments", position = .0.position())]
    Share(ShareIndex),
    /// Shares of no member, or of one member twice.
    #[error("indices for interpolation are empty or repeat, expected distinct ones")]
    Indices,
    /// Another number of shares than of indices.
    #[error("{found} shares, expected {expected}, one for each index in their order")]
    ShareCount {
        /// Number of shares found.
        found: usize,
        /// Number of indices.
        expected: usize,
    },
    /// The shares give another secret than the committed one: too few of them, or a bad one among them.
    #[error("the shares give another secret than the committed one: too few, or a bad one among them")]
    WrongSecret,
}
