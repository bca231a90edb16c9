//! `consortium.toml`: the manifest as people read and sign it.
//!
//! TOML is for people. Signatures cover the one canonical encoding of the same content
//! ([`consort_protocol::codec`]), so spaces, comments and the order of keys change nothing.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::Path,
};

use consort_protocol::{
    ids::MemberId,
    manifest::{Manifest, ManifestBody, ManifestError, MemberEntry, Policy, SignedManifest},
    signing::Signature,
};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::identity::{member_id, peer_id};

/// Files larger than this are not read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ConsortiumError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not a manifest.
    #[error("{path}: {reason}")]
    Parse {
        /// Where.
        path: String,
        /// What is wrong, with the line.
        reason: String,
    },
    /// The manifest is not one to run with.
    #[error("{path}: {}{source}", member.as_ref().map(|name| format!("member {name}: ")).unwrap_or_default())]
    Manifest {
        /// Where.
        path: String,
        /// Name of the member whose entry is at fault, if one is.
        member: Option<String>,
        /// What is wrong with it.
        source: ManifestError,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    epoch: u64,
    policy: Policy,
    member: Vec<MemberTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberTable {
    name: String,
    id: PeerId,
    #[serde(default)]
    addresses: Vec<Multiaddr>,
    #[serde(default = "yes")]
    may_aggregate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// Reads and verifies a manifest.
///
/// # Errors
/// [`ConsortiumError`] names the file and what is wrong with it.
pub fn load(path: &Path) -> Result<Manifest, ConsortiumError> {
    let name = path.display().to_string();
    let parse = |reason| ConsortiumError::Parse { path: name.clone(), reason };
    let text = read_bounded(path, MAX_FILE_BYTES)
        .map_err(|source| ConsortiumError::File { path: name.clone(), source })?
        .ok_or_else(|| parse(format!("more than the {MAX_FILE_BYTES} bytes that a manifest may have")))?;
    let file: File = toml::from_str(&text).map_err(|error| parse(one_line(&error, &text)))?;
    let signed = file.into_signed().map_err(parse)?;
    let names: BTreeMap<MemberId, String> =
        signed.body.members.iter().map(|member| (member.id, member.name.clone())).collect();
    signed.verify().map_err(|source| ConsortiumError::Manifest {
        path: name.clone(),
        member: at_fault(&source).and_then(|id| names.get(&id)).cloned(),
        source,
    })
}

/// The manifest as text.
///
/// # Errors
/// Where a member's id is not an Ed25519 key or an address is none, in words.
pub fn to_toml(signed: &SignedManifest) -> Result<String, String> {
    let SignedManifest { body, signatures } = signed;
    let member = |entry: &MemberEntry| {
        let addresses = entry.addresses.iter().map(|address| address.parse());
        Ok(MemberTable {
            name: entry.name.clone(),
            id: peer_id(&entry.id).map_err(|error| error.to_string())?,
            addresses: addresses.collect::<Result<_, _>>().map_err(|error| format!("address: {error}"))?,
            may_aggregate: entry.may_aggregate,
            signature: signatures.get(&entry.id).map(|signature| hex::encode(signature.to_bytes())),
        })
    };
    let file = File {
        name: body.name.clone(),
        epoch: body.epoch,
        policy: body.policy.clone(),
        member: body.members.iter().map(member).collect::<Result<_, String>>()?,
    };
    toml::to_string_pretty(&file).map_err(|error| error.to_string())
}

/// The text of a file, or `None` where it is longer than `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let mut text = String::new();
    fs::File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}

/// Whose entry a manifest fails on, where its message gives no name.
fn at_fault(error: &ManifestError) -> Option<MemberId> {
    match error {
        ManifestError::Order(id) | ManifestError::Signature(id) | ManifestError::Entry { id, .. } => {
            Some(*id)
        }
        ManifestError::MemberCount { .. }
        | ManifestError::Policy { .. }
        | ManifestError::Epoch(_)
        | ManifestError::Unsigned { .. } => None,
    }
}

/// A TOML error in one line: where, and what.
pub(crate) fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line =
        error.span().map(|span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
    let message = error.message().replace('\n', "; ");
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

impl File {
    fn into_signed(self) -> Result<SignedManifest, String> {
        let mut signatures = BTreeMap::new();
        let mut members = Vec::with_capacity(self.member.len());
        for table in self.member {
            let id: MemberId =
                member_id(&table.id).map_err(|error| format!("member {}: {error}", table.name))?;
            if let Some(text) = &table.signature {
                let bytes = hex::decode(text).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
                let bytes = bytes.ok_or_else(|| {
                    format!("member {}: its signature is not 64 bytes in hexadecimal", table.name)
                })?;
                signatures.insert(id, Signature::from_bytes(&bytes));
            }
            members.push(MemberEntry {
                id,
                name: table.name,
                addresses: table.addresses.iter().map(ToString::to_string).collect(),
                may_aggregate: table.may_aggregate,
            });
        }
        let body = ManifestBody { name: self.name, epoch: self.epoch, members, policy: self.policy };
        let mut signed = SignedManifest::new(body);
        signed.signatures = signatures;
        Ok(signed)
    }
}

fn yes() -> bool {
    true
}
