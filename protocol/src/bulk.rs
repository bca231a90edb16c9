//! What is done to every element of a vector: mask a chunk, or add up a chunk of all survivors.
//!
//! Vectors do not pass through the state machines. These kernels are pure functions of one chunk; the
//! driver calls them for any chunks, in any order, on as many threads as it likes, and moves the packed
//! bytes. A chunk names its own range of coordinates, so parts of a vector can be summed apart.

use crate::{
    encoding::{
        Chunk, ValidInput,
        packing::{self, PackingError},
    },
    masking::{MaskError, MaskPlan},
};

/// Why a chunk could not be worked on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// The masks do not reach so far.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// Packed bytes that are no chunk of this length and ring.
    #[error(transparent)]
    Packing(#[from] PackingError),
}

/// One chunk of a masked vector: the input's elements encoded, all masks of the plan applied, packed.
///
/// # Errors
/// [`BulkError::Mask`] where the chunk is none of a valid layout.
pub fn mask_chunk(input: &ValidInput, plan: &MaskPlan, chunk: &Chunk) -> Result<Vec<u8>, BulkError> {
    let mut words = vec![0; chunk.len as usize];
    input.encode(chunk, &mut words);
    plan.apply(chunk, &mut words)?;
    let mut packed = Vec::with_capacity(chunk.packed_len());
    packing::pack(&words, chunk.bits, &mut packed);
    Ok(packed)
}

/// One chunk of the sum, accumulated in memory: packed masked vectors are added one by one, then the
/// masks that are left come off.
pub struct ChunkSum {
    chunk: Chunk,
    sum: Vec<u64>,
    scratch: Vec<u64>,
}

impl ChunkSum {
    /// The sum of nobody.
    #[must_use]
    pub fn new(chunk: Chunk) -> Self {
        let zeros = vec![0; chunk.len as usize];
        Self { chunk, sum: zeros.clone(), scratch: zeros }
    }

    /// Adds one survivor's chunk.
    ///
    /// # Errors
    /// [`BulkError::Packing`] where the bytes are no chunk of this length and ring; nothing is added then.
    pub fn add(&mut self, packed: &[u8]) -> Result<(), BulkError> {
        packing::unpack(packed, self.chunk.bits, &mut self.scratch)?;
        for (sum, word) in self.sum.iter_mut().zip(&self.scratch) {
            *sum = sum.wrapping_add(*word);
        }
        Ok(())
    }

    /// Takes off the masks of the plan and packs the sum.
    ///
    /// # Errors
    /// [`BulkError::Mask`] where the chunk is none of a valid layout.
    pub fn unmask(mut self, plan: &MaskPlan) -> Result<Vec<u8>, BulkError> {
        plan.apply(&self.chunk, &mut self.sum)?;
        let mut packed = Vec::with_capacity(self.chunk.packed_len());
        packing::pack(&self.sum, self.chunk.bits, &mut packed);
        Ok(packed)
    }
}
