//! The command line: what was asked for, checked as far as it can be without reading any array.
//!
//! [`parse`] gives a [`Command`] that can be carried out, or a [`Stop`] with one line that says what is
//! wrong, where, and what to do. Nothing is started or written before.

mod check;
mod check_faults;
mod fault;
mod flags;
mod lie;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser as _};
use consort_node::manual::Shell;

use crate::workload::vectors::Reduction;

pub(crate) use fault::{Deed, Fault, Who, in_seconds, list};
pub(crate) use flags::Transport;
pub(crate) use lie::Telling;

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// A consortium of processes.
    Run(Run),
    /// The protocol alone, in this process.
    Simulate(Simulate),
    /// Man pages into this folder.
    Man(PathBuf),
    /// What completes commands in this shell.
    Completions(Shell),
}

/// A consortium of processes, and what it computes.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    /// Number of nodes, at least 3.
    pub(crate) nodes: usize,
    /// Number of rounds, at least 1.
    pub(crate) rounds: u32,
    /// What identities, inputs and faults follow from.
    pub(crate) seed: u64,
    /// What is added up.
    pub(crate) workload: Workload,
    /// The absolute c of the protocol; `None` for the largest that the nodes allow.
    pub(crate) corrupt: Option<usize>,
    /// Directory for the aggregates.
    pub(crate) out: Option<PathBuf>,
    /// What happens to whom and when, all of it possible in this run.
    pub(crate) faults: Vec<Fault>,
    /// Who lies, in all rounds.
    pub(crate) lies: Vec<Telling>,
    /// What the nodes talk over.
    pub(crate) transport: Transport,
    /// Directory where homes and logs stay; absent or empty now.
    pub(crate) keep: Option<PathBuf>,
    /// File for the report.
    pub(crate) report: Option<PathBuf>,
    /// The report goes to standard output, and nothing else does.
    pub(crate) json: bool,
    /// Whether no flag shapes the run, so that it may show what it likes (faults included).
    pub(crate) demonstration: bool,
    /// Whether rounds may fail for good reasons, and what the nodes use is watched.
    pub(crate) soak: bool,
}

/// What the nodes add up.
#[derive(Debug, PartialEq)]
pub(crate) enum Workload {
    /// Updates of a model that learns the handwritten digits: a weighted mean.
    Digits,
    /// Random vectors of this many f32 elements.
    Random {
        /// Elements, at least 1.
        len: usize,
        /// What comes back.
        reduction: Reduction,
        /// The file of the weights, for a weighted mean.
        weights: Option<PathBuf>,
    },
    /// The arrays in these files, one for each node; not read yet.
    Files {
        /// In the order of the nodes.
        files: Vec<PathBuf>,
        /// What comes back.
        reduction: Reduction,
        /// The file of the weights, for a weighted mean.
        weights: Option<PathBuf>,
    },
}

/// A simulation of one attempt.
#[derive(Debug, PartialEq)]
pub(crate) struct Simulate {
    /// Number of members, at least 3.
    pub(crate) members: usize,
    /// Elements of the sum of f32, at least 1.
    pub(crate) vector_len: usize,
    /// Who shares masks with whom.
    pub(crate) degree: Degree,
    /// The share of members lost after share-keys: 0 or more, less than 1.
    pub(crate) drop: f64,
    /// The share of members that may be corrupt, which `auto` plans for: 0 or more, less than 1.
    pub(crate) corrupt: f64,
    /// Threads that compute.
    pub(crate) threads: usize,
    /// JSON instead of text.
    pub(crate) json: bool,
}

/// The neighbourhoods of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Degree {
    /// What suits the number of members, the losses and the corrupt; complete at these numbers.
    Auto,
    /// Everybody with everybody, at the default number of corrupt members.
    Complete,
}

/// Why nothing is started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Help or version was asked for: this goes to standard output, and the exit code is 0.
    Told(String),
    /// Unusable arguments: one line for standard error, after `error: `, and the exit code is 2.
    Usage(String),
}

/// The definition of the command line.
pub(crate) fn definition() -> clap::Command {
    flags::Flags::command()
}

/// Parses a command line, its first element being the program's name.
///
/// # Errors
/// [`Stop`], where there is nothing to carry out.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, Stop> {
    let flags = flags::Flags::try_parse_from(arguments).map_err(|error| match error.use_stderr() {
        false => Stop::Told(error.to_string()),
        true => Stop::Usage(condense(&error.to_string())),
    })?;
    check::command(flags).map_err(|message| Stop::Usage(on_one_line(&message)))
}

/// The message of the parser without its usage, on one line.
fn condense(rendered: &str) -> String {
    let said = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<&str> =
        said.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let line = lines.join(" ");
    let message = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{}; see testnet --help", on_one_line(message))
}

/// Whatever a file or an argument is called, it does not break the line or steer the terminal.
fn on_one_line(message: &str) -> String {
    message
        .chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}
