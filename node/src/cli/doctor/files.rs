//! What is in the home: who this node is, in which consortium, and how it is set up.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use consort_node::{
    config::Config,
    consortium,
    identity::NodeIdentity,
    ledger::{self, Ledger, LedgerError},
};
use consort_protocol::{ids::MemberId, manifest::Manifest};

use super::Finding;

/// A clock that is so much behind a file's time was set back; less comes from file systems.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// What the other checks need of it.
pub(super) struct Found {
    pub(super) local: Option<MemberId>,
    pub(super) manifest: Option<Arc<Manifest>>,
    pub(super) config: Option<Config>,
    /// Whether a node runs with this home now.
    pub(super) runs: bool,
}

pub(super) fn examine(home: &Path, manifest: Option<&Path>, findings: &mut Vec<Finding>) -> Found {
    let local = examine_identity(home, findings);
    let default = home.join("consortium.toml");
    let manifest = match manifest {
        None if !default.exists() => {
            let advice =
                "name the signed file with --consortium FILE; once `consort run` has it, the home keeps it";
            findings.push(Finding::note("manifest", "none in this home yet").advice(advice));
            None
        }
        given => examine_manifest(given.unwrap_or(&default), local, findings),
    };
    let path = home.join("config.toml");
    let config = match Config::load(&path) {
        Ok(config) => {
            findings.push(match path.exists() {
                true => Finding::fine("config", "config.toml is understood"),
                false => Finding::note("config", "there is no config.toml: the defaults hold"),
            });
            Some(config)
        }
        Err(error) => {
            findings.push(Finding::wrong("config", error.to_string(), "correct that line of the file"));
            None
        }
    };
    let runs = examine_ledger(home, findings);
    examine_clock(home, findings);
    Found { local, manifest, config, runs }
}

fn examine_identity(home: &Path, findings: &mut Vec<Finding>) -> Option<MemberId> {
    match NodeIdentity::load(&home.join("identity.key")) {
        Ok(identity) => {
            let peer = identity.keypair().public().to_peer_id();
            findings.push(Finding::fine(
                "identity",
                format!("this node is {peer}, and others cannot read its key"),
            ));
            Some(identity.id())
        }
        Err(error) => {
            findings.push(Finding::wrong(
                "identity",
                error.to_string(),
                "without it the node does not start",
            ));
            None
        }
    }
}

fn examine_manifest(
    path: &Path,
    local: Option<MemberId>,
    findings: &mut Vec<Finding>,
) -> Option<Arc<Manifest>> {
    let manifest = match consortium::load(path) {
        Ok(chain) => chain.manifest().clone(),
        Err(error) => {
            let advice = "get the file again from a member whose node runs, or have the missing members sign";
            findings.push(Finding::wrong("manifest", error.to_string(), advice));
            return None;
        }
    };
    let members = manifest.members();
    let name = manifest.name();
    let told = format!("{name}, {} members, epoch {}, signed as it must be", members.len(), manifest.epoch());
    findings.push(Finding::fine("manifest", told));
    let me = local.and_then(|local| members.iter().find(|member| member.id == local));
    match (local, me) {
        (Some(_), Some(me)) => {
            let eligible = members.iter().filter(|member| member.may_aggregate).count();
            findings.push(if me.may_aggregate {
                let turns = format!("{} may aggregate; its turn comes in one of {eligible} rounds", me.name);
                Finding::fine("role", turns)
            } else {
                let turns = format!("{} takes part and does not aggregate, as the manifest says", me.name);
                Finding::note("role", turns)
            });
        }
        (Some(_), None) => findings.push(Finding::wrong(
            "manifest",
            format!("this node's identity is on no line of {}", path.display()),
            "use the home whose peer id is in the manifest, or have the members sign one with this node",
        )),
        (None, _) => {}
    }
    Some(manifest)
}

fn examine_ledger(home: &Path, findings: &mut Vec<Finding>) -> bool {
    let path = home.join("ledger.redb");
    if !path.exists() {
        findings.push(Finding::note("ledger", "none yet: this node has not run with this home"));
        return false;
    }
    match Ledger::open(&path).and_then(|ledger| ledger.next_round()) {
        Ok(round) => findings.push(Finding::fine("ledger", format!("can be read; round {round} is next"))),
        Err(LedgerError::InUse(_)) => {
            findings.push(Finding::fine("ledger", "in use: a node runs with this home now"));
            return true;
        }
        Err(LedgerError::Damaged { path, reason }) => {
            findings.push(Finding::wrong("ledger", format!("{path} is damaged: {reason}"), ledger::REMEDY));
        }
        Err(error) => findings.push(Finding::wrong(
            "ledger",
            error.to_string(),
            "leave it where it is: it holds what this node must not say twice, and the node does not start without reading it",
        )),
    }
    false
}

/// No rule of safety reads a clock, but reservations at relays do, and people who compare logs.
fn examine_clock(home: &Path, findings: &mut Vec<Finding>) {
    let written = ["ledger.redb", "addresses.json", "identity.key"];
    let written = written.iter().filter_map(|name| home.join(name).metadata().ok()?.modified().ok()).max();
    let ahead = written.and_then(|written| written.duration_since(SystemTime::now()).ok());
    match ahead.filter(|ahead| *ahead > CLOCK_SLACK) {
        Some(ahead) => findings.push(Finding::wrong(
            "clock",
            format!("the clock is {} s behind the last file that this node wrote", ahead.as_secs()),
            "set it, with NTP for example: relays and logs need it right to within hours",
        )),
        None => findings.push(Finding::fine("clock", "not behind the files of this home")),
    }
}
