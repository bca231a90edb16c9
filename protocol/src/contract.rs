//! The round contract: what a round will do, fixed and hashed before any key is made.
//!
//! A contract names the manifest, the round, attempt and slot, and the task. Everything else (ring,
//! thresholds, minimums, deadlines) follows from the manifest, so a member does not read bounds from a
//! contract: it derives the [`Terms`] itself and refuses a contract that is not the one it would have
//! signed for its own input.

use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    array::Dtype,
    election,
    encoding::{Beyond, Encoding, Layout, Leaf, Reduction, SpecError, VectorSpec},
    graph::Neighbourhood,
    hash::{Digest, digest},
    ids::MemberId,
    manifest::{Manifest, Policy},
    phase::Phase,
    signing::{self, Identity, Signed, Statement},
};

/// A vector that moves more slowly than this is dropped at the deadline of its phase.
pub const SLOWEST_BYTES_PER_SECOND: u64 = 256 * 1024;

/// Several missed heartbeats: a busy machine may miss some.
const MAX_SILENCE: Duration = Duration::from_secs(5);

const MAX_LABEL_BYTES: usize = 256;

/// What the inputs of one round have in common: members whose tasks differ never share a mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Says that inputs are the same data again; without one an input is new data each time.
    pub label: Option<String>,
    /// Hash of the model or question that the input answers; zero where there is none.
    pub query: Digest,
    /// Shape, element types, encoding and reduction.
    pub spec: VectorSpec,
}

impl Task {
    /// What names the task: members wait for a round with it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest("task", &[&crate::codec::encode(self).unwrap_or_default()])
    }
}

/// The spec of arrays of these shapes and element types under a policy.
///
/// `clip` overrides the policy's clip for floats.
#[must_use]
pub fn spec_for(
    manifest: &Manifest,
    leaves: impl IntoIterator<Item = (Vec<u64>, Dtype)>,
    reduction: Reduction,
    clip: Option<f64>,
) -> VectorSpec {
    let Policy { clip: policy_clip, step_log2, integer_bound: policy_bound, .. } = *manifest.policy();
    let members = manifest.members().len();
    let encoding = |dtype| match Encoding::default_for(dtype, reduction, members) {
        Encoding::Fixed { .. } => {
            Encoding::Fixed { step_log2, clip: clip.unwrap_or(policy_clip), beyond: Beyond::Refuse }
        }
        Encoding::Integer { bound } => {
            Encoding::Integer { bound: policy_bound.map_or(bound, |set| set.min(bound)) }
        }
    };
    let leaves =
        leaves.into_iter().map(|(shape, dtype)| Leaf { shape, dtype, encoding: encoding(dtype) }).collect();
    VectorSpec { leaves, reduction }
}

/// What the aggregator of a slot proposes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Digest of the manifest whose rules hold.
    pub manifest: Digest,
    /// The round, counted from 0.
    pub round: u64,
    /// The attempt at it, counted from 0; each has fresh keys.
    pub attempt: u32,
    /// Who acts as aggregator: the position in the round's order.
    pub slot: u32,
    /// What is summed.
    pub task: Task,
}

impl Statement for Contract {
    const CONTEXT: &'static str = "contract";
}

/// Why a contract is not one to take part in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ContractError {
    /// It names another manifest.
    #[error("it is for another manifest or epoch")]
    Manifest,
    /// Nobody holds this slot.
    #[error(
        "slot {0} does not exist: every member had its turns and none got as far as a roster; check who is connected"
    )]
    Slot(u32),
    /// Signed by somebody whose turn it is not.
    #[error("{found} proposed it, but slot {slot} belongs to {expected}")]
    Turn {
        /// Who signed.
        found: MemberId,
        /// Whose turn it is.
        expected: MemberId,
        /// The slot.
        slot: u32,
    },
    /// The signature does not verify.
    #[error(transparent)]
    Signature(#[from] signing::BadSignature),
    /// Its task is not the one that this member's input is for.
    #[error("its task is not the one that the waiting input answers")]
    Task,
    /// The label is too long.
    #[error("the label has {0} bytes, at most {MAX_LABEL_BYTES} are allowed")]
    Label(usize),
    /// The vector does not fit the rules.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// A contract that has been checked, with everything that follows from it.
#[derive(Clone, Debug)]
pub struct Terms {
    manifest: Arc<Manifest>,
    contract: Contract,
    digest: Digest,
    layout: Layout,
    order: Vec<MemberId>,
    aggregator: MemberId,
}

impl Terms {
    /// The terms of an attempt.
    ///
    /// # Errors
    /// [`ContractError`] where the slot does not exist or the vector does not fit the rules.
    pub fn new(
        manifest: Arc<Manifest>,
        round: u64,
        attempt: u32,
        slot: u32,
        task: Task,
    ) -> Result<Self, ContractError> {
        let order = election::order(&manifest, round);
        let aggregator = election::holder_in(&order, slot).ok_or(ContractError::Slot(slot))?;
        if let Some(length) = task.label.as_ref().map(String::len).filter(|&length| length > MAX_LABEL_BYTES)
        {
            return Err(ContractError::Label(length));
        }
        let layout = task.spec.layout(manifest.members().len(), manifest.policy().max_vector)?;
        let contract = Contract { manifest: *manifest.digest(), round, attempt, slot, task };
        let digest = signing::body_digest(&contract).map_err(|_| ContractError::Task)?;
        Ok(Self { manifest, contract, digest, layout, order, aggregator })
    }

    /// Checks a proposed contract against the manifest and this member's own task.
    ///
    /// # Errors
    /// [`ContractError`] says what differs.
    pub fn accept(
        manifest: Arc<Manifest>,
        proposed: &Signed<Contract>,
        task: &Task,
    ) -> Result<Self, ContractError> {
        let Contract { manifest: digest, round, attempt, slot, .. } = proposed.body;
        if digest != *manifest.digest() {
            return Err(ContractError::Manifest);
        }
        if proposed.body.task != *task {
            return Err(ContractError::Task);
        }
        let terms = Self::new(manifest, round, attempt, slot, task.clone())?;
        if proposed.signer != terms.aggregator {
            return Err(ContractError::Turn { found: proposed.signer, expected: terms.aggregator, slot });
        }
        proposed.verify()?;
        Ok(terms)
    }

    /// The contract, signed by its aggregator.
    ///
    /// # Errors
    /// Only where the contract is too large to be a control message.
    pub fn sign(&self, identity: &Identity) -> Result<Signed<Contract>, crate::codec::CodecError> {
        Signed::new(self.contract.clone(), identity)
    }

    /// The contract itself.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Hash of the contract, which all later statements refer to.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The manifest whose rules hold.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Ring, segments and chunks of the vectors.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Who aggregates in the slot of the contract.
    #[must_use]
    pub fn aggregator(&self) -> MemberId {
        self.aggregator
    }

    /// Who aggregates in any slot of the round; `None` beyond the last.
    #[must_use]
    pub fn holder(&self, slot: u32) -> Option<MemberId> {
        election::holder_in(&self.order, slot)
    }

    /// The members that may aggregate, in the order of the round.
    #[must_use]
    pub fn order(&self) -> &[MemberId] {
        &self.order
    }

    /// Who masks with whom on a roster of `n`.
    #[must_use]
    pub fn graph(&self, n: usize) -> Neighbourhood {
        Neighbourhood::complete(n)
    }

    /// Silence of an aggregator after which its slot is given up. A living one says something every
    /// [`HEARTBEAT`](Self::HEARTBEAT).
    #[must_use]
    pub fn silence(&self) -> Duration {
        MAX_SILENCE.min(Duration::from_millis(self.manifest.policy().deadline_ms))
    }

    /// How often an aggregator says that it is there.
    pub const HEARTBEAT: Duration = Duration::from_secs(1);

    /// How long the aggregator waits in a phase for those who do not answer.
    #[must_use]
    pub fn deadline(&self, phase: Phase) -> Duration {
        let base = Duration::from_millis(self.manifest.policy().deadline_ms);
        match phase {
            Phase::MaskedInput | Phase::Publish => {
                base + Duration::from_secs(self.layout.packed_len() / SLOWEST_BYTES_PER_SECOND)
            }
            Phase::AdvertiseKeys | Phase::ShareKeys | Phase::ConsistencyCheck | Phase::Unmasking => base,
        }
    }
}
