//! Rounds over data of one label, of which members know earlier sums.

use std::collections::BTreeSet;

use consort_protocol::{
    guard::Guard,
    ids::MemberId,
    io::JournalEntry,
    messages::consistency_check::Value,
    phase::Phase,
    report::{AbortReason, Outcome},
    sim::{Fault, Kill, Report, SequentialHost, Simulation},
};

use crate::setting::{Setting, setting_under};

const MEMBERS: usize = 8;

fn setting(seed: u64) -> Setting {
    setting_under(MEMBERS, seed, |_| true, Some("ward counts"))
}

fn everybody(setting: &Setting) -> Vec<MemberId> {
    setting.consortium.manifest.members().iter().map(|member| member.id).collect()
}

/// The round of these, where all but `ignorant` know of a sum over `earlier`.
fn run(
    setting: &Setting,
    seed: u64,
    earlier: &[MemberId],
    ignorant: &[MemberId],
    faults: impl IntoIterator<Item = Fault>,
) -> Report {
    let mut host = SequentialHost;
    let knowing = everybody(setting).into_iter().filter(|id| !ignorant.contains(id));
    let guards = knowing.map(|id| (id, Guard::new(2, [earlier.to_vec()])));
    let mut simulation =
        Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host).guards(guards);
    for fault in faults {
        simulation = simulation.fault(fault);
    }
    simulation.run()
}

/// What honest members have noted that may be known, beside what they knew.
fn noted(report: &Report) -> BTreeSet<Vec<MemberId>> {
    let entries = report.journals.values().flatten();
    let cohorts = entries.filter_map(|entry| match entry {
        JournalEntry::Cohort { members, .. } => Some(members.clone()),
        _ => None,
    });
    cohorts.collect()
}

#[test]
fn the_same_members_again_is_a_round_like_any_other() {
    let setting = setting(11);
    let all = everybody(&setting);
    let report = run(&setting, 1, &all, &[], []);
    setting.verify_sum(&report, MEMBERS);
    assert_eq!(report.violations, []);
    assert_eq!(report.survivors(), Some(all));
}

#[test]
fn a_newcomer_is_left_out_and_the_round_completes() {
    for seed in 0..8 {
        let setting = setting(11);
        let all = everybody(&setting);
        // as ignorant as somebody who was away, and perhaps the one who aggregates first
        for newcomer in all.iter().copied() {
            let earlier: Vec<MemberId> = all.iter().filter(|id| **id != newcomer).copied().collect();
            let report = run(&setting, seed, &earlier, &[newcomer], []);
            assert_eq!(report.survivors().as_ref(), Some(&earlier), "{seed}: {:?}", report.slots);
            assert_eq!(report.violations, []);
            setting.verify_sum(&report, MEMBERS);
            // an honest aggregator that knows proposes what all may vote for
            let asked = newcomer == setting.terms.aggregator();
            assert_eq!(!report.declined.is_empty(), asked, "{seed}: {:?}", report.declined);
        }
    }
}

#[test]
fn with_one_fewer_than_before_nobody_votes_and_the_inputs_are_proved_unused() {
    for phase in [Phase::AdvertiseKeys, Phase::MaskedInput] {
        let setting = setting(11);
        let all = everybody(&setting);
        let lost = setting.others()[3];
        let report = run(&setting, 1, &all, &[], [Fault::from(Kill { member: lost, phase })]);
        assert_eq!(report.violations, []);
        assert_eq!((report.survivors(), report.aggregates.len()), (None, 0));
        for (id, outcome) in &report.outcomes {
            let Outcome::Aborted(reason @ AbortReason::Refused { .. }) = outcome else {
                panic!("{id}: {outcome:?}")
            };
            assert!(reason.to_string().contains("1 differ; none or at least 4 may"), "{reason}");
        }
        assert_eq!(report.outcomes.len(), MEMBERS - 1);
        let voted = |entry: &JournalEntry| matches!(entry, JournalEntry::Voted(.., Value::Survivors(_)));
        assert!(!report.journals.values().flatten().any(voted), "somebody voted for a set");
        assert_eq!(noted(&report), BTreeSet::new());
    }
}

#[test]
fn an_aggregator_that_does_not_know_is_told_no_in_words() {
    let setting = setting(11);
    let all = everybody(&setting);
    let ignorant = setting.terms.aggregator();
    // one of the earlier set is lost, so there is no set for which those who know would vote
    let lost = *setting.others().iter().find(|id| **id != setting.terms.order()[1]).unwrap();
    let kill = Kill { member: lost, phase: Phase::MaskedInput };
    let report = run(&setting, 1, &all, &[ignorant], [Fault::from(kill)]);
    assert_eq!(report.violations, []);
    assert_eq!(report.survivors(), None);
    let slots = report.slots.values().flatten();
    let mut refused = slots.filter(|over| matches!(over.reason, AbortReason::Refused { .. }));
    let words = refused.next().expect("nobody hears that it was refused").reason.to_string();
    assert!(words.starts_with("refused in consistency-check: 6 of "), "{words}");
}

/// Sets that were voted for before an aggregator was lost count as known. Whatever comes of it, no two sums that
/// are too near each other are certified, and most rounds complete.
#[test]
fn the_aggregator_may_die_in_any_phase() {
    for phase in Phase::ALL {
        let mut completed = 0;
        for seed in 0..10 {
            let setting = setting(11);
            let report = run(&setting, seed, &[], &everybody(&setting), [Fault::kill_aggregator(phase)]);
            assert_eq!(report.violations, [], "{phase} {seed}");
            if report.survivors().is_some() {
                setting.verify_sum(&report, MEMBERS - 1);
                completed += 1;
            }
            let sets: Vec<Vec<MemberId>> = noted(&report).into_iter().collect();
            assert!(sets.len() <= 2, "{phase} {seed}: {sets:?}");
        }
        assert!(completed >= 8, "{phase}: {completed} of 10");
    }
}
