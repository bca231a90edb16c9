//! What a run came to, for machines: `--report FILE` and `--json`.
//!
//! Times are in milliseconds, sizes in bytes, peer ids libp2p strings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use consort_protocol::phase::Phase;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Number of nodes.
    pub(crate) nodes: usize,
    /// Peer ids by node index.
    pub(crate) peers: Vec<String>,
    /// Elements of a node's input, without its weight.
    pub(crate) vector_len: u64,
    /// What identities, inputs and faults followed from.
    pub(crate) seed: u64,
    /// `digits` or `vectors`.
    pub(crate) workload: String,
    /// Whether every round was completed and is correct.
    pub(crate) all_correct: bool,
    /// How many members completed a round as its aggregator.
    pub(crate) distinct_aggregators: usize,
    /// The rounds, in order.
    pub(crate) rounds: Vec<Round>,
    /// The nodes that were killed for good.
    pub(crate) kills: Vec<Struck>,
    /// The nodes that were killed and started again.
    pub(crate) restarts: Vec<Struck>,
    /// The nodes that stood still for a while.
    pub(crate) pauses: Vec<Paused>,
    /// When nodes were cut off from each other.
    pub(crate) partitions: Vec<Parted>,
    /// What the nodes used, and which rounds failed; for a soak only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) soak: Option<Soak>,
    /// What the shared model is held against; for digits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) baselines: Option<Baselines>,
    /// The whole run, from the first process to the last.
    pub(crate) wall_ms: u64,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Number of the round.
    pub(crate) round: u32,
    /// An entry for each aggregator that tried; the last one completed, if any did.
    pub(crate) attempts: Vec<Attempt>,
    /// Who took part.
    pub(crate) roster: Vec<String>,
    /// Whose inputs are in the aggregate.
    pub(crate) survivors: Vec<String>,
    /// Who was on the roster and did not survive.
    pub(crate) dropped: Vec<String>,
    /// Integers: equal to the plain aggregate to the last bit. Floats: within `error_bound`.
    pub(crate) correct: bool,
    /// The largest difference from the plain aggregate.
    pub(crate) max_abs_error: f64,
    /// The one that was published with the aggregate; 0 for integers.
    pub(crate) error_bound: f64,
    /// Members that hold the aggregate.
    pub(crate) published_to: usize,
    /// Members that lived, but were away or cut off when the others were done.
    pub(crate) missed: Vec<String>,
    /// SHA-256 of the aggregate as .npy, in hexadecimal; all that hold it hold the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Why there is no aggregate, where a soak goes on nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    /// The whole round.
    pub(crate) wall_ms: u64,
    /// Its phases.
    pub(crate) phases_ms: BTreeMap<Phase, u64>,
    /// What each member sent, by peer id.
    pub(crate) bytes_sent: BTreeMap<String, u64>,
    /// The largest resident memory of each process so far, by peer id.
    pub(crate) peak_rss: BTreeMap<String, u64>,
    /// `accuracy` of the shared model on the test images, 0 to 1; for digits only.
    pub(crate) metrics: BTreeMap<String, f64>,
}

impl Round {
    /// Who completed the round.
    pub(crate) fn aggregator(&self) -> Option<&str> {
        let last = self.attempts.last().filter(|attempt| attempt.outcome == Attempt::COMPLETED)?;
        Some(&last.aggregator)
    }
}

/// An aggregator's try at a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// Number of the attempt.
    pub(crate) attempt: u32,
    /// Number of the stand-in; 0 is the round's first choice.
    pub(crate) slot: u32,
    /// Its peer id.
    pub(crate) aggregator: String,
    /// `completed`, `aggregator-lost`, `too-few-members`, `inconsistent` or another plain word.
    pub(crate) outcome: String,
    /// What happened, where it was not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

impl Attempt {
    /// The outcome of one that gave an aggregate.
    pub(crate) const COMPLETED: &'static str = "completed";
}

/// A node to which something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Struck {
    /// Its index.
    pub(crate) node: usize,
    /// Its peer id.
    pub(crate) peer: String,
    /// When: as this phase began on it,
    pub(crate) phase: Phase,
    /// in this round.
    pub(crate) round: u32,
}

/// A node that stood still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paused {
    /// Which, and when.
    #[serde(flatten)]
    pub(crate) struck: Struck,
    /// For how long.
    pub(crate) seconds: f64,
}

/// Nodes that were cut off from each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parted {
    /// The two groups, by node index.
    pub(crate) groups: [BTreeSet<usize>; 2],
    /// When: as this phase began on the aggregator,
    pub(crate) phase: Phase,
    /// in this round.
    pub(crate) round: u32,
    /// For how long.
    pub(crate) seconds: f64,
}

/// What a soak came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Soak {
    /// Rounds with an aggregate that is correct.
    pub(crate) completed: usize,
    /// Rounds without an aggregate, for a reason that the protocol allows.
    pub(crate) failed: usize,
    /// Rounds with a wrong aggregate.
    pub(crate) wrong: usize,
    /// How much more a process that lived on used for each round: the most of any process.
    pub(crate) growth: Growth,
    /// Processes and rounds that the growth follows from.
    pub(crate) observed: usize,
}

/// Growth for each round; the first rounds of a process do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// Resident memory, in bytes.
    pub(crate) rss: f64,
    /// Open files and sockets.
    pub(crate) handles: f64,
    /// Files in its home, in bytes.
    pub(crate) disk: f64,
}

/// Test accuracies, 0 to 1, that the shared model's is held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baselines {
    /// The same federated averaging in the clear over the same survivors, after each round.
    pub(crate) federated_plain: Vec<f64>,
    /// A model trained on the images of all nodes in one place.
    pub(crate) central: f64,
    /// A model that one typical node trains alone.
    pub(crate) alone: f64,
    /// Index of that node, the one with the median number of images.
    pub(crate) alone_node: usize,
}

impl Report {
    /// Writes the report as JSON, so that the file is either the old one or whole.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = beside(path)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Whether a report could be written here; nothing is left behind.
///
/// # Errors
/// Those of the file system.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    beside(path).map(drop)
}

/// A temporary file in the directory of another, with the permissions that a new file there would have.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    tempfile::Builder::new()
        .prefix(".report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    /// Three nodes, two rounds: in the second node 1 was killed and the first choice was away.
    pub(crate) fn sample() -> Report {
        let peers = ["12D3KooWAliceAAAAAA", "12D3KooWBobBBBBBB", "12D3KooWCarolCCCCCC"].map(String::from);
        let [alice, bob, carol] = peers.clone();
        let attempt = |slot, aggregator: &str, outcome: &str, detail: Option<&str>| Attempt {
            attempt: 0,
            slot,
            aggregator: aggregator.into(),
            outcome: outcome.into(),
            detail: detail.map(Into::into),
        };
        let first = Round {
            round: 0,
            attempts: vec![attempt(0, &bob, "completed", None)],
            roster: peers.to_vec(),
            survivors: peers.to_vec(),
            correct: true,
            max_abs_error: 1e-6,
            error_bound: 1.2e-5,
            published_to: 3,
            wall_ms: 412,
            phases_ms: Phase::ALL.into_iter().zip([1, 2, 3, 4, 5, 6]).collect(),
            bytes_sent: [(alice.clone(), 3000), (bob.clone(), 99_000), (carol.clone(), 3144)].into(),
            peak_rss: [(alice.clone(), 1 << 20)].into(),
            metrics: [("accuracy".to_owned(), 0.725)].into(),
            ..Round::default()
        };
        let second = Round {
            round: 1,
            attempts: vec![
                attempt(0, &bob, "aggregator-lost", Some("not connected")),
                attempt(1, &carol, "completed", None),
            ],
            survivors: vec![alice.clone(), carol.clone()],
            dropped: vec![bob.clone()],
            correct: false,
            wall_ms: 12_345,
            bytes_sent: [(alice, 2_500_000), (carol, 0)].into(),
            metrics: [("accuracy".to_owned(), 0.9123)].into(),
            ..first.clone()
        };
        Report {
            nodes: 3,
            peers: peers.to_vec(),
            vector_len: 650,
            seed: 1,
            workload: "digits".into(),
            all_correct: false,
            distinct_aggregators: 2,
            rounds: vec![first, second],
            kills: vec![Struck { node: 1, peer: bob.clone(), phase: Phase::MaskedInput, round: 1 }],
            restarts: Vec::new(),
            pauses: vec![Paused {
                struck: Struck { node: 1, peer: bob, phase: Phase::ShareKeys, round: 0 },
                seconds: 2.5,
            }],
            partitions: vec![Parted {
                groups: [[0].into(), [1, 2].into()],
                phase: Phase::Unmasking,
                round: 1,
                seconds: 5.0,
            }],
            soak: None,
            baselines: Some(Baselines {
                federated_plain: vec![0.724, 0.9124],
                central: 0.955,
                alone: 0.7,
                alone_node: 2,
            }),
            wall_ms: 14_000,
        }
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let json = serde_json::to_value(sample()).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(
            keys(&json),
            "all_correct baselines distinct_aggregators kills nodes partitions pauses peers restarts rounds seed \
             vector_len wall_ms workload"
        );
        let round = &json["rounds"][1];
        assert_eq!(
            keys(round),
            "attempts bytes_sent correct dropped error_bound max_abs_error metrics missed peak_rss phases_ms \
             published_to roster round survivors wall_ms"
        );
        assert_eq!(
            round["attempts"],
            json!([
                {"attempt": 0, "slot": 0, "aggregator": "12D3KooWBobBBBBBB", "outcome": "aggregator-lost",
                 "detail": "not connected"},
                {"attempt": 0, "slot": 1, "aggregator": "12D3KooWCarolCCCCCC", "outcome": "completed"},
            ])
        );
        assert_eq!(round["metrics"], json!({"accuracy": 0.9123}));
        assert_eq!(json["kills"][0]["phase"], "masked-input");
        let bob = &json["peers"][1];
        let pause = json!({"node": 1, "peer": bob, "phase": "share-keys", "round": 0, "seconds": 2.5});
        assert_eq!(json["pauses"], json!([pause]));
        let partition = json!({"groups": [[0], [1, 2]], "phase": "unmasking", "round": 1, "seconds": 5.0});
        assert_eq!(json["partitions"], json!([partition]));
        let text = serde_json::to_string(&sample()).unwrap();
        assert!(text.contains(
            r#""phases_ms":{"advertise-keys":1,"share-keys":2,"masked-input":3,"consistency-check":4,"unmasking":5,"publish":6}"#
        ));
    }

    #[test]
    fn the_file_is_replaced_whole_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        sample().write(&path).unwrap();
        let read: Report = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read, sample());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_that_take_no_file_are_noticed_before() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check_writable(directory.path()).is_err());
        assert!(check_writable(&directory.path().join("gone/report.json")).is_err());
    }
}
