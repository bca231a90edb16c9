//! What the launcher and a node process say to each other: one JSON object a line, over the node's
//! standard input and output.

use std::{collections::BTreeMap, path::PathBuf};

use consort_protocol::phase::Phase;
use serde::{Deserialize, Serialize};

/// What a node process is told once, in a file in its home.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Its index.
    pub(crate) index: usize,
    /// Number of nodes.
    pub(crate) nodes: usize,
    /// What inputs follow from.
    pub(crate) seed: u64,
    /// Where to listen.
    pub(crate) listen: String,
    /// The one address that it begins with; none for the first node.
    pub(crate) peer: Option<String>,
    /// What it gives to each round.
    pub(crate) share: Share,
    /// Where it stops and waits to be killed.
    pub(crate) holds: Vec<Hold>,
}

/// What a node gives to each round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Share {
    /// The update of a model that it trains.
    Digits,
    /// A random vector of so many elements.
    Random {
        /// Elements.
        len: usize,
        /// What becomes of it.
        reduce: Reduce,
    },
    /// The array in a file.
    File {
        /// Where.
        path: PathBuf,
        /// What becomes of it.
        reduce: Reduce,
    },
}

/// What becomes of a node's array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reduce {
    /// It is summed.
    Sum,
    /// It enters the mean.
    Mean,
    /// It enters the mean with this weight.
    Weighted(u64),
}

/// A place where a node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The round.
    pub(crate) round: u64,
    /// As this phase starts on the node as a member.
    pub(crate) phase: Phase,
}

/// From the launcher to a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Get the input of this round ready.
    Prepare(u32),
    /// Hand it in.
    Submit(u32),
    /// Stop.
    Stop,
}

/// From a node to the launcher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    /// It listens here.
    Listening(String),
    /// So many others are connected.
    Peers(usize),
    /// The input of this round is ready.
    Prepared(u32),
    /// A phase begins on it as aggregator.
    Aggregates {
        /// The round.
        round: u64,
        /// The phase.
        phase: Phase,
    },
    /// As aggregator it has so many of the vectors.
    Received {
        /// The round.
        round: u64,
        /// Vectors that are complete.
        vectors: usize,
        /// Vectors expected.
        expected: usize,
    },
    /// As aggregator: what each phase took, in milliseconds.
    Phases {
        /// The round.
        round: u64,
        /// Wall time of each phase.
        milliseconds: BTreeMap<Phase, f64>,
    },
    /// It has stopped at a [`Hold`].
    Held {
        /// Where.
        hold: Hold,
        /// What it has used so far.
        usage: Usage,
    },
    /// Its round is over.
    Over {
        /// The round.
        round: u64,
        /// Tries, in order.
        attempts: Vec<Try>,
    },
    /// It has the aggregate.
    Aggregate {
        /// The round.
        round: u32,
        /// The round's number on the node.
        node_round: u64,
        /// The array, as .npy.
        path: PathBuf,
        /// SHA-256 of the file.
        sha256: String,
        /// Public keys of the survivors, in hexadecimal.
        survivors: Vec<String>,
        /// Public keys on the roster.
        roster: Vec<String>,
        /// The published error bound.
        error_bound: f64,
        /// What it has used so far.
        usage: Usage,
    },
    /// Its input did not come to an aggregate.
    Failed {
        /// The round.
        round: u32,
        /// Why.
        reason: String,
    },
    /// It cannot go on.
    Broken(String),
}

/// One aggregator's try at a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Try {
    /// The attempt.
    pub(crate) attempt: u32,
    /// The slot.
    pub(crate) slot: u32,
    /// Public key of the aggregator, in hexadecimal.
    pub(crate) aggregator: String,
    /// How it ended.
    pub(crate) outcome: String,
    /// What went wrong.
    pub(crate) detail: Option<String>,
}

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Bytes that it sent.
    pub(crate) bytes_sent: u64,
    /// Its largest resident memory, in bytes; 0 where the system does not say.
    pub(crate) peak_rss: u64,
}
