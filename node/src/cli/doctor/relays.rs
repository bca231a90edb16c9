//! Whether a relay leads to a node that listens nowhere, as far as one can tell from here.

use std::{collections::BTreeSet, path::Path};

use consort_node::identity::member_id;
use libp2p::{Multiaddr, multiaddr::Protocol};
use serde_json::Value;

use super::{Finding, files::Found};
use crate::cli::client::{Client, block_on};

const ADVICE: &str =
    "one member that all others reach has to set `relay = true` under [reach] in its config.toml";

/// What is known of relays: from the running node, or else from addresses that others gave.
pub(super) fn examine(home: &Path, found: &Found, known: &BTreeSet<Multiaddr>, findings: &mut Vec<Finding>) {
    if found.config.as_ref().is_none_or(|config| !config.listen.is_empty()) {
        return;
    }
    let running = if found.runs { ask(home) } else { None };
    findings.push(running.unwrap_or_else(|| guess(found, known)));
}

/// What the running node says; nothing where it cannot know either.
fn ask(home: &Path) -> Option<Finding> {
    let status: Value = block_on(async { Ok(Client::new(home).get("/v1/status").await?) }).ok()?;
    let number = |place: &str| status.pointer(place).and_then(Value::as_u64);
    let ways = status.get("listening").and_then(Value::as_array).map_or(0, Vec::len);
    let others = number("/consortium/members")?.saturating_sub(1);
    match (ways, number("/connected")?) {
        (1.., _) => Some(Finding::fine("relay", "a member relays to this node, which listens nowhere")),
        (0, 0) => None,
        (0, connected) if connected >= others => {
            Some(Finding::fine("relay", "no member relays to this node, but it is connected to all of them"))
        }
        (0, connected) => {
            let what = format!(
                "no member relays to this node, which listens nowhere, and it is connected to {connected} of {others} others: \
                 two members that only dial out cannot meet"
            );
            Some(Finding::wrong("relay", what, ADVICE))
        }
    }
}

fn guess(found: &Found, known: &BTreeSet<Multiaddr>) -> Finding {
    let members = found.manifest.iter().flat_map(|manifest| manifest.members());
    let relays: BTreeSet<_> = known.iter().filter_map(relay).collect();
    let names: Vec<&str> =
        members.filter(|member| relays.contains(&member.id)).map(|member| member.name.as_str()).collect();
    if !names.is_empty() {
        let what = format!("members were reached through {}, so this node can be", names.join(", "));
        return Finding::fine("relay", what);
    }
    let what = "nothing here shows a member that relays; without one, this node cannot meet others that only dial out";
    Finding::note("relay", what).advice(format!("{ADVICE}; once this node runs, its log says when none does"))
}

/// Whoever passes connections on at this address.
fn relay(address: &Multiaddr) -> Option<consort_protocol::ids::MemberId> {
    let mut before = None;
    for part in address.iter() {
        match part {
            Protocol::P2pCircuit => return member_id(&before?).ok(),
            Protocol::P2p(peer) => before = Some(peer),
            _ => {}
        }
    }
    None
}
