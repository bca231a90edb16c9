//! The rounds of a run, one after the other, each compared with the plain aggregate and written down.

use std::{fs, path::Path};

use anyhow::Context as _;
use consort_node::npy;
use consort_protocol::array::Array;

use crate::{
    checks::Checker,
    launch::Failure,
    plan::{LARGEST_FILE, Plan},
    report::{Attempt, Report, Round, Soak},
    resources::Watch,
    rounds::{RoundOutcome, Rounds},
    soak,
};

/// Runs all rounds. What the report has is true whether or not it ends well.
pub(crate) async fn play(
    plan: &Plan,
    folder: &Path,
    rounds: &mut Rounds<'_>,
    checker: &mut Checker<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut watch = plan.run.soak.then(Watch::default);
    for number in 0..plan.run.rounds {
        if let Some(model) = checker.model() {
            let path = folder.join("model");
            fs::write(&path, model).context("the shared model")?;
            rounds.model = Some(path);
        }
        let mut outcome = rounds.run(number).await?;
        report.kills.append(&mut outcome.kills);
        report.restarts.append(&mut outcome.restarts);
        report.pauses.append(&mut outcome.pauses);
        report.partitions.append(&mut outcome.partitions);
        let mut round = describe(plan, number, &outcome, checker)?;
        let failed = failure(number, &outcome, &round);
        say(rounds, &round);
        keep(plan, number, &outcome)?;
        if let Some(watch) = &mut watch {
            round.failed = reason(&outcome).filter(|reason| soak::is_allowed(reason));
            watch.look(number, &rounds.fleet, &rounds.homes);
        }
        let goes_on = round.failed.is_some();
        report.rounds.push(round);
        take_in_late(plan, rounds, report)?;
        if let Some(watch) = &watch {
            report.soak = Some(sum_up(report, watch));
        }
        if let Some(reason) = failed.filter(|_| !goes_on) {
            return Err(Failure::Failed(reason));
        }
        for fault in rounds.faults.extract_if(.., |fault| fault.round == number) {
            rounds.view.say(&format!("round {number}: {fault} did not happen: nobody got as far"));
        }
    }
    Ok(())
}

fn say(rounds: &Rounds<'_>, round: &Round) {
    let accuracy = round.metrics.get("accuracy").map_or(String::new(), |a| format!(", accuracy {a:.3}"));
    let equal = match (round.aggregator(), round.correct) {
        (None, _) => "no aggregate",
        (_, true) => "equal to the plain aggregate",
        (_, false) => "NOT equal to the plain aggregate",
    };
    let missed = match round.missed.len() {
        0 => String::new(),
        count => format!(", missed by {count}"),
    };
    let Round { round: number, survivors, wall_ms, .. } = round;
    let line =
        format!("round {number}: {} survivors, {equal}{accuracy}{missed}, {wall_ms} ms", survivors.len());
    rounds.view.say(&line);
}

/// The aggregate goes where it was asked for; homes that are not kept need not hold it twice.
fn keep(plan: &Plan, number: u32, outcome: &RoundOutcome) -> anyhow::Result<()> {
    if let (Some(out), Some((_, delivered))) = (&plan.run.out, outcome.aggregates.first_key_value()) {
        let path = out.join(format!("round-{number:03}.npy"));
        fs::copy(&delivered.path, &path).with_context(|| path.display().to_string())?;
    }
    for delivered in outcome.aggregates.values().filter(|_| plan.run.keep.is_none()) {
        fs::remove_file(&delivered.path).context("an aggregate that was checked")?;
    }
    Ok(())
}

/// Nodes that were away may have got the aggregate of an earlier round by now: it has to be the same.
fn take_in_late(plan: &Plan, rounds: &mut Rounds<'_>, report: &mut Report) -> Result<(), Failure> {
    for (number, node, delivered) in std::mem::take(&mut rounds.late) {
        if plan.run.keep.is_none() {
            fs::remove_file(&delivered.path).context("an aggregate that came late")?;
        }
        let Some(round) = report.rounds.iter_mut().find(|round| round.round == number) else { continue };
        let peer = plan.founded.peer(node);
        rounds.view.say(&format!("round {number}: node {node} has the aggregate, too"));
        round.missed.retain(|missed| *missed != peer);
        round.published_to += 1;
        if round.sha256.as_ref() != Some(&delivered.sha256) {
            round.correct = false;
            let reason = format!("round {number}: node {node} has another aggregate than the others");
            return Err(Failure::Failed(reason));
        }
    }
    Ok(())
}

/// Why nodes have no aggregate.
fn reason(outcome: &RoundOutcome) -> Option<String> {
    outcome.failures.first_key_value().map(|(_, reason)| reason.clone())
}

/// Why a round is not what was asked for.
fn failure(number: u32, outcome: &RoundOutcome, round: &Round) -> Option<String> {
    if let Some((node, reason)) = outcome.failures.first_key_value() {
        return Some(format!("round {number}: node {node} has no aggregate: {reason}"));
    }
    if outcome.aggregates.is_empty() {
        return Some(format!("round {number}: nobody has an aggregate: all who live were away"));
    }
    (!round.correct)
        .then(|| format!("round {number}: the aggregate is not the plain aggregate of its survivors"))
}

fn sum_up(report: &Report, watch: &Watch) -> Soak {
    let count = |what: fn(&&Round) -> bool| report.rounds.iter().filter(what).count();
    let (growth, observed) = watch.growth();
    Soak {
        completed: count(|round| round.correct),
        failed: count(|round| round.failed.is_some()),
        wrong: count(|round| round.sha256.is_some() && !round.correct),
        growth,
        observed,
    }
}

fn describe(
    plan: &Plan,
    number: u32,
    outcome: &RoundOutcome,
    checker: &mut Checker<'_>,
) -> anyhow::Result<Round> {
    let founded = &plan.founded;
    let peer =
        |key: &String| founded.index_of_key(key).map_or_else(|| key.clone(), |index| founded.peer(index));
    let attempts = outcome
        .tries()
        .into_iter()
        .map(|attempt| Attempt {
            attempt: attempt.attempt,
            slot: attempt.slot,
            aggregator: peer(&attempt.aggregator),
            outcome: attempt.outcome,
            detail: attempt.detail,
        })
        .collect();
    let mut round = Round {
        round: number,
        attempts,
        published_to: outcome.aggregates.len(),
        missed: outcome.missed.iter().map(|&index| founded.peer(index)).collect(),
        wall_ms: outcome.wall().as_millis() as u64,
        phases_ms: outcome.phases_ms(),
        bytes_sent: outcome
            .usage
            .iter()
            .map(|(&index, usage)| (founded.peer(index), usage.bytes_sent))
            .collect(),
        peak_rss: outcome.usage.iter().map(|(&index, usage)| (founded.peer(index), usage.peak_rss)).collect(),
        ..Round::default()
    };
    if let Some((_, first)) = outcome.aggregates.first_key_value() {
        round.survivors = first.survivors.iter().map(peer).collect();
        round.roster = first.roster.iter().map(peer).collect();
        round.dropped = round.roster.iter().filter(|id| !round.survivors.contains(id)).cloned().collect();
        round.error_bound = first.error_bound;
        round.sha256 = Some(first.sha256.clone());
        let survivors: Vec<usize> =
            first.survivors.iter().filter_map(|key| founded.index_of_key(key)).collect();
        let same = |other: &crate::rounds::Delivered| {
            (&other.sha256, &other.survivors) == (&first.sha256, &first.survivors)
        };
        let same = outcome.aggregates.values().all(same);
        let array: Array = npy::read_file(&first.path, LARGEST_FILE).map_err(anyhow::Error::msg)?;
        let comparison = checker.check(number, &survivors, &array, first.error_bound);
        round.correct = comparison.correct && same;
        round.max_abs_error = comparison.max_abs_error;
        round.metrics.extend(checker.accuracy(&array).map(|accuracy| ("accuracy".to_owned(), accuracy)));
    }
    Ok(round)
}
