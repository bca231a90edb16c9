//! `consort status`: how things are with the running daemon.

use std::path::Path;

use serde_json::Value;

use super::{Failure, client::Look};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort status --home ~/.consort\n      round, connections, and what the waiting input waits for\n  consort status --home ~/.consort --json\n      the same for programs"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    look: Look,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.look.show("/v1/status", |status| lines(status, &arguments.look.home))
}

fn lines(status: &Value, home: &Path) -> Vec<String> {
    let text = |place: &str| status.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let number = |place: &str| status.pointer(place).and_then(Value::as_u64).unwrap_or_default();
    let members = number("/consortium/members");
    let mut lines = vec![
        format!("{} {}", text("/name"), text("/peer")),
        format!(
            "consortium {}, epoch {}, {members} members; a round needs {}",
            text("/consortium/name"),
            number("/consortium/epoch"),
            number("/consortium/min_participants")
        ),
        format!("connected to {} of {} others", number("/connected"), members.saturating_sub(1)),
    ];
    lines.push(match status.get("running") {
        Some(Value::Object(_)) => {
            let phase = status.pointer("/running/phase").and_then(Value::as_str).unwrap_or("starting");
            format!("round {} runs: {phase}, attempt {}", number("/round"), number("/running/attempt"))
        }
        _ => format!("round {} comes next", number("/round")),
    });
    lines.push(match status.get("input") {
        Some(Value::Object(input)) => {
            let state = input.get("state").and_then(Value::as_str).unwrap_or_default();
            let ready = input.get("ready").and_then(Value::as_u64);
            let with = ready.map(|ready| format!(", {ready} members have an input for its round"));
            format!("input {}: {state}{}", text("/input/input_id"), with.unwrap_or_default())
        }
        _ => "no input is waiting".into(),
    });
    lines
        .extend(status.get("held_back").and_then(Value::as_str).map(|why| format!("it is held back: {why}")));
    lines.extend(others(status));
    lines.extend(declined(status));
    lines.extend(proposals(status, home));
    lines
}

/// Next epochs that wait for signatures, with the commands that show and sign them.
fn proposals(status: &Value, home: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for proposal in status.get("proposals").and_then(Value::as_array).into_iter().flatten() {
        let number = |key: &str| proposal.get(key).and_then(Value::as_u64).unwrap_or_default();
        let mine = proposal.get("signed_by_me").and_then(Value::as_bool).unwrap_or_default();
        lines.push(format!(
            "epoch {} is proposed: {} of {} signatures, {}",
            number("epoch"),
            number("signatures"),
            number("needed"),
            if mine { "this node's among them" } else { "not this node's" }
        ));
        // the daemon may have been given the home by another name
        let file = proposal.get("file").and_then(Value::as_str).and_then(|file| Path::new(file).file_name());
        let Some(file) = file.map(|name| home.join("proposals").join(name)) else { continue };
        let file = file.display();
        lines.push(format!("  consort consortium show {file}"));
        if !mine {
            lines.push(format!("  consort consortium sign {file} --home {}", home.display()));
        }
    }
    lines
}

/// Who said no of late, to what, and why.
fn declined(status: &Value) -> impl Iterator<Item = String> + '_ {
    let said = status.get("declined").and_then(Value::as_array);
    said.into_iter().flatten().map(|said| {
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
        let round = said.get("round").and_then(Value::as_u64).unwrap_or_default();
        let reason = text("reason").escape_debug();
        format!("{} said no in round {round}, {}: {reason}", text("member"), text("phase"))
    })
}

/// What members wait with that wait with something else.
pub(super) fn others(state: &Value) -> impl Iterator<Item = String> + '_ {
    let groups = state.get("others").and_then(Value::as_array);
    groups.into_iter().flatten().map(|group| {
        let words = |key: &str| {
            let list = group.get(key).and_then(Value::as_array);
            let words = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            words.collect::<Vec<_>>()
        };
        let (members, differs) = (words("members").join(", "), words("differs"));
        if differs.is_empty() {
            let reduction = group.pointer("/wait_with/reduction").and_then(Value::as_str);
            return format!("{members} wait for a {}", reduction.unwrap_or_default());
        }
        format!("{members} wait with something else ({})", differs.join("; "))
    })
}
