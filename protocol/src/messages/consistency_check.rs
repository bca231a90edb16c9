//! `consistency-check`: the proposed survivors, votes, and the certificate that enough votes are.

use serde::{Deserialize, Serialize};

use crate::{
    codec,
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    manifest::MAX_MEMBERS,
    signing::{Signature, Signed, Statement},
};

use super::{failover::StandbyReceipt, masked_input::MaskedInput};

/// The aggregator of a slot proposes what the session comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The session.
    pub session: SessionId,
    /// The slot whose aggregator proposes.
    pub slot: u32,
    /// What it proposes.
    pub value: Proposed,
}

impl Statement for Proposal {
    const CONTEXT: &'static str = "proposal";
}

/// What a session can come to, as it is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proposed {
    /// A sum over these survivors.
    Survivors {
        /// Their statements with the roots of their vectors, in ascending order of their signers.
        #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
        statements: Vec<Signed<MaskedInput>>,
        /// Standbys that hold all these vectors.
        #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
        standbys: Vec<Signed<StandbyReceipt>>,
    },
    /// Nothing: a fresh attempt follows.
    Abandon,
}

impl Proposed {
    /// What votes name.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::Survivors { statements, .. } => Value::Survivors(SurvivorSet::of(statements).digest()),
            Self::Abandon => Value::Abandon,
        }
    }
}

/// What a session can come to, as it is voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// A sum over the [`SurvivorSet`] with this digest.
    Survivors(Digest),
    /// Nothing: a fresh attempt follows.
    Abandon,
}

impl Value {
    /// Whether it is that a fresh attempt follows.
    #[must_use]
    pub const fn is_abandon(&self) -> bool {
        matches!(self, Self::Abandon)
    }
}

/// The survivors (U3), and what they are survivors of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurvivorSet {
    /// Digest of the signed mask set that their vectors are masked for: with another one lifted, the same vectors
    /// add up to another sum.
    pub mask_set: Digest,
    /// Each with the root of its vector, in ascending order.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub vectors: Vec<(MemberId, Digest)>,
}

impl SurvivorSet {
    /// The set that these statements, which all name one mask set, make.
    #[must_use]
    pub fn of(statements: &[Signed<MaskedInput>]) -> Self {
        let mask_set = statements.first().map(|statement| statement.body.mask_set).unwrap_or_default();
        let vector = |statement: &Signed<MaskedInput>| (statement.signer, statement.body.root);
        Self { mask_set, vectors: statements.iter().map(vector).collect() }
    }

    /// What votes name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let vectors = self.vectors.iter().flat_map(|(id, root)| [id.0.as_slice(), root.as_slice()]);
        let parts: Vec<&[u8]> = core::iter::once(self.mask_set.as_slice()).chain(vectors).collect();
        digest("survivors", &parts)
    }

    /// Whether a member is among the survivors.
    #[must_use]
    pub fn contains(&self, id: &MemberId) -> bool {
        self.root_of(id).is_some()
    }

    /// Root of a survivor's vector.
    #[must_use]
    pub fn root_of(&self, id: &MemberId) -> Option<&Digest> {
        let at = self.vectors.binary_search_by_key(id, |(survivor, _)| *survivor).ok()?;
        self.vectors.get(at).map(|(_, root)| root)
    }

    /// The survivors' ids in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.vectors.iter().map(|(id, _)| *id)
    }
}

/// A member's vote in one slot of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The session.
    pub session: SessionId,
    /// The slot.
    pub slot: u32,
    /// What it is for.
    pub value: Value,
}

impl Statement for Vote {
    const CONTEXT: &'static str = "vote";
}

/// Votes of a threshold of members, in one slot, for one survivor set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The session.
    pub session: SessionId,
    /// The slot in which all votes were cast.
    pub slot: u32,
    /// The certified set.
    pub survivors: SurvivorSet,
    /// Who voted, in ascending order.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub votes: Vec<(MemberId, Signature)>,
}
