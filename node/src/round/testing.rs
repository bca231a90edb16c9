//! What tests of the data path share: members with small inputs, and streams that break.

use std::sync::Arc;

use consort_protocol::{
    array::{Array, Dtype, Values},
    bulk::mask_chunk,
    contract::{Task, Terms, spec_for},
    encoding::{self, Layout, Reduction, ValidInput, VectorSpec},
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::{Manifest, Policy},
    masking::{MaskPlan, MaskSeed, Sign, self_mask_seed},
    messages::masked_input::{chunk_digest, vector_root},
    sharing::SelfMaskSecret,
    sim::consortium,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::io::{AsyncReadExt as _, DuplexStream, Join, ReadHalf, Take, WriteHalf, duplex, join, split};

use super::upload::Source;

pub(super) const SESSION: SessionId = SessionId([5; 32]);

/// Elements of each vector: several chunks, the last one shorter.
const ELEMENTS: u64 = 5 * 32_768 + 100;

/// A round of integers among five members, before anything has happened.
pub(super) struct Round {
    pub(super) manifest: Arc<Manifest>,
    pub(super) spec: VectorSpec,
    pub(super) layout: Layout,
}

impl Round {
    pub(super) fn new() -> Self {
        let manifest = consortium(5, Policy::default(), 1).unwrap().manifest;
        let shape = (vec![ELEMENTS], Dtype::I32);
        let spec = spec_for(&manifest, [shape], Reduction::Sum, None);
        let layout = spec.layout(manifest.members().len(), manifest.policy().max_vector).unwrap();
        assert_eq!(layout.chunk_count(), 6);
        Self { manifest, spec, layout }
    }

    pub(super) fn id(&self, number: usize) -> MemberId {
        self.manifest.members()[number].id
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MemberId> {
        self.manifest.members().iter().map(|member| member.id)
    }

    pub(super) fn terms(&self) -> Terms {
        let task = Task { label: None, query: [0; 32], spec: self.spec.clone() };
        Terms::new(self.manifest.clone(), 0, 0, 0, task).unwrap()
    }

    /// What a member gives.
    pub(super) fn values(number: usize) -> Vec<i32> {
        (0..ELEMENTS as i32).map(|index| (index - 1000) * (number as i32 + 1)).collect()
    }

    /// A member's vector under a mask of its own.
    pub(super) fn source(&self, number: usize) -> Arc<Source> {
        let array = Array::new(vec![ELEMENTS], Values::I32(Self::values(number))).unwrap();
        let input = encoding::Input { leaves: vec![array], weight: 1 };
        Arc::new(Source {
            root: None,
            session: SESSION,
            layout: self.layout.clone(),
            input: Arc::new(ValidInput::new(input, &self.spec, &self.layout).unwrap()),
            plan: Arc::new(MaskPlan::new(vec![(Sign::Add, seed(number))])),
        })
    }

    /// Lifts the masks of these members from their sum.
    pub(super) fn unmasking(numbers: impl IntoIterator<Item = usize>) -> MaskPlan {
        MaskPlan::new(numbers.into_iter().map(|number| (Sign::Subtract, seed(number))).collect())
    }

    /// The packed chunks of a vector, one after the other.
    pub(super) fn chunks(&self, source: &Source) -> Vec<Vec<u8>> {
        self.layout.chunks().map(|chunk| mask_chunk(&source.input, &source.plan, &chunk).unwrap()).collect()
    }

    pub(super) fn root(&self, chunks: &[Vec<u8>]) -> Digest {
        let digests: Vec<Digest> =
            self.layout.chunks().zip(chunks).map(|(chunk, packed)| chunk_digest(&chunk, packed)).collect();
        vector_root(&digests)
    }
}

fn seed(number: usize) -> MaskSeed {
    let secret = SelfMaskSecret::generate(&mut StdRng::seed_from_u64(number as u64));
    self_mask_seed(&secret, &SESSION)
}

/// Two ends of a stream; the first one reads no more than `limit` bytes, and then an end of file.
pub(super) fn stream(limit: u64) -> (Near, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    let (reader, writer) = split(near);
    (join(reader.take(limit), writer), far)
}

pub(super) type Near = Join<Take<ReadHalf<DuplexStream>>, WriteHalf<DuplexStream>>;
