//! The checker has teeth: each test breaks one rule, and a counterexample is found.
//!
//! Where a trace is known by which simpler rules had failed, the test bears its number.

use std::collections::BTreeSet;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::{
    model::{Action, NOT_LOST, NOT_STUCK, ONE_SUM, ONE_VALUE, OUTRANKED},
    rules::{MaskSets, Rules},
};

/// Breaks rules until a property fails; gives the statements that lead there.
fn counterexample(broken: Rules, property: &'static str) -> Vec<Action> {
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = broken.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    println!("{property}: {:?} {:?}", path.last_state().corrupt, path.clone().into_actions());
    path.into_actions()
}

fn rules() -> Rules {
    Rules::of(4, 1, 3)
}

#[test]
fn threshold_of_one_less() {
    counterexample(Rules { threshold: 2, ..rules() }, ONE_VALUE);
}

#[test]
fn trace_1_and_2_abandonment_by_time_outs() {
    counterexample(Rules { timeouts_abandon: true, ..rules() }, ONE_SUM);
}

#[test]
fn trace_3_one_vote_in_a_session() {
    counterexample(Rules { one_vote: true, ..rules() }, NOT_STUCK);
}

#[test]
fn trace_4_only_members_of_x_vote() {
    counterexample(Rules { members_of_x_vote: true, ..rules() }, NOT_STUCK);
}

#[test]
fn trace_5_void_outranks_a_certificate() {
    counterexample(Rules { void_is_final: true, ..rules() }, OUTRANKED);
}

#[test]
fn trace_6_votes_of_different_slots_added_up() {
    counterexample(Rules { mixed_slots: true, ..rules() }, ONE_VALUE);
}

#[test]
fn trace_6_a_vote_without_what_allowed_it() {
    counterexample(Rules { believe_votes: true, ..rules() }, ONE_VALUE);
}

#[test]
fn trace_7_receipts_of_standbys_not_checked() {
    counterexample(Rules { standbys: 0, ..rules() }, NOT_LOST);
}

#[test]
fn standbys_that_pass_nothing_on() {
    counterexample(Rules { standbys_keep: true, aggregators: 2, ..rules() }, NOT_STUCK);
}

#[test]
fn thin_mask_set() {
    counterexample(Rules { mask_sets: MaskSets::Thin, ..rules() }, NOT_STUCK);
}

#[test]
fn trace_6_any_slot() {
    counterexample(Rules { any_slot: true, ..rules() }, ONE_VALUE);
}

#[test]
fn trace_7_two_crashes() {
    counterexample(Rules { standbys: 1, ..Rules::of(6, 1, 1) }, NOT_LOST);
}
