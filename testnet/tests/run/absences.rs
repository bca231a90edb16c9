//! Nodes that are away for a while: restarted, stopped, or cut off from the others.

use serde_json::Value;

use crate::testnet::{report, strings, testnet};

fn rounds(report: &Value) -> &Vec<Value> {
    report["rounds"].as_array().unwrap()
}

fn survivors(round: &Value) -> usize {
    round["survivors"].as_array().unwrap().len()
}

#[test]
fn whoever_is_started_again_is_back_in_the_next_round() {
    for (who, phase) in [
        ("3", "masked-input"),
        ("aggregator", "advertise-keys"),
        ("aggregator", "masked-input"),
        ("aggregator", "publish"),
    ] {
        let report = report(&format!("--nodes 4 --rounds 3 --vector-len 500 --restart {who}@{phase}"));
        let restarts = report["restarts"].as_array().unwrap();
        assert_eq!((&report["all_correct"], restarts.len()), (&true.into(), 1), "{report:#}");
        assert_eq!((&restarts[0]["phase"], &report["kills"]), (&phase.into(), &Value::Array(vec![])));
        let [first, others @ ..] = &rounds(&report)[..] else { panic!("no rounds") };
        assert_eq!(first["published_to"], 3, "{report:#}");
        for round in others {
            assert_eq!((survivors(round), &round["published_to"]), (4, &4.into()), "{report:#}");
        }
    }
}

/// It has the shared model again, although what it had learned died with its process.
#[test]
fn whoever_is_started_again_learns_on_with_the_others() {
    let report = report(
        "--nodes 4 --rounds 3 --workload digits --restart 2@unmasking --restart aggregator@share-keys@1",
    );
    assert_eq!(report["all_correct"], true, "{report:#}");
    assert_eq!(survivors(&rounds(&report)[2]), 4, "{report:#}");
}

/// It stands still for longer than the others wait, so the next in order goes on.
#[test]
fn the_aggregator_stands_still() {
    let report = report("--nodes 4 --rounds 2 --vector-len 500 --pause aggregator@masked-input:25");
    let pauses = report["pauses"].as_array().unwrap();
    assert_eq!((&report["all_correct"], pauses.len()), (&true.into(), 1), "{report:#}");
    assert_eq!((&pauses[0]["phase"], &pauses[0]["seconds"]), (&"masked-input".into(), &25.0.into()));
    let [first, second] = &rounds(&report)[..] else { panic!("two rounds") };
    let attempts = first["attempts"].as_array().unwrap();
    assert_eq!(attempts[0]["aggregator"], pauses[0]["peer"], "{report:#}");
    assert_eq!(attempts[0]["outcome"], "aggregator-lost", "{report:#}");
    assert_eq!(
        (attempts.last().unwrap()["outcome"].as_str(), second["correct"].as_bool()),
        (Some("completed"), Some(true))
    );
    assert!(survivors(first) >= 3 && survivors(second) >= 3, "{report:#}");
}

/// Five of eight are a quorum where one may be corrupt: they go on, and the others follow when they can.
#[test]
fn a_part_that_is_large_enough_goes_on() {
    let report = report(
        "--nodes 8 --rounds 45 --vector-len 500 --corrupt 1 --partition 0,1,2,3,4|5,6,7@masked-input:20",
    );
    assert_eq!(report["all_correct"], true, "{report:#}");
    let peers = strings(&report["peers"]);
    let (large, small) = peers.split_at(5);
    let rounds = rounds(&report);
    let first = &rounds[0];
    assert!(small.iter().all(|peer| !strings(&first["survivors"]).contains(peer)), "{report:#}");
    for round in rounds {
        // the smaller part never has a sum of its own
        let survivors = strings(&round["survivors"]);
        assert!(large.iter().all(|peer| survivors.contains(peer)), "{report:#}");
    }
    let last = rounds.last().unwrap();
    assert_eq!((survivors(last), &last["published_to"]), (8, &8.into()), "{report:#}");
}

/// Neither five nor three are a quorum where two may be corrupt: both wait, and then there is one result.
#[test]
fn parts_that_are_too_small_wait_for_each_other() {
    let report = report("--nodes 8 --rounds 2 --vector-len 500 --partition 0,1,2,3,4|5,6,7@masked-input:20");
    assert_eq!((&report["all_correct"], &report["partitions"][0]["seconds"]), (&true.into(), &20.0.into()));
    for round in rounds(&report) {
        assert_eq!(
            (&round["published_to"], round["missed"].as_array().unwrap().len()),
            (&8.into(), 0),
            "{report:#}"
        );
        assert!(survivors(round) >= 6, "{report:#}");
    }
}

/// Cut off for two rounds and a half: it has an input for the third, which the others began without it.
#[test]
fn whoever_can_be_reached_again_in_the_middle_of_a_round_is_not_waited_for() {
    let report = report(
        "--nodes 8 --rounds 4 --vector-len 500 --partition 0,1,2,3,4,5,6|7@advertise-keys:3.5 \
         --pause aggregator@masked-input@2:6",
    );
    assert_eq!(report["all_correct"], true, "{report:#}");
    let last = &rounds(&report)[3];
    assert_eq!((survivors(last), &last["published_to"]), (8, &8.into()), "{report:#}");
}

#[test]
fn a_soak_has_no_wrong_sum() {
    let ended = testnet(&["soak", "--nodes", "5", "--rounds", "12", "--churn", "--seed", "3", "--json"]);
    assert_eq!((ended.code(), ended.errors()), (Some(0), vec![]), "{}", ended.stderr);
    let report = ended.report();
    let soak = &report["soak"];
    assert_eq!((&soak["wrong"], soak["growth"]["rss"].is_f64()), (&0.into(), true), "{report:#}");
    let ended = soak["completed"].as_u64().unwrap() + soak["failed"].as_u64().unwrap();
    assert_eq!(ended, 12, "{report:#}");
    for round in rounds(&report).iter().filter(|round| round["correct"] == false) {
        assert!(round["failed"].is_string() && survivors(round) == 0, "{report:#}");
    }
    assert!(["restarts", "pauses"].iter().all(|kind| !report[kind].as_array().unwrap().is_empty()));
}
