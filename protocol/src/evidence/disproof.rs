//! A published sum that is not the sum of the certified vectors, shown by one block of elements.
//!
//! All that a sum follows from is bound before it is known: the certificate names the roots of the masked
//! vectors, the roster the points of the secrets that lift the masks. So one block of each vector, of the sum,
//! and the secrets are enough for anybody to add up for himself. The masked elements that are shown are no
//! secrets, and the members' sum is theirs to know.

use serde::{Deserialize, Serialize};

use crate::{
    bulk::ChunkSum,
    certificate::check_published,
    codec,
    encoding::{CHUNK_ELEMENTS, Chunk, Layout},
    hash::Digest,
    manifest::MAX_MEMBERS,
    masking::MaskPlan,
    messages::{
        masked_input::{BLOCK_ELEMENTS, block_digest, blocks, digest_of_blocks, vector_root},
        publish::Published,
    },
    roster::Session,
};

use super::EvidenceError;

/// Blocks of a whole chunk.
const MAX_BLOCKS: usize = (CHUNK_ELEMENTS / BLOCK_ELEMENTS) as usize;

/// Bytes of a block in the largest ring, 64 bits.
const MAX_BLOCK_BYTES: usize = BLOCK_ELEMENTS as usize * 8;

/// One block of a sum and of every vector in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disproof {
    /// The chunk with the block.
    pub(super) chunk: u32,
    /// The block, counted within the chunk.
    pub(super) block: u32,
    pub(super) sum: ShownBlock,
    /// Of each survivor, in the order of the certificate.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub(super) vectors: Vec<ShownBlock>,
}

/// One block, and what ties it to the root of its vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownBlock {
    /// Hashes of all chunks.
    #[serde(deserialize_with = "codec::at_most::<{ codec::MAX_CONTROL_BYTES / 32 }, _, _>")]
    pub(super) chunks: Vec<Digest>,
    /// Hashes of all blocks of the chunk.
    #[serde(deserialize_with = "codec::at_most::<MAX_BLOCKS, _, _>")]
    pub(super) blocks: Vec<Digest>,
    #[serde(deserialize_with = "codec::at_most::<MAX_BLOCK_BYTES, _, _>")]
    pub(super) packed: Vec<u8>,
}

impl ShownBlock {
    /// Shows a block of a vector: `chunks` are the hashes of all its chunks, `packed` is the chunk with it. `None`
    /// where the chunk has no such block.
    #[must_use]
    pub fn of(chunks: Vec<Digest>, chunk: &Chunk, packed: &[u8], block: u32) -> Option<Self> {
        let shown = blocks(chunk, packed).nth(block as usize)?.to_vec();
        Some(Self { chunks, blocks: blocks(chunk, packed).map(block_digest).collect(), packed: shown })
    }

    fn belongs_to(&self, root: &Digest, layout: &Layout, chunk: u32, block: u32) -> bool {
        self.chunks.len() == layout.chunk_count() as usize
            && vector_root(&self.chunks) == *root
            && self.chunks.get(chunk as usize) == Some(&digest_of_blocks(chunk, &self.blocks))
            && self.blocks.get(block as usize) == Some(&block_digest(&self.packed))
    }
}

impl Disproof {
    /// The first block in which a chunk of a sum differs from what it should be. `shown` shows that block of the sum
    /// and of each survivor's vector in order; `None` where the chunk is right, or something cannot be shown.
    #[must_use]
    pub fn of_chunk(
        chunk: &Chunk,
        published: &[u8],
        computed: &[u8],
        mut shown: impl FnMut(u32) -> Option<(ShownBlock, Vec<ShownBlock>)>,
    ) -> Option<Self> {
        let pairs = blocks(chunk, published).zip(blocks(chunk, computed));
        let block = u32::try_from(pairs.into_iter().position(|(one, other)| one != other)?).ok()?;
        let (sum, vectors) = shown(block)?;
        Some(Self { chunk: chunk.index, block, sum, vectors })
    }

    /// Whether a published sum is not the sum.
    pub(super) fn holds_against(
        &self,
        session: &Session,
        published: &Published,
    ) -> Result<bool, EvidenceError> {
        let accepted = check_published(session, published).map_err(EvidenceError::Result)?;
        let Published { sum, certificate, opening, .. } = published;
        let survivors = &certificate.survivors;
        let opening = opening.as_ref().ok_or(EvidenceError::Opening)?;
        let layout = session.terms().layout();
        let chunk = layout.chunk(self.chunk).ok_or(EvidenceError::Opening)?;
        let block = block_of(&chunk, self.block).ok_or(EvidenceError::Opening)?;
        let belongs = |shown: &ShownBlock, root| shown.belongs_to(root, layout, self.chunk, self.block);
        let mut pairs = self.vectors.iter().zip(&survivors.vectors);
        if self.vectors.len() != survivors.vectors.len()
            || !belongs(&self.sum, &sum.body.root)
            || !pairs.all(|(shown, (_, root))| belongs(shown, root))
        {
            return Err(EvidenceError::Opening);
        }
        // last, because it takes as many key agreements as there are pairs of a lost member and a survivor
        let plan = opening.plan(session, &accepted, survivors).map_err(EvidenceError::Result)?;
        Ok(self.add_up(block, &plan).ok_or(EvidenceError::Harmless)? != self.sum.packed)
    }

    fn add_up(&self, block: Chunk, plan: &MaskPlan) -> Option<Vec<u8>> {
        let mut sum = ChunkSum::new(block);
        for vector in &self.vectors {
            sum.add(&vector.packed).ok()?;
        }
        sum.unmask(plan).ok()
    }
}

/// A block as a chunk of its own.
fn block_of(chunk: &Chunk, block: u32) -> Option<Chunk> {
    let first = block.checked_mul(BLOCK_ELEMENTS)?;
    let len = chunk.len.checked_sub(first).filter(|len| *len > 0)?.min(BLOCK_ELEMENTS);
    Some(Chunk { start: chunk.start + u64::from(first), len, ..*chunk })
}
