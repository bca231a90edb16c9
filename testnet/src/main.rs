//! `testnet`: a consortium on one machine. Separate processes, real keys, real connections.

#![forbid(unsafe_code)]

mod checks;
mod cli;
mod control;
mod fleet;
mod found;
mod launch;
mod memory;
mod node_process;
mod plan;
mod play;
mod report;
mod resources;
mod rounds;
mod simulate;
mod soak;
mod table;
mod view;
mod workload;

use std::{io::Write as _, path::Path, process::ExitCode};

use cli::{Command, Run, Stop};
use consort_node::manual;
use launch::Failure;

/// Exit code: it ran, and what it was asked for failed.
const FAILED: u8 = 1;
/// Exit code: unusable arguments or files, nothing was started.
const UNUSABLE: u8 = 2;
/// Exit code: interrupted, everything it started is stopped.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, command, home] = arguments.as_slice()
        && command == fleet::NODE
    {
        return node_process::main(Path::new(home));
    }
    match cli::parse(arguments) {
        Ok(Command::Run(run)) => run_testnet(run),
        Ok(Command::Simulate(arguments)) => simulate::execute(&arguments),
        Ok(Command::Man(folder)) => match manual::man(cli::definition(), &folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => complain(&message, FAILED),
        },
        Ok(Command::Completions(shell)) => {
            say(&manual::completions(cli::definition(), shell));
            say("\n");
            ExitCode::SUCCESS
        }
        Err(Stop::Told(text)) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(Stop::Usage(message)) => complain(&message, UNUSABLE),
    }
}

fn run_testnet(run: Run) -> ExitCode {
    let plan = match plan::make(run) {
        Ok(plan) => plan,
        Err(message) => return complain(&message, UNUSABLE),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), FAILED),
    };
    let (report, result) = runtime.block_on(launch::run(&plan));
    if let Some(report) = &report {
        if let Err(error) = launch::write_report(plan.run.report.as_deref(), report) {
            return complain(&format!("{error:#}"), FAILED);
        }
        if plan.run.json {
            say(&serde_json::to_string(report).unwrap_or_default());
            say("\n");
        } else {
            say(&table::table(report, table::color_wanted()));
        }
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => complain(&message, FAILED),
        Err(Failure::Interrupted) => complain("interrupted; all nodes are stopped", INTERRUPTED),
    }
}

/// Whoever reads standard output may have gone; that is no failure of the run.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {}", message.replace('\n', " "));
    ExitCode::from(code)
}
