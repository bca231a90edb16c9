//! What the flags mean together, and which of them cannot be meant.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use super::flags::{Flags, RunFlags, SimulateFlags, SoakFlags, Subcommands, WorkloadName};
use super::{Command, Degree, Run, Simulate, Workload, check_faults, lie};
use crate::report;
use crate::workload::vectors::{self, Reduction};

/// With two, each could subtract its own input from the sum.
const MIN_NODES: usize = 3;
/// Above this, everybody with everybody costs too much and neighbourhoods must be sparse.
const MAX_COMPLETE: usize = 300;
/// Bounds the work that a simulation of a complete graph can be asked for.
const MAX_SIMULATED: usize = 1_000;
const DEFAULT_NODES: usize = 8;
const DEFAULT_ROUNDS: u32 = 6;
const DEFAULT_VECTOR_LEN: usize = 100_000;

/// The command, or one line that says why there is none.
pub(super) fn command(flags: Flags) -> Result<Command, String> {
    match flags.command {
        None => run(flags.run).map(Command::Run),
        Some(Subcommands::Run(flags)) => run(*flags).map(Command::Run),
        Some(Subcommands::Simulate(flags)) => simulate(flags).map(Command::Simulate),
        Some(Subcommands::Soak(flags)) => soak(flags).map(Command::Run),
        Some(Subcommands::Man { folder }) => Ok(Command::Man(folder)),
        Some(Subcommands::Completions { shell }) => Ok(Command::Completions(shell)),
        Some(Subcommands::Bench(_)) => later("bench", "use testnet run --report and testnet simulate --json"),
    }
}

fn run(flags: RunFlags) -> Result<Run, String> {
    refuse_later_flags(&flags)?;
    let demonstration = flags.nodes.is_none()
        && flags.rounds.is_none()
        && flags.workload.is_none()
        && flags.corrupt.is_none()
        && flags.vector_len.is_none()
        && flags.inputs.is_none()
        && flags.kill.is_empty()
        && flags.restart.is_empty()
        && flags.pause.is_empty()
        && flags.partition.is_empty()
        && flags.lie.is_empty();
    let workload = workload(&flags)?;
    let nodes = nodes(flags.nodes, &workload)?;
    let rounds = flags.rounds.unwrap_or(DEFAULT_ROUNDS);
    check_corrupt(flags.corrupt, nodes)?;
    check_places(&flags)?;
    let faults = [flags.partition, flags.pause, flags.restart, flags.kill].concat();
    check_faults::check(&faults, nodes, rounds)?;
    lie::check(&flags.lie, nodes)?;
    Ok(Run {
        nodes,
        rounds,
        seed: flags.seed,
        workload,
        corrupt: flags.corrupt,
        out: flags.out,
        faults,
        lies: flags.lie,
        transport: flags.transport,
        keep: flags.keep,
        report: flags.report,
        json: flags.json,
        demonstration,
        soak: false,
    })
}

fn refuse_later_flags(flags: &RunFlags) -> Result<(), String> {
    if flags.dashboard {
        return later("--dashboard", "watch the live view, or use --report");
    }
    Ok(())
}

fn later<T>(what: &str, instead: &str) -> Result<T, String> {
    Err(format!("{what} comes in a later version; {instead}"))
}

fn workload(flags: &RunFlags) -> Result<Workload, String> {
    let vectors = flags.vector_len.is_some() || flags.inputs.is_some();
    let named = flags.workload.unwrap_or(if vectors { WorkloadName::Vectors } else { WorkloadName::Digits });
    if named == WorkloadName::Digits {
        let misplaced = [
            ("--vector-len", flags.vector_len.is_some()),
            ("--inputs", flags.inputs.is_some()),
            ("--weights", flags.weights.is_some()),
            ("--mean", flags.mean),
        ];
        let misplaced = misplaced.into_iter().find(|(_, given)| *given);
        return match misplaced {
            None => Ok(Workload::Digits),
            Some((flag @ ("--weights" | "--mean"), _)) => {
                Err(format!("{flag} is for vectors, not for digits; add --vector-len D or --inputs DIR"))
            }
            Some((flag, _)) => {
                Err(format!("{flag} is for vectors, not for digits; leave out --workload digits"))
            }
        };
    }
    let reduction = match (&flags.weights, flags.mean) {
        (Some(_), _) => Reduction::WeightedMean,
        (None, true) => Reduction::Mean,
        (None, false) => Reduction::Sum,
    };
    let weights = flags.weights.clone();
    let Some(directory) = &flags.inputs else {
        let len = flags.vector_len.unwrap_or(DEFAULT_VECTOR_LEN);
        return Ok(Workload::Random { len, reduction, weights });
    };
    let files = vectors::list(directory).map_err(|error| format!("--inputs {error}"))?;
    Ok(Workload::Files { files, reduction, weights })
}

fn nodes(asked: Option<usize>, workload: &Workload) -> Result<usize, String> {
    let nodes = match (workload, asked) {
        (Workload::Files { files, .. }, Some(asked)) if asked != files.len() => {
            return Err(format!(
                "--nodes {asked}: --inputs has {} .npy files, one for each node; leave out --nodes, or add or remove files",
                files.len()
            ));
        }
        (Workload::Files { files, .. }, _) => files.len(),
        (_, asked) => asked.unwrap_or(DEFAULT_NODES),
    };
    if nodes < MIN_NODES {
        return Err(format!(
            "--nodes {nodes}: at least {MIN_NODES} are needed, since with fewer a sum shows the inputs; use --nodes {MIN_NODES} or more"
        ));
    }
    if nodes > MAX_COMPLETE {
        return Err(format!(
            "{nodes} nodes: more than {MAX_COMPLETE} need sparse graphs, which come in a later version; use --nodes {MAX_COMPLETE} or fewer"
        ));
    }
    Ok(nodes)
}

fn check_corrupt(corrupt: Option<usize>, nodes: usize) -> Result<(), String> {
    let most = ((nodes - 1) / 3).max(1);
    match corrupt {
        Some(corrupt) if !(1..=most).contains(&corrupt) => Err(format!(
            "--corrupt {corrupt}: with {nodes} nodes it is from 1 to {most}; choose one of these or leave it out"
        )),
        _ => Ok(()),
    }
}

/// Whether what the run will write has a place.
fn check_places(flags: &RunFlags) -> Result<(), String> {
    if let Some(path) = &flags.report {
        report::check_writable(path).map_err(|error| {
            format!("--report {}: no file can be written there ({error}); name another", path.display())
        })?;
    }
    for (flag, path) in [("--out", &flags.out), ("--keep", &flags.keep)] {
        let Some(path) = path else { continue };
        if let Some(file) = path.ancestors().find(|part| part.exists()).filter(|part| !part.is_dir()) {
            let (path, file) = (path.display(), file.display());
            return Err(format!("{flag} {path}: {file} is not a directory; name another"));
        }
    }
    match &flags.keep {
        Some(path) if !is_vacant(path) => Err(format!(
            "--keep {}: something is in it already; name a new or empty directory",
            path.display()
        )),
        _ => Ok(()),
    }
}

fn is_vacant(directory: &Path) -> bool {
    !directory.exists() || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

fn soak(flags: SoakFlags) -> Result<Run, String> {
    let churn = flags.churn;
    let run = run(RunFlags::of_soak(flags))?;
    let faults = if churn { crate::soak::faults(run.seed, run.nodes, run.rounds) } else { Vec::new() };
    Ok(Run { faults, soak: true, demonstration: false, ..run })
}

fn simulate(flags: SimulateFlags) -> Result<Simulate, String> {
    let members = flags.members;
    let degree = match flags.degree.as_str() {
        "auto" => Degree::Auto,
        "complete" => Degree::Complete,
        degree if degree.parse::<usize>().is_ok() => {
            return Err(format!(
                "--degree {degree}: sparse graphs come in a later version: use complete or auto"
            ));
        }
        degree => {
            return Err(format!(
                "--degree '{}' is neither auto nor complete nor a number of neighbours; use complete or auto",
                degree.escape_debug()
            ));
        }
    };
    if members < MIN_NODES {
        return Err(format!(
            "--members {members}: at least {MIN_NODES} are needed; use --members {MIN_NODES} or more"
        ));
    }
    if degree == Degree::Auto && members > MAX_COMPLETE {
        return Err(format!(
            "--members {members}: more than {MAX_COMPLETE} need sparse graphs, which come in a later version; add --degree complete"
        ));
    }
    if members > MAX_SIMULATED {
        return Err(format!("--members {members}: at most {MAX_SIMULATED} can be simulated; use fewer"));
    }
    Ok(Simulate {
        members,
        vector_len: flags.vector_len,
        degree,
        drop: flags.drop,
        corrupt: flags.corrupt,
        threads: flags.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)),
        json: flags.json,
    })
}
