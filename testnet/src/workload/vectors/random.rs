//! Random vectors.

use consort_protocol::array::{Array, Values};
use rand::Rng;

use crate::workload::rng;

const BYTES: usize = size_of::<u32>();
/// Bytes drawn at once, so that they are still in the first-level cache when they are converted.
const CHUNK: usize = 1 << 14;
/// Bits that an f32 in [-1, 1) holds exactly wherever it lies, its sign included.
const BITS: u32 = 24;

/// The input of a node in a round: `len` values in [-1, 1), uniform multiples of 2⁻²³, as an f32 array of
/// one dimension. It follows from the seed, the node and the round alone.
pub(crate) fn random(seed: u64, node: usize, round: u32, len: usize) -> Array {
    let mut rng = rng("vector", &[seed, node as u64, u64::from(round)]);
    let mut values = Vec::with_capacity(len);
    let mut buffer = [0; CHUNK];
    while values.len() < len {
        let wanted = CHUNK.min((len - values.len()) * BYTES);
        let (chunk, _) = buffer.split_at_mut(wanted);
        rng.fill_bytes(chunk);
        let (words, _) = chunk.as_chunks::<BYTES>();
        values.extend(words.iter().map(|word| from_bits(i32::from_le_bytes(*word))));
    }
    Array::new(vec![len as u64], Values::F32(values)).expect("the shape is the length")
}

fn from_bits(word: i32) -> f32 {
    const STEP: f32 = 1.0 / (1 << (BITS - 1)) as f32;
    (word >> (i32::BITS - BITS)) as f32 * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_uniform_between_minus_one_and_one() {
        let values = drawn(1, 0, 0, 100_000);
        assert_eq!(values.len(), 100_000);
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 1e5;
        let square = values.iter().map(|value| value * value).sum::<f32>() / 1e5;
        // standard deviations of these means: 0.0018 and 0.0009
        assert!(mean.abs() < 0.01 && (square - 1.0 / 3.0).abs() < 0.005, "{mean} {square}");
        assert_eq!(
            [i32::MIN, 0, 1 << 8, i32::MAX].map(from_bits),
            [-1.0, 0.0, 1.0 / 8388608.0, 1.0 - 1.0 / 8388608.0]
        );
    }

    #[test]
    fn seed_node_and_round_each_make_a_difference() {
        let first = drawn(1, 0, 0, 16);
        assert_eq!(first, drawn(1, 0, 0, 16));
        assert_eq!(first[..], drawn(1, 0, 0, 5000)[..16]);
        for other in [drawn(2, 0, 0, 16), drawn(1, 1, 0, 16), drawn(1, 0, 1, 16)] {
            assert!(first.iter().zip(other).all(|(left, right)| *left != right));
        }
    }

    fn drawn(seed: u64, node: usize, round: u32, len: usize) -> Vec<f32> {
        match random(seed, node, round, len).values() {
            Values::F32(values) => values.clone(),
            _ => panic!("not f32"),
        }
    }
}
