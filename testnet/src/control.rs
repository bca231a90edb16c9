//! What the launcher and a node process say to each other: one JSON object a line, over the node's
//! standard input and output.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    /// Addresses that it begins with; none for the first node.
    pub(crate) peers: Vec<String>,
    /// What it gives to each round.
    pub(crate) share: Share,
    /// Where it stops and waits for its fate.
    pub(crate) holds: Vec<Hold>,
    /// The name of the lie that it tells, if any.
    pub(crate) lie: Option<String>,
}

impl Assignment {
    const FILE: &str = "testnet.json";

    /// The one in a node's home.
    pub(crate) fn read(home: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(home.join(Self::FILE))?)?)
    }

    pub(crate) fn write(&self, home: &Path) -> anyhow::Result<()> {
        Ok(fs::write(home.join(Self::FILE), serde_json::to_vec_pretty(self)?)?)
    }
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
    /// The round, as the launcher counts.
    pub(crate) round: u32,
    /// As this phase starts on the node.
    pub(crate) phase: Phase,
    /// Only if the node is the aggregator.
    pub(crate) aggregator: bool,
}

/// From the launcher to a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Get the input of a round ready.
    Prepare {
        /// The round.
        round: u32,
        /// The shared model by now, where the node may have missed something of it.
        model: Option<PathBuf>,
    },
    /// Hand it in.
    Submit(u32),
    /// Take it back, unless it has begun to leave.
    Withdraw(u32),
    /// Go on after a [`Hold`].
    GoOn,
    /// No connection to these members, by their public keys in hexadecimal, until told otherwise.
    CutOff(Vec<String>),
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
        /// The round, as the launcher counts.
        round: u32,
        /// The phase.
        phase: Phase,
    },
    /// As aggregator it has so many of the vectors.
    Received {
        /// Vectors that are complete.
        vectors: usize,
        /// Vectors expected.
        expected: usize,
    },
    /// It has stopped at a [`Hold`].
    Held {
        /// The round, as the launcher counts.
        round: u32,
        /// The phase.
        phase: Phase,
        /// Whether it is the aggregator.
        aggregator: bool,
        /// What it has used so far.
        usage: Usage,
    },
    /// A round is over on it; said before what its input came to.
    Over {
        /// The round, as the launcher counts.
        round: u32,
        /// Tries, in order.
        attempts: Vec<Try>,
    },
    /// It has the aggregate.
    Aggregate {
        /// The round.
        round: u32,
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
    /// It has taken its input back.
    Withdrawn(u32),
    /// It has proof that a member broke the protocol.
    Convicted {
        /// Public key of the culprit, in hexadecimal.
        culprit: String,
        /// What it did.
        crime: String,
    },
    /// It cannot go on.
    Broken(String),
}

/// One aggregator's try at a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Try {
    /// The round's number among the members.
    pub(crate) round: u64,
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
