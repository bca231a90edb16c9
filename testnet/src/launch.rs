//! A run from its plan to its report.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;

use crate::{
    checks::Checker,
    cli::Run,
    plan::Plan,
    play::play,
    report::{Report, Round},
    rounds::Rounds,
    view::View,
};

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

/// Runs what was planned. The report is there even if a round failed; no node is there any more.
pub(crate) async fn run(plan: &Plan) -> (Option<Report>, Result<(), Failure>) {
    let started = Instant::now();
    let run = &plan.run;
    let (folder, _temporary) = match place(run) {
        Ok(place) => place,
        Err(error) => return (None, Err(error.into())),
    };
    let view = View::new();
    let mut rounds = Rounds::new(plan, &view);
    let mut report = None;
    let result = tokio::select! {
        result = launch(plan, &folder, &mut rounds, &mut report) => result,
        () = interrupted() => Err(Failure::Interrupted),
    };
    if let Some(report) = &mut report {
        let complete = report.rounds.len() == run.rounds as usize;
        let good = |round: &Round| round.correct || round.failed.is_some();
        report.all_correct = result.is_ok() && complete && report.rounds.iter().all(good);
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
    let mut known = Vec::new();
    for index in 0..run.nodes {
        let part = (plan.share(index), plan.holds(index), plan.lie(index));
        let home = founded.home(&folder, index, run, part, known.clone())?;
        rounds.fleet.start(index, &home)?;
        rounds.homes.push(home);
        if index == 0 {
            known.push(rounds.address(0).await?);
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
        restarts: Vec::new(),
        pauses: Vec::new(),
        partitions: Vec::new(),
        convicted: Vec::new(),
        soak: None,
        baselines: None,
        wall_ms: 0,
    });
    let result = play(plan, &folder, rounds, &mut checker, written).await;
    written.baselines = checker.baselines(written.rounds.len());
    result
}

/// Writes the report where it was asked for.
pub(crate) fn write_report(path: Option<&Path>, report: &Report) -> anyhow::Result<()> {
    path.map_or(Ok(()), |path| report.write(path).with_context(|| path.display().to_string()))
}
