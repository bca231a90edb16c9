//! Members made from a seed, and the manifest that all of them have signed.

use std::sync::Arc;

use crate::{
    codec::CodecError,
    hash::digest,
    manifest::{Manifest, ManifestBody, ManifestError, MemberEntry, Policy, SignedManifest},
    signing::Identity,
};

/// Identities in the order of their numbers, and their manifest.
pub struct Consortium {
    /// Identity of each member, by its number.
    pub identities: Vec<Arc<Identity>>,
    /// Epoch 0, signed by all.
    pub signed: SignedManifest,
    /// The same, verified.
    pub manifest: Arc<Manifest>,
}

/// Why there is no such consortium.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsortiumError {
    /// Its manifest would not be one to run with.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its manifest would be too large.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A consortium whose identities follow from a seed.
///
/// # Errors
/// [`ConsortiumError`] where no manifest of so many members may have this policy.
pub fn consortium(members: usize, policy: Policy, seed: u64) -> Result<Consortium, ConsortiumError> {
    consortium_where(members, policy, seed, |_| true)
}

/// The same, where the members with these numbers may aggregate.
///
/// # Errors
/// [`ConsortiumError`] where no manifest of so many members may have this policy.
pub fn consortium_where(
    members: usize,
    policy: Policy,
    seed: u64,
    may_aggregate: impl Fn(usize) -> bool,
) -> Result<Consortium, ConsortiumError> {
    let secret =
        |number: usize| digest("simulated identity", &[&seed.to_le_bytes(), &(number as u64).to_le_bytes()]);
    let identities: Vec<Arc<Identity>> =
        (0..members).map(|number| Arc::new(Identity::from_secret(&secret(number)))).collect();
    let entry = |(number, identity): (usize, &Arc<Identity>)| MemberEntry {
        id: identity.id(),
        name: format!("node {number}"),
        addresses: Vec::new(),
        may_aggregate: may_aggregate(number),
    };
    let mut signed = SignedManifest::new(ManifestBody {
        name: "simulation".into(),
        epoch: 0,
        previous: None,
        members: identities.iter().enumerate().map(entry).collect(),
        policy,
    });
    for identity in &identities {
        signed.sign(identity)?;
    }
    let manifest = Arc::new(signed.clone().verify()?);
    Ok(Consortium { identities, signed, manifest })
}
