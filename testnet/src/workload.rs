//! What the nodes have to add up: a real learning task, random vectors, or someone's own files.

pub(crate) mod digits;
pub(crate) mod vectors;

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use sha2::{Digest, Sha256};

/// The random numbers for one purpose, so that no two purposes, nodes or rounds share any. They make
/// inputs, never keys: a fast generator of full quality is enough.
pub(crate) fn rng(purpose: &str, parts: &[u64]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(purpose);
    for part in parts {
        hash.update([0]);
        hash.update(part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}
