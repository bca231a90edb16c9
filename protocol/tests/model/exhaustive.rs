//! The rules as they are hold in all states, or in as many as are asked for.

use std::{env, thread, time::Instant};

use stateright::{Checker, Model as _};

use crate::{
    model::{NOT_LOST, NOT_STUCK, ONE_SUM, ONE_VALUE},
    rules::Rules,
};

/// Steps to states that are looked at where there are too many.
const STATES: usize = 1_000_000;

fn all(rules: Rules) {
    let begun = Instant::now();
    let checker = rules.checker().threads(cores()).spawn_dfs().join();
    report(&rules, &checker, begun);
    checker.assert_properties();
}

/// Looks at more states where `CONSORT_MODEL_STATES` says so; at all, where it says as many as there are steps.
fn some(rules: Rules) {
    let states = env::var("CONSORT_MODEL_STATES").ok();
    let states = states.map_or(STATES, |count| count.parse().expect("CONSORT_MODEL_STATES is a number"));
    let begun = Instant::now();
    let checker = rules.checker().threads(cores()).target_state_count(states).spawn_dfs().join();
    report(&rules, &checker, begun);
    for property in [ONE_VALUE, ONE_SUM, NOT_STUCK, NOT_LOST] {
        checker.assert_no_discovery(property);
    }
}

fn report(rules: &Rules, checker: &impl Checker<Rules>, begun: Instant) {
    let Rules { members, corrupt, threshold, slots, .. } = rules;
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let took = begun.elapsed();
    eprintln!(
        "n={members} c={corrupt} t={threshold}, {slots} slots: {states} states, {steps} steps, \
         {depth} deep, {took:.1?}"
    );
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn four_members_three_slots() {
    all(Rules::of(4, 1, 3));
}

#[test]
fn four_members_four_slots() {
    all(Rules::of(4, 1, 4));
}

#[test]
fn five_members_three_slots() {
    all(Rules::of(5, 1, 3));
}

/// More corrupt members than a threshold of the others could do without: what is certified still holds.
#[test]
fn five_members_two_corrupt() {
    all(Rules::of(5, 2, 2));
}

#[test]
fn six_members_two_slots_as_far_as_told() {
    some(Rules::of(6, 1, 2));
}

#[test]
fn seven_members_three_slots() {
    all(Rules::of(7, 2, 3));
}

#[test]
fn seven_members_four_slots_as_far_as_told() {
    some(Rules::of(7, 2, 4));
}

/// With fewer standbys than losses vectors can be lost, but wherever they live the session goes on.
#[test]
fn resumed_while_its_vectors_live() {
    let rules = Rules { standbys: 0, ..Rules::of(4, 1, 3) };
    let checker = rules.checker().threads(cores()).spawn_dfs().join();
    checker.assert_no_discovery(NOT_STUCK);
    checker.assert_no_discovery(ONE_VALUE);
    checker.assert_any_discovery(NOT_LOST);
}
