//! Who aggregates: fair, the same for everybody, and as an independent program computes it.

use std::{collections::BTreeMap, sync::Arc};

use consort_protocol::{
    election::order,
    ids::MemberId,
    manifest::{Manifest, ManifestBody, MemberEntry, Policy, SignedManifest},
    signing::Identity,
};
use proptest::prelude::*;
use serde_json::Value;

fn identity(number: usize) -> Identity {
    Identity::from_secret(&[number as u8; 32])
}

/// Members 1 to `members` in this order of the list, some of whom never aggregate.
fn manifest(numbers: impl IntoIterator<Item = usize>, silent: &[usize], policy: Policy) -> Manifest {
    let numbers: Vec<usize> = numbers.into_iter().collect();
    let entry = |number: &usize| MemberEntry {
        id: identity(*number).id(),
        name: format!("node {number}"),
        addresses: Vec::new(),
        may_aggregate: !silent.contains(number),
    };
    let members = numbers.iter().map(entry).collect();
    let body = ManifestBody { name: "election".into(), epoch: 0, previous: None, members, policy };
    let mut signed = SignedManifest::new(body);
    numbers.iter().for_each(|number| signed.sign(&identity(*number)).unwrap());
    signed.verify().unwrap()
}

#[test]
fn the_orders_of_the_other_program() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("vectors/election.json")).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let numbers = |key: &str| -> Vec<usize> {
            case[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
        };
        let members = case["members"].as_u64().unwrap() as usize;
        let manifest = manifest(1..=members, &numbers("silent"), Policy::default());
        let expected: Vec<MemberId> = numbers("order").into_iter().map(|n| identity(n).id()).collect();
        assert_eq!(order(&manifest, case["round"].as_u64().unwrap()), expected, "{case}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_eligible_member_is_first_once_a_cycle(
        members in 3usize..30,
        silent in prop::collection::btree_set(1usize..30, 0..6),
        cycle in prop_oneof![0u64..4, 0..u64::MAX / 64],
    ) {
        let silent: Vec<usize> = silent.into_iter().filter(|number| *number < members).collect();
        let manifest = manifest(1..=members, &silent, Policy::default());
        let turns = (members - silent.len()) as u64;
        let mut first: BTreeMap<MemberId, u32> = BTreeMap::new();
        let mut orders = Vec::new();
        for turn in 0..turns {
            let order = order(&manifest, cycle * turns + turn);
            prop_assert_eq!(order.len() as u64, turns);
            *first.entry(order[0]).or_default() += 1;
            orders.push(order);
        }
        prop_assert!(first.values().all(|count| *count == 1) && first.len() as u64 == turns);
        for number in silent {
            prop_assert!(!first.contains_key(&identity(number).id()));
        }
        // the stand-ins are those whose turn is next
        for (turn, order) in orders.iter().enumerate() {
            for (slot, id) in order.iter().enumerate() {
                prop_assert_eq!(*id, orders[(turn + slot) % orders.len()][0]);
            }
        }
    }

    #[test]
    fn it_depends_on_the_members_and_the_round_alone(
        numbers in Just((1usize..=12).collect::<Vec<_>>()).prop_shuffle(),
        round: u64,
    ) {
        let listed = manifest(1..=12, &[], Policy::default());
        let policy = Policy { clip: 3.0, deadline_ms: 7, ..Policy::default() };
        let shuffled = manifest(numbers, &[], policy);
        prop_assert_eq!(order(&listed, round), order(&shuffled, round));
    }
}

/// Cycles differ, and over many of them everybody is first in the first round about equally often.
#[test]
fn cycles_are_unlike_each_other() {
    let manifest = Arc::new(manifest(1..=6, &[], Policy::default()));
    let mut first: BTreeMap<MemberId, u32> = BTreeMap::new();
    let cycles = 6000;
    for cycle in 0..cycles {
        *first.entry(order(&manifest, cycle * 6)[0]).or_default() += 1;
    }
    // chi-square with 5 degrees of freedom; more than 30 has a probability of 1.5e-5
    let expected = f64::from(u32::try_from(cycles).unwrap()) / 6.0;
    let statistic: f64 = first.values().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    assert!(first.len() == 6 && statistic < 30.0, "{statistic}");
}
