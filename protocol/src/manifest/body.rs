//! What the members sign, and the numbers that follow from it.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::{MAX_MEMBERS, MIN_MEMBERS, ManifestError, Policy, max_corrupt, quorum};
use crate::{
    codec,
    hash::Digest,
    ids::MemberId,
    mutation::{Check, checked},
    sharing::Threshold,
    signing::Statement,
};

const MAX_NAME_BYTES: usize = 64;
const MAX_ADDRESSES: usize = 8;
const MAX_ADDRESS_BYTES: usize = 256;

/// One member as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Its Ed25519 public key.
    pub id: MemberId,
    /// What people call it; no two members have the same name.
    pub name: String,
    /// Multiaddresses where it can be found; may be empty.
    #[serde(deserialize_with = "codec::at_most::<MAX_ADDRESSES, _, _>")]
    pub addresses: Vec<String>,
    /// Whether it takes its turn as aggregator.
    pub may_aggregate: bool,
}

/// What the members sign.
///
/// The numbers that it gives hold for whoever has it from a verified [`super::Manifest`]; of a body that is not
/// signed yet they say what it would mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestBody {
    /// Name of the consortium.
    pub name: String,
    /// Version of the manifest, counted from 0.
    pub epoch: u64,
    /// Digest of the manifest of the epoch before; nothing in epoch 0.
    pub previous: Option<Digest>,
    /// The members in ascending order of their ids.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub members: Vec<MemberEntry>,
    /// The rules.
    pub policy: Policy,
}

impl Statement for ManifestBody {
    const CONTEXT: &'static str = "manifest";
}

impl ManifestBody {
    /// Whether somebody is on the list.
    #[must_use]
    pub fn contains(&self, id: &MemberId) -> bool {
        self.members.iter().any(|member| member.id == *id)
    }

    /// What a member is called; its id where it is on no line.
    #[must_use]
    pub fn name_of(&self, id: &MemberId) -> String {
        let member = self.members.iter().find(|member| member.id == *id);
        member.map_or_else(|| id.to_string(), |member| member.name.clone())
    }

    /// How many members may be corrupt, the aggregator included (`c`).
    #[must_use]
    pub fn corrupt(&self) -> usize {
        self.policy.corrupt.map_or_else(|| max_corrupt(self.members.len()), usize::from)
    }

    /// Fewest members on a roster: two halves of the consortium can never both have so many.
    #[must_use]
    pub fn min_participants(&self) -> usize {
        let quorum = quorum(self.members.len(), self.corrupt());
        self.policy.min_participants.map_or(quorum, |set| usize::from(set).max(quorum))
    }

    /// The one threshold, for shares and certificates, of a roster of `n`; `None` where no threshold of `n` is safe.
    /// The quorum is one of all members, however few are on the roster: members of two rosters cannot both have it.
    #[must_use]
    pub fn threshold(&self, n: usize) -> Option<Threshold> {
        let planned = self.policy.planned_losses.map_or(0, |losses| n.saturating_sub(losses.into()));
        let of = if checked(Check::QuorumOfAll) { self.members.len() } else { n };
        Threshold::new(quorum(of, self.corrupt()).max(planned), n).ok()
    }

    /// Fewest inputs in the sum of a roster of `n`.
    #[must_use]
    pub fn min_survivors(&self, n: usize) -> Option<usize> {
        let set = self.policy.min_survivors.map_or(0, usize::from);
        let floor = self.threshold(n)?.get().max(MIN_MEMBERS).max(set);
        (floor <= n).then_some(floor)
    }

    /// Everything about it but who has signed.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&self.members.len()) {
            return Err(ManifestError::MemberCount { found: self.members.len() });
        }
        for (left, right) in self.members.iter().zip(self.members.iter().skip(1)) {
            if left.id >= right.id {
                return Err(ManifestError::Order(right.id));
            }
        }
        let mut names = BTreeSet::new();
        for member in &self.members {
            let problem = member.problem().or_else(|| {
                let taken = !names.insert(member.name.as_str());
                taken.then_some("another member has the same name")
            });
            if let Some(problem) = problem {
                return Err(ManifestError::Entry { id: member.id, problem });
            }
        }
        self.policy.check(self)?;
        if !self.members.iter().any(|member| member.may_aggregate) {
            return Err(ManifestError::Policy {
                key: "may_aggregate",
                found: "false for every member".into(),
                expected: "true for at least one".into(),
            });
        }
        if !is_name(&self.name) {
            return Err(ManifestError::Policy {
                key: "name",
                found: self.name.escape_debug().to_string(),
                expected: NAME.into(),
            });
        }
        Ok(())
    }
}

impl MemberEntry {
    /// Why it cannot be used.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if VerifyingKey::from_bytes(&self.id.0).map_or(true, |key| key.is_weak()) {
            return Some("its id is not a usable Ed25519 public key");
        }
        if !is_name(&self.name) {
            return Some("its name is empty, longer than 64 bytes, or has control characters in it");
        }
        if self.addresses.len() > MAX_ADDRESSES
            || self.addresses.iter().any(|address| address.len() > MAX_ADDRESS_BYTES)
        {
            return Some("it lists more than 8 addresses, or one longer than 256 bytes");
        }
        None
    }
}

const NAME: &str = "1 to 64 bytes long, without control characters";

/// Names are shown on terminals: what moves a cursor or turns text around could show a person another list than
/// the one that is signed.
fn is_name(name: &str) -> bool {
    let deceives = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    !name.trim().is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(deceives)
}
