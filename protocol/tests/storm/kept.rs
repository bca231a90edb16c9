//! Seeds that once failed, kept as they were.

use core::time::Duration;

use consort_protocol::{
    ids::MemberId,
    io::Role,
    manifest::Policy,
    phase::Phase,
    sim::{Fault, Lie, Weather, What},
};

use crate::{draw::Storm, run, setting::Setting, violations};

fn storm(seed: u64, members: usize, weather: Weather, lies: &[(usize, Lie)]) -> Storm {
    let setting = Setting::new(members, Policy::default(), seed);
    let liars = lies.iter().map(|(place, lie)| (setting.order()[*place], *lie)).collect();
    Storm { seed, setting, faults: Vec::new(), weather, liars }
}

fn acting(phase: Phase, what: What) -> Fault {
    Fault { on: None, role: Role::Aggregator, phase, what }
}

/// Two members that were bound to a roster before the others were one slot ahead of them until none was left.
#[test]
fn members_bound_at_different_times_come_together_in_a_slot() {
    let mut storm = storm(212, 8, Weather::default(), &[]);
    let second = storm.setting.order()[1];
    let dies = Fault { on: Some(second), role: Role::Member, phase: Phase::ShareKeys, what: What::Kill };
    storm.faults = vec![acting(Phase::ShareKeys, What::Kill), dies];
    let report = run(&storm);
    assert_eq!(violations(&report), Vec::<String>::new());
    assert!(report.survivors().is_some(), "{:?}", report.outcomes);
}

/// Votes of an attempt that the aggregator had left were refused as a stranger's.
#[test]
fn who_votes_in_another_session_is_no_stranger() {
    let weather = Weather { breaks: 3, delays: 0, repeats: 13 };
    let mut storm = storm(52, 8, weather, &[(1, Lie::NoProposal), (5, Lie::OtherSecret)]);
    let order = storm.setting.order();
    let side = [0, 2, 4, 5, 6, 7]
        .map(|place| order[place])
        .into_iter()
        .collect::<std::collections::BTreeSet<MemberId>>();
    storm.faults = vec![
        acting(Phase::Publish, What::Cut(side, Duration::from_millis(32_095))),
        acting(Phase::Unmasking, What::Restart(Duration::from_millis(14_535))),
    ];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

/// A member whose shares were lost on their way blamed the aggregator for its mask set.
#[test]
fn a_mask_set_of_which_i_hold_too_few_shares_accuses_nobody() {
    let storm = storm(524, 7, Weather { breaks: 4, delays: 0, repeats: 24 }, &[(0, Lie::NoVote)]);
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}
