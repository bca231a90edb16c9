//! `testnet run`: from checked arguments to a report.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use consort_node::npy;
use consort_protocol::{
    array::{Array, Dtype},
    phase::Phase,
};

use crate::{
    checks::Checker,
    cli::{Kill, Run, Who, Workload},
    control::{Hold, Share},
    fleet::Fleet,
    found::{Founded, Shape, found, reduce},
    report::{self, Attempt, Report, Round},
    rounds::{RoundOutcome, Rounds},
    view::View,
    workload::{
        digits::{Digits, PARAMETERS, Split},
        vectors::{Extent, Inputs, Reduction, weights},
    },
};

/// The largest input file that is read.
const LARGEST_FILE: u64 = 8 << 30;

/// Random vectors and model updates stay within this, or their node refuses them.
const GENERATED_EXTENT: f64 = 16.0;

/// Why a run did not end well.
pub(crate) enum Failure {
    /// It ran and failed; the report may say more.
    Failed(String),
    /// It was told to stop.
    Interrupted,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// Everything that is known before a process is started.
pub(crate) struct Plan {
    pub(crate) run: Run,
    pub(crate) shape: Shape,
    pub(crate) weights: Vec<u64>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) arrays: Option<Inputs>,
    pub(crate) split: Option<Split>,
    pub(crate) founded: Founded,
}

/// Checks all inputs; nothing is started or written.
pub(crate) fn plan(mut run: Run) -> Result<Plan, String> {
    let line = |error: &dyn std::fmt::Display| error.to_string();
    let mut plan = match &run.workload {
        Workload::Digits => {
            let split = Split::new(&Digits::load(), run.seed, run.nodes);
            let weights: Vec<u64> =
                split.shards().iter().map(crate::workload::digits::Shard::weight).collect();
            let shape = Shape {
                sides: vec![PARAMETERS as u64],
                dtype: Dtype::F32,
                extent: Extent::Float(GENERATED_EXTENT),
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: Reduction::WeightedMean,
            };
            Parts { shape, weights, files: Vec::new(), arrays: None, split: Some(split) }
        }
        Workload::Random { len, reduction, weights: file } => {
            let weights = read_weights(file.as_deref(), run.nodes)?;
            let shape = Shape {
                sides: vec![*len as u64],
                dtype: Dtype::F32,
                extent: Extent::Float(GENERATED_EXTENT),
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: *reduction,
            };
            Parts { shape, weights, files: Vec::new(), arrays: None, split: None }
        }
        Workload::Files { files, reduction, weights: file } => {
            let weights = read_weights(file.as_deref(), run.nodes)?;
            let arrays = Inputs::read(files, LARGEST_FILE).map_err(|error| line(&error))?;
            let first = arrays.arrays().first().ok_or("no inputs")?;
            let extent = arrays
                .arrays()
                .iter()
                .map(|array| Extent::of(array.values()))
                .reduce(Extent::max)
                .ok_or("no inputs")?;
            let shape = Shape {
                sides: first.shape().to_vec(),
                dtype: first.dtype(),
                extent,
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: *reduction,
            };
            Parts { shape, weights, files: files.clone(), arrays: Some(arrays), split: None }
        }
    };
    if plan.shape.reduction == Reduction::WeightedMean && plan.weights.iter().all(|&weight| weight == 0) {
        return Err("all weights are 0, so there is no weighted mean; give at least one node a weight".into());
    }
    if plan.shape.reduction != Reduction::WeightedMean {
        plan.shape.max_weight = 1;
    }
    let founded = found(&run, &plan.shape).map_err(|error| format!("{error:#}"))?;
    if run.demonstration {
        run.kills = demonstration_kills(&founded);
    }
    check_kills(&run, &founded)?;
    let Parts { shape, weights, files, arrays, split } = plan;
    Ok(Plan { run, shape, weights, files, arrays, split, founded })
}

struct Parts {
    shape: Shape,
    weights: Vec<u64>,
    files: Vec<PathBuf>,
    arrays: Option<Inputs>,
    split: Option<Split>,
}

fn read_weights(file: Option<&Path>, nodes: usize) -> Result<Vec<u64>, String> {
    match file {
        Some(file) => weights(file, nodes).map_err(|error| error.to_string()),
        None => Ok(vec![1; nodes]),
    }
}

/// The demonstration loses two members: one before its vector is in, one after. The first is due to
/// aggregate later, so that one sees its turn passed over.
fn demonstration_kills(founded: &Founded) -> Vec<Kill> {
    let due_in_4 = founded.order(4).first().copied();
    let last = founded.order(3).into_iter().rev().find(|&node| Some(node) != due_in_4);
    let kill = |who: Option<usize>, phase, round| Some(Kill { who: Who::Node(who?), phase, round });
    [kill(due_in_4, Phase::MaskedInput, 1), kill(last, Phase::Unmasking, 3)].into_iter().flatten().collect()
}

/// Refuses to kill whoever aggregates then: only a round whose aggregator lives completes.
fn check_kills(run: &Run, founded: &Founded) -> Result<(), String> {
    for kill in &run.kills {
        let Who::Node(node) = kill.who else { continue };
        let dead: BTreeSet<usize> = run
            .kills
            .iter()
            .filter(|other| other.round < kill.round)
            .filter_map(|other| match other.who {
                Who::Node(node) => Some(node),
                Who::Aggregator => None,
            })
            .collect();
        let acting = founded.order(kill.round).into_iter().find(|node| !dead.contains(node));
        if acting == Some(node) {
            return Err(format!(
                "--kill {kill}: node {node} aggregates round {} with this seed, and the death of an aggregator \
                 in the middle of a round comes in a later version; kill another node or use another --seed",
                kill.round
            ));
        }
    }
    Ok(())
}

/// Runs what was planned. The report is there even if a round failed; no node is there any more.
pub(crate) async fn run(plan: &Plan) -> (Option<Report>, Result<(), Failure>) {
    let started = Instant::now();
    let Plan { run, founded, .. } = plan;
    let (folder, _temporary) = match place(run) {
        Ok(place) => place,
        Err(error) => return (None, Err(error.into())),
    };
    let view = View::new();
    let bytes = plan.elements() * 8;
    let mut rounds = Rounds::new(Fleet::new(run.nodes), founded, &view, run.kills.clone(), run.rounds, bytes);
    let mut report = None;
    let result = tokio::select! {
        result = launch(plan, &folder, &mut rounds, &mut report) => result,
        () = interrupted() => Err(Failure::Interrupted),
    };
    if let Some(report) = &mut report {
        let complete = report.rounds.len() == run.rounds as usize;
        report.all_correct = result.is_ok() && complete && report.rounds.iter().all(|round| round.correct);
        let aggregators: BTreeSet<&str> = report.rounds.iter().filter_map(Round::aggregator).collect();
        report.distinct_aggregators = aggregators.len();
        report.wall_ms = started.elapsed().as_millis() as u64;
    }
    let stopped = rounds.fleet.stop().await;
    (report, result.and(stopped.map_err(Failure::from)))
}

/// Where the homes go, and what removes them afterwards.
fn place(run: &Run) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(keep) = &run.keep {
        return Ok((keep.clone(), None));
    }
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn launch(
    plan: &Plan,
    folder: &Path,
    rounds: &mut Rounds<'_>,
    report: &mut Option<Report>,
) -> Result<(), Failure> {
    let Plan { run, founded, .. } = plan;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let folder = folder.canonicalize().context("the folder of the homes")?;
    if let Some(out) = &run.out {
        fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    }
    let mut first = None;
    for index in 0..run.nodes {
        let home = founded.home(&folder, index, run, plan.share(index), plan.holds(index), first.clone())?;
        rounds.fleet.start(index, &home)?;
        if index == 0 {
            first = Some(rounds.address(0).await?);
        }
    }
    rounds.connected().await?;

    let mut checker = Checker::new(plan);
    let written = report.insert(Report {
        nodes: run.nodes,
        peers: (0..run.nodes).map(|index| founded.peer(index)).collect(),
        vector_len: plan.elements(),
        seed: run.seed,
        workload: if plan.split.is_some() { "digits" } else { "vectors" }.into(),
        all_correct: false,
        distinct_aggregators: 0,
        rounds: Vec::new(),
        kills: Vec::new(),
        baselines: None,
        wall_ms: 0,
    });
    let result = play(plan, rounds, &mut checker, written).await;
    written.baselines = checker.baselines(written.rounds.len());
    result
}

async fn play(
    plan: &Plan,
    rounds: &mut Rounds<'_>,
    checker: &mut Checker<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    for number in 0..plan.run.rounds {
        let outcome = rounds.run(number).await?;
        report.kills.extend(outcome.killed.iter().cloned());
        let round = describe(plan, number, &outcome, checker)?;
        let failed = failure(number, &outcome, &round);
        let accuracy = round.metrics.get("accuracy").map_or(String::new(), |a| format!(", accuracy {a:.3}"));
        rounds.view.say(&format!(
            "round {number}: {} survivors, {}{accuracy}, {} ms",
            round.survivors.len(),
            if round.correct { "equal to the plain aggregate" } else { "NOT equal to the plain aggregate" },
            round.wall_ms
        ));
        if let (Some(out), Some((_, delivered))) = (&plan.run.out, outcome.aggregates.first_key_value()) {
            let path = out.join(format!("round-{number:03}.npy"));
            fs::copy(&delivered.path, &path).with_context(|| path.display().to_string())?;
        }
        for delivered in outcome.aggregates.values().filter(|_| plan.run.keep.is_none()) {
            fs::remove_file(&delivered.path).context("an aggregate that was checked")?;
        }
        report.rounds.push(round);
        if let Some(reason) = failed {
            return Err(Failure::Failed(reason));
        }
    }
    Ok(())
}

/// Why a round is not what was asked for.
fn failure(number: u32, outcome: &RoundOutcome, round: &Round) -> Option<String> {
    if let Some((node, reason)) = outcome.failures.first_key_value() {
        return Some(format!("round {number}: node {node} has no aggregate: {reason}"));
    }
    (!round.correct)
        .then(|| format!("round {number}: the aggregate is not the plain aggregate of its survivors"))
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
        .tries
        .iter()
        .map(|attempt| Attempt {
            attempt: attempt.attempt,
            slot: attempt.slot,
            aggregator: peer(&attempt.aggregator),
            outcome: attempt.outcome.clone(),
            detail: attempt.detail.clone(),
        })
        .collect();
    let mut round = Round {
        round: number,
        attempts,
        published_to: outcome.aggregates.len(),
        wall_ms: outcome.wall.as_millis() as u64,
        phases_ms: Phase::ALL
            .into_iter()
            .map(|phase| (phase, outcome.phases.get(&phase).map_or(0, |ms| ms.round() as u64)))
            .collect(),
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
        let survivors: Vec<usize> =
            first.survivors.iter().filter_map(|key| founded.index_of_key(key)).collect();
        let same = outcome.aggregates.values().all(|other| other.sha256 == first.sha256);
        let array: Array = npy::read_file(&first.path, LARGEST_FILE).map_err(anyhow::Error::msg)?;
        let comparison = checker.check(number, &survivors, &array, first.error_bound);
        round.correct = comparison.correct && same;
        round.max_abs_error = comparison.max_abs_error;
        round.metrics.extend(checker.accuracy(&array).map(|accuracy| ("accuracy".to_owned(), accuracy)));
    }
    Ok(round)
}

impl Plan {
    fn elements(&self) -> u64 {
        self.shape.sides.iter().product()
    }

    fn share(&self, index: usize) -> Share {
        let weight = self.weights.get(index).copied().unwrap_or(1);
        let reduce = reduce(self.shape.reduction, weight);
        match &self.run.workload {
            Workload::Digits => Share::Digits,
            Workload::Random { len, .. } => Share::Random { len: *len, reduce },
            Workload::Files { .. } => {
                let path = self.files.get(index).cloned().unwrap_or_default();
                Share::File { path: path.canonicalize().unwrap_or(path), reduce }
            }
        }
    }

    fn holds(&self, index: usize) -> Vec<Hold> {
        let mine = self.run.kills.iter().filter(|kill| kill.who == Who::Node(index));
        mine.map(|kill| Hold { round: kill.round.into(), phase: kill.phase }).collect()
    }
}

/// Writes the report where it was asked for.
pub(crate) fn write_report(path: Option<&Path>, report: &report::Report) -> anyhow::Result<()> {
    path.map_or(Ok(()), |path| report.write(path).with_context(|| path.display().to_string()))
}
