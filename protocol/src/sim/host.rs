//! What the simulation leaves to its caller: work on whole vectors, and looking on.

use crate::{
    bulk::{ChunkSum, mask_chunk},
    encoding::{Chunk, Layout, ValidInput},
    ids::MemberId,
    masking::MaskPlan,
    phase::Phase,
};

use super::network::Envelope;

/// Which of a node's two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// [`Member`].
    Member,
    /// [`Aggregator`].
    Aggregator,
}

/// What the simulation leaves to its caller: work on vectors, and looking on.
pub trait Host {
    /// All chunks of a masked vector in order, packed.
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>>;
    /// All chunks of the unmasked sum in order, packed. `vectors` has the chunks of each survivor.
    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>>;
    /// Work of a node begins. Pieces of work never overlap; one that does not end came to nothing.
    fn begin(&mut self) {}
    /// It ends; it was done by this node in this role. The phase is the one in which the work left the
    /// node: what makes it enter a phase counts as part of that phase. Encoding and decoding messages is
    /// work too, once for each receiver.
    fn end(&mut self, _who: MemberId, _role: Role, _phase: Phase) {}
    /// A message of so many bytes leaves a node.
    fn sent(&mut self, _envelope: &Envelope, _bytes: usize) {}
}

/// Works on one chunk after the other.
#[derive(Default)]
pub struct SequentialHost;

impl Host for SequentialHost {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        layout.chunks().map(|chunk| mask_chunk(input, plan, &chunk).unwrap_or_default()).collect()
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        let sum = |chunk: Chunk| {
            let mut sum = ChunkSum::new(chunk);
            for vector in vectors {
                sum.add(vector.get(chunk.index as usize)?).ok()?;
            }
            sum.unmask(plan).ok()
        };
        layout.chunks().map(|chunk| sum(chunk).unwrap_or_default()).collect()
    }
}
