//! The sum of the survivors' ring elements: back to arrays, with the bound on their error.

use std::num::NonZeroU64;

use super::layout::{Chunk, Layout};
use super::rounding::Rounded;
use super::spec::{Encoding, Leaf, Part, Reduction, VectorSpec, power_of_two};
use crate::array::{Array, Dtype, Values};

/// The result of a round.
#[derive(Clone, PartialEq)]
pub struct Aggregate {
    /// The arrays: sums of integers as `i64` or `u64`, means of integers as `f64`, floats as they came.
    pub leaves: Vec<Array>,
    /// Total weight of the survivors; `None` where the reduction has no weights.
    pub weight: Option<u64>,
    /// No value of any array is farther from the exact result than this; 0 for sums of integers. Holds
    /// where no survivor's values were clipped.
    pub error_bound: f64,
    /// The same for each array.
    pub leaf_error_bounds: Vec<f64>,
}

/// Why a sum is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not the next chunk, or not its number of elements.
    #[error("chunk {found} with {words} elements, expected chunk {expected} with {len}")]
    OutOfOrder {
        /// Index found.
        found: u32,
        /// Elements found.
        words: usize,
        /// Index expected; the number of chunks where all have been pushed.
        expected: u32,
        /// Elements expected.
        len: u32,
    },
    /// Chunks are missing.
    #[error("{found} chunks, expected {expected}")]
    Incomplete {
        /// Chunks pushed.
        found: u32,
        /// Chunks of the layout.
        expected: u32,
    },
    /// The layout was not made for this number of survivors.
    #[error("{found} survivors, expected 1 to {members}")]
    Survivors {
        /// Number found.
        found: usize,
        /// Members of the layout.
        members: usize,
    },
    /// A sum that honest members cannot have: an alarm, since somebody lied or a mask is wrong.
    #[error(
        "the sum at index {index} of {part} is beyond what the survivors' inputs can add up to: do not use this result"
    )]
    OutOfRange {
        /// Which part.
        part: Part,
        /// Position in C order, counted from 0.
        index: u64,
    },
    /// Nothing to divide by.
    #[error("the total weight is 0, so there is no mean: at least one member needs a weight above 0")]
    NoWeight,
}

/// Takes the chunks of a sum in order and builds the result.
pub struct Decoder {
    layout: Layout,
    reduction: Reduction,
    survivors: usize,
    /// Index of the next chunk.
    next: u32,
    weight: Option<u64>,
    leaves: Vec<LeafDecoder>,
}

impl Decoder {
    /// A decoder for the sum of `survivors` members' vectors; `layout` is the one that `spec` gave. A
    /// number of survivors that does not fit the layout is refused with the first chunk.
    #[must_use]
    pub fn new(spec: &VectorSpec, layout: &Layout, survivors: usize) -> Self {
        let leaves = spec.leaves.iter().map(|leaf| LeafDecoder::new(leaf, spec.reduction)).collect();
        let reduction = spec.reduction;
        Self { layout: layout.clone(), reduction, survivors, next: 0, weight: None, leaves }
    }

    /// Takes the next chunk: its ring elements summed over the survivors, unmasked; bits above the
    /// ring's are ignored.
    ///
    /// # Errors
    /// [`DecodeError`]: a chunk out of order, survivors that do not fit the layout, a sum out of range,
    /// or a total weight of 0. The decoder is of no use afterwards.
    pub fn push(&mut self, chunk: &Chunk, words: &[u64]) -> Result<(), DecodeError> {
        let members = self.layout.members();
        let survivors = u64::try_from(self.survivors).ok().and_then(NonZeroU64::new);
        let Some(survivors) = survivors.filter(|_| self.survivors <= members) else {
            return Err(DecodeError::Survivors { found: self.survivors, members });
        };
        let expected = self.layout.chunk(self.next);
        if expected != Some(*chunk) || words.len() != chunk.len as usize {
            let (words, len) = (words.len(), expected.map_or(0, |chunk| chunk.len));
            return Err(DecodeError::OutOfOrder { found: chunk.index, words, expected: self.next, len });
        }
        let segment = &self.layout.segments()[usize::from(chunk.segment)];
        let Some(index) = self.layout.leaf_of(chunk.segment) else {
            let ring = Ring::new(segment.bits, false, survivors.get().saturating_mul(segment.max));
            self.weight = Some(total_weight(ring, words)?);
            self.next += 1;
            return Ok(());
        };
        // with weights every value counts weight times, so it is the total weight that limits the sum
        let terms = match self.weight {
            None => survivors,
            Some(weight) => NonZeroU64::new(weight).ok_or(DecodeError::NoWeight)?,
        };
        let ring = Ring::new(segment.bits, segment.signed, terms.get().saturating_mul(segment.unit));
        let divisor = if self.reduction == Reduction::Sum { NonZeroU64::MIN } else { terms };
        let part = Part::leaf(index, self.leaves.len());
        self.leaves[index]
            .push(ring, words, divisor, segment.len)
            .map_err(|offset| DecodeError::OutOfRange { part, index: chunk.start + offset as u64 })?;
        self.next += 1;
        Ok(())
    }

    /// The result, once all chunks have been pushed.
    ///
    /// # Errors
    /// [`DecodeError::Incomplete`] before that.
    pub fn finish(self) -> Result<Aggregate, DecodeError> {
        let incomplete = DecodeError::Incomplete { found: self.next, expected: self.layout.chunk_count() };
        if self.next != self.layout.chunk_count() {
            return Err(incomplete);
        }
        let additions = match self.reduction {
            Reduction::Sum => self.survivors as f64,
            Reduction::Mean | Reduction::WeightedMean { .. } => 1.0,
        };
        let leaf_error_bounds: Vec<f64> =
            self.leaves.iter().map(|leaf| leaf.error_bound(additions)).collect();
        let error_bound = leaf_error_bounds.iter().copied().fold(0.0, f64::max);
        let leaves = self.leaves.into_iter().map(LeafDecoder::into_array).collect::<Option<_>>();
        Ok(Aggregate {
            leaves: leaves.ok_or(incomplete)?,
            weight: self.weight,
            error_bound,
            leaf_error_bounds,
        })
    }
}

fn total_weight(ring: Ring, words: &[u64]) -> Result<u64, DecodeError> {
    let out_of_range = DecodeError::OutOfRange { part: Part::Weight, index: 0 };
    let total = words.first().and_then(|&word| ring.value(word)).ok_or(out_of_range)?;
    if total.magnitude == 0 {
        return Err(DecodeError::NoWeight);
    }
    Ok(total.magnitude)
}

/// The integers mod 2^bits, of which only those up to a limit may occur.
#[derive(Clone, Copy)]
struct Ring {
    unused: u32,
    signed: bool,
    limit: u64,
}

/// An integer that a sum stands for.
#[derive(Clone, Copy)]
struct Integer {
    negative: bool,
    magnitude: u64,
}

impl Ring {
    fn new(bits: u8, signed: bool, limit: u64) -> Self {
        Self { unused: 64 - u32::from(bits), signed, limit }
    }

    /// The integer that a ring element stands for, unless it is beyond the limit.
    fn value(self, word: u64) -> Option<Integer> {
        let top = word << self.unused;
        let value = if self.signed {
            let value = (top as i64) >> self.unused;
            Integer { negative: value < 0, magnitude: value.unsigned_abs() }
        } else {
            Integer { negative: false, magnitude: top >> self.unused }
        };
        (value.magnitude <= self.limit).then_some(value)
    }
}

struct LeafDecoder {
    shape: Vec<u64>,
    /// 1 for integers.
    step: f64,
    /// Whether values were rounded to the step.
    quantised: bool,
    output: Output,
}

enum Output {
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl LeafDecoder {
    fn new(leaf: &Leaf, reduction: Reduction) -> Self {
        let (step, quantised) = match leaf.encoding {
            Encoding::Fixed { step_log2, .. } => (power_of_two(step_log2.into()), true),
            Encoding::Integer { .. } => (1.0, false),
        };
        let output = match (leaf.dtype, reduction) {
            (Dtype::F32, _) => Output::F32(Vec::new()),
            (Dtype::F64, _) => Output::F64(Vec::new()),
            (_, Reduction::Mean | Reduction::WeightedMean { .. }) => Output::F64(Vec::new()),
            (dtype, Reduction::Sum) if dtype.is_signed() => Output::I64(Vec::new()),
            (_, Reduction::Sum) => Output::U64(Vec::new()),
        };
        Self { shape: leaf.shape.clone(), step, quantised, output }
    }

    /// Appends the results of `words`, or says which of them is out of range. `len` is the number of
    /// elements of the whole array.
    fn push(&mut self, ring: Ring, words: &[u64], divisor: NonZeroU64, len: u64) -> Result<(), usize> {
        let (step, len) = (self.step, len as usize);
        match &mut self.output {
            Output::I64(out) => append(out, len, ring, words, |value| {
                let magnitude = value.magnitude as i64;
                if value.negative { magnitude.wrapping_neg() } else { magnitude }
            }),
            Output::U64(out) => append(out, len, ring, words, |value| value.magnitude),
            Output::F32(out) => append(out, len, ring, words, |value| rounded(value, divisor, step)),
            Output::F64(out) => append(out, len, ring, words, |value| rounded(value, divisor, step)),
        }
    }

    /// The bound derived in the module's documentation; `additions` is how many quantisation errors
    /// add up in a result.
    fn error_bound(&self, additions: f64) -> f64 {
        let quantisation = if self.quantised { additions * self.step / 2.0 } else { 0.0 };
        let rounding = match &self.output {
            Output::I64(_) | Output::U64(_) => 0.0,
            Output::F32(values) => half_ulp_of_largest(values),
            Output::F64(values) => half_ulp_of_largest(values),
        };
        match (quantisation, rounding) {
            (bound, 0.0) | (0.0, bound) => bound,
            // up, since adding the two may itself have rounded down
            (quantisation, rounding) => (quantisation + rounding).next_up(),
        }
    }

    fn into_array(self) -> Option<Array> {
        let values = match self.output {
            Output::I64(values) => Values::I64(values),
            Output::U64(values) => Values::U64(values),
            Output::F32(values) => Values::F32(values),
            Output::F64(values) => Values::F64(values),
        };
        Array::new(self.shape, values)
    }
}

fn append<T>(
    out: &mut Vec<T>,
    len: usize,
    ring: Ring,
    words: &[u64],
    convert: impl Fn(Integer) -> T,
) -> Result<(), usize> {
    if out.capacity() == 0 {
        out.reserve_exact(len);
    }
    for (offset, &word) in words.iter().enumerate() {
        out.push(convert(ring.value(word).ok_or(offset)?));
    }
    Ok(())
}

fn rounded<T: Rounded>(value: Integer, divisor: NonZeroU64, step: f64) -> T {
    T::quotient(value.magnitude, divisor).scaled(value.negative, step)
}

fn half_ulp_of_largest<T: Rounded + PartialOrd>(values: &[T]) -> f64 {
    let magnitudes = values.iter().map(|value| value.magnitude());
    magnitudes.reduce(|a, b| if b > a { b } else { a }).map_or(0.0, Rounded::half_ulp)
}
