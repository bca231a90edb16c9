//! A consortium on one machine: separate processes, real keys, real connections.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "the modules stand, and the launcher that uses them does not")]

mod cli;
mod phase;
mod report;
mod simulate;
mod table;
mod workload;

use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Simulate(arguments)) => simulate::execute(&arguments),
        Ok(cli::Command::Run(_)) => {
            eprintln!("error: this build has no launcher; only simulate is there");
            ExitCode::from(1)
        }
        Err(cli::Stop::Told(text)) => {
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(cli::Stop::Usage(line)) => {
            eprintln!("error: {line}");
            ExitCode::from(2)
        }
    }
}
