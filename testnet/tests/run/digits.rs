//! Federated learning on the digits, as the demonstration shows it.

use crate::testnet::report;

#[test]
fn the_shared_model_learns_as_the_same_averaging_in_the_clear_does() {
    let report = report("--nodes 5 --rounds 3 --workload digits");
    assert_eq!((&report["all_correct"], &report["workload"]), (&true.into(), &"digits".into()));
    let rounds = report["rounds"].as_array().unwrap();
    let accuracy: Vec<f64> =
        rounds.iter().map(|round| round["metrics"]["accuracy"].as_f64().unwrap()).collect();
    let plain: Vec<f64> = report["baselines"]["federated_plain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|accuracy| accuracy.as_f64().unwrap())
        .collect();
    assert_eq!((accuracy.len(), plain.len()), (3, 3));
    assert!(accuracy[2] > accuracy[0] && accuracy[2] > 0.8, "{accuracy:?}");
    assert!((accuracy[2] - plain[2]).abs() <= 0.01, "{accuracy:?} against {plain:?}");
    let baseline = |key: &str| report["baselines"][key].as_f64().unwrap();
    assert!(accuracy[2] > baseline("alone") && baseline("central") > baseline("alone"), "{report:#}");
}

#[test]
fn the_demonstration_loses_a_member_and_an_aggregator() {
    let report = report("");
    assert_eq!((&report["all_correct"], &report["workload"]), (&true.into(), &"digits".into()));
    let kills = report["kills"].as_array().unwrap();
    let [member, aggregator] = &kills[..] else { panic!("{report:#}") };
    assert_ne!(member["round"], aggregator["round"], "{report:#}");
    let ends = |kill: &serde_json::Value| {
        let round = &report["rounds"][kill["round"].as_u64().unwrap() as usize];
        let attempts = round["attempts"].as_array().unwrap();
        (attempts.iter().filter(|attempt| attempt["aggregator"] == kill["peer"]).count(), attempts.len())
    };
    // a round outlives both, and only the aggregator's is taken over
    assert_eq!((ends(member), ends(aggregator)), ((0, 1), (1, 2)), "{report:#}");
}
