//! `masked-input`: the statement that binds a member to the vector it uploaded, and the vector's root.
//!
//! The vector itself moves beside the state machines in chunks (see [`crate::encoding::Chunk`]); its root
//! is the hash of the list of its chunks' hashes, so a receiver can check each chunk as it arrives. A chunk's
//! hash is that of the list of its blocks' hashes, so that a few elements can be shown without the rest.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::{Chunk, packing::packed_len},
    hash::{Digest, digest},
    ids::SessionId,
    signing::Statement,
};

/// Binds a member to its masked vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedInput {
    /// The session.
    pub session: SessionId,
    /// Digest of the mask set under which the vector is masked.
    pub mask_set: Digest,
    /// Root of the vector.
    pub root: Digest,
}

impl Statement for MaskedInput {
    const CONTEXT: &'static str = "masked input";
}

/// Elements of a block. A multiple of 8, so that each begins at a whole byte of its packed chunk.
pub const BLOCK_ELEMENTS: u32 = 1 << 10;

/// The blocks of a chunk in its packed form, in order.
pub fn blocks<'a>(chunk: &Chunk, packed: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    packed.chunks(packed_len(BLOCK_ELEMENTS as usize, chunk.bits))
}

/// Hash of one block in its packed form.
#[must_use]
pub fn block_digest(packed: &[u8]) -> Digest {
    digest("block", &[packed])
}

/// Hash of one chunk from the hashes of all its blocks in order.
#[must_use]
pub fn digest_of_blocks(index: u32, blocks: &[Digest]) -> Digest {
    let index = index.to_le_bytes();
    let parts: Vec<&[u8]> =
        [index.as_slice()].into_iter().chain(blocks.iter().map(<[u8; 32]>::as_slice)).collect();
    digest("chunk", &parts)
}

/// Hash of one chunk of a vector in its packed form.
#[must_use]
pub fn chunk_digest(chunk: &Chunk, packed: &[u8]) -> Digest {
    let blocks: Vec<Digest> = blocks(chunk, packed).map(block_digest).collect();
    digest_of_blocks(chunk.index, &blocks)
}

/// Root of a vector from the hashes of all its chunks in order.
#[must_use]
pub fn vector_root(chunks: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = chunks.iter().map(<[u8; 32]>::as_slice).collect();
    digest("vector", &parts)
}
