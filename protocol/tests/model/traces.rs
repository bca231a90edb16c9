//! The checker has teeth: each test breaks one rule, and a counterexample is found.
//!
//! Members that are alike are renamed at each step, so a counterexample names one member of each kind.

use std::collections::BTreeSet;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::{
    model::{NOT_LOST, NOT_STUCK, ONE_SUM, ONE_VALUE, OUTRANKED},
    rules::{MaskSets, Rules},
};

/// Looks for statements after which a property fails under broken rules.
fn finds(broken: Rules, property: &'static str) {
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = broken.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    eprintln!("{property}, corrupt {:?}:", path.last_state().corrupt);
    path.into_actions().iter().for_each(|action| eprintln!("  {action:?}"));
}

fn rules() -> Rules {
    Rules::of(4, 1, 3)
}

#[test]
fn threshold_of_one_less() {
    let rules = rules();
    finds(Rules { threshold: rules.threshold - 1, ..rules }, ONE_VALUE);
}

/// Traces 1 and 2, an input in two sums: a promise covers earlier slots only, so the session goes on beside
/// the fresh attempt.
#[test]
fn traces_1_and_2_abandonment_by_time_outs() {
    finds(Rules { timeouts_abandon: true, ..rules() }, ONE_SUM);
}

/// Trace 3, stuck although nobody is at fault: a late aggregator's vote is missing for the value of a later
/// slot.
#[test]
fn trace_3_one_vote_in_a_session() {
    finds(Rules { one_vote: true, ..rules() }, NOT_STUCK);
}

/// Trace 4, stuck on a thin set: its members are too few once its aggregator is gone.
#[test]
fn trace_4_only_members_of_x_vote() {
    finds(Rules { members_of_x_vote: true, ..rules() }, NOT_STUCK);
}

/// Trace 5, void against valid: a corrupt aggregator has a certificate, and lets another one see that it
/// signed two values.
#[test]
fn trace_5_void_outranks_a_certificate() {
    finds(Rules { void_is_final: true, ..rules() }, OUTRANKED);
}

/// Trace 6, two certificates.
#[test]
fn trace_6_votes_of_different_slots_added_up() {
    finds(Rules { mixed_slots: true, ..rules() }, ONE_VALUE);
}

/// Trace 6, two certificates: a corrupt member hides the certified value behind a later one that nobody has
/// proposed.
#[test]
fn trace_6_a_vote_without_what_allowed_it() {
    finds(Rules { believe_votes: true, ..rules() }, ONE_VALUE);
}

/// Trace 6, two certificates: a vote that led nowhere decides against one of a later slot.
#[test]
fn trace_6_a_vote_that_is_not_of_the_highest_slot() {
    finds(Rules { any_slot: true, ..rules() }, ONE_VALUE);
}

/// Trace 7, lost vectors: a lone corrupt aggregator keeps its own from everybody.
#[test]
fn trace_7_receipts_of_standbys_not_checked() {
    finds(Rules { standbys: 0, ..rules() }, NOT_LOST);
}

/// Trace 7, lost vectors: one standby, and two members are lost.
#[test]
fn trace_7_fewer_standbys_than_losses() {
    finds(Rules { standbys: 1, ..Rules::of(6, 1, 1) }, NOT_LOST);
}

/// Stuck although nobody is corrupt: two members may aggregate, and the vectors are with another one when the
/// first of them crashes.
#[test]
fn standbys_that_pass_nothing_on() {
    finds(Rules { standbys_keep: true, aggregators: 2, corrupt: 0, ..rules() }, NOT_STUCK);
}

/// A limit of the rules as they are, with nobody corrupt: who is left out of the mask set cannot vote for a
/// set, so a threshold has to live *in the mask set* once there was a vote.
#[test]
fn limit_a_live_member_outside_of_the_mask_set() {
    finds(Rules { mask_sets: MaskSets::Thin, corrupt: 0, ..rules() }, NOT_STUCK);
}
