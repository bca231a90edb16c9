//! What came of a round, as it comes in.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use consort_protocol::phase::Phase;

use crate::{
    control::{Try, Usage},
    report::{Attempt, Parted, Paused, Struck},
};

/// What came of one round.
pub(crate) struct RoundOutcome {
    pub(crate) round: u32,
    started: Instant,
    /// When the last one was done with it.
    ended: Instant,
    /// When the last one was done with it, or struck.
    stirred: Instant,
    /// Tries as each member saw them.
    tries: Vec<Vec<Try>>,
    /// What each node with an aggregate has, by index.
    pub(crate) aggregates: BTreeMap<usize, Delivered>,
    /// Why nodes have none, by index.
    pub(crate) failures: BTreeMap<usize, String>,
    /// Nodes that live, but were away or could not be reached when the others were done.
    pub(crate) missed: BTreeSet<usize>,
    /// When which phase began on an aggregator.
    timeline: Vec<(Instant, Phase)>,
    /// What each node used in this round, by index.
    pub(crate) usage: BTreeMap<usize, Usage>,
    pub(crate) kills: Vec<Struck>,
    pub(crate) restarts: Vec<Struck>,
    pub(crate) pauses: Vec<Paused>,
    pub(crate) partitions: Vec<Parted>,
}

/// An aggregate as a node delivered it.
#[derive(Clone)]
pub(crate) struct Delivered {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) survivors: Vec<String>,
    pub(crate) roster: Vec<String>,
    pub(crate) error_bound: f64,
}

impl RoundOutcome {
    pub(crate) fn new(round: u32) -> Self {
        let now = Instant::now();
        Self {
            round,
            started: now,
            ended: now,
            stirred: now,
            tries: Vec::new(),
            aggregates: BTreeMap::new(),
            failures: BTreeMap::new(),
            missed: BTreeSet::new(),
            timeline: Vec::new(),
            usage: BTreeMap::new(),
            kills: Vec::new(),
            restarts: Vec::new(),
            pauses: Vec::new(),
            partitions: Vec::new(),
        }
    }

    /// The inputs are handed in now.
    pub(super) fn start(&mut self) {
        let now = Instant::now();
        (self.started, self.ended, self.stirred) = (now, now, now);
    }

    /// Something happened to a node.
    pub(super) fn stir(&mut self) {
        self.stirred = Instant::now();
    }

    pub(super) fn phase(&mut self, phase: Phase) {
        self.timeline.push((Instant::now(), phase));
    }

    pub(super) fn tried(&mut self, tries: Vec<Try>) {
        self.tries.push(tries);
    }

    pub(super) fn delivered(&mut self, from: usize, delivered: Delivered) {
        self.stir();
        self.ended = self.stirred;
        self.aggregates.insert(from, delivered);
    }

    pub(super) fn failed(&mut self, from: usize, reason: String) {
        self.stir();
        self.ended = self.stirred;
        self.failures.insert(from, reason);
    }

    /// Since the last node was done with it, or struck.
    pub(super) fn quiet(&self) -> Duration {
        self.stirred.elapsed()
    }

    /// From the inputs to the last aggregate.
    pub(crate) fn wall(&self) -> Duration {
        self.ended.duration_since(self.started)
    }

    /// How long an aggregator was in each phase; what the members wait for a lost one counts for the phase in
    /// which it was lost.
    pub(crate) fn phases_ms(&self) -> BTreeMap<Phase, u64> {
        let mut times: BTreeMap<Phase, Duration> =
            Phase::ALL.into_iter().map(|phase| (phase, Duration::ZERO)).collect();
        let ends = self.timeline.iter().skip(1).map(|(at, _)| *at).chain([self.ended]);
        for ((begin, phase), end) in self.timeline.iter().zip(ends) {
            *times.entry(*phase).or_default() += end.saturating_duration_since(*begin);
        }
        times.into_iter().map(|(phase, time)| (phase, time.as_millis() as u64)).collect()
    }

    /// All tries in the order of their slots, that which was completed last. No member sees all of them: one
    /// that was away misses some, and one that was killed tells nothing.
    pub(crate) fn tries(&self) -> Vec<Try> {
        let completed = |attempt: &&Try| attempt.outcome == Attempt::COMPLETED;
        let mut all: BTreeMap<(u64, u32, u32), Try> = BTreeMap::new();
        for attempt in self.tries.iter().flatten() {
            all.entry((attempt.round, attempt.attempt, attempt.slot)).or_insert_with(|| attempt.clone());
        }
        let last = self.tries.iter().flatten().find(completed).cloned();
        let mut all: Vec<Try> = match &last {
            Some(last) => {
                let other = |attempt: &Try| {
                    (attempt.round, attempt.attempt, attempt.slot) != (last.round, last.attempt, last.slot)
                };
                all.into_values().filter(other).collect()
            }
            None => all.into_values().collect(),
        };
        all.extend(last);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(slot: u32, outcome: &str) -> Try {
        let detail = (outcome != Attempt::COMPLETED).then(|| "a detail".into());
        Try { round: 3, attempt: 0, slot, aggregator: format!("{slot}"), outcome: outcome.into(), detail }
    }

    #[test]
    fn every_slot_is_told_once_and_the_completed_one_comes_last() {
        let mut outcome = RoundOutcome::new(3);
        outcome.tried(vec![attempt(1, "aggregator-lost"), attempt(2, "completed")]);
        // one that was stopped gave up the slot that the others completed, and the next
        outcome.tried(vec![
            attempt(0, "aggregator-lost"),
            attempt(2, "aggregator-lost"),
            attempt(3, "aggregator-lost"),
        ]);
        let found: Vec<(u32, String)> =
            outcome.tries().into_iter().map(|attempt| (attempt.slot, attempt.outcome)).collect();
        let expected =
            [(0, "aggregator-lost"), (1, "aggregator-lost"), (3, "aggregator-lost"), (2, "completed")];
        assert_eq!(found, expected.map(|(slot, outcome)| (slot, outcome.to_owned())));
    }

    #[test]
    fn a_phase_lasts_until_the_next_begins_on_anybody() {
        let mut outcome = RoundOutcome::new(0);
        let at = |ms| outcome.started + Duration::from_millis(ms);
        let timeline = [
            (at(5), Phase::AdvertiseKeys),
            (at(10), Phase::MaskedInput),
            (at(40), Phase::MaskedInput),
            (at(50), Phase::Publish),
        ];
        let ended = at(57);
        (outcome.timeline, outcome.ended) = (timeline.to_vec(), ended);
        let phases = outcome.phases_ms();
        let found = Phase::ALL.map(|phase| phases[&phase]);
        assert_eq!(found, [5, 0, 40, 0, 0, 7]);
    }
}
