//! `masked-input`: the statement that binds a member to the vector it uploaded, and the vector's root.
//!
//! The vector itself moves beside the state machines in chunks (see [`crate::encoding::Chunk`]); its root
//! is the hash of the list of its chunks' hashes, so a receiver can check each chunk as it arrives.

use serde::{Deserialize, Serialize};

use crate::{
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

/// Hash of one chunk of a vector in its packed form.
#[must_use]
pub fn chunk_digest(index: u32, packed: &[u8]) -> Digest {
    digest("chunk", &[&index.to_le_bytes(), packed])
}

/// Root of a vector from the hashes of all its chunks in order.
#[must_use]
pub fn vector_root(chunks: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = chunks.iter().map(<[u8; 32]>::as_slice).collect();
    digest("vector", &parts)
}
