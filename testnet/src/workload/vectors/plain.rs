//! The aggregate in the clear, computed without anything of the protocol's encoding: integers exactly in
//! i128, floats by compensated summation in f64 (Neumaier 1974).

use std::ops::Range;

use consort_protocol::array::{Array, Dtype, Values};
use rayon::prelude::*;

/// Elements compared at once: their sums stay in the first-level cache.
const BLOCK: usize = 1 << 10;

/// What comes back from a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// The sum of the survivors' inputs.
    Sum,
    /// Their unweighted mean.
    Mean,
    /// Their mean, each counted as often as its weight says.
    WeightedMean,
}

/// The inputs of a round's survivors, and what is to become of them. Nothing is computed before
/// [`Plain::compare`], which then needs no memory for the whole aggregate.
pub(crate) struct Plain<'a> {
    inputs: Vec<(&'a Array, u64)>,
    reduction: Reduction,
}

/// How far a published aggregate is from the plain one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// Integer sums: equal to the last bit. Means of integers: the exact quotient, correctly rounded.
    /// Floats: all within the error bound.
    pub(crate) correct: bool,
    /// The largest difference of an element; `f64::MAX` where there is no number to compare with.
    pub(crate) max_abs_error: f64,
    /// What is wrong, in words.
    pub(crate) detail: Option<String>,
}

impl<'a> Plain<'a> {
    /// The inputs of the survivors, alike in shape and dtype, each with its weight, which only
    /// [`Reduction::WeightedMean`] regards.
    pub(crate) fn new(inputs: impl IntoIterator<Item = (&'a Array, u64)>, reduction: Reduction) -> Self {
        let weigh = |(array, weight)| match reduction {
            Reduction::WeightedMean => (array, weight),
            Reduction::Sum | Reduction::Mean => (array, 1),
        };
        Self { inputs: inputs.into_iter().map(weigh).collect(), reduction }
    }

    /// Compares what was published with the plain aggregate. `error_bound` is the one that was published
    /// with it; it counts for floats only.
    pub(crate) fn compare(&self, aggregate: &Array, error_bound: f64) -> Comparison {
        let Some(&(first, _)) = self.inputs.first() else { return wrong("nobody survived") };
        let expected = self.aggregate_dtype(first.dtype());
        if aggregate.shape() != first.shape() || aggregate.dtype() != expected {
            return wrong(format!(
                "the aggregate is {:?} of shape {:?} instead of {expected:?} of shape {:?}",
                aggregate.dtype(),
                aggregate.shape(),
                first.shape()
            ));
        }
        if self
            .inputs
            .iter()
            .any(|(array, _)| (array.dtype(), array.shape()) != (first.dtype(), first.shape()))
        {
            return wrong("the inputs are not alike");
        }
        if self.divisor() == Some(0) {
            return wrong("the weights of the survivors add up to 0");
        }
        let len = aggregate.values().len();
        let blocks = len.div_ceil(BLOCK);
        let worst = (0..blocks)
            .into_par_iter()
            .map(|block| self.worst_of(aggregate.values(), block * BLOCK..len.min((block + 1) * BLOCK)))
            .reduce(Worst::default, Worst::or);
        let bound = if is_float(first.dtype()) { error_bound } else { 0.0 };
        // written so that a bound which is no number is never met
        let correct = worst.error <= bound;
        let detail = (!correct).then(|| {
            format!(
                "index {} of the aggregate is off by {:e}, allowed is {bound:e}",
                worst.index, worst.error
            )
        });
        Comparison { correct, max_abs_error: worst.error, detail }
    }

    fn aggregate_dtype(&self, input: Dtype) -> Dtype {
        match (input, self.reduction) {
            (Dtype::F32 | Dtype::F64, _) => input,
            (_, Reduction::Mean | Reduction::WeightedMean) => Dtype::F64,
            (Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64, Reduction::Sum) => Dtype::I64,
            (Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64, Reduction::Sum) => Dtype::U64,
        }
    }

    /// What a mean divides by.
    fn divisor(&self) -> Option<u128> {
        let total = self.inputs.iter().map(|&(_, weight)| u128::from(weight)).sum();
        (self.reduction != Reduction::Sum).then_some(total)
    }

    fn worst_of(&self, aggregate: &Values, range: Range<usize>) -> Worst {
        let start = range.start;
        let errors: Vec<f64> = match aggregate {
            Values::I64(values) => {
                let published = values.iter().map(|&value| i128::from(value));
                sum_errors(published.skip(start), &self.integer_sums(range))
            }
            Values::U64(values) => {
                let published = values.iter().map(|&value| i128::from(value));
                sum_errors(published.skip(start), &self.integer_sums(range))
            }
            Values::F32(values) => self.float_errors(values.iter().map(|&value| value.into()), range),
            Values::F64(values) if self.inputs.iter().any(|(input, _)| is_float(input.dtype())) => {
                self.float_errors(values.iter().copied(), range)
            }
            Values::F64(values) => {
                let divisor = self.divisor().unwrap_or(1);
                let sums = self.integer_sums(range);
                let pairs = values.iter().skip(start).zip(&sums);
                pairs.map(|(value, &sum)| (value - quotient(sum, divisor)).abs()).collect()
            }
            _ => vec![f64::MAX],
        };
        (start..)
            .zip(errors)
            .map(|(index, error)| Worst { index, error: number(error) })
            .fold(Worst::default(), Worst::or)
    }

    fn float_errors(&self, published: impl Iterator<Item = f64>, range: Range<usize>) -> Vec<f64> {
        let divisor = self.divisor().map(|divisor| divisor as f64);
        let start = range.start;
        let pairs = published.skip(start).zip(self.float_sums(range));
        pairs
            .map(|(value, (sum, rest))| match divisor {
                None => ((value - sum) - rest).abs(),
                Some(divisor) => (value - (sum + rest) / divisor).abs(),
            })
            .collect()
    }

    fn integer_sums(&self, range: Range<usize>) -> Vec<i128> {
        let mut sums = vec![0; range.len()];
        for &(input, weight) in &self.inputs {
            let range = range.clone();
            match input.values() {
                Values::I8(values) => add_integers(&mut sums, &values[range], weight),
                Values::I16(values) => add_integers(&mut sums, &values[range], weight),
                Values::I32(values) => add_integers(&mut sums, &values[range], weight),
                Values::I64(values) => add_integers(&mut sums, &values[range], weight),
                Values::U8(values) => add_integers(&mut sums, &values[range], weight),
                Values::U16(values) => add_integers(&mut sums, &values[range], weight),
                Values::U32(values) => add_integers(&mut sums, &values[range], weight),
                Values::U64(values) => add_integers(&mut sums, &values[range], weight),
                Values::F32(_) | Values::F64(_) => {}
            }
        }
        sums
    }

    /// Sums, and what rounding took from them.
    fn float_sums(&self, range: Range<usize>) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); range.len()];
        for &(input, weight) in &self.inputs {
            let range = range.clone();
            match input.values() {
                Values::F32(values) => add_floats(&mut sums, &values[range], weight),
                Values::F64(values) => add_floats(&mut sums, &values[range], weight),
                _ => {}
            }
        }
        sums
    }
}

/// The element that is furthest off.
#[derive(Clone, Copy, Default)]
struct Worst {
    index: usize,
    error: f64,
}

impl Worst {
    fn or(self, other: Self) -> Self {
        if other.error > self.error { other } else { self }
    }
}

fn wrong(detail: impl Into<String>) -> Comparison {
    Comparison { correct: false, max_abs_error: f64::MAX, detail: Some(detail.into()) }
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64)
}

/// Neither NaN nor infinity has a place in a report.
fn number(error: f64) -> f64 {
    if error.is_finite() { error } else { f64::MAX }
}

fn sum_errors(published: impl Iterator<Item = i128>, sums: &[i128]) -> Vec<f64> {
    published.zip(sums).map(|(value, &sum)| value.abs_diff(sum) as f64).collect()
}

/// Saturates only beyond 2¹²⁷, where no encoding follows.
fn add_integers<T: Copy + Into<i128>>(sums: &mut [i128], values: &[T], weight: u64) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum = sum.saturating_add(value.into().saturating_mul(weight.into()));
    }
}

fn add_floats<T: Copy + Into<f64>>(sums: &mut [(f64, f64)], values: &[T], weight: u64) {
    let weight = weight as f64;
    for ((sum, rest), &value) in sums.iter_mut().zip(values) {
        let value = value.into();
        let term = weight * value;
        if weight != 1.0 {
            *rest += weight.mul_add(value, -term);
        }
        let total = *sum + term;
        *rest += if sum.abs() >= term.abs() { (*sum - total) + term } else { (term - total) + *sum };
        *sum = total;
    }
}

/// The f64 nearest to the exact quotient, ties to even.
fn quotient(sum: i128, divisor: u128) -> f64 {
    /// An f64 has 53 bits; two more and a sticky one decide every rounding.
    const BITS: u32 = 56;
    let magnitude = sum.unsigned_abs();
    if magnitude == 0 || divisor == 0 {
        return 0.0;
    }
    let shift = (BITS + bits(divisor)).saturating_sub(bits(magnitude)).min(magnitude.leading_zeros());
    let dividend = magnitude << shift;
    let sticky = u128::from(!dividend.is_multiple_of(divisor));
    let scaled = ((dividend / divisor) | sticky) as f64 * (-f64::from(shift)).exp2();
    if sum < 0 { -scaled } else { scaled }
}

fn bits(value: u128) -> u32 {
    u128::BITS - value.leading_zeros()
}

#[cfg(test)]
mod tests;
