//! Vectors and sums: what each node holds of them.

use std::collections::BTreeMap;

use crate::{
    contract::Terms,
    encoding::{Aggregate, Decoder, Layout, packing},
    hash::Digest,
    ids::{MemberId, SessionId},
    messages::masked_input::{chunk_digest, vector_root},
};

/// All chunks of a vector or a sum, packed.
pub(super) type Chunks = Vec<Vec<u8>>;

/// What one node holds.
#[derive(Default)]
pub(super) struct Store {
    vectors: BTreeMap<(SessionId, MemberId), Vector>,
    sums: BTreeMap<Digest, Chunks>,
    /// What the sums stand for.
    read: BTreeMap<Digest, Aggregate>,
}

/// A member's vector.
#[derive(Clone)]
pub(super) struct Vector {
    pub(super) chunks: Chunks,
    /// Whether it came from its owner.
    pub(super) from_owner: bool,
}

impl Store {
    pub(super) fn keep_vector(&mut self, session: SessionId, member: MemberId, vector: Vector) {
        let from_owner =
            vector.from_owner || self.vectors.get(&(session, member)).is_some_and(|it| it.from_owner);
        self.vectors.insert((session, member), Vector { from_owner, ..vector });
    }

    pub(super) fn vector(&self, session: SessionId, member: MemberId) -> Option<&Vector> {
        self.vectors.get(&(session, member))
    }

    pub(super) fn keep_sum(&mut self, root: Digest, chunks: Chunks) {
        self.sums.insert(root, chunks);
    }

    pub(super) fn keep_read(&mut self, root: Digest, aggregate: Aggregate) {
        self.read.insert(root, aggregate);
    }

    pub(super) fn read(&self, root: &Digest) -> Option<&Aggregate> {
        self.read.get(root)
    }

    pub(super) fn sum(&self, root: &Digest) -> Option<&Chunks> {
        self.sums.get(root)
    }
}

pub(super) fn digests_of(layout: &Layout, chunks: &[Vec<u8>]) -> Vec<Digest> {
    layout.chunks().zip(chunks).map(|(chunk, packed)| chunk_digest(&chunk, packed)).collect()
}

pub(super) fn root_of(layout: &Layout, chunks: &[Vec<u8>]) -> Digest {
    vector_root(&digests_of(layout, chunks))
}

pub(super) fn decode(terms: &Terms, chunks: &[Vec<u8>], survivors: usize) -> Option<Aggregate> {
    let layout = terms.layout();
    let mut decoder = Decoder::new(&terms.contract().task.spec, layout, survivors);
    for (chunk, packed) in layout.chunks().zip(chunks) {
        let mut words = vec![0; chunk.len as usize];
        packing::unpack(packed, chunk.bits, &mut words).ok()?;
        decoder.push(&chunk, &words).ok()?;
    }
    decoder.finish().ok()
}
