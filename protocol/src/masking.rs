//! Masks: seeds derived from the secrets of a session, and the keystream kernel that adds them up.
//!
//! A member's vector is hidden under its self mask and one pairwise mask for each neighbour of the mask
//! set. The pairwise masks of two members are the same numbers with opposite signs, so they vanish from
//! the sum; self masks and those of members who left are removed with recovered secrets.

mod keystream;
mod plan;
mod seeds;
#[cfg(test)]
mod tests;

pub use keystream::{MaskError, apply};
pub use plan::MaskPlan;
pub use seeds::{MaskSeed, pairwise_mask_seed, self_mask_seed};

use crate::ids::MemberId;

/// Which way a mask enters a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The mask is added.
    Add,
    /// The mask is subtracted.
    Subtract,
}

impl Sign {
    /// The sign with which `me` applies the mask shared with `other`: the lower id adds, the higher one
    /// subtracts.
    #[must_use]
    pub fn for_pair(me: &MemberId, other: &MemberId) -> Self {
        if me < other { Self::Add } else { Self::Subtract }
    }

    /// The sign that takes a mask off again.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }
}
