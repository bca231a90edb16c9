//! `consortium.toml`: the manifest as people read and sign it.
//!
//! TOML is for people. Signatures cover the one canonical encoding of the same content
//! ([`consort_protocol::codec`]), so spaces, comments and the order of keys change nothing.

use std::{fs, path::Path};

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
    #[error("{path}: {source}")]
    Manifest {
        /// Where.
        path: String,
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
    let file_error = |source| ConsortiumError::File { path: name.clone(), source };
    let size = fs::metadata(path).map_err(file_error)?.len();
    if size > MAX_FILE_BYTES {
        let reason = format!("{size} bytes, but a manifest has at most {MAX_FILE_BYTES}");
        return Err(ConsortiumError::Parse { path: name, reason });
    }
    let text = fs::read_to_string(path).map_err(file_error)?;
    let parse = |reason| ConsortiumError::Parse { path: name.clone(), reason };
    let file: File = toml::from_str(&text).map_err(|error| parse(one_line(&error, &text)))?;
    let signed = file.into_signed().map_err(parse)?;
    signed.verify().map_err(|source| ConsortiumError::Manifest { path: name.clone(), source })
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

/// A TOML error in one line: where, and what.
pub(crate) fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line =
        error.span().map(|span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
    let message = error.message().replace('\n', "; ");
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

impl File {
    fn into_signed(self) -> Result<SignedManifest, String> {
        let mut signatures = std::collections::BTreeMap::new();
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
