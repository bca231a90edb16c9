//! Aggregators that die, stop or are cut off: the round goes on with the next one.

use core::time::Duration;
use std::collections::BTreeSet;

use consort_protocol::{
    io::Role,
    messages::{Message, consistency_check::Proposed},
    phase::Phase,
    report::Outcome,
    signing::Signed,
    sim::{Envelope, Fault, Kill, SequentialHost, Simulation, What},
};

use crate::setting::{Setting, setting, setting_where};

fn run(
    setting: &Setting,
    seed: u64,
    faults: impl IntoIterator<Item = Fault>,
) -> consort_protocol::sim::Report {
    let mut host = SequentialHost;
    let mut simulation = Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host);
    for fault in faults {
        simulation = simulation.fault(fault);
    }
    simulation.run()
}

fn blamed(report: &consort_protocol::sim::Report) -> Vec<String> {
    report.faults.iter().map(|(by, fault)| format!("{by}: {fault}")).collect()
}

#[test]
fn the_aggregator_may_die_in_any_phase() {
    for members in [4, 8] {
        for phase in Phase::ALL {
            for seed in 0..20 {
                let setting = setting(members, 11);
                let report = run(&setting, seed, [Fault::kill_aggregator(phase)]);
                assert!(report.survivors().is_some(), "{members} {phase} {seed}: {:?}", report.outcomes);
                assert_eq!(blamed(&report), Vec::<String>::new(), "{members} {phase} {seed}");
                setting.verify_sum(&report, members - 1);
            }
        }
    }
}

#[test]
fn the_first_two_aggregators_may_die_in_any_phases() {
    for first in Phase::ALL {
        for second in Phase::ALL {
            for seed in 0..4 {
                let setting = setting(8, 11);
                let faults = [Fault::kill_aggregator(first), Fault::kill_aggregator(second)];
                let report = run(&setting, seed, faults);
                assert!(
                    report.survivors().is_some(),
                    "{first} {second} {seed}: {:?} {:?}",
                    report.outcomes,
                    report.slots
                );
                setting.verify_sum(&report, 6);
            }
        }
    }
}

#[test]
fn an_aggregator_that_stops_is_replaced_and_comes_back() {
    for phase in Phase::ALL {
        for seed in 0..4 {
            let setting = setting(8, 11);
            let what = What::Pause(Duration::from_secs(30));
            let fault = Fault { what, ..Fault::kill_aggregator(phase) };
            let report = run(&setting, seed, [fault]);
            assert!(report.survivors().is_some(), "{phase} {seed}: {:?}", report.outcomes);
            assert_eq!(blamed(&report), Vec::<String>::new(), "{phase} {seed}");
            let completed = |outcome: &&Outcome| matches!(outcome, Outcome::Completed { .. });
            assert!(
                report.outcomes.values().filter(completed).count() >= 7,
                "{phase} {seed}: {:?}",
                report.outcomes
            );
        }
    }
}

#[test]
fn halves_without_a_quorum_wait_and_finish_together() {
    for phase in Phase::ALL {
        for seed in 0..4 {
            let setting = setting(8, 11);
            let side: BTreeSet<_> = setting.others().into_iter().take(3).collect();
            let what = What::Cut(side, Duration::from_secs(20));
            let fault = Fault { on: None, role: Role::Aggregator, phase, what };
            let report = run(&setting, seed, [fault]);
            let survivors = report.survivors();
            assert!(survivors.is_some(), "{phase} {seed}: {:?} {:?}", report.outcomes, report.slots);
            setting.verify_sum(&report, report.aggregates.len());
            assert!(report.aggregates.len() >= 6, "{phase} {seed}: {:?}", report.outcomes);
        }
    }
}

#[test]
fn a_member_and_the_aggregator_may_both_die() {
    for phase in Phase::ALL {
        for with in Phase::ALL {
            let setting = setting(8, 11);
            let member = setting.others()[2];
            let report =
                run(&setting, 5, [Fault::kill_aggregator(phase), Kill { member, phase: with }.into()]);
            assert!(report.survivors().is_some(), "{phase} {with}: {:?} {:?}", report.outcomes, report.slots);
        }
    }
}

/// Whoever was killed is back soon, but without what it knew: the others do not use up slots on its account.
#[test]
fn those_who_are_back_without_their_secrets_do_not_count() {
    for phase in [Phase::MaskedInput, Phase::ConsistencyCheck] {
        let setting = setting(8, 11);
        let restart = |member| {
            let what = What::Restart(Duration::from_secs(2));
            Fault { on: Some(member), role: Role::Member, phase, what }
        };
        let report = run(&setting, 3, setting.others().into_iter().take(3).map(restart).collect::<Vec<_>>());
        let aborted = |outcome: &Outcome| matches!(outcome, Outcome::Aborted(_));
        assert!(report.outcomes.values().all(aborted), "{phase}: {:?}", report.outcomes);
        let most = report.slots.values().map(Vec::len).max();
        assert_eq!(most, Some(1), "{phase}: {:?}", report.slots);
    }
}

/// A standby need not be the next aggregator: whoever holds vectors of a set that was voted for passes on those
/// whose owners are gone. Only two may aggregate here, and the second cannot be reached when the first picks
/// its standby.
#[test]
fn whoever_holds_vectors_serves_an_aggregator_that_does_not() {
    for seed in 0..4 {
        let setting = setting_where(4, 11, |number| number < 2);
        let second = setting.terms.holder(1).unwrap();
        let what = What::Cut(BTreeSet::from([second]), Duration::from_secs(2));
        let cut = Fault { on: None, role: Role::Aggregator, phase: Phase::MaskedInput, what };
        let report = run(&setting, seed, [cut, Fault::kill_aggregator(Phase::Unmasking)]);
        assert!(report.survivors().is_some(), "{seed}: {:?} {:?}", report.outcomes, report.slots);
        setting.verify_sum(&report, 3);
    }
}

/// Two values got votes in one slot, so the others can only call the round void. But one of them was certified,
/// and whoever hears of its result takes it: a valid certificate outranks void.
#[test]
fn a_result_that_comes_late_outranks_void() {
    let setting = setting(4, 11);
    let (aggregator, others) = (setting.terms.aggregator(), setting.others());
    let identity = setting.consortium.identities.iter().find(|it| it.id() == aggregator).unwrap().clone();
    let mut late = Vec::new();
    let mut host = SequentialHost;
    let simulation = Simulation::new(setting.terms.clone(), setting.inputs(), 3, &mut host);
    let report = simulation
        .interfere(|envelope| {
            let Envelope { from, to, message } = envelope.clone();
            match message {
                // one member is asked to abandon, and reports its vote for that when the slot is given up
                Message::Proposal(proposal) if from == aggregator && to == others[0] => {
                    let mut body = proposal.body.clone();
                    body.value = Proposed::Abandon;
                    let second = Box::new(Signed::new(body, &identity).unwrap());
                    vec![Envelope { message: Message::Proposal(second), ..envelope }]
                }
                // the result is kept back until the others have given up the slot
                Message::Published(_) if from == aggregator && to != aggregator => {
                    late.push(envelope);
                    Vec::new()
                }
                Message::Alive(_) if from == aggregator => Vec::new(),
                Message::NewSlot(_) => [vec![envelope], std::mem::take(&mut late)].concat(),
                _ => vec![envelope],
            }
        })
        .run();
    setting.verify_sum(&report, 4);
}
