//! The command line of `consort`: a file a command.

mod card;
mod client;
mod consortium;
mod doctor;
mod generate;
mod init;
mod interrupt;
mod peers;
mod rounds;
mod run;
mod status;
mod submit;
mod withdraw;

use std::{io, path::Path, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Exit code: it ran, and what it was asked for failed.
const FAILED: u8 = 1;
/// Exit code: unusable arguments or files, nothing was started.
const UNUSABLE: u8 = 2;

/// Exit code: interrupted, and what it started is stopped.
const INTERRUPTED: u8 = 130;

/// Secure aggregation without a server: the members of a consortium learn the sum of their vectors, and
/// nothing else.
#[derive(Parser)]
#[command(
    name = "consort",
    version,
    after_help = "Examples:\n  consort init --home ~/.consort --name ward-7\n      a new node, and the card to send to those who found the consortium\n  consort consortium create --name wards --member a.card b.card c.card --out consortium.toml\n      a consortium, once all its members have signed the file\n  consort run --home ~/.consort --consortium consortium.toml\n      take part in the rounds of a consortium until told to stop\n  consort submit update.npy --home ~/.consort --out sum.npy\n      hand an input to the running daemon and wait for the sum\n  consort status --home ~/.consort\n      how things are"
)]
struct Arguments {
    /// How log lines are written to standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a new node: identity, settings, member card
    Init(init::Arguments),
    /// Prints this node's member card
    Card(card::Arguments),
    /// Founds a consortium, or changes it: manifests as files
    Consortium(consortium::Arguments),
    /// Runs the node until it is told to stop with SIGTERM or SIGINT
    Run(run::Arguments),
    /// Hands an input to the running daemon and waits for the aggregate
    Submit(submit::Arguments),
    /// Takes back the input that waits
    Withdraw(withdraw::Arguments),
    /// Shows how things are with the running daemon
    Status(status::Arguments),
    /// Says what works, what does not, and what to open
    Doctor(doctor::Arguments),
    /// Shows what this node has kept of its rounds, and checks it
    Rounds(rounds::Arguments),
    /// Shows the other members, as far as the running daemon knows
    Peers(peers::Arguments),
    /// Prints a script that completes commands and flags in a shell
    Completions(generate::CompletionsArguments),
    /// Writes man pages into a folder
    Man(generate::ManArguments),
}

/// Why a command did not do what it was asked for.
enum Failure {
    /// Nothing was started.
    Unusable(String),
    /// It ran and failed.
    Failed(String),
    /// The user did not want to wait any longer.
    Interrupted(String),
}

impl Failure {
    fn unusable(error: impl std::fmt::Display) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Whether a folder is one that `consort init` has made, as far as this user may see.
fn is_home(home: &Path) -> Result<(), Failure> {
    let folder = home.display();
    Err(Failure::Unusable(match home.join("identity.key").try_exists() {
        Ok(true) => return Ok(()),
        Ok(false) => {
            format!(
                "{folder} is no node's home: it has no identity.key; name the folder that `consort run` uses, or make one with `consort init`"
            )
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => format!(
            "{folder}: this user may not look into it; run this as its owner, such as `sudo -u consort consort …` for the service's"
        ),
        Err(error) => format!("{folder}: {error}"),
    }))
}

/// Results of a command go to standard output; everything else is a log.
#[allow(clippy::print_stdout)]
fn println(line: &str) {
    println!("{line}");
}

/// Parses, runs, and says in one line what went wrong.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.log_format);
    let result = match arguments.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Card(arguments) => card::run(&arguments),
        Command::Consortium(arguments) => consortium::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Withdraw(arguments) => withdraw::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Rounds(arguments) => rounds::run(&arguments),
        Command::Peers(arguments) => peers::run(&arguments),
        Command::Completions(arguments) => generate::completions(&arguments),
        Command::Man(arguments) => generate::man(&arguments),
    };
    let (message, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Unusable(message)) => (message, UNUSABLE),
        Err(Failure::Failed(message)) => (message, FAILED),
        Err(Failure::Interrupted(message)) => (message, INTERRUPTED),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

fn log_to_stderr(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("CONSORT_LOG").unwrap_or_else(|_| EnvFilter::new("info,libp2p=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
