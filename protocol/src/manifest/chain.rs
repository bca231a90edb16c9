//! All epochs of a consortium: each one names the manifest before it and is signed by enough of its members.
//!
//! The digest of epoch 0, the **founding**, is the consortium's identity: whatever is said of a later epoch holds
//! for whoever trusts the founding, with nothing else to look up.
//!
//! Two manifests of one epoch that are both signed by more than two thirds were signed by more than one third
//! twice, so by somebody honest as long as at most c are corrupt. Honest members sign one ([`ManifestError::Fork`]
//! names those who signed both). A chain only ever grows: an earlier epoch never replaces a later one.

use core::cmp::Ordering;
use std::{collections::BTreeMap, sync::Arc};

use super::{Manifest, ManifestError, SignedManifest, error::short};
use crate::{hash::Digest, ids::MemberId, signing::Signature};

/// Verified epochs from 0 to the present one.
#[derive(Clone, Debug)]
pub struct Chain {
    before: Vec<Epoch>,
    last: Epoch,
}

#[derive(Clone, Debug)]
struct Epoch {
    manifest: Arc<Manifest>,
    signatures: BTreeMap<MemberId, Signature>,
}

impl Epoch {
    fn signed(&self) -> SignedManifest {
        SignedManifest { body: self.manifest.body.clone(), signatures: self.signatures.clone() }
    }
}

impl Chain {
    /// Verifies epochs in ascending order, epoch 0 first.
    ///
    /// # Errors
    /// [`ManifestError`] of the first epoch that is at fault.
    pub fn verify(epochs: impl IntoIterator<Item = SignedManifest>) -> Result<Self, ManifestError> {
        let mut epochs = epochs.into_iter();
        let first = epochs.next().ok_or(ManifestError::Empty)?;
        let signatures = first.signatures.clone();
        let last = Epoch { manifest: Arc::new(first.verify()?), signatures };
        let mut chain = Self { before: Vec::new(), last };
        for next in epochs {
            chain.extend(next)?;
        }
        Ok(chain)
    }

    /// Appends the next epoch.
    ///
    /// # Errors
    /// [`ManifestError`]: it does not follow, or is not signed by enough. The chain is unchanged then.
    pub fn extend(&mut self, next: SignedManifest) -> Result<(), ManifestError> {
        let signatures = next.signatures.clone();
        let manifest = Arc::new(next.follow(&self.last.manifest)?);
        self.before.push(std::mem::replace(&mut self.last, Epoch { manifest, signatures }));
        Ok(())
    }

    /// The epochs before the last one, if there are any, and the last one with its signatures.
    #[must_use]
    pub fn split(mut self) -> (Option<Self>, SignedManifest) {
        let last = self.last.signed();
        let before = self.before.pop().map(|previous| Self { last: previous, before: self.before });
        (before, last)
    }

    /// The present manifest.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.last.manifest
    }

    /// What identifies the consortium: the digest of epoch 0.
    #[must_use]
    pub fn founding(&self) -> &Digest {
        self.epochs().next().map_or(&self.last.manifest.digest, |first| first.manifest.digest())
    }

    /// The manifest of an epoch with this digest, if it is one of these.
    #[must_use]
    pub fn by_digest(&self, digest: &Digest) -> Option<&Arc<Manifest>> {
        self.epochs().map(|epoch| &epoch.manifest).find(|manifest| manifest.digest() == digest)
    }

    /// An epoch with its signatures.
    #[must_use]
    pub fn signed(&self, epoch: u64) -> Option<SignedManifest> {
        self.at(epoch).map(Epoch::signed)
    }

    /// The epochs before this one, if they are known.
    #[must_use]
    pub fn before(&self, epoch: u64) -> Option<Self> {
        let mut before: Vec<Epoch> = self.epochs().take(usize::try_from(epoch).ok()?).cloned().collect();
        let last = before.pop()?;
        (last.manifest.epoch().checked_add(1) == Some(epoch)).then_some(Self { before, last })
    }

    /// All epochs with their signatures, epoch 0 first.
    pub fn iter(&self) -> impl Iterator<Item = SignedManifest> + '_ {
        self.epochs().map(Epoch::signed)
    }

    /// How another chain of the same consortium stands to this one: `Greater` is newer.
    ///
    /// # Errors
    /// [`ManifestError::Foreign`] or [`ManifestError::Fork`].
    pub fn compare(&self, other: &Self) -> Result<Ordering, ManifestError> {
        self.same_founding(other.founding())?;
        let unlike = |(mine, theirs): &(&Epoch, &Epoch)| mine.manifest.digest != theirs.manifest.digest;
        match self.epochs().zip(other.epochs()).find(unlike) {
            Some((mine, theirs)) => Err(self.fork(mine, &theirs.signatures)),
            None => Ok(other.last.manifest.epoch().cmp(&self.last.manifest.epoch())),
        }
    }

    /// Whether something belongs to this consortium.
    ///
    /// # Errors
    /// [`ManifestError::Foreign`].
    pub fn same_founding(&self, founding: &Digest) -> Result<(), ManifestError> {
        if self.founding() == founding {
            return Ok(());
        }
        Err(ManifestError::Foreign { found: short(founding), expected: short(self.founding()) })
    }

    /// Judges a manifest of an epoch that this chain has: nothing where it is the same or not signed by enough.
    ///
    /// # Errors
    /// [`ManifestError::Fork`] where it is another one that is signed by enough as well.
    pub fn witness(&self, other: &SignedManifest) -> Result<(), ManifestError> {
        let Some(mine) = self.at(other.body.epoch) else { return Ok(()) };
        let Some(previous) = other.body.epoch.checked_sub(1).and_then(|before| self.at(before)) else {
            return Ok(());
        };
        match other.clone().follow(&previous.manifest) {
            Ok(theirs) if theirs.digest != mine.manifest.digest => Err(self.fork(mine, &other.signatures)),
            _ => Ok(()),
        }
    }

    fn fork(&self, mine: &Epoch, theirs: &BTreeMap<MemberId, Signature>) -> ManifestError {
        let epoch = mine.manifest.epoch();
        let voters = epoch.checked_sub(1).and_then(|before| self.at(before)).unwrap_or(mine);
        let both = mine.signatures.keys().filter(|id| theirs.contains_key(id));
        ManifestError::Fork { epoch, both: both.map(|id| voters.manifest.body.name_of(id)).collect() }
    }

    fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        self.before.iter().chain([&self.last])
    }

    fn at(&self, epoch: u64) -> Option<&Epoch> {
        self.epochs().nth(usize::try_from(epoch).ok()?)
    }
}
