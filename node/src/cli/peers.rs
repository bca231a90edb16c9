//! `consort peers`: the other members, as far as the running daemon knows, and what the log calls them.

use serde_json::Value;

use super::{Failure, client::Look};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort peers --home ~/.consort\n      who is connected, and who waits with an input\n  consort peers --home ~/.consort --json\n      the same for programs"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    look: Look,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.look.show("/v1/peers", lines)
}

fn lines(peers: &Value) -> Vec<String> {
    let members = peers.get("peers").and_then(Value::as_array);
    members.into_iter().flatten().map(line).collect()
}

fn line(peer: &Value) -> String {
    let text = |key: &str| peer.get(key).and_then(Value::as_str).unwrap_or_default();
    let is = |key: &str| peer.get(key).and_then(Value::as_bool).unwrap_or_default();
    let state = match (is("convicted"), is("connected")) {
        (true, _) => "convicted, left out",
        (false, true) => "connected",
        (false, false) => "away",
    };
    let waits = peer.get("waiting").filter(|waiting| !waiting.is_null() && is("connected")).map(|waiting| {
        let reduction = waiting.get("reduction").and_then(Value::as_str).unwrap_or_default();
        format!(", waits for a {reduction}")
    });
    format!("{:<20} {} {} {state}{}", text("name"), text("short"), text("peer"), waits.unwrap_or_default())
}
