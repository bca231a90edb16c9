//! One member's arrays: checked once, then turned into ring elements a chunk at a time.

use super::layout::{Chunk, Layout};
use super::spec::{Beyond, Encoding, Part, Reduction, VectorSpec, power_of_two};
use crate::array::{Array, Dtype, by_kind};

/// What one member brings into a round. Private: it has no `Debug`.
#[derive(Clone)]
pub struct Input {
    /// The arrays, in the order of the spec's leaves.
    pub leaves: Vec<Array>,
    /// Weight of this input in a weighted mean; 1 where the reduction has no weights. 0 is a member
    /// that takes part and has nothing to say.
    pub weight: u64,
}

/// Why an input does not fit the contract. Names places, never values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    /// Not the number of arrays.
    #[error("{found} arrays, expected {expected}")]
    Leaves {
        /// Number found.
        found: usize,
        /// Number in the contract.
        expected: usize,
    },
    /// Another shape.
    #[error("{part} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Which array.
        part: Part,
        /// Shape found.
        found: Vec<u64>,
        /// Shape in the contract.
        expected: Vec<u64>,
    },
    /// Another element type.
    #[error("{part} is {}, expected {}", found.name(), expected.name())]
    Dtype {
        /// Which array.
        part: Part,
        /// Dtype found.
        found: Dtype,
        /// Dtype in the contract.
        expected: Dtype,
    },
    /// Not a number.
    #[error("nan at index {index}{}, expected finite numbers", within(*part))]
    Nan {
        /// Which array.
        part: Part,
        /// Position in C order, counted from 0.
        index: usize,
    },
    /// An infinity.
    #[error("infinity at index {index}{}, expected finite numbers", within(*part))]
    Infinity {
        /// Which array.
        part: Part,
        /// Position in C order, counted from 0.
        index: usize,
    },
    /// A float beyond a clip that refuses.
    #[error("value at index {index}{} is beyond the clip {clip}: scale the input or agree on a larger clip", within(*part))]
    BeyondClip {
        /// Which array.
        part: Part,
        /// Position in C order, counted from 0.
        index: usize,
        /// The clip of the contract.
        clip: f64,
    },
    /// An integer beyond the bound.
    #[error("value at index {index}{} is beyond the integer bound {bound}: agree on a larger one", within(*part))]
    BeyondBound {
        /// Which array.
        part: Part,
        /// Position in C order, counted from 0.
        index: usize,
        /// The bound of the contract.
        bound: u64,
    },
    /// A weight above the largest.
    #[error(
        "the weight is above {max_weight}, the largest of this round: agree on a larger one or scale all weights"
    )]
    Weight {
        /// Largest weight of the contract.
        max_weight: u64,
    },
    /// A weight in a round without weights.
    #[error("a weight was given, but this round is no weighted mean: leave it out")]
    UnexpectedWeight,
}

/// An input that fits its contract, ready to be encoded. Private: it has no `Debug`. Chunks may be
/// encoded from several threads.
pub struct ValidInput {
    leaves: Vec<Array>,
    encodings: Vec<Encoding>,
    /// Segment 0 is the weight.
    weighted: bool,
    weight: u64,
    clipped: u64,
}

impl ValidInput {
    /// Checks an input against the spec and the layout that the spec gave.
    ///
    /// # Errors
    /// [`InputError`] names the array and the first value that does not fit.
    pub fn new(input: Input, spec: &VectorSpec, layout: &Layout) -> Result<Self, InputError> {
        let Input { leaves, weight } = input;
        let count = spec.leaves.len();
        debug_assert!(
            layout.leaf_of(layout.segments().len() as u16) == Some(count),
            "a layout of another spec"
        );
        if leaves.len() != count {
            return Err(InputError::Leaves { found: leaves.len(), expected: count });
        }
        match spec.reduction {
            Reduction::WeightedMean { max_weight } if weight > max_weight => {
                return Err(InputError::Weight { max_weight });
            }
            Reduction::Sum | Reduction::Mean if weight != 1 => return Err(InputError::UnexpectedWeight),
            _ => {}
        }
        let mut clipped = 0;
        for (index, (array, leaf)) in leaves.iter().zip(&spec.leaves).enumerate() {
            let part = Part::leaf(index, count);
            if array.shape() != leaf.shape {
                let (found, expected) = (array.shape().to_vec(), leaf.shape.clone());
                return Err(InputError::Shape { part, found, expected });
            }
            if array.dtype() != leaf.dtype {
                return Err(InputError::Dtype { part, found: array.dtype(), expected: leaf.dtype });
            }
            clipped += check(part, array, leaf.encoding)?;
        }
        let encodings = spec.leaves.iter().map(|leaf| leaf.encoding).collect();
        Ok(Self { leaves, encodings, weighted: spec.reduction.is_weighted(), weight, clipped })
    }

    /// What it was made of, to be checked again where the rules have changed.
    #[must_use]
    pub fn to_input(&self) -> Input {
        Input { leaves: self.leaves.clone(), weight: self.weight }
    }

    /// Number of values that were beyond the clip and became ±clip.
    #[must_use]
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Writes the ring elements of `chunk`, `out.len() == chunk.len`. Bits above the ring's are the
    /// sign's: reduce mod 2^bits, as [`pack`](super::packing::pack) does.
    ///
    /// # Panics
    /// Where `chunk` is none of the layout that this input was checked against, or `out` has another
    /// length.
    pub fn encode(&self, chunk: &Chunk, out: &mut [u64]) {
        assert_eq!(out.len(), chunk.len as usize, "a buffer of the chunk's length");
        let Some(leaf) = usize::from(chunk.segment).checked_sub(usize::from(self.weighted)) else {
            out.fill(self.weight);
            return;
        };
        let start = chunk.start as usize;
        let range = start..start + out.len();
        by_kind!(
            self.leaves[leaf].values(),
            floats(values) => encode_floats(&values[range], self.encodings[leaf], self.weight, out),
            integers(values) => encode_integers(&values[range], self.weight, out)
        );
    }
}

/// The number of values that will be clipped, or the first that is refused.
fn check(part: Part, array: &Array, encoding: Encoding) -> Result<u64, InputError> {
    match encoding {
        Encoding::Fixed { clip, beyond, .. } => by_kind!(
            array.values(),
            floats(values) => check_floats(part, values, clip, beyond),
            integers(_values) => Err(InputError::Dtype { part, found: array.dtype(), expected: Dtype::F64 })
        ),
        Encoding::Integer { bound } => by_kind!(
            array.values(),
            floats(_values) => Err(InputError::Dtype { part, found: array.dtype(), expected: Dtype::I64 }),
            integers(values) => check_integers(part, values, bound).map(|()| 0)
        ),
    }
}

fn check_floats<T: Copy + Into<f64>>(
    part: Part,
    values: &[T],
    clip: f64,
    beyond: Beyond,
) -> Result<u64, InputError> {
    let limit = match beyond {
        Beyond::Refuse => clip,
        Beyond::Clip => f64::MAX,
    };
    // NaN is not within either
    let within = |value: &T| (*value).into().abs() <= limit;
    if let Some(index) = values.iter().position(|value| !within(value)) {
        let value: f64 = values[index].into();
        return Err(if value.is_nan() {
            InputError::Nan { part, index }
        } else if value.is_infinite() {
            InputError::Infinity { part, index }
        } else {
            InputError::BeyondClip { part, index, clip }
        });
    }
    Ok(match beyond {
        Beyond::Refuse => 0,
        Beyond::Clip => values.iter().filter(|&&value| value.into().abs() > clip).count() as u64,
    })
}

fn check_integers<T: Copy + Into<i128>>(part: Part, values: &[T], bound: u64) -> Result<(), InputError> {
    let beyond = |value: &T| (*value).into().unsigned_abs() > u128::from(bound);
    match values.iter().position(beyond) {
        Some(index) => Err(InputError::BeyondBound { part, index, bound }),
        None => Ok(()),
    }
}

fn encode_floats<T: Copy + Into<f64>>(values: &[T], encoding: Encoding, weight: u64, out: &mut [u64]) {
    let Encoding::Fixed { step_log2, clip, .. } = encoding else {
        unreachable!("floats with an integer encoding do not pass the check");
    };
    let steps = power_of_two(-i32::from(step_log2));
    for (slot, &value) in out.iter_mut().zip(values) {
        let steps: f64 = value.into().max(-clip).min(clip) * steps;
        *slot = (nearest(steps) as u64).wrapping_mul(weight);
    }
}

/// The nearest integer, ties to even.
fn nearest(steps: f64) -> i64 {
    /// 1.5 · 2^52: within ±2^51 of it neighbouring floats are 1 apart, so the addition rounds to an integer,
    /// as IEEE 754 adds: to nearest, ties to even.
    const SHIFT: f64 = (3u64 << 51) as f64;
    const REACH: f64 = (1u64 << 51) as f64;
    // without SSE 4.1, which a portable build must not assume, round_ties_even is a call for each element
    let rounded = if steps.abs() <= REACH { (steps + SHIFT) - SHIFT } else { steps.round_ties_even() };
    rounded as i64
}

fn encode_integers<T: Copy + Into<i128>>(values: &[T], weight: u64, out: &mut [u64]) {
    for (slot, &value) in out.iter_mut().zip(values) {
        // the low 64 bits of the wide value are its two's complement
        *slot = (value.into() as u64).wrapping_mul(weight);
    }
}

fn within(part: Part) -> String {
    match part {
        Part::Only => String::new(),
        part => format!(" of {part}"),
    }
}

#[cfg(test)]
mod tests;
