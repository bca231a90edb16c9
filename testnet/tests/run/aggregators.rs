//! Aggregators killed with SIGKILL, in every phase: the same round goes on with the next in order.

use serde_json::Value;

use crate::testnet::{report, strings};

const PHASES: [&str; 6] =
    ["advertise-keys", "share-keys", "masked-input", "consistency-check", "unmasking", "publish"];

/// Whose vectors are in where the aggregator dies as this phase begins: its own, too, from the consistency
/// check on if a standby has it, and for certain once votes were cast for it.
fn verify_survivors(round: &Value, phase: &str, dead: &[&str], nodes: usize) {
    let survivors = strings(&round["survivors"]);
    let counted = dead.iter().filter(|peer| survivors.contains(&(**peer).to_owned())).count();
    assert_eq!(survivors.len(), nodes - dead.len() + counted, "{phase}: {round:#}");
    match phase {
        "advertise-keys" | "share-keys" | "masked-input" => assert_eq!(counted, 0, "{phase}: {round:#}"),
        "unmasking" | "publish" => assert_eq!(counted, dead.len(), "{phase}: {round:#}"),
        _ => {}
    }
}

/// All but the last were lost, each tells why, and the last has completed the round.
fn verify_attempts(round: &Value, dead: &[&str]) {
    let attempts = round["attempts"].as_array().unwrap();
    let field = |attempt: &Value, key: &str| attempt[key].as_str().unwrap().to_owned();
    let (last, before) = attempts.split_last().unwrap();
    assert_eq!(last["outcome"], "completed", "{round:#}");
    assert!(!dead.contains(&field(last, "aggregator").as_str()), "{round:#}");
    for dead in dead {
        let lost = before.iter().filter(|attempt| attempt["aggregator"] == *dead);
        let outcomes: Vec<String> = lost.clone().map(|attempt| field(attempt, "outcome")).collect();
        // one may have had an attempt abandoned, and was lost in the next
        assert_eq!(outcomes.last().map(String::as_str), Some("aggregator-lost"), "{round:#}");
        assert!(lost.clone().all(|attempt| attempt["detail"].is_string()), "{round:#}");
    }
    assert!(attempts.len() > dead.len() && last["slot"].as_u64().unwrap() >= dead.len() as u64, "{round:#}");
}

#[test]
fn one_aggregator_dies_in_each_phase() {
    for phase in PHASES {
        let report = report(&format!("--nodes 4 --rounds 2 --vector-len 2000 --kill aggregator@{phase}@0"));
        let (rounds, kills) = (&report["rounds"], report["kills"].as_array().unwrap());
        assert_eq!((&report["all_correct"], kills.len()), (&true.into(), 1), "{report:#}");
        assert_eq!((&kills[0]["phase"], &kills[0]["round"]), (&phase.into(), &0.into()));
        let dead = kills[0]["peer"].as_str().unwrap();
        assert_eq!(rounds[0]["attempts"][0]["aggregator"], dead, "{report:#}");
        verify_attempts(&rounds[0], &[dead]);
        verify_survivors(&rounds[0], phase, &[dead], 4);
        assert_eq!(rounds[0]["published_to"], 3, "{report:#}");
        assert_eq!(strings(&rounds[1]["survivors"]).len(), 3, "{report:#}");
    }
}

#[test]
fn the_first_two_aggregators_die() {
    for (phases, transport) in [
        (["masked-input", "masked-input"], "tcp"),
        (["advertise-keys", "publish"], "tcp"),
        (["share-keys", "unmasking"], "quic"),
    ] {
        let [first, second] = phases;
        let report = report(&format!(
            "--nodes 8 --rounds 1 --vector-len 2000 --transport {transport} --kill aggregator@{first} --kill aggregator@{second}"
        ));
        let kills = report["kills"].as_array().unwrap();
        let dead: Vec<&str> = kills.iter().map(|kill| kill["peer"].as_str().unwrap()).collect();
        assert_eq!((&report["all_correct"], dead.len()), (&true.into(), 2), "{report:#}");
        let died: Vec<&str> = kills.iter().map(|kill| kill["phase"].as_str().unwrap()).collect();
        assert_eq!(died, phases);
        verify_attempts(&report["rounds"][0], &dead);
        assert_eq!(report["rounds"][0]["attempts"][0]["aggregator"], dead[0], "{report:#}");
        assert_eq!(report["rounds"][0]["published_to"], 6, "{report:#}");
    }
}

/// The same by its index: whoever the node is when its time comes.
#[test]
fn a_node_that_aggregates_may_be_killed_by_its_index() {
    let undisturbed = report("--nodes 4 --rounds 1 --vector-len 10");
    let peer = undisturbed["rounds"][0]["attempts"][0]["aggregator"].as_str().unwrap();
    let node = strings(&undisturbed["peers"]).iter().position(|other| other == peer).unwrap();
    let report = report(&format!("--nodes 4 --rounds 1 --vector-len 10 --kill {node}@consistency-check"));
    assert_eq!((&report["all_correct"], &report["kills"][0]["peer"]), (&true.into(), &peer.into()));
    verify_attempts(&report["rounds"][0], &[peer]);
}
