//! The signed list of members and rules: who belongs to the consortium and what all have agreed to.
//!
//! A [`Manifest`] exists only once it has been verified: [`SignedManifest::verify`] (epoch 0) and
//! [`SignedManifest::follow`] (later ones) are its only constructors, so code that holds one need not ask again.
//! All bounds of the protocol (`c`, thresholds, minimums, the largest vector) are computed from it and never taken
//! from a message.
//!
//! Nobody is in charge. Epoch 0 is signed by all its members; a later one by more than two thirds of the members
//! of the epoch before ([`consent`]), which is as many as are left when c are lost or refuse.

mod body;
mod chain;
mod error;
mod policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    hash::Digest,
    ids::MemberId,
    sharing::Threshold,
    signing::{self, Identity, Signature},
};

pub use body::{ManifestBody, MemberEntry};
pub use chain::Chain;
pub use error::ManifestError;
pub use policy::Policy;

/// Fewer members cannot hide an input: with two, each one computes the other's from the sum.
pub const MIN_MEMBERS: usize = 3;

/// Everything that a roster of so many leads to fits into control messages: the largest, the roster itself,
/// takes a quarter of one.
pub const MAX_MEMBERS: usize = 1000;

/// A manifest with the signatures collected so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// What is signed.
    pub body: ManifestBody,
    /// Who signed it.
    pub signatures: BTreeMap<MemberId, Signature>,
}

/// How far the signatures on a manifest have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Who may sign and has not, in ascending order of ids.
    pub missing: Vec<MemberId>,
    /// Signatures that are there.
    pub found: usize,
    /// Signatures that it needs.
    pub needed: usize,
}

impl Tally {
    /// Whether it is one to run with.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.found >= self.needed
    }
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

    /// What names it, signed or not.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`].
    pub fn digest(&self) -> Result<Digest, ManifestError> {
        signing::body_digest(&self.body).map_err(|_| ManifestError::TooLarge)
    }

    /// Checks everything but whether enough have signed; `previous` is the manifest before it, if it is not the
    /// first.
    ///
    /// # Errors
    /// [`ManifestError`] says which entry, rule or signature is at fault.
    pub fn tally(&self, previous: Option<&Manifest>) -> Result<Tally, ManifestError> {
        let body = &self.body;
        match (previous, body.epoch) {
            (None, 0) if body.previous.is_some() => return Err(ManifestError::Beginning),
            (None, 0) => {}
            (None, epoch) => return Err(ManifestError::Epoch(epoch)),
            (Some(before), found) => {
                if Some(found) != before.epoch().checked_add(1) || body.previous != Some(before.digest) {
                    return Err(ManifestError::Predecessor { found, previous: before.epoch() });
                }
            }
        }
        body.check()?;
        let digest = self.digest()?;
        let voters = previous.map_or(&body.members, |before| &before.body.members);
        let holds = |(id, signature): (&MemberId, &Signature)| signing::verify_digest(id, &digest, signature);
        for (id, signature) in &self.signatures {
            if !voters.iter().any(|member| member.id == *id) {
                return Err(match previous {
                    Some(_) => ManifestError::Signer { epoch: body.epoch, signer: *id },
                    None => ManifestError::Signature(*id),
                });
            }
            if !holds((id, signature)) {
                // one that fails may be its author's fault; where the first few do, it is the file's
                let edited = self.signatures.len() > 1 && !self.signatures.iter().take(3).any(holds);
                return Err(if edited { ManifestError::Edited } else { ManifestError::Signature(*id) });
            }
        }
        let missing = voters.iter().map(|member| member.id).filter(|id| !self.signatures.contains_key(id));
        let needed = if previous.is_some() { consent(voters.len()) } else { voters.len() };
        Ok(Tally { missing: missing.collect(), found: self.signatures.len(), needed })
    }

    /// Checks everything about a first manifest and gives the one that a node may run with.
    ///
    /// # Errors
    /// [`ManifestError`] says which entry, rule or signature is at fault.
    pub fn verify(self) -> Result<Manifest, ManifestError> {
        self.complete(None)
    }

    /// Checks everything about the manifest of the epoch after `previous`.
    ///
    /// # Errors
    /// [`ManifestError`]: it does not follow, an entry, rule or signature is at fault, or too few have signed.
    pub fn follow(self, previous: &Manifest) -> Result<Manifest, ManifestError> {
        self.complete(Some(previous))
    }

    fn complete(self, previous: Option<&Manifest>) -> Result<Manifest, ManifestError> {
        let tally = self.tally(previous)?;
        if !tally.is_complete() {
            let voters = previous.map_or(&self.body, |before| &before.body);
            let missing = tally.missing.iter().map(|id| voters.name_of(id)).collect();
            return Err(match previous {
                None => ManifestError::Unsigned { missing },
                Some(_) => ManifestError::TooFewSignatures {
                    epoch: self.body.epoch,
                    found: tally.found,
                    needed: tally.needed,
                    missing,
                },
            });
        }
        Ok(Manifest { digest: self.digest()?, body: self.body })
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

    /// What was signed.
    #[must_use]
    pub fn body(&self) -> &ManifestBody {
        &self.body
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

    /// See [`ManifestBody::corrupt`].
    #[must_use]
    pub fn corrupt(&self) -> usize {
        self.body.corrupt()
    }

    /// See [`ManifestBody::min_participants`].
    #[must_use]
    pub fn min_participants(&self) -> usize {
        self.body.min_participants()
    }

    /// See [`ManifestBody::threshold`].
    #[must_use]
    pub fn threshold(&self, n: usize) -> Option<Threshold> {
        self.body.threshold(n)
    }

    /// See [`ManifestBody::min_survivors`].
    #[must_use]
    pub fn min_survivors(&self, n: usize) -> Option<usize> {
        self.body.min_survivors(n)
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

/// Signatures that the next epoch of so many members needs: more than two thirds of them. From 4 members on, all
/// but [`max_corrupt`] of them are enough.
#[must_use]
pub const fn consent(members: usize) -> usize {
    members * 2 / 3 + 1
}
