//! `consort doctor`: what works here, what does not, and what to do about it.

mod files;
mod network;
mod relays;

use std::path::PathBuf;

use libp2p::Multiaddr;
use serde::Serialize;

use super::{Failure, println};

#[derive(clap::Args)]
#[command(
    after_help = "It starts nothing, changes nothing and needs no running node. Exit code 0: nothing is wrong; 1: something is; 2: this is no node's home.\n\nExamples:\n  consort doctor --home ~/.consort\n      whenever others do not find this node; before the first start with `--consortium consortium.toml`\n  consort doctor --home ~/.consort --peer /ip4/192.0.2.7/tcp/4040 --json\n      for a program, with an address that is not in the manifest"
)]
pub(super) struct Arguments {
    /// The node's home
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The signed manifest, instead of the home's consortium.toml
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// Address of a member to try, beside those that are known
    #[arg(long, value_name = "MULTIADDR", value_parser = consort_node::config::peer_address)]
    peer: Vec<Multiaddr>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It works.
    Fine,
    /// Worth knowing; neither right nor wrong.
    Note,
    /// It does not work, or will not.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at: `identity`, `manifest`, `role`, `config`, `ledger`, `clock`, `listen`, `open`,
    /// `relay`, `nearby`, `members`.
    check: &'static str,
    state: State,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Fine, what: what.into(), advice: None }
    }

    fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Note, what: what.into(), advice: None }
    }

    fn wrong(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, what: what.into(), advice: Some(advice.into()) }
    }

    fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let home = &arguments.home;
    super::is_home(home)?;
    let mut findings = Vec::new();
    let found = files::examine(home, arguments.consortium.as_deref(), &mut findings);
    if let Some(config) = &found.config {
        network::examine_listening(config, found.runs, &mut findings);
    }
    let known = network::examine_members(home, &found, &arguments.peer, &mut findings);
    relays::examine(home, &found, &known, &mut findings);
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    if arguments.json {
        println(&serde_json::json!({ "fine": wrong == 0, "findings": findings }).to_string());
    } else {
        findings.iter().for_each(|finding| println(&lines(finding)));
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 thing is wrong".to_owned())),
        _ => Err(Failure::Failed(format!("{wrong} things are wrong"))),
    }
}

fn lines(finding: &Finding) -> String {
    let state = match finding.state {
        State::Fine => "fine ",
        State::Note => "note ",
        State::Wrong => "WRONG",
    };
    let advice = finding.advice.as_ref().map_or_else(String::new, |advice| format!("\n      → {advice}"));
    format!("{state} {}: {}{advice}", finding.check, finding.what)
}
