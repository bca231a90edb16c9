//! What one sees while a run goes on: a line for the current round with its phase and progress on a
//! terminal, a line for each finished round elsewhere.

use std::{io::IsTerminal as _, time::Duration};

use consort_protocol::phase::Phase;
use indicatif::{ProgressBar, ProgressStyle};

/// The live view, on standard error.
pub(crate) struct View {
    bar: ProgressBar,
    live: bool,
}

impl View {
    pub(crate) fn new() -> Self {
        let live = std::io::stderr().is_terminal();
        let bar = if live { ProgressBar::new(1) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {prefix:16} [{bar:24}] {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸─"));
        }
        if live {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, live }
    }

    /// Nodes come up and find each other.
    pub(crate) fn connecting(&self, connected: usize, links: usize) {
        self.bar.set_prefix("starting");
        self.bar.set_length(links as u64);
        self.bar.set_position(connected as u64);
        self.bar.set_message("nodes find each other");
    }

    /// A round is in this phase.
    pub(crate) fn phase(&self, round: u32, rounds: u32, phase: Phase, aggregator: usize) {
        let done = Phase::ALL.iter().position(|other| *other == phase).unwrap_or(0);
        self.bar.set_prefix(format!("round {round} ({}/{rounds})", round + 1));
        self.bar.set_length(Phase::ALL.len() as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("{phase}, node {aggregator} aggregates"));
    }

    /// So many vectors are with the aggregator.
    pub(crate) fn received(&self, vectors: usize, expected: usize) {
        self.bar.set_message(format!("{}, {vectors} of {expected} vectors", Phase::MaskedInput));
    }

    /// Something that is worth a line of its own.
    pub(crate) fn say(&self, line: &str) {
        if self.live {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
