//! Which masks go onto a vector, or come off a sum: what the driver carries out chunk by chunk.

use crate::encoding::Chunk;

use super::{MaskError, MaskSeed, Sign, apply};

/// A list of masks with their signs. It holds seeds: no `Debug`, and the seeds erase themselves on drop.
pub struct MaskPlan(Vec<(Sign, MaskSeed)>);

impl MaskPlan {
    /// The plan that applies these masks.
    #[must_use]
    pub fn new(masks: Vec<(Sign, MaskSeed)>) -> Self {
        Self(masks)
    }

    /// Number of masks, each as long as the vector.
    #[must_use]
    pub fn masks(&self) -> usize {
        self.0.len()
    }

    /// Applies all masks to the ring elements of one chunk. Chunks may be done in any order and on any
    /// thread.
    ///
    /// # Errors
    /// [`MaskError`] where the chunk is none of a valid layout.
    pub fn apply(&self, chunk: &Chunk, words: &mut [u64]) -> Result<(), MaskError> {
        self.0
            .iter()
            .try_for_each(|(sign, seed)| apply(seed, *sign, chunk.segment, chunk.bits, chunk.start, words))
    }
}
