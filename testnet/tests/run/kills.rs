//! Members killed with SIGKILL, in every phase: the sum is that of exactly those whose vectors were in,
//! and the rounds after it go on without the dead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use serde_json::Value;

use crate::testnet::{report, strings, testnet};

const ADVERTISE_KEYS: &str = "advertise-keys";
const SHARE_KEYS: &str = "share-keys";
const MASKED_INPUT: &str = "masked-input";
const CONSISTENCY_CHECK: &str = "consistency-check";
const UNMASKING: &str = "unmasking";
const PUBLISH: &str = "publish";

/// A node that dies, the phase at whose beginning, and the round.
type Death = (usize, &'static str, usize);

/// A run in which nodes die.
struct Scenario {
    nodes: usize,
    rounds: usize,
    vector_len: usize,
    transport: &'static str,
    deaths: Vec<Death>,
}

impl Scenario {
    fn of(nodes: usize, transport: &'static str, deaths: &[Death]) -> Self {
        Self { nodes, rounds: 2, vector_len: 5000, transport, deaths: deaths.to_vec() }
    }

    fn arguments(&self) -> String {
        let Self { nodes, rounds, vector_len, transport, .. } = self;
        let mut line =
            format!("--nodes {nodes} --rounds {rounds} --vector-len {vector_len} --transport {transport}");
        for (node, phase, round) in &self.deaths {
            line += &format!(" --kill {node}@{phase}@{round}");
        }
        line
    }

    /// Runs it to its good end and checks the whole report.
    fn verify(&self) {
        let report = report(&self.arguments());
        assert_eq!(report["all_correct"], true, "{report:#}");
        let rounds = report["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), self.rounds);
        verify_kills(&report, &self.deaths);
        for round in 0..self.rounds {
            verify_survivors(&report, round, &self.deaths);
            verify_attempts(&report, round, &self.deaths, order(self.nodes));
        }
    }
}

#[test]
fn without_a_death_everybody_survives_and_each_aggregates_once_a_cycle() {
    for nodes in [4, 8] {
        assert_eq!(order(nodes).iter().collect::<BTreeSet<_>>().len(), nodes);
    }
    for nodes in [4, 8] {
        Scenario::of(nodes, "quic", &[]).verify();
    }
}

#[test]
fn two_of_eight_die_in_the_same_phase_over_tcp() {
    verify_two_at_once("tcp");
}

#[test]
fn two_of_eight_die_in_the_same_phase_over_quic() {
    verify_two_at_once("quic");
}

/// One of the two is due to aggregate next, so the next round has to pass it over.
fn verify_two_at_once(transport: &'static str) {
    let order = order(8);
    for phase in [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, CONSISTENCY_CHECK, UNMASKING] {
        Scenario::of(8, transport, &[(order[1], phase, 0), (order[5], phase, 0)]).verify();
    }
}

#[test]
fn one_of_eight_dies_in_a_phase_and_another_a_round_later_over_tcp() {
    verify_one_after_another("tcp");
}

#[test]
fn one_of_eight_dies_in_a_phase_and_another_a_round_later_over_quic() {
    verify_one_after_another("quic");
}

fn verify_one_after_another(transport: &'static str) {
    let order = order(8);
    for phase in [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, CONSISTENCY_CHECK, UNMASKING] {
        Scenario::of(8, transport, &[(order[3], phase, 0), (order[6], phase, 1)]).verify();
    }
}

#[test]
fn one_of_four_dies_in_any_phase() {
    let order = order(4);
    for phase in [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, CONSISTENCY_CHECK, UNMASKING] {
        Scenario::of(4, "tcp", &[(order[1], phase, 0)]).verify();
    }
    for phase in [MASKED_INPUT, UNMASKING] {
        Scenario::of(4, "quic", &[(order[3], phase, 0)]).verify();
    }
}

#[test]
fn four_of_sixteen_die_in_different_phases() {
    let order = order(16);
    let deaths = [
        (order[1], ADVERTISE_KEYS, 0),
        (order[2], SHARE_KEYS, 0),
        (order[7], MASKED_INPUT, 0),
        (order[15], UNMASKING, 0),
    ];
    Scenario::of(16, "tcp", &deaths).verify();
    let late = deaths.map(|(node, _, round)| (node, CONSISTENCY_CHECK, round));
    Scenario::of(16, "tcp", &late).verify();
}

#[test]
fn vectors_of_several_chunks_survive_the_dead() {
    let order = order(8);
    for transport in ["tcp", "quic"] {
        let deaths = [(order[1], MASKED_INPUT, 0), (order[2], UNMASKING, 0)];
        Scenario { vector_len: 70_000, ..Scenario::of(8, transport, &deaths) }.verify();
    }
}

#[test]
fn more_deaths_than_the_consortium_can_bear_fail_in_words() {
    let order = order(8);
    for phase in [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, CONSISTENCY_CHECK, UNMASKING] {
        let deaths = [(order[1], phase, 0), (order[4], phase, 0), (order[7], phase, 0)];
        let report = verify_failure(&Scenario::of(8, "tcp", &deaths));
        assert_eq!(report["all_correct"], false);
        let rounds = report["rounds"].as_array().unwrap();
        assert!(
            rounds.iter().all(|round| round["published_to"] == 0 && round["correct"] == false),
            "{report:#}"
        );
    }
}

#[test]
fn too_few_left_for_the_next_round_fail_in_words() {
    let order = order(8);
    // the third has given its shares: of 8, with 2 of them corrupt, 6 have to
    let deaths = [(order[1], UNMASKING, 0), (order[4], UNMASKING, 0), (order[7], PUBLISH, 1)];
    let scenario = Scenario { rounds: 3, ..Scenario::of(8, "tcp", &deaths) };
    let report = verify_failure(&scenario);
    assert_eq!((&report["all_correct"], report["rounds"].as_array().unwrap().len()), (&false.into(), 2));
    verify_survivors(&report, 1, &deaths);
}

/// It ends with 1 and one line that says why, and the report says what was reached.
fn verify_failure(scenario: &Scenario) -> Value {
    let arguments = scenario.arguments();
    let words: Vec<&str> = arguments.split(' ').chain(["--json"]).collect();
    let ended = testnet(&words);
    assert_eq!((ended.code(), ended.errors().len()), (Some(1), 1), "{arguments}: {}", ended.stderr);
    assert!(ended.stderr.trim_end().lines().last().unwrap().starts_with("error: round "), "{}", ended.stderr);
    ended.report()
}

/// The report names exactly those who were to die.
fn verify_kills(report: &Value, deaths: &[Death]) {
    let mut expected: Vec<_> = deaths
        .iter()
        .map(|(node, phase, round)| {
            (*node as u64, (*round as u64, *phase, report["peers"][node].as_str().unwrap()))
        })
        .collect();
    expected.sort_unstable();
    let field = |kill: &Value, key: &str| kill[key].as_u64().unwrap();
    let mut found: Vec<_> = report["kills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kill| {
            let (phase, peer) = (kill["phase"].as_str().unwrap(), kill["peer"].as_str().unwrap());
            (field(kill, "node"), (field(kill, "round"), phase, peer))
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// Whoever had advertised is on the roster; whoever died before its vector was in dropped out.
fn verify_survivors(report: &Value, number: usize, deaths: &[Death]) {
    let round = &report["rounds"][number];
    let peers = strings(&report["peers"]);
    let dying: BTreeMap<usize, &str> =
        deaths.iter().filter(|death| death.2 == number).map(|&(node, phase, _)| (node, phase)).collect();
    let present: BTreeSet<usize> = (0..peers.len())
        .filter(|node| deaths.iter().all(|death| death.0 != *node || death.2 >= number))
        .collect();
    let died_in = |node: &usize, phases: &[&str]| dying.get(node).is_some_and(|phase| phases.contains(phase));
    let named =
        |nodes: Vec<&usize>| nodes.into_iter().map(|&node| peers[node].clone()).collect::<BTreeSet<_>>();

    let roster = named(present.iter().filter(|node| !died_in(node, &[ADVERTISE_KEYS])).collect());
    let late = [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT];
    let survivors = named(present.iter().filter(|node| !died_in(node, &late)).collect());
    let dropped: BTreeSet<String> = roster.difference(&survivors).cloned().collect();
    let alive = present.iter().filter(|node| !dying.contains_key(node)).count();
    for (key, expected) in [("roster", &roster), ("survivors", &survivors), ("dropped", &dropped)] {
        let found = strings(&round[key]);
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), *expected, "{key}: {round:#}");
        assert_eq!(found.len(), expected.len(), "{key}: {round:#}");
    }
    assert_eq!((&round["round"], &round["correct"]), (&number.into(), &true.into()), "{round:#}");
    assert_eq!(round["published_to"], alive, "{round:#}");
    let used: BTreeSet<String> = round["bytes_sent"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(used, named(present.iter().collect()), "{round:#}");
    let (error, bound) = (round["max_abs_error"].as_f64().unwrap(), round["error_bound"].as_f64().unwrap());
    assert!(error <= bound && bound < 1e-2, "{round:#}");
}

/// The round's first choice aggregates, or the first after it that lives; the dead before it are named.
fn verify_attempts(report: &Value, number: usize, deaths: &[Death], order: &[usize]) {
    let dead = |node: usize| deaths.iter().any(|death| death.0 == node && death.2 < number);
    let mut turns = order.iter().cycle().skip(number);
    let mut expected = Vec::new();
    loop {
        let node = *turns.next().unwrap();
        let outcome = if dead(node) { "aggregator-lost" } else { "completed" };
        expected.push((expected.len() as u64, report["peers"][node].as_str().unwrap(), outcome));
        if !dead(node) {
            break;
        }
    }
    let attempts = report["rounds"][number]["attempts"].as_array().unwrap();
    let found: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            assert_eq!(attempt["attempt"], 0);
            assert_eq!(attempt.get("detail").is_some(), attempt["outcome"] != "completed", "{attempt}");
            let (aggregator, outcome) = (&attempt["aggregator"], &attempt["outcome"]);
            (attempt["slot"].as_u64().unwrap(), aggregator.as_str().unwrap(), outcome.as_str().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
}

/// Node indices in the order in which they aggregate first, as one whole cycle without deaths shows it.
/// It depends on nothing but the members, so every run with as many nodes has the same.
fn order(nodes: usize) -> &'static [usize] {
    static ORDERS: [OnceLock<Vec<usize>>; 17] = [const { OnceLock::new() }; 17];
    ORDERS[nodes].get_or_init(|| {
        let report = report(&format!("--nodes {nodes} --rounds {nodes} --vector-len 10"));
        let peers = strings(&report["peers"]);
        let rounds = report["rounds"].as_array().unwrap();
        let order: Vec<usize> = rounds
            .iter()
            .map(|round| {
                let aggregator = round["attempts"][0]["aggregator"].as_str().unwrap();
                peers.iter().position(|peer| peer == aggregator).unwrap()
            })
            .collect();
        assert_eq!(report["distinct_aggregators"], nodes);
        for number in 0..nodes {
            verify_survivors(&report, number, &[]);
            verify_attempts(&report, number, &[], &order);
        }
        order
    })
}
