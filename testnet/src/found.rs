//! Founds the consortium: identities from the seed, a manifest that all have signed, a home for each node.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use consort_node::{
    consortium::Draft,
    home::Home,
    identity::{NodeIdentity, peer_id},
};
use consort_protocol::{
    array::Dtype,
    contract::spec_for,
    election,
    encoding::{self, DEFAULT_CLIP, Encoding, Part, SpecError, VectorSpec},
    hash::digest,
    ids::MemberId,
    manifest::{Manifest, ManifestBody, MemberEntry, Policy, SignedManifest},
};

use crate::{
    cli::{Run, Transport},
    control::{Assignment, Hold, Reduce, Share},
    workload::vectors::{Extent, Reduction},
};

/// On one machine all inputs are handed in at once; whoever is not there a second later is dead.
const GATHER_MS: u64 = 1_000;

/// Floats are rounded to multiples of 2^this.
const STEP_LOG2: i8 = encoding::DEFAULT_STEP_LOG2;

/// What the inputs are like, as far as the policy and the contract must know.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Sides of each array.
    pub(crate) sides: Vec<u64>,
    /// Element type.
    pub(crate) dtype: Dtype,
    /// Largest magnitude.
    pub(crate) extent: Extent,
    /// Largest weight.
    pub(crate) max_weight: u64,
    /// What comes back.
    pub(crate) reduction: Reduction,
}

/// A consortium, on paper.
pub(crate) struct Founded {
    pub(crate) identities: Vec<NodeIdentity>,
    pub(crate) signed: SignedManifest,
    pub(crate) manifest: Arc<Manifest>,
}

/// Founds a consortium for inputs like these.
///
/// # Errors
/// Where its policy is not allowed or the sum could not fit: nothing has been written then.
pub(crate) fn found(run: &Run, shape: &Shape) -> anyhow::Result<Founded> {
    let secret =
        |index: usize| digest("testnet identity", &[&run.seed.to_le_bytes(), &(index as u64).to_le_bytes()]);
    let identities: Vec<NodeIdentity> =
        (0..run.nodes).map(|index| NodeIdentity::from_secret(&secret(index))).collect();
    let entry = |(index, identity): (usize, &NodeIdentity)| MemberEntry {
        id: identity.id(),
        name: format!("node-{index}"),
        addresses: Vec::new(),
        may_aggregate: true,
    };
    let mut signed = SignedManifest::new(ManifestBody {
        name: "testnet".into(),
        epoch: 0,
        previous: None,
        members: identities.iter().enumerate().map(entry).collect(),
        policy: policy(run, shape)?,
    });
    for identity in &identities {
        signed.sign(&identity.signing())?;
    }
    let manifest = Arc::new(signed.clone().verify()?);
    let reduction = match shape.reduction {
        Reduction::Sum => encoding::Reduction::Sum,
        Reduction::Mean => encoding::Reduction::Mean,
        Reduction::WeightedMean => encoding::Reduction::WeightedMean { max_weight: shape.max_weight },
    };
    let spec = spec_for(&manifest, [(shape.sides.clone(), shape.dtype)], reduction, None);
    check_integers(&spec, shape, run.nodes)?;
    spec.layout(run.nodes, manifest.policy().max_vector).map_err(|error| in_flags(&error))?;
    Ok(Founded { identities, signed, manifest })
}

/// The contract bounds integers so that the sum fits 64 bits, which a node would notice only in the round.
fn check_integers(spec: &VectorSpec, shape: &Shape, nodes: usize) -> anyhow::Result<()> {
    for leaf in &spec.leaves {
        if let (Encoding::Integer { bound }, Extent::Integer(found)) = (leaf.encoding, shape.extent)
            && found > bound
        {
            bail!(
                "--inputs: they reach {found}, but the sum over {nodes} nodes fits 64 bits only if none is \
                 above {bound}; scale the inputs down, or the weights if there are any"
            );
        }
    }
    Ok(())
}

/// Clip, step and largest weight follow from the files here, so the ways out are others than a policy's.
fn in_flags(error: &SpecError) -> anyhow::Error {
    match error {
        SpecError::Budget { part: Part::Weight, needs, members, .. } => anyhow!(
            "--weights: the sum over {members} nodes needs at least {needs} bits, but the ring has 64; scale \
             the weights down"
        ),
        SpecError::Budget { needs, members, .. } => anyhow!(
            "--inputs: the sum over {members} nodes in steps of 2^{STEP_LOG2} needs at least {needs} bits, but \
             the ring has 64; scale the inputs down, or the weights if there are any"
        ),
        other => anyhow!("--inputs: {other}"),
    }
}

fn policy(run: &Run, shape: &Shape) -> anyhow::Result<Policy> {
    let smallest_clip = f64::from(STEP_LOG2).exp2();
    let (clip, integer_bound) = match shape.extent {
        Extent::Float(extent) => (extent.max(smallest_clip), None),
        Extent::Integer(extent) => (DEFAULT_CLIP, Some(extent.max(1))),
    };
    Ok(Policy {
        corrupt: run.corrupt.map(u16::try_from).transpose().context("--corrupt")?,
        clip,
        step_log2: STEP_LOG2,
        integer_bound,
        max_weight: shape.max_weight.max(1),
        max_vector: shape.sides.iter().product::<u64>().max(1),
        gather_ms: GATHER_MS,
        ..Policy::default()
    })
}

impl Founded {
    /// The index of a member.
    pub(crate) fn index_of(&self, id: &MemberId) -> Option<usize> {
        self.identities.iter().position(|identity| identity.id() == *id)
    }

    /// A member's index by its public key in hexadecimal.
    pub(crate) fn index_of_key(&self, key: &str) -> Option<usize> {
        self.identities.iter().position(|identity| hex::encode(identity.id().0) == key)
    }

    /// The libp2p spelling of a node's id.
    pub(crate) fn peer(&self, index: usize) -> String {
        let identity = self.identities.get(index);
        identity
            .and_then(|identity| peer_id(&identity.id()).ok())
            .map(|id| id.to_string())
            .unwrap_or_default()
    }

    /// Node indices in the order in which they aggregate this round.
    pub(crate) fn order(&self, round: u32) -> Vec<usize> {
        election::order(&self.manifest, round.into()).iter().filter_map(|id| self.index_of(id)).collect()
    }

    /// Makes the home of a node.
    pub(crate) fn home(
        &self,
        folder: &Path,
        index: usize,
        run: &Run,
        (share, holds, lie): (Share, Vec<Hold>, Option<String>),
        peers: Vec<String>,
    ) -> anyhow::Result<PathBuf> {
        let path = folder.join(format!("node-{index:03}"));
        let home = Home::open(&path)?;
        let identity = self.identities.get(index).context("no such node")?;
        identity.save(&home.identity())?;
        Draft::first(self.signed.clone()).write(&home.consortium())?;
        let listen = match run.transport {
            Transport::Tcp => "/ip4/127.0.0.1/tcp/0",
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        fs::write(home.config(), format!("listen = [\"{listen}\"]\n"))?;
        let assignment = Assignment { index, nodes: run.nodes, seed: run.seed, peers, share, holds, lie };
        assignment.write(&path)?;
        Ok(path)
    }
}

/// What becomes of a node's array.
pub(crate) fn reduce(reduction: Reduction, weight: u64) -> Reduce {
    match reduction {
        Reduction::Sum => Reduce::Sum,
        Reduction::Mean => Reduce::Mean,
        Reduction::WeightedMean => Reduce::Weighted(weight),
    }
}
