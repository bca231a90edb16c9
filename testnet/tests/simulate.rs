//! `testnet simulate` as people and scripts call it.

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command.arg("simulate").args(arguments.split(' ')).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn json_is_all_that_is_printed() {
    let output = simulate("--members 8 --vector-len 5000 --degree complete --drop 0.25 --threads 1 --json");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = [
        ("members", 8),
        ("vector_len", 5000),
        ("degree", 7),
        ("threshold", 6),
        ("dropped", 2),
        ("ring_bits", 25),
        ("threads", 1),
    ];
    for (key, expected) in numbers {
        assert_eq!(report[key], expected, "{key}");
    }
    assert_eq!(report["correct"], true);
    assert!(report["bytes_up_per_member"].as_u64().unwrap() > 5000 * 25 / 8);
    for role in ["member_ms", "aggregator_ms"] {
        let phases = report[role].as_object().unwrap();
        assert_eq!(phases.len(), 6);
        assert!(phases.values().all(|ms| ms.as_f64().is_some_and(|ms| ms > 0.0)), "{role}: {phases:?}");
    }
    #[cfg(target_os = "linux")]
    assert!(report["peak_rss"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn a_table_without_colours_goes_into_a_pipe() {
    let output = simulate("--members 4 --vector-len 100");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let table = text(&output.stdout);
    assert!(table.starts_with("4 members, 100 f32 each; everybody masks with everybody; none vanish"));
    assert!(table.contains("correct") && !table.contains('\x1b'));
}

#[test]
fn too_many_losses_fail_and_unusable_arguments_are_refused() {
    let cases = [
        ("--members 10 --drop 0.4", 1, "error: --drop: 6 of 10 members would be left, 7 are needed: lose"),
        ("--members 1001 --degree complete --vector-len 1", 2, "error: --members 1001: at most 1000"),
        ("--members 2", 2, "error: --members 2"),
        ("--vector-len 0", 2, "error: "),
        ("--vector-len 134217729 --members 3", 2, "error: "),
        ("--drop 1", 2, "error: "),
        ("--drop -0.1", 2, "error: "),
        ("--threads 0", 2, "error: "),
        ("--degree 20", 2, "error: --degree 20"),
    ];
    for (arguments, code, start) in cases {
        let output = simulate(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.starts_with(start) && said.lines().count() == 1, "{arguments}: {said}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}
