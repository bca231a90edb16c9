//! Nodes that lie, among real processes: the others finish the round without them, and prove what they did.
//! Needs a build with the feature `lies`.

use serde_json::Value;

use crate::testnet::{report, testnet};

/// Two rounds of five nodes of which one lies. Every aggregate is the plain one of its survivors.
fn with(lie: &str) -> Value {
    let report = report(&format!("--nodes 5 --rounds 2 --vector-len 50 --seed 3 --lie {lie}"));
    assert_eq!(report["all_correct"], true, "{lie}: {report}");
    report
}

/// Who was convicted, and of what.
fn convicted(report: &Value) -> Vec<(u64, &str)> {
    let convicts = report["convicted"].as_array().unwrap().iter();
    convicts.map(|it| (it["node"].as_u64().unwrap(), it["crime"].as_str().unwrap())).collect()
}

/// The members that are not the first to aggregate in any of the two rounds, by index.
fn members(report: &Value) -> impl Iterator<Item = u64> {
    let peers = report["peers"].as_array().unwrap();
    let aggregators: Vec<&Value> = report["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|round| &round["attempts"][0]["aggregator"])
        .collect();
    (0..peers.len()).filter(move |at| !aggregators.contains(&&peers[*at])).map(|at| at as u64)
}

#[test]
fn a_member_that_lies_is_convicted_and_left_out_of_the_next_round() {
    let honest = report("--nodes 5 --rounds 2 --vector-len 50 --seed 3");
    let mut members = members(&honest);
    let (liar, slow) = (members.next().unwrap(), members.next().unwrap());
    // shares are looked at only where the first four give no secret: one of the honest four comes late
    let late = format!(" --pause {slow}@unmasking@0:1");
    for (lie, crime, with_late) in [
        ("two-votes", "two-votes", ""),
        ("wrong-shares", "bad-share", ""),
        ("two-masked-inputs", "two-masked-inputs", ""),
        ("wrong-reveal", "bad-reveal", late.as_str()),
    ] {
        let report = with(&format!("{liar}:{lie}{with_late}"));
        assert_eq!(convicted(&report), [(liar, crime)], "{lie}");
        let roster = report["rounds"][1]["roster"].as_array().unwrap();
        assert!(!roster.contains(&report["peers"][liar as usize]), "{lie}: {roster:?}");
    }
}

/// Standbys do not take it, and prove it to the others, who have: the launcher sees a wrong sum.
#[test]
fn an_aggregator_that_publishes_a_false_sum_is_convicted_and_left_out() {
    let ended = testnet(
        &"--nodes 5 --rounds 2 --vector-len 50 --seed 3 --lie aggregator:wrong-sum --json"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let report = ended.report();
    let peers = report["peers"].as_array().unwrap();
    let liar = &report["rounds"][0]["attempts"][0]["aggregator"];
    let liar = peers.iter().position(|peer| peer == liar).unwrap() as u64;
    assert_eq!(convicted(&report), [(liar, "false-sum")]);
}

#[test]
fn an_aggregator_that_lies_is_convicted_or_replaced() {
    for (lie, crime) in [
        ("two-proposals", Some("two-proposals")),
        ("roster-with-clone", Some("bad-roster")),
        ("two-sums", Some("two-sums")),
        ("sum-out-of-range", Some("false-sum")),
        ("no-certificate", None),
        ("thin-certificate", None),
    ] {
        let report = with(&format!("aggregator:{lie}"));
        let found: Vec<&str> = convicted(&report).into_iter().map(|(_, crime)| crime).collect();
        assert_eq!(found, crime.into_iter().collect::<Vec<_>>(), "{lie}");
    }
}
