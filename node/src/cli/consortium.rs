//! `consort consortium`: founding a consortium and changing it, on files.

mod adopt;
mod change;
mod create;
mod policy;
mod show;
mod sign;
mod verify;

use std::path::Path;

use clap::Subcommand;
use consort_node::{
    card::{BEGIN, Card},
    config,
    consortium::Draft,
};
use consort_protocol::manifest::{Manifest, Tally};

use super::{Failure, println};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the first manifest from member cards and a policy
    Create(Box<create::Arguments>),
    /// Proposes a next epoch with one more member, or with a member's new card
    Add(change::Add),
    /// Proposes a next epoch without a member
    Remove(change::Remove),
    /// Proposes a next epoch with other rules
    Set(change::Set),
    /// Adds this member's signature, in place
    Sign(sign::Sign),
    /// Adds the signatures of other copies of a manifest, in place
    Merge(sign::Merge),
    /// Explains a manifest: who, what rules, what it tolerates, and when each member is due to aggregate
    Show(show::Arguments),
    /// Checks that a manifest is one to run with
    Verify(verify::Arguments),
    /// Hands a next epoch to this node, which passes it on
    Adopt(adopt::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Create(arguments) => create::run(arguments),
        Command::Add(arguments) => change::add(arguments),
        Command::Remove(arguments) => change::remove(arguments),
        Command::Set(arguments) => change::set(arguments),
        Command::Sign(arguments) => sign::sign(arguments),
        Command::Merge(arguments) => sign::merge(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Adopt(arguments) => adopt::run(arguments),
    }
}

/// A member card, from its text or from a file.
fn card(given: &str) -> Result<Card, Failure> {
    let unusable =
        |what: &str, reason: &dyn std::fmt::Display| Failure::Unusable(format!("{what}: {reason}"));
    let (what, text) = match given.contains(BEGIN) {
        true => ("member card", given.to_owned()),
        false => {
            (given, consort_node::card::read(Path::new(given)).map_err(|error| unusable(given, &error))?)
        }
    };
    let card = Card::parse(&text).map_err(|error| unusable(what, &error))?;
    for address in card.entry().addresses {
        config::address(&address).map_err(|error| unusable(what, &error))?;
    }
    Ok(card)
}

/// Writes a proposal, never over a manifest that is in force, over something else, or over signatures that were
/// collected on another one than `from`, which it changes.
fn write_proposal(draft: &Draft, from: Option<&Path>, out: &Path) -> Result<(), Failure> {
    let tally = draft.tally().map_err(|source| Failure::Unusable(source.to_string()))?;
    if out.exists() {
        let there = Draft::read(out).ok();
        let there = there.as_ref().and_then(|there| Some((there, there.tally().ok()?)));
        let Some((there, found)) = there.filter(|(_, tally)| !tally.is_complete()) else {
            return Err(Failure::Unusable(format!(
                "{}: exists, and is no unfinished proposal: choose another name",
                out.display()
            )));
        };
        let same = |from: &Path| from.canonicalize().ok() == out.canonicalize().ok();
        if found.found > 0 && !from.is_some_and(same) {
            let voters = there.previous().map_or(&there.last.body, Manifest::body);
            let signers: Vec<String> = there.last.signatures.keys().map(|id| voters.name_of(id)).collect();
            return Err(Failure::Unusable(format!(
                "{}: a proposal that {} signed: choose another name, or delete it once they have given it up",
                out.display(),
                signers.join(", ")
            )));
        }
    }
    draft.write(out).map_err(Failure::unusable)?;
    println(&progress(draft, &tally, out));
    Ok(())
}

/// How far the signatures have come, and what to do next.
fn progress(draft: &Draft, tally: &Tally, file: &Path) -> String {
    let (body, file) = (&draft.last.body, file.display());
    let counted =
        format!("{}, epoch {}: {} of {} signatures", body.name, body.epoch, tally.found, tally.needed);
    if tally.is_complete() {
        return format!("{counted}, complete: {file}");
    }
    let voters = draft.previous().map_or(body, Manifest::body);
    let missing: Vec<String> = tally.missing.iter().map(|id| voters.name_of(id)).collect();
    let (missing, needed) = (missing.join(", "), tally.needed - tally.found);
    let who = match needed < tally.missing.len() {
        true => format!("{needed} more of {missing} have to"),
        false => format!("not signed by {missing}: each of them has to"),
    };
    format!(
        "{counted}; {who} run `consort consortium sign {file} --home DIR`; `consort consortium merge` puts signed copies together"
    )
}
