//! What a vector is made of, how it is encoded, and whether its sum fits the ring.
//!
//! A [`VectorSpec`] travels inside the round contract, so it comes from a peer: nothing in it is
//! trusted, and nothing is sized by it, until [`VectorSpec::layout`] has accepted it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::layout::{Layout, Segment};
use crate::{array::Dtype, codec};

/// Clip of floats where nobody chose one.
pub const DEFAULT_CLIP: f64 = 16.0;
/// Logarithm of the step of floats where nobody chose one: 2^−16.
pub const DEFAULT_STEP_LOG2: i8 = -16;
/// Largest weight of one member where nobody chose one.
pub const DEFAULT_MAX_WEIGHT: u64 = 1 << 20;
/// A structure has no more arrays than this; the largest models have some thousand.
pub const MAX_LEAVES: usize = 4096;
/// An array has no more sides than this (the limit of NumPy 1, which files are read by everywhere).
pub const MAX_RANK: usize = 32;

/// Elements of a vector whatever a policy says, so that chunks can be numbered with 32 bits.
const MAX_ELEMENTS: u64 = 1 << 46;
/// Steps lie between 2^−60 and 2^60, so that no scaling leaves the normal range of an `f32`.
pub const MAX_STEP_LOG2: i8 = 60;

/// What happens to a finite float beyond the clip. NaN and infinities are always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beyond {
    /// The input is refused.
    Refuse,
    /// The value becomes ±clip and is counted; the error bound does not cover it.
    Clip,
}

/// How the numbers of one array become ring elements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Floats as integer multiples of a step.
    Fixed {
        /// The step is 2^`step_log2`; −60 to 60.
        step_log2: i8,
        /// Values lie in \[−clip, clip\]; finite and more than half a step.
        clip: f64,
        /// What happens to other values.
        beyond: Beyond,
    },
    /// Integers as they are.
    Integer {
        /// |x| ≤ bound; at least 1, since a round in which everybody must say 0 has nothing to tell.
        bound: u64,
    },
}

/// One array of the structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// Sides of the array; empty for a scalar. No side is 0.
    #[serde(deserialize_with = "codec::at_most::<MAX_RANK, _, _>")]
    pub shape: Vec<u64>,
    /// Element type of the members' inputs.
    pub dtype: Dtype,
    /// Floats need [`Encoding::Fixed`], integers [`Encoding::Integer`].
    pub encoding: Encoding,
}

/// What becomes of the survivors' vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their sum divided by their number.
    Mean,
    /// The sum of weight times vector, divided by the sum of the weights.
    WeightedMean {
        /// No member's weight is larger; at least 1.
        max_weight: u64,
    },
}

impl Reduction {
    /// Whether the vector begins with an element for the weight.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        matches!(self, Self::WeightedMean { .. })
    }

    /// Largest weight of one member; 1 where there are no weights.
    #[must_use]
    pub fn max_weight(&self) -> u64 {
        match *self {
            Self::Sum | Self::Mean => 1,
            Self::WeightedMean { max_weight } => max_weight,
        }
    }
}

/// The whole structure and what becomes of it; part of the round contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorSpec {
    /// The arrays, in the order of the input; 1 to [`MAX_LEAVES`].
    #[serde(deserialize_with = "codec::at_most::<MAX_LEAVES, _, _>")]
    pub leaves: Vec<Leaf>,
    /// Sum, mean or weighted mean; one for all arrays.
    pub reduction: Reduction,
}

/// A part of the vector, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The masked weight.
    Weight,
    /// The array, where there is only one.
    Only,
    /// One of several arrays, counted from 0.
    Leaf(usize),
}

impl Part {
    /// The name of array `index` of `count`.
    pub(super) fn leaf(index: usize, count: usize) -> Self {
        if count == 1 { Self::Only } else { Self::Leaf(index) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weight => f.write_str("the weight"),
            Self::Only => f.write_str("the array"),
            Self::Leaf(index) => write!(f, "leaf {index}"),
        }
    }
}

/// Why a [`VectorSpec`] cannot be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// The sum of nobody.
    #[error("a vector for 0 members, expected at least 1")]
    NoMembers,
    /// No arrays.
    #[error("no arrays, expected at least 1")]
    NoLeaves,
    /// Too many arrays.
    #[error("{found} arrays, but a structure has at most {MAX_LEAVES}: join some of them")]
    TooManyLeaves {
        /// Number found.
        found: usize,
    },
    /// Too many sides.
    #[error("{part} has {found} dimensions, but at most {MAX_RANK} are allowed: reshape it")]
    Rank {
        /// Which array.
        part: Part,
        /// Number of sides found.
        found: usize,
    },
    /// A side of 0.
    #[error("{part} has no elements, expected at least 1")]
    Empty {
        /// Which array.
        part: Part,
    },
    /// More elements than the policy allows.
    #[error("the vector has more than {max_elements} elements: raise max_vector in the policy or send less")]
    TooLong {
        /// The limit that was passed.
        max_elements: u64,
    },
    /// Floats as integers or the reverse.
    #[error("{part} is {}, which needs {} encoding", dtype.name(), if dtype.is_float() { "fixed-point" } else { "integer" })]
    Dtype {
        /// Which array.
        part: Part,
        /// Its element type.
        dtype: Dtype,
    },
    /// The step is out of range.
    #[error("{part} has a step of 2^{found}, expected 2^-{MAX_STEP_LOG2} to 2^{MAX_STEP_LOG2}")]
    Step {
        /// Which array.
        part: Part,
        /// Logarithm found.
        found: i8,
    },
    /// The clip is no positive number.
    #[error("{part} has a clip of {found}, expected a finite number above 0")]
    Clip {
        /// Which array.
        part: Part,
        /// Clip found.
        found: f64,
    },
    /// Every value would become 0.
    #[error("{part} has a clip of {clip}, at most half of the step 2^{step_log2}: use a smaller step")]
    StepAboveClip {
        /// Which array.
        part: Part,
        /// Clip found.
        clip: f64,
        /// Logarithm of the step found.
        step_log2: i8,
    },
    /// A bound of 0.
    #[error("{part} has an integer bound of 0, expected at least 1")]
    Bound {
        /// Which array.
        part: Part,
    },
    /// A largest weight of 0.
    #[error("the largest weight is 0, expected at least 1")]
    MaxWeight,
    /// The sum of all members could wrap.
    #[error(
        "{part} needs at least {needs} bits for the sum of {members} members, but the ring has 64: use {ways}"
    )]
    Budget {
        /// Which part.
        part: Part,
        /// Bits of the ring that would hold the sum; 128 stands for anything larger, too.
        needs: u32,
        /// Number of members.
        members: usize,
        /// What can be changed, in words.
        ways: &'static str,
    },
}

impl VectorSpec {
    /// The spec of these arrays with the default clip, step and integer bounds, for `members` members.
    #[must_use]
    pub fn default_for<'a>(
        arrays: impl IntoIterator<Item = (&'a [u64], Dtype)>,
        reduction: Reduction,
        members: usize,
    ) -> Self {
        let leaf = |(shape, dtype): (&[u64], Dtype)| Leaf {
            shape: shape.to_vec(),
            dtype,
            encoding: Encoding::default_for(dtype, reduction, members),
        };
        Self { leaves: arrays.into_iter().map(leaf).collect(), reduction }
    }

    /// Checks everything and says where each element lies: the budget check.
    ///
    /// `members` is the number of members that may at most be summed, `max_elements` the local policy's
    /// limit on the elements of all arrays. Takes time and memory for the number of arrays, not for
    /// their sizes.
    ///
    /// # Errors
    /// [`SpecError`] names the array, what was found and the ways out.
    pub fn layout(&self, members: usize, max_elements: u64) -> Result<Layout, SpecError> {
        if members == 0 {
            return Err(SpecError::NoMembers);
        }
        let count = self.leaves.len();
        if count == 0 {
            return Err(SpecError::NoLeaves);
        }
        if count > MAX_LEAVES {
            return Err(SpecError::TooManyLeaves { found: count });
        }
        let max_weight = self.reduction.max_weight();
        if max_weight == 0 {
            return Err(SpecError::MaxWeight);
        }

        let mut segments = Vec::with_capacity(count + 1);
        if self.reduction.is_weighted() {
            let ways = "a smaller largest weight or fewer members";
            segments.push(
                Segment::new(1, false, 1, max_weight, members).map_err(|needs| SpecError::Budget {
                    part: Part::Weight,
                    needs,
                    members,
                    ways,
                })?,
            );
        }
        let max_elements = max_elements.min(MAX_ELEMENTS);
        let mut left = max_elements;
        for (index, leaf) in self.leaves.iter().enumerate() {
            let part = Part::leaf(index, count);
            let len =
                leaf.len(part)?.filter(|&len| len <= left).ok_or(SpecError::TooLong { max_elements })?;
            left -= len;
            let unit = leaf.unit(part)?;
            let ways = ways_out(&leaf.encoding, self.reduction);
            segments.push(
                Segment::new(len, leaf.dtype.is_signed(), unit, max_weight, members)
                    .map_err(|needs| SpecError::Budget { part, needs, members, ways })?,
            );
        }
        Ok(Layout::new(segments, self.reduction.is_weighted(), members))
    }
}

impl Encoding {
    /// The default of this dtype: for floats [`DEFAULT_CLIP`] and [`DEFAULT_STEP_LOG2`], values beyond
    /// refused; for integers the largest bound whose weighted sum over all members fits 64 bits,
    /// ⌊(2^63−1) / (members·largest weight)⌋ (unsigned ⌊(2^64−1) / ...⌋), and no more than the dtype holds.
    #[must_use]
    pub fn default_for(dtype: Dtype, reduction: Reduction, members: usize) -> Self {
        let (whole_range, ring) = match dtype {
            Dtype::F32 | Dtype::F64 => {
                return Self::Fixed {
                    step_log2: DEFAULT_STEP_LOG2,
                    clip: DEFAULT_CLIP,
                    beyond: Beyond::Refuse,
                };
            }
            Dtype::I8 => (1 << 7, i64::MAX as u64),
            Dtype::I16 => (1 << 15, i64::MAX as u64),
            Dtype::I32 => (1 << 31, i64::MAX as u64),
            Dtype::I64 => (1 << 63, i64::MAX as u64),
            Dtype::U8 => (u64::from(u8::MAX), u64::MAX),
            Dtype::U16 => (u64::from(u16::MAX), u64::MAX),
            Dtype::U32 => (u64::from(u32::MAX), u64::MAX),
            Dtype::U64 => (u64::MAX, u64::MAX),
        };
        let parts = (members as u64).saturating_mul(reduction.max_weight()).max(1);
        Self::Integer { bound: whole_range.min(ring / parts).max(1) }
    }
}

/// 2^`exponent` for −1022 to 1023; outside, the nearest of these.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    let biased = (exponent + 1023).clamp(1, 2046) as u64;
    f64::from_bits(biased << 52)
}

impl Leaf {
    /// Number of elements, or `None` beyond 64 bits.
    fn len(&self, part: Part) -> Result<Option<u64>, SpecError> {
        if self.shape.len() > MAX_RANK {
            return Err(SpecError::Rank { part, found: self.shape.len() });
        }
        if self.shape.contains(&0) {
            return Err(SpecError::Empty { part });
        }
        Ok(self.shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side)))
    }

    /// Largest magnitude of one value in ring units, before weights; saturates at 2^64 − 1, which fits
    /// no signed sum.
    fn unit(&self, part: Part) -> Result<u64, SpecError> {
        let dtype = self.dtype;
        match self.encoding {
            Encoding::Fixed { step_log2, clip, .. } if dtype.is_float() => {
                if !(-MAX_STEP_LOG2..=MAX_STEP_LOG2).contains(&step_log2) {
                    return Err(SpecError::Step { part, found: step_log2 });
                }
                if !(clip.is_finite() && clip > 0.0) {
                    return Err(SpecError::Clip { part, found: clip });
                }
                let unit = (clip * power_of_two(-i32::from(step_log2))).round_ties_even();
                if unit < 1.0 {
                    return Err(SpecError::StepAboveClip { part, clip, step_log2 });
                }
                Ok(unit as u64)
            }
            Encoding::Integer { bound: 0 } if !dtype.is_float() => Err(SpecError::Bound { part }),
            Encoding::Integer { bound } if !dtype.is_float() => Ok(bound),
            Encoding::Fixed { .. } | Encoding::Integer { .. } => Err(SpecError::Dtype { part, dtype }),
        }
    }
}

fn ways_out(encoding: &Encoding, reduction: Reduction) -> &'static str {
    match (encoding, reduction.is_weighted()) {
        (Encoding::Fixed { .. }, false) => "a smaller clip, a larger step or fewer members",
        (Encoding::Fixed { .. }, true) => {
            "a smaller clip, a larger step, a smaller largest weight or fewer members"
        }
        (Encoding::Integer { .. }, false) => "a smaller integer bound or fewer members",
        (Encoding::Integer { .. }, true) => {
            "a smaller integer bound, a smaller largest weight or fewer members"
        }
    }
}

#[cfg(test)]
mod tests;
