//! The tables of `consortium.toml`.

use std::collections::BTreeMap;

use consort_protocol::{
    hash::Digest,
    ids::MemberId,
    manifest::{ManifestBody, MemberEntry, Policy, SignedManifest},
    signing::Signature,
};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::identity::{member_id, peer_id};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    name: String,
    epoch: u64,
    policy: Policy,
    member: Vec<MemberTable>,
    /// Signatures in hexadecimal by the peer ids of their authors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    signatures: BTreeMap<String, String>,
    /// The epochs before, epoch 0 first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<Tables>,
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
}

impl Tables {
    /// The epochs before, and the last one; nothing is verified.
    pub(super) fn parse(text: &str) -> Result<(Vec<SignedManifest>, SignedManifest), String> {
        let mut tables: Self = toml::from_str(text).map_err(|error| one_line(&error, text))?;
        let mut digest = None;
        let mut epochs = Vec::new();
        for previous in std::mem::take(&mut tables.previous) {
            if !previous.previous.is_empty() {
                return Err(
                    "[[previous]] inside of [[previous]]: all epochs before stand side by side".into()
                );
            }
            let signed = previous.into_signed(digest)?;
            digest = Some(signed.digest().map_err(|error| error.to_string())?);
            epochs.push(signed);
        }
        Ok((epochs, tables.into_signed(digest)?))
    }

    pub(super) fn write(
        last: &SignedManifest,
        before: impl Iterator<Item = SignedManifest>,
    ) -> Result<String, String> {
        let mut tables = Self::of(last)?;
        tables.previous = before.map(|signed| Self::of(&signed)).collect::<Result<_, _>>()?;
        let text = toml::to_string_pretty(&tables).map_err(|error| error.to_string())?;
        Ok(format!("# A consortium's manifest. `consort consortium show` explains it.\n{text}"))
    }

    fn of(signed: &SignedManifest) -> Result<Self, String> {
        let SignedManifest { body, signatures } = signed;
        let member = |entry: &MemberEntry| {
            let addresses = entry.addresses.iter().map(|address| address.parse());
            Ok(MemberTable {
                name: entry.name.clone(),
                id: peer_id(&entry.id).map_err(|error| error.to_string())?,
                addresses: addresses
                    .collect::<Result<_, _>>()
                    .map_err(|error| format!("address: {error}"))?,
                may_aggregate: entry.may_aggregate,
            })
        };
        let signature = |(id, signature): (&MemberId, &Signature)| {
            let peer = peer_id(id).map_err(|error| error.to_string())?;
            Ok((peer.to_string(), hex::encode(signature.to_bytes())))
        };
        Ok(Self {
            name: body.name.clone(),
            epoch: body.epoch,
            policy: body.policy.clone(),
            member: body.members.iter().map(member).collect::<Result<_, String>>()?,
            signatures: signatures.iter().map(signature).collect::<Result<_, String>>()?,
            previous: Vec::new(),
        })
    }

    fn into_signed(self, previous: Option<Digest>) -> Result<SignedManifest, String> {
        let mut members = Vec::with_capacity(self.member.len());
        for table in self.member {
            members.push(MemberEntry {
                id: member_id(&table.id).map_err(|error| format!("member {}: {error}", table.name))?,
                name: table.name,
                addresses: table.addresses.iter().map(ToString::to_string).collect(),
                may_aggregate: table.may_aggregate,
            });
        }
        let body =
            ManifestBody { name: self.name, epoch: self.epoch, previous, members, policy: self.policy };
        let mut signed = SignedManifest::new(body);
        for (peer, text) in &self.signatures {
            let id = peer.parse::<PeerId>().ok().and_then(|peer| member_id(&peer).ok());
            let id = id.ok_or_else(|| format!("[signatures]: {peer} is not the peer id of a member"))?;
            let bytes = hex::decode(text).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
            let bytes = bytes.ok_or_else(|| {
                format!("[signatures]: that of {} is not 64 bytes in hexadecimal", signed.body.name_of(&id))
            })?;
            signed.signatures.insert(id, Signature::from_bytes(&bytes));
        }
        Ok(signed)
    }
}

/// A TOML error in one line: where, and what.
pub(crate) fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line =
        error.span().map(|span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
    let message = error.message().replace('\n', "; ");
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

fn yes() -> bool {
    true
}
