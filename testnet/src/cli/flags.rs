//! The flags as they are written. What they mean together is for [`super::check`] to say.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use consort_node::manual::Shell;

use super::fault::{self, Fault};
use super::lie::Telling;

const EXAMPLES: &str = "\
Examples:
  testnet
      the demonstration: 8 processes train a model together, some of them die, and every sum is checked
  testnet --nodes 4 --rounds 3 --vector-len 1000000
      4 nodes add up random vectors of a million elements, three times
  testnet --inputs updates/ --weights sizes.npy --out mean/
      one node for each .npy file in updates/; their weighted mean goes to mean/round-000.npy
  testnet --kill 1@masked-input --kill 6@unmasking@1
      node 1 dies in round 0 before it sends its vector, node 6 in round 1 before it reveals anything
  testnet --rounds 2 --kill aggregator@consistency-check --kill aggregator@publish@1
      whoever aggregates dies, in each round in another phase; the next in order goes on with the round
  testnet --restart 2@share-keys --pause 5@masked-input@1:3
      node 2 dies and comes back for the next round, node 5 stands still for 3 seconds of round 1
  testnet --corrupt 1 --partition '0,1,2|3,4,5,6,7@masked-input:20'
      for 20 seconds nobody in one group reaches anybody in the other: at most one of them goes on
  testnet --nodes 5 --vector-len 100 --lie 3:two-votes
      node 3 votes twice; the others prove it and leave it out (build with --features lies)
  testnet soak --rounds 30 --churn --seed 7
      30 rounds with faults of all these kinds, and a table of what the nodes used
  testnet simulate --members 100 --vector-len 100000 --drop 0.3
      what 100 members would have to compute if 30 of them vanished

WHO, for --kill, --restart and --pause:
  the index of a node, or `aggregator`: whoever aggregates then, so given twice for a round its first two

Phases, for all faults:
  advertise-keys, share-keys, masked-input, consistency-check, unmasking, publish

Exit codes:
  0 done and correct, 1 it ran and failed, 2 unusable arguments or files, 130 interrupted";

const SOAK_EXAMPLES: &str = "\
Examples:
  testnet soak --rounds 30 --churn --seed 7
      in most rounds somebody is killed and started again, stands still, or is cut off; all of it follows
      from the seed
  testnet soak --rounds 200 --report soak.json
      no faults: what the nodes use, round after round

A round may end without a sum only where the protocol says so: too few members could answer, or the round
is void. A wrong sum, or any other failure, ends with 1.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  testnet simulate --members 100 --vector-len 100000 --drop 0.3
  testnet simulate --members 50 --degree complete --threads 1 --json";

const MAN_EXAMPLES: &str = "\
Examples:
  testnet man ~/.local/share/man/man1
      then `man testnet` and `man testnet-soak` work";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  testnet completions bash > ~/.local/share/bash-completion/completions/testnet
      from the next shell on, the tab key completes commands and flags";

/// A consortium on one machine: separate processes that add up what none of them shows to another
#[derive(Debug, Parser)]
#[command(name = "testnet", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Flags {
    #[command(subcommand)]
    pub(super) command: Option<Subcommands>,
    #[command(flatten)]
    pub(super) run: RunFlags,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Subcommands {
    /// Start a consortium of processes (this is what testnet does where no command is named)
    #[command(after_help = EXAMPLES)]
    Run(Box<RunFlags>),
    /// Measure the protocol alone, in one process, without a network
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateFlags),
    /// Many rounds, with random faults, each checked; and what the nodes use as time goes by
    #[command(after_help = SOAK_EXAMPLES)]
    Soak(SoakFlags),
    /// Write man pages into a folder
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The folder, which is made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    #[command(hide = true)]
    Bench(Later),
}

/// Whatever follows a command that is not there yet.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct Later {
    #[arg(num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(super) struct RunFlags {
    /// Number of nodes, each a process, at least 3 [default: 8, or the number of --inputs]
    #[arg(long, value_name = "N", value_parser = whole)]
    pub(super) nodes: Option<usize>,
    /// Number of rounds [default: 6]
    #[arg(long, value_name = "R", value_parser = rounds)]
    pub(super) rounds: Option<u32>,
    /// What identities, inputs and faults follow from; keys and masks of a session never do
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed)]
    pub(super) seed: u64,
    /// What the nodes add up [default: digits, or vectors with --vector-len or --inputs]
    #[arg(long, value_name = "WORKLOAD")]
    pub(super) workload: Option<WorkloadName>,
    /// How many members may be corrupt, the aggregator counted [default: a third, rounded down, at least 1]
    #[arg(long, value_name = "C", value_parser = whole)]
    pub(super) corrupt: Option<usize>,
    /// Random vectors of D elements for each node and round [default for vectors: 100000]
    #[arg(long, value_name = "D", value_parser = length)]
    pub(super) vector_len: Option<usize>,
    /// A directory with one .npy file for each node, in name order, all alike; floats or integers
    #[arg(long, value_name = "DIR", conflicts_with = "vector_len")]
    pub(super) inputs: Option<PathBuf>,
    /// A .npy file with one whole number for each node: the weighted mean instead of the sum
    #[arg(long, value_name = "FILE.npy", conflicts_with = "mean")]
    pub(super) weights: Option<PathBuf>,
    /// The unweighted mean instead of the sum
    #[arg(long)]
    pub(super) mean: bool,
    /// Write the aggregates to DIR/round-000.npy, DIR/round-001.npy and so on
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Kill a node as a phase begins on it, in round 0 where none is named; may be repeated, like all faults
    #[arg(long, value_name = "WHO@PHASE[@ROUND]", value_parser = fault::kill)]
    pub(super) kill: Vec<Fault>,
    /// The same, and start it again 2 seconds later with the same home; it is back in the next round
    #[arg(long, value_name = "WHO@PHASE[@ROUND]", value_parser = fault::restart)]
    pub(super) restart: Vec<Fault>,
    /// Stop a node as a phase begins on it, and let it go on after so many seconds
    #[arg(long, value_name = "WHO@PHASE[@ROUND]:SECONDS", value_parser = fault::pause)]
    pub(super) pause: Vec<Fault>,
    /// Cut the connections between two groups, which name every living node, as a phase begins on the
    /// aggregator, and let them connect again after so many seconds
    #[arg(long, value_name = "A,B|C,D@PHASE[@ROUND]:SECONDS", value_parser = fault::partition)]
    pub(super) partition: Vec<Fault>,
    /// What the nodes talk over
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp")]
    pub(super) transport: Transport,
    /// Keep the homes and logs of the nodes in DIR, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// Write a report to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Print the report, as JSON, and nothing else
    #[arg(long)]
    pub(super) json: bool,
    /// Let a node lie in all rounds, by a name of the adversary kit; needs a build with --features lies
    #[arg(long, value_name = "WHO:NAME", value_parser = super::lie::parse)]
    pub(super) lie: Vec<Telling>,
    #[arg(long, hide = true)]
    pub(super) dashboard: bool,
}

#[derive(Args, Debug)]
pub(super) struct SoakFlags {
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = rounds)]
    pub(super) rounds: u32,
    /// Random faults: nodes are killed and started again, stand still, are cut off from each other
    #[arg(long)]
    pub(super) churn: bool,
    /// What identities, inputs and faults follow from
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed)]
    pub(super) seed: u64,
    /// Number of nodes, each a process, at least 3
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = whole)]
    pub(super) nodes: usize,
    /// Elements of the random vectors
    #[arg(long, value_name = "D", default_value_t = 10_000, value_parser = length)]
    pub(super) vector_len: usize,
    /// How many members may be corrupt, the aggregator counted [default: a third, rounded down, at least 1]
    #[arg(long, value_name = "C", value_parser = whole)]
    pub(super) corrupt: Option<usize>,
    /// What the nodes talk over
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp")]
    pub(super) transport: Transport,
    /// Keep the homes and logs of the nodes in DIR, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// Write a report to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Print the report, as JSON, and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

impl RunFlags {
    /// The run that a soak is, but for its faults.
    pub(super) fn of_soak(soak: SoakFlags) -> Self {
        let SoakFlags { rounds, seed, nodes, vector_len, corrupt, transport, keep, report, json, churn: _ } =
            soak;
        Self {
            nodes: Some(nodes),
            rounds: Some(rounds),
            seed,
            workload: None,
            corrupt,
            vector_len: Some(vector_len),
            inputs: None,
            weights: None,
            mean: false,
            out: None,
            kill: Vec::new(),
            restart: Vec::new(),
            pause: Vec::new(),
            partition: Vec::new(),
            transport,
            keep,
            report,
            json,
            lie: Vec::new(),
            dashboard: false,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct SimulateFlags {
    /// Number of members, at least 3
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole)]
    pub(super) members: usize,
    /// Elements of the vector that each adds
    #[arg(long, value_name = "D", default_value_t = 100_000, value_parser = length)]
    pub(super) vector_len: usize,
    /// Neighbours of a member: auto plans for --drop and --corrupt, complete is everybody
    #[arg(long, value_name = "auto|complete|K", default_value = "auto")]
    pub(super) degree: String,
    /// The share of the members that vanish after share-keys
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(super) drop: f64,
    /// The share of the members that may be corrupt, for auto
    #[arg(long, value_name = "FRACTION", default_value_t = 0.05, value_parser = fraction)]
    pub(super) corrupt: f64,
    /// Threads that compute [default: one for each processor]
    #[arg(long, value_name = "T", value_parser = threads)]
    pub(super) threads: Option<usize>,
    /// Print JSON, and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

/// The kind of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WorkloadName {
    /// Federated learning on handwritten digits
    Digits,
    /// Random vectors, or those of --inputs
    Vectors,
}

/// What nodes talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// TCP with Noise and Yamux
    Tcp,
    /// QUIC
    Quic,
}

fn whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number".into())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

fn rounds(text: &str) -> Result<u32, String> {
    /// Results are numbered with three digits, and more after that; a day of rounds of a second.
    const MOST: u32 = 100_000;
    between(text, 1, MOST)
}

fn length(text: &str) -> Result<usize, String> {
    /// 400 MB of f32, eight times on one machine.
    const MOST: usize = 100_000_000;
    between(text, 1, MOST)
}

fn threads(text: &str) -> Result<usize, String> {
    between(text, 1, 1024)
}

fn between<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..1.0).contains(number));
    number.ok_or_else(|| "expected a fraction from 0 to less than 1, as in 0.3".into())
}
