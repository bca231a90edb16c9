//! `consort peers`: the other members, as far as the running daemon knows.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    Failure,
    client::{Client, block_on},
    println,
};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort peers --home ~/.consort\n      who is connected, and who waits with an input\n  consort peers --home ~/.consort --json\n      the same for programs"
)]
pub(super) struct Arguments {
    /// The home of the running daemon
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let peers: Value = block_on(async { Ok(Client::new(&arguments.home).get("/v1/peers").await?) })?;
    if arguments.json {
        println(&peers.to_string());
        return Ok(());
    }
    let members = peers.get("peers").and_then(Value::as_array);
    for peer in members.into_iter().flatten() {
        println(&line(peer));
    }
    Ok(())
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
    format!("{:<20} {} {state}{}", text("name"), text("peer"), waits.unwrap_or_default())
}
