//! `testnet simulate`: the protocol alone, in one process and without a network, and what it costs.
//!
//! One attempt at a sum of f32 at the policy's defaults, everybody masking with everybody. The same members
//! and messages as between real nodes, one after the other, so that each one's computing time can be told
//! from the others'. Nothing here is secret: inputs, keys and losses all follow from one seed.

mod host;
mod report;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, io, io::Write as _, process::ExitCode, sync::Arc};

use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use consort_protocol::{
    array::{Array, Dtype, Values},
    contract::{ContractError, Task, Terms, spec_for},
    encoding::{self, Input, InputError, ValidInput},
    ids::MemberId,
    manifest::Policy,
    phase::Phase,
    report::{AbortReason, Outcome},
    sim::{self, Consortium, ConsortiumError, Kill, Simulation, consortium},
};

use crate::{
    cli::{Degree, Simulate},
    table::color_wanted,
    workload::vectors::{Plain, Reduction, random},
};

use crate::memory::peak_rss;
use host::MeasuringHost;
pub(crate) use report::SimulateReport;

/// Two runs of one command line are the same run.
const SEED: u64 = 1;

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulateError {
    /// No such consortium.
    #[error("--members: {0}")]
    Consortium(#[from] ConsortiumError),
    /// No sum of such vectors.
    #[error("--vector-len: {0}")]
    Contract(#[from] ContractError),
    /// The inputs do not fit the contract.
    #[error("the inputs do not fit: {0}")]
    Input(#[from] InputError),
    /// The threads cannot be had.
    #[error("--threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The survivors would be fewer than the protocol accepts.
    #[error(
        "--drop: {left} of {members} members would be left, {needed} are needed: lose at most {}",
        members - needed
    )]
    TooFew {
        /// Members that would be left.
        left: usize,
        /// All members.
        members: usize,
        /// Fewest survivors.
        needed: usize,
    },
    /// The attempt ended without a result.
    #[error("the attempt was given up: {0}")]
    Aborted(AbortReason),
    /// The attempt ended in a way that it cannot.
    #[error("the attempt came to no end for {0} of its members")]
    Unfinished(usize),
}

impl SimulateError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Consortium(_) | Self::Contract(_) | Self::Input(_) | Self::Threads(_) => ExitCode::from(2),
            Self::TooFew { .. } | Self::Aborted(_) | Self::Unfinished(_) => ExitCode::from(1),
        }
    }
}

/// Carries out the command: the report on standard output, what went wrong in one line on standard error.
pub(crate) fn execute(arguments: &Simulate) -> ExitCode {
    let report = match run(arguments) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return error.exit_code();
        }
    };
    let text = if arguments.json { report.json() } else { report.table(color_wanted()) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: standard output: {error}");
            ExitCode::from(1)
        }
        _ if report.correct => ExitCode::SUCCESS,
        _ => {
            eprintln!("error: the aggregate is off by {:e}: see the report", report.max_abs_error);
            ExitCode::from(1)
        }
    }
}

/// Runs the attempt and checks its aggregate against the plain sum of the survivors.
///
/// # Errors
/// [`SimulateError`], where the arguments do not go together or the attempt has no result.
pub(crate) fn run(arguments: &Simulate) -> Result<SimulateReport, SimulateError> {
    let &Simulate { members, vector_len, degree, drop, corrupt: _, threads, json: _ } = arguments;
    let consortium = consortium(members, Policy::default(), SEED)?;
    let degree = match degree {
        // at the sizes that the command line lets through, complete is what suits
        Degree::Auto | Degree::Complete => members - 1,
    };
    let terms = Arc::new(terms(&consortium, vector_len)?);
    let lost = lost(drop, &consortium, &terms)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let inputs = inputs(members, &terms, vector_len)?;

    let mut host = MeasuringHost::new(pool, members - lost.len());
    let nodes = consortium.identities.iter().cloned().zip(inputs.into_iter().map(Some));
    let mut simulation = Simulation::new(terms.clone(), nodes, SEED, &mut host);
    for &member in &lost {
        simulation = simulation.fault(Kill { member, phase: Phase::MaskedInput });
    }
    let outcome = simulation.run();
    let survivors = survivors(&outcome, members - lost.len())?;
    // what follows would only add the check's own memory
    let peak_rss = peak_rss();
    let checked = check(&consortium, &outcome, &survivors, vector_len);
    let measured = host.finish(&survivors, terms.aggregator());

    let threshold = consortium.manifest.threshold(members).map_or(0, |threshold| threshold.get());
    Ok(SimulateReport {
        members,
        vector_len,
        degree,
        threshold,
        dropped: lost.len(),
        ring_bits: terms.layout().segments().iter().map(|segment| segment.bits).max().unwrap_or_default(),
        correct: checked.correct,
        max_abs_error: checked.max_abs_error,
        error_bound: checked.error_bound,
        threads,
        member_ms: measured.member_ms,
        aggregator_ms: measured.aggregator_ms,
        bytes_up_per_member: measured.control_bytes + terms.layout().packed_len(),
        peak_rss,
    })
}

fn terms(consortium: &Consortium, vector_len: usize) -> Result<Terms, ContractError> {
    let leaves = [(vec![vector_len as u64], Dtype::F32)];
    let spec = spec_for(&consortium.manifest, leaves, encoding::Reduction::Sum, None);
    let task = Task { label: None, query: [0; 32], spec };
    Terms::new(consortium.manifest.clone(), 0, 0, 0, task)
}

/// Who vanishes: ⌊members·drop⌋ of those that do not aggregate.
fn lost(drop: f64, consortium: &Consortium, terms: &Terms) -> Result<BTreeSet<MemberId>, SimulateError> {
    let members = consortium.identities.len();
    // 100 · 0.29 is a little less than 29
    let lost = (members as f64 * drop + 1e-6).floor() as usize;
    let (left, needed) = (members.saturating_sub(lost), consortium.manifest.min_survivors(members));
    if let Some(needed) = needed.filter(|&needed| left < needed) {
        return Err(SimulateError::TooFew { left, members, needed });
    }
    let mut others: Vec<MemberId> = consortium.identities.iter().map(|identity| identity.id()).collect();
    others.retain(|id| *id != terms.aggregator());
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    others.sort_by_cached_key(|_| rng.next_u64());
    Ok(others.into_iter().take(lost).collect())
}

fn inputs(members: usize, terms: &Terms, vector_len: usize) -> Result<Vec<ValidInput>, InputError> {
    let input = |number| {
        let input = Input { leaves: vec![values(number, vector_len)], weight: 1 };
        ValidInput::new(input, &terms.contract().task.spec, terms.layout())
    };
    (0..members).map(input).collect()
}

/// The input of a member, over the whole range of the clip.
fn values(number: usize, vector_len: usize) -> Array {
    let unit = random(SEED, number, 0, vector_len);
    let Values::F32(values) = unit.values() else { return unit };
    // exact, since the clip is a power of two
    let scaled = values.iter().map(|value| value * encoding::DEFAULT_CLIP as f32).collect();
    Array::new(vec![vector_len as u64], Values::F32(scaled)).unwrap_or(unit)
}

fn survivors(outcome: &sim::Report, alive: usize) -> Result<BTreeSet<MemberId>, SimulateError> {
    if let Some(Outcome::Aborted(reason)) = &outcome.aggregator {
        return Err(SimulateError::Aborted(reason.clone()));
    }
    match outcome.survivors() {
        Some(survivors) if outcome.aggregates.len() == alive => Ok(survivors.into_iter().collect()),
        _ => Err(SimulateError::Unfinished(alive - outcome.aggregates.len().min(alive))),
    }
}

struct Checked {
    correct: bool,
    max_abs_error: f64,
    error_bound: f64,
}

/// Compares what each survivor stored with the plain sum of all of them.
fn check(
    consortium: &Consortium,
    outcome: &sim::Report,
    survivors: &BTreeSet<MemberId>,
    vector_len: usize,
) -> Checked {
    let identities = consortium.identities.iter().enumerate();
    let added = identities.filter(|(_, identity)| survivors.contains(&identity.id()));
    let inputs: Vec<Array> = added.map(|(number, _)| values(number, vector_len)).collect();
    let plain = Plain::new(inputs.iter().map(|input| (input, 1)), Reduction::Sum);
    let mut checked = Checked { correct: true, max_abs_error: 0.0, error_bound: 0.0 };
    let mut agreed = None;
    for aggregate in outcome.aggregates.values() {
        // all stored the same as a rule, and then one comparison is enough
        if agreed.is_some_and(|agreed| agreed == aggregate) {
            continue;
        }
        agreed = Some(aggregate);
        let compared = aggregate.leaves.first().map(|sum| plain.compare(sum, aggregate.error_bound));
        checked.correct &= aggregate.leaves.len() == 1 && compared.as_ref().is_some_and(|sum| sum.correct);
        checked.max_abs_error = compared.map_or(f64::MAX, |sum| sum.max_abs_error).max(checked.max_abs_error);
        checked.error_bound = aggregate.error_bound.max(checked.error_bound);
    }
    checked
}
