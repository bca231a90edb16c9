//! Somebody's own arrays: what comes out is their plain sum or mean, in the dtype and shape promised.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    arrays::{Npy, load},
    testnet::testnet,
};

const NODES: usize = 4;
const STEP: f64 = 1.0 / 65536.0;

#[test]
fn signed_integers_in_three_dimensions_are_summed_to_the_last_bit() {
    let value = |node: usize, index: usize| {
        let sign = if (node + index).is_multiple_of(2) { 1 } else { -1 };
        sign * (1_234_567_890_123_456 * (node as i64 + 1) + 7 * index as i64)
    };
    let inputs = |node| Npy::new("<i8", "(2, 3, 4)", (0..24).map(|index| value(node, index).to_le_bytes()));
    let out = Run::of(inputs).start("--rounds 2");
    let expected: Vec<i64> = (0..24).map(|index| (0..NODES).map(|node| value(node, index)).sum()).collect();
    for round in 0..2 {
        let found = load(&out.aggregate(round), "<i8", "(2, 3, 4)");
        assert_eq!(found.into_iter().map(i64::from_le_bytes).collect::<Vec<_>>(), expected);
    }
    out.verify_exact();
}

#[test]
fn small_unsigned_integers_come_back_wide() {
    let value = |node: usize, index: usize| (255 - 60 * node - index) as u8;
    let inputs = |node| Npy::new("|u1", "(5,)", (0..5).map(|index| [value(node, index)]));
    let out = Run::of(inputs).start("--rounds 1 --transport quic");
    let found = load(&out.aggregate(0), "<u8", "(5,)").into_iter().map(u64::from_le_bytes);
    let expected = (0..5).map(|index| (0..NODES).map(|node| u64::from(value(node, index))).sum());
    assert!(found.eq::<Vec<u64>>(expected.collect()));
    out.verify_exact();
}

#[test]
fn floats_keep_their_dtype_and_stay_within_the_error_bound() {
    let value = |node: usize, index: usize| ((node * 31 + index * 7) as f64).sin() * 1000.0;
    let plain = |index| (0..NODES).map(|node| value(node, index)).sum::<f64>();
    let inputs = |node| Npy::new("<f8", "(3, 5)", (0..15).map(|index| value(node, index).to_le_bytes()));
    let out = Run::of(inputs).start("--rounds 1");
    let found = load(&out.aggregate(0), "<f8", "(3, 5)").into_iter().map(f64::from_le_bytes);
    out.verify_bound(found.enumerate().map(|(index, sum)| (sum - plain(index)).abs()));

    let narrow = |node, index| value(node, index) as f32;
    let plain = |index| (0..NODES).map(|node| f64::from(narrow(node, index))).sum::<f64>();
    let inputs = |node| Npy::new("<f4", "(15,)", (0..15).map(|index| narrow(node, index).to_le_bytes()));
    let out = Run::of(inputs).start("--rounds 1");
    let found = load(&out.aggregate(0), "<f4", "(15,)").into_iter().map(single);
    out.verify_bound(found.enumerate().map(|(index, sum)| (f64::from(sum) - plain(index)).abs()));
}

#[test]
fn floats_that_the_step_divides_are_summed_exactly() {
    let value = |node: usize, index: usize| (index as f32 - 2.5) * (node as f32 + 1.0) + STEP as f32;
    let inputs = |node| Npy::new("<f4", "(6,)", (0..6).map(|index| value(node, index).to_le_bytes()));
    let out = Run::of(inputs).start("--rounds 1");
    let found: Vec<f32> = load(&out.aggregate(0), "<f4", "(6,)").into_iter().map(single).collect();
    let expected: Vec<f32> = (0..6).map(|index| (0..NODES).map(|node| value(node, index)).sum()).collect();
    assert_eq!(found, expected);
    assert_eq!(out.round()["max_abs_error"], 0.0);
}

#[test]
fn weights_make_a_weighted_mean() {
    let value = |node: usize, index: usize| (node * 10 + index) as f64 - 12.0;
    let inputs = |node| Npy::new("<f8", "(4,)", (0..4).map(|index| value(node, index).to_le_bytes()));
    let weights: [i64; NODES] = [3, 0, 100, 7];
    let run = Run::of(inputs);
    let file = run.folder.path().join("weights.npy");
    Npy::new("<i8", "(4,)", weights.map(i64::to_le_bytes)).save(&file);
    let out = run.start(&format!("--rounds 1 --weights {}", file.display()));
    let plain = |index| {
        let weighted = (0..NODES).map(|node| weights[node] as f64 * value(node, index)).sum::<f64>();
        weighted / 110.0
    };
    let found = load(&out.aggregate(0), "<f8", "(4,)").into_iter().map(f64::from_le_bytes);
    out.verify_bound(found.enumerate().map(|(index, mean)| (mean - plain(index)).abs()));
}

#[test]
fn the_mean_of_integers_is_a_float() {
    let value = |node: usize, index: usize| (node * node * 1000 + index) as i16 - 2000;
    let inputs = |node| Npy::new("<i2", "(2, 2)", (0..4).map(|index| value(node, index).to_le_bytes()));
    let out = Run::of(inputs).start("--rounds 1 --mean");
    let found: Vec<f64> =
        load(&out.aggregate(0), "<f8", "(2, 2)").into_iter().map(f64::from_le_bytes).collect();
    let mean =
        |index| (0..NODES).map(|node| i64::from(value(node, index))).sum::<i64>() as f64 / NODES as f64;
    assert_eq!(found, (0..4).map(mean).collect::<Vec<_>>());
    assert_eq!(out.round()["max_abs_error"], 0.0);
}

#[test]
fn other_spellings_of_the_same_numbers_give_the_same_sum() {
    let value =
        |node: usize, row: usize, column: usize| (node as i32 - 1) * 100_000 + (row * 3 + column) as i32;
    let expected: Vec<i64> = (0..6)
        .map(|index| (0..NODES).map(|node| i64::from(value(node, index / 3, index % 3))).sum())
        .collect();
    let run = Run::of(|node| {
        let rows = move |node| (0..6).map(move |index| value(node, index / 3, index % 3));
        let columns = (0..6).map(|index| value(node, index % 2, index / 2));
        match node {
            0 => Npy::new("<i4", "(2, 3)", rows(node).map(i32::to_le_bytes)),
            1 => Npy::new(">i4", "(2, 3)", rows(node).map(i32::to_be_bytes)),
            2 => Npy { fortran_order: true, ..Npy::new("<i4", "(2, 3)", columns.map(i32::to_le_bytes)) },
            _ => Npy { fortran_order: true, ..Npy::new(">i4", "(2,3)", columns.map(i32::to_be_bytes)) },
        }
    });
    let rows = (0..6).map(|index| value(0, index / 3, index % 3).to_le_bytes());
    fs::write(run.inputs().join("0.npy"), Npy::new("<i4", "(2, 3)", rows).bytes(2)).unwrap();
    let out = run.start("--rounds 1");
    let found: Vec<i64> =
        load(&out.aggregate(0), "<i8", "(2, 3)").into_iter().map(i64::from_le_bytes).collect();
    assert_eq!(found, expected);
    out.verify_exact();
}

fn single(wide: [u8; 8]) -> f32 {
    f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])
}

/// A folder with an array for each node.
struct Run {
    folder: TempDir,
}

impl Run {
    fn of(array: impl Fn(usize) -> Npy) -> Self {
        let run = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(run.inputs()).unwrap();
        for node in 0..NODES {
            array(node).save(&run.inputs().join(format!("{node}.npy")));
        }
        run
    }

    fn inputs(&self) -> PathBuf {
        self.folder.path().join("inputs")
    }

    fn start(self, more: &str) -> Done {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut words = vec!["--inputs".into(), path("inputs"), "--out".into(), path("out")];
        words.extend(["--report".into(), path("report.json")]);
        words.extend(more.split(' ').map(String::from));
        let ended = testnet(&words);
        assert_eq!((ended.code(), ended.errors()), (Some(0), vec![]), "{}", ended.stderr);
        let report: Value = serde_json::from_slice(&fs::read(path("report.json")).unwrap()).unwrap();
        verify_keys(&report);
        assert_eq!(report["nodes"], NODES);
        assert!(ended.stdout.contains("round") && !ended.stdout.contains('\x1b'), "{}", ended.stdout);
        Done { folder: self.folder, report }
    }
}

/// A run that has ended well.
struct Done {
    folder: TempDir,
    report: Value,
}

impl Done {
    fn aggregate(&self, round: usize) -> PathBuf {
        self.folder.path().join(Path::new("out")).join(format!("round-{round:03}.npy"))
    }

    fn round(&self) -> &Value {
        &self.report["rounds"][0]
    }

    fn verify_exact(&self) {
        let round = self.round();
        assert_eq!((&round["max_abs_error"], &round["error_bound"]), (&0.0.into(), &0.0.into()), "{round:#}");
    }

    /// The published bound holds for these errors, and is no larger than the step and the largest value
    /// that can come out give reason for.
    fn verify_bound(&self, errors: impl Iterator<Item = f64>) {
        let round = self.round();
        let bound = round["error_bound"].as_f64().unwrap();
        let largest = errors.fold(0.0, f64::max);
        assert!(largest <= bound, "{largest} {round:#}");
        let reason = NODES as f64 * (STEP / 2.0 + 1000.0 * f64::from(f32::EPSILON));
        assert!(bound <= reason, "{bound} is more than {reason}");
        let said = round["max_abs_error"].as_f64().unwrap();
        assert!((said - largest).abs() <= 1e-9 * (1.0 + largest), "{said} instead of {largest}");
    }
}

/// Every key of the report, each of the right type.
fn verify_keys(report: &Value) {
    let is = |value: &Value, keys: &[&str], right: fn(&Value) -> bool| {
        for key in keys {
            assert!(value.get(key).is_some_and(right), "{key}: {value:#}");
        }
    };
    let peers: Vec<&str> =
        report["peers"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(peers.iter().all(|id| id.starts_with("12D3KooW")), "{peers:?}");
    is(report, &["nodes", "vector_len", "seed", "distinct_aggregators"], Value::is_u64);
    is(report, &["all_correct"], Value::is_boolean);
    is(report, &["rounds"], Value::is_array);
    for round in report["rounds"].as_array().unwrap() {
        is(round, &["round", "published_to", "wall_ms"], Value::is_u64);
        is(round, &["attempts", "roster", "survivors", "dropped"], Value::is_array);
        is(round, &["correct"], Value::is_boolean);
        is(round, &["max_abs_error", "error_bound"], Value::is_f64);
        is(round, &["phases_ms", "bytes_sent", "peak_rss", "metrics"], Value::is_object);
        let phases =
            ["advertise-keys", "share-keys", "masked-input", "consistency-check", "unmasking", "publish"];
        is(&round["phases_ms"], &phases, Value::is_u64);
        is(&round["bytes_sent"], &peers, |bytes| bytes.as_u64().is_some_and(|bytes| bytes > 1000));
        is(&round["peak_rss"], &peers, |bytes| bytes.as_u64().is_some_and(|bytes| bytes > 1 << 20));
        for attempt in round["attempts"].as_array().unwrap() {
            is(attempt, &["attempt", "slot"], Value::is_u64);
            is(attempt, &["aggregator", "outcome"], Value::is_string);
        }
        assert!(round["wall_ms"].as_u64().unwrap() > 0);
    }
}
