//! The signed list of members and rules: who belongs to the consortium and what all have agreed to.
//!
//! A [`Manifest`] exists only once it has been verified: [`SignedManifest::verify`] is its one
//! constructor, so code that holds one need not ask again. All bounds of the protocol (`c`, thresholds,
//! minimums, the largest vector) are computed from it and never taken from a message.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    encoding::MAX_STEP_LOG2,
    hash::Digest,
    ids::MemberId,
    sharing::Threshold,
    signing::{self, Identity, Signature, Statement},
};

/// Fewer members cannot hide an input: with two, each one computes the other's from the sum.
pub const MIN_MEMBERS: usize = 3;

/// Everything that a roster of so many leads to fits into control messages: the largest, the roster itself,
/// takes a quarter of one.
pub const MAX_MEMBERS: usize = 1000;

const MAX_NAME_BYTES: usize = 64;
const MAX_ADDRESSES: usize = 8;
const MAX_ADDRESS_BYTES: usize = 256;

/// One member as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Its Ed25519 public key.
    pub id: MemberId,
    /// What people call it.
    pub name: String,
    /// Multiaddresses where it can be found; may be empty.
    #[serde(deserialize_with = "codec::at_most::<MAX_ADDRESSES, _, _>")]
    pub addresses: Vec<String>,
    /// Whether it takes its turn as aggregator.
    pub may_aggregate: bool,
}

/// The rules that all members have signed. `None` means: computed from the number of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How many members may be corrupt, the aggregator included (`c`).
    pub corrupt: Option<u16>,
    /// Fewest inputs in one sum; never below the threshold or 3.
    pub min_survivors: Option<u16>,
    /// Fewest members on a roster; never below `⌊(N+c)/2⌋+1`.
    pub min_participants: Option<u16>,
    /// Losses after the shares are dealt that a round is planned for; raises the threshold to `n − planned_losses`.
    pub planned_losses: Option<u16>,
    /// Floats lie in `[−clip, clip]`.
    pub clip: f64,
    /// Fixed-point step as a power of two: the step is `2^step_log2`.
    pub step_log2: i8,
    /// Largest weight in a weighted mean.
    pub max_weight: u64,
    /// Largest magnitude of an integer element; `None`: the largest whose sum fits 64 bits.
    pub integer_bound: Option<u64>,
    /// Most elements in one vector.
    pub max_vector: u64,
    /// What an aggregator may pass on in one round, in bytes, so that the vectors do not die with it.
    pub standby_bytes: u64,
    /// How long the others wait, in milliseconds, for members that have no input yet.
    pub gather_ms: u64,
    /// How long a phase waits, in milliseconds, for members that do not answer, vectors apart.
    pub deadline_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            corrupt: None,
            min_survivors: None,
            min_participants: None,
            planned_losses: None,
            clip: 16.0,
            step_log2: -16,
            max_weight: 1 << 20,
            integer_bound: None,
            max_vector: 1 << 27,
            standby_bytes: 64 << 20,
            gather_ms: 5_000,
            deadline_ms: 10_000,
        }
    }
}

/// What the members sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestBody {
    /// Name of the consortium.
    pub name: String,
    /// Version of the manifest, counted from 0.
    pub epoch: u64,
    /// The members in ascending order of their ids.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub members: Vec<MemberEntry>,
    /// The rules.
    pub policy: Policy,
}

impl Statement for ManifestBody {
    const CONTEXT: &'static str = "manifest";
}

/// A manifest with the signatures collected so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// What is signed.
    pub body: ManifestBody,
    /// Who signed it.
    pub signatures: BTreeMap<MemberId, Signature>,
}

/// Why a manifest is not one to run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Too few members to hide anything, or more than a roster can carry.
    #[error("{found} members, but a consortium has {MIN_MEMBERS} to {MAX_MEMBERS}")]
    MemberCount {
        /// Members found.
        found: usize,
    },
    /// The members are not in strictly ascending order of their ids.
    #[error("members are not sorted by id, or {0} is listed twice")]
    Order(MemberId),
    /// An entry that cannot be used.
    #[error("member {id}: {problem}")]
    Entry {
        /// The entry's id.
        id: MemberId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rule that is too weak or cannot be kept.
    #[error("policy: {key} is {found}, but it must be {expected}")]
    Policy {
        /// Name of the rule.
        key: &'static str,
        /// What the manifest says.
        found: String,
        /// What it may say.
        expected: String,
    },
    /// Later epochs need their predecessor to be verified against.
    #[error("epoch {0} cannot be verified alone: only epoch 0 is signed by all its own members")]
    Epoch(u64),
    /// A member has not signed.
    #[error("not signed by {name} ({id}); a first manifest needs the signature of every member")]
    Unsigned {
        /// Who is missing.
        id: MemberId,
        /// Its name.
        name: String,
    },
    /// A signature that does not verify, or by nobody on the list.
    #[error(
        "the signature of {0} does not verify on this manifest: it was edited after signing, or signed by another key"
    )]
    Signature(MemberId),
}

impl SignedManifest {
    /// An unsigned manifest; members are sorted by id.
    #[must_use]
    pub fn new(mut body: ManifestBody) -> Self {
        body.members.sort_by_key(|member| member.id);
        Self { body, signatures: BTreeMap::new() }
    }

    /// Adds a member's signature.
    ///
    /// # Errors
    /// Only where the manifest is too large to be signed.
    pub fn sign(&mut self, identity: &Identity) -> Result<(), crate::codec::CodecError> {
        let signature = signing::sign_body(&self.body, identity)?;
        self.signatures.insert(identity.id(), signature);
        Ok(())
    }

    /// Checks everything and gives the manifest that a node may run with.
    ///
    /// # Errors
    /// [`ManifestError`] says which entry, rule or signature is at fault.
    pub fn verify(self) -> Result<Manifest, ManifestError> {
        let Self { body, signatures } = self;
        check_members(&body.members)?;
        check_policy(&body)?;
        if body.epoch != 0 {
            return Err(ManifestError::Epoch(body.epoch));
        }
        for (id, signature) in &signatures {
            let listed = body.members.iter().any(|member| member.id == *id);
            if !listed || !signing::verify_body(&body, id, signature) {
                return Err(ManifestError::Signature(*id));
            }
        }
        for member in &body.members {
            if !signatures.contains_key(&member.id) {
                return Err(ManifestError::Unsigned { id: member.id, name: member.name.clone() });
            }
        }
        let digest = signing::body_digest(&body)
            .map_err(|_| ManifestError::MemberCount { found: body.members.len() })?;
        Ok(Manifest { body, digest })
    }
}

/// A verified manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    body: ManifestBody,
    digest: Digest,
}

impl Manifest {
    /// Name of the consortium.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.body.name
    }

    /// Version of the manifest.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.body.epoch
    }

    /// What names this manifest everywhere.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The members in ascending order of their ids.
    #[must_use]
    pub fn members(&self) -> &[MemberEntry] {
        &self.body.members
    }

    /// Whether somebody is a member.
    #[must_use]
    pub fn contains(&self, id: &MemberId) -> bool {
        self.body.members.binary_search_by_key(id, |member| member.id).is_ok()
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.body.policy
    }

    /// How many members may be corrupt, the aggregator included (`c`).
    #[must_use]
    pub fn corrupt(&self) -> usize {
        corrupt(&self.body)
    }

    /// Fewest members on a roster: two halves of the consortium can never both have so many.
    #[must_use]
    pub fn min_participants(&self) -> usize {
        let quorum = (self.body.members.len() + self.corrupt()) / 2 + 1;
        self.body.policy.min_participants.map_or(quorum, |set| usize::from(set).max(quorum))
    }

    /// The one threshold, for shares and certificates, of a roster of `n`; `None` where no threshold of `n` is safe.
    #[must_use]
    pub fn threshold(&self, n: usize) -> Option<Threshold> {
        let planned = self.body.policy.planned_losses.map_or(0, |losses| n.saturating_sub(losses.into()));
        Threshold::new(quorum(n, self.corrupt()).max(planned), n).ok()
    }

    /// Fewest inputs in the sum of a roster of `n`.
    #[must_use]
    pub fn min_survivors(&self, n: usize) -> Option<usize> {
        let set = self.body.policy.min_survivors.map_or(0, usize::from);
        let floor = self.threshold(n)?.get().max(MIN_MEMBERS).max(set);
        (floor <= n).then_some(floor)
    }
}

/// The least number of votes, of `n` voters of whom `c` may vote twice, that two different values
/// cannot both gather: `⌊(n+c)/2⌋ + 1` (docs/protocol.md, section 1).
#[must_use]
pub const fn quorum(n: usize, c: usize) -> usize {
    (n + c) / 2 + 1
}

/// The largest `c` that a consortium of this many members may plan for.
#[must_use]
pub const fn max_corrupt(members: usize) -> usize {
    let third = members.saturating_sub(1) / 3;
    if third > 1 { third } else { 1 }
}

fn corrupt(body: &ManifestBody) -> usize {
    body.policy.corrupt.map_or_else(|| max_corrupt(body.members.len()), usize::from)
}

fn check_members(members: &[MemberEntry]) -> Result<(), ManifestError> {
    if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&members.len()) {
        return Err(ManifestError::MemberCount { found: members.len() });
    }
    for (left, right) in members.iter().zip(members.iter().skip(1)) {
        if left.id >= right.id {
            return Err(ManifestError::Order(right.id));
        }
    }
    for member in members {
        let entry = |problem| Err(ManifestError::Entry { id: member.id, problem });
        if VerifyingKey::from_bytes(&member.id.0).map_or(true, |key| key.is_weak()) {
            return entry("its id is not a usable Ed25519 public key");
        }
        if member.name.is_empty() || member.name.len() > MAX_NAME_BYTES {
            return entry("its name is empty or longer than 64 bytes");
        }
        if member.addresses.len() > MAX_ADDRESSES
            || member.addresses.iter().any(|address| address.len() > MAX_ADDRESS_BYTES)
        {
            return entry("it lists more than 8 addresses, or one longer than 256 bytes");
        }
    }
    Ok(())
}

fn check_policy(body: &ManifestBody) -> Result<(), ManifestError> {
    let members = body.members.len();
    let policy = &body.policy;
    let refuse = |key, found: &dyn ToString, expected: String| {
        Err(ManifestError::Policy { key, found: found.to_string(), expected })
    };
    let c = corrupt(body);
    if !(1..=max_corrupt(members)).contains(&c) {
        return refuse("corrupt", &c, format!("1 to {} for {members} members", max_corrupt(members)));
    }
    let floor = quorum(members, c);
    for (key, set) in [("min_participants", policy.min_participants), ("min_survivors", policy.min_survivors)]
    {
        let least = if key == "min_participants" { floor } else { MIN_MEMBERS };
        if let Some(set) = set
            && !(least..=members).contains(&set.into())
        {
            return refuse(key, &set, format!("{least} to {members}"));
        }
    }
    if !(policy.clip.is_finite() && policy.clip > 0.0) {
        return refuse("clip", &policy.clip, "a positive number".into());
    }
    if !(-MAX_STEP_LOG2..=MAX_STEP_LOG2).contains(&policy.step_log2) {
        return refuse("step", &policy.step_log2, format!("2^-{MAX_STEP_LOG2} to 2^{MAX_STEP_LOG2}"));
    }
    if policy.integer_bound == Some(0) {
        return refuse("integer_bound", &0, "at least 1".into());
    }
    if policy.max_weight == 0 {
        return refuse("max_weight", &0, "at least 1".into());
    }
    if policy.max_vector == 0 {
        return refuse("max_vector", &0, "at least 1".into());
    }
    if !body.members.iter().any(|member| member.may_aggregate) {
        return refuse("may_aggregate", &"false for every member", "true for at least one".into());
    }
    if body.name.is_empty() || body.name.len() > MAX_NAME_BYTES {
        return refuse("name", &body.name, "1 to 64 bytes long".into());
    }
    for (key, milliseconds) in [("gather", policy.gather_ms), ("deadlines", policy.deadline_ms)] {
        if milliseconds > 86_400_000 || (key == "deadlines" && milliseconds == 0) {
            return refuse(key, &milliseconds, "at most a day, and for deadlines more than nothing".into());
        }
    }
    Ok(())
}
