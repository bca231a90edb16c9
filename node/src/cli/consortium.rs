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
    consortium::Draft,
};
use consort_protocol::manifest::Tally;

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
    if given.contains(BEGIN) {
        return Card::parse(given).map_err(|error| unusable("member card", &error));
    }
    let text = consort_node::card::read(Path::new(given)).map_err(|error| unusable(given, &error))?;
    Card::parse(&text).map_err(|error| unusable(given, &error))
}

/// Writes a proposal, never over a manifest that is in force or over something else.
fn write_proposal(draft: &Draft, out: &Path) -> Result<(), Failure> {
    let tally = draft.tally().map_err(|source| Failure::unusable(draft.error(out, source)))?;
    if out.exists() {
        let unfinished =
            Draft::read(out).is_ok_and(|there| there.tally().is_ok_and(|tally| !tally.is_complete()));
        if !unfinished {
            return Err(Failure::Unusable(format!(
                "{}: exists, and is no unfinished proposal: choose another name",
                out.display()
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
    let voters = draft.previous().map_or(body, |before| before.body());
    let missing: Vec<String> = tally.missing.iter().map(|id| voters.name_of(id)).collect();
    format!(
        "{counted}; not signed by {}: each of them runs `consort consortium sign {file} --home DIR`",
        missing.join(", ")
    )
}
