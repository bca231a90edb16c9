//! Rounds in which everything goes wrong that a seed can think of.
//!
//! `CONSORT_SEEDS` seeds are run, from `CONSORT_FIRST_SEED` on. A failure names its seed;
//! `CONSORT_SEEDS=1 CONSORT_FIRST_SEED=…` runs it again, and with `CONSORT_TELL=1` prints all that is said.

mod draw;
mod kept;
mod setting;
mod tell;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use consort_protocol::sim::{Host, Report, SequentialHost, Simulation};

use draw::Storm;
use tell::Telling;

/// Failing seeds that are printed at most.
const SHOWN: usize = 8;

fn run(storm: &Storm) -> Report {
    if std::env::var_os("CONSORT_TELL").is_some() {
        play(storm, &mut Telling)
    } else {
        play(storm, &mut SequentialHost)
    }
}

fn play(storm: &Storm, host: &mut impl Host) -> Report {
    let setting = &storm.setting;
    let mut simulation = Simulation::new(setting.terms.clone(), setting.inputs(), storm.seed, host)
        .adversary(storm.adversary())
        .weather(storm.weather);
    for fault in &storm.faults {
        simulation = simulation.fault(fault.clone());
    }
    simulation.run()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Runs so many seeds on all cores; `judge` says what is wrong with a report.
fn all(count: u64, draw: fn(u64) -> Storm, judge: fn(&Storm, &Report) -> Vec<String>) {
    let first = number("CONSORT_FIRST_SEED", 0);
    let end = first + number("CONSORT_SEEDS", count);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let storm = draw(seed);
            let wrong = judge(&storm, &run(&storm));
            if !wrong.is_empty() {
                failed.lock().unwrap().push(format!("{}\n    {}", storm.describe(), wrong.join("\n    ")));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let count = failed.len();
    failed.truncate(SHOWN);
    assert!(count == 0, "{count} of {} seeds fail:\n{}", end - first, failed.join("\n"));
}

fn violations(report: &Report) -> Vec<String> {
    report.violations.iter().map(ToString::to_string).collect()
}

#[test]
fn whatever_goes_wrong_no_rule_is_broken() {
    all(4_000, Storm::of_liars, |_, report| violations(report));
}

/// At least a threshold stays, and every vector has a holder that lives: standbys are paid for.
#[test]
fn with_only_crashes_every_round_completes() {
    all(1_000, Storm::of_crashes, |_, report| {
        let mut wrong = violations(report);
        if report.survivors().is_none() {
            wrong.push(format!("no result: {:?}; slots {:?}", report.outcomes, report.slots));
        }
        wrong
    });
}
