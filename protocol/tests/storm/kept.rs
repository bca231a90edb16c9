//! Seeds that once failed, kept as they were.

use core::time::Duration;

use consort_protocol::{
    io::Role,
    manifest::Policy,
    phase::Phase,
    sim::{Fault, Lie, Weather, What},
};

use crate::{draw::Storm, run, setting::Setting, violations};

fn storm(seed: u64, members: usize, weather: Weather, lies: &[(usize, Lie)]) -> Storm {
    storm_under(Policy::default(), seed, members, weather, lies)
}

fn storm_under(policy: Policy, seed: u64, members: usize, weather: Weather, lies: &[(usize, Lie)]) -> Storm {
    let setting = Setting::new(members, policy, seed);
    let liars = lies.iter().map(|(place, lie)| (setting.order()[*place], *lie)).collect();
    Storm { seed, setting, faults: Vec::new(), weather, liars }
}

/// On the member that aggregates in the slot `place`.
fn on(storm: &Storm, place: usize, phase: Phase, what: What) -> Fault {
    Fault { on: Some(storm.setting.order()[place]), role: Role::Member, phase, what }
}

/// These are cut off from the rest for so many milliseconds.
fn cut(storm: &Storm, places: &[usize], milliseconds: u64) -> What {
    let side = places.iter().map(|place| storm.setting.order()[*place]).collect();
    What::Cut(side, Duration::from_millis(milliseconds))
}

fn acting(phase: Phase, what: What) -> Fault {
    Fault { on: None, role: Role::Aggregator, phase, what }
}

/// Two members that were bound to a roster before the others were one slot ahead of them until none was left.
#[test]
fn members_bound_at_different_times_come_together_in_a_slot() {
    let mut storm = storm(212, 8, Weather::default(), &[]);
    storm.faults = vec![acting(Phase::ShareKeys, What::Kill), on(&storm, 1, Phase::ShareKeys, What::Kill)];
    let report = run(&storm);
    assert_eq!(violations(&report), Vec::<String>::new());
    assert!(report.survivors().is_some(), "{:?}", report.outcomes);
}

/// Votes of an attempt that the aggregator had left were refused as a stranger's.
#[test]
fn who_votes_in_another_session_is_no_stranger() {
    let weather = Weather { breaks: 3, delays: 0, repeats: 13 };
    let mut storm = storm(52, 8, weather, &[(1, Lie::NoProposal), (5, Lie::OtherSecret)]);
    storm.faults = vec![
        acting(Phase::Publish, cut(&storm, &[0, 2, 4, 5, 6, 7], 32_095)),
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

#[test]
fn an_aggregator_that_dies_as_its_own_shares_are_due_does_not_stop_the_round() {
    let mut storm = storm(824, 8, Weather::default(), &[]);
    storm.faults = vec![on(&storm, 0, Phase::ShareKeys, What::Kill)];
    let report = run(&storm);
    assert_eq!(violations(&report), Vec::<String>::new());
    assert!(report.survivors().is_some(), "{:?}", report.outcomes);
}

#[test]
fn another_set_is_claimed_between_two_partitions_without_standbys() {
    let weather = Weather { breaks: 2, delays: 6, repeats: 32 };
    let policy = Policy { standby_bytes: 0, ..Policy::default() };
    let mut storm = storm_under(policy, 2357, 6, weather, &[(0, Lie::OtherSet)]);
    let second = cut(&storm, &[1, 2, 3], 11_648);
    storm.faults = vec![
        on(&storm, 0, Phase::Publish, cut(&storm, &[0, 1, 2, 3, 5], 20_536)),
        acting(Phase::ShareKeys, second),
    ];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

#[test]
fn a_sum_is_lost_behind_a_partition_and_a_death() {
    let weather = Weather { breaks: 0, delays: 9, repeats: 0 };
    let mut storm = storm(2538, 4, weather, &[(0, Lie::LostSum)]);
    storm.faults = vec![
        on(&storm, 3, Phase::Unmasking, What::Kill),
        on(&storm, 0, Phase::ShareKeys, cut(&storm, &[0, 1, 2], 30_046)),
    ];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

#[test]
fn two_masked_inputs_and_a_death_in_publish_without_standbys() {
    let weather = Weather { breaks: 3, delays: 7, repeats: 0 };
    let policy = Policy { corrupt: Some(1), standby_bytes: 0, ..Policy::default() };
    let mut storm = storm_under(policy, 2978, 4, weather, &[(1, Lie::TwoMaskedInputs)]);
    storm.faults = vec![on(&storm, 0, Phase::Publish, What::Kill)];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

/// Of an aggregator that shows two rosters or two mask sets, those who stayed with the one blamed those who followed
/// the other.
#[test]
fn whoever_follows_another_roster_or_mask_set_is_not_blamed() {
    let weather = Weather { breaks: 0, delays: 9, repeats: 0 };
    let of_rosters = storm(12451, 7, weather, &[(5, Lie::TwoRosters), (0, Lie::RosterWithStranger)]);
    let weather = Weather { breaks: 3, delays: 5, repeats: 0 };
    let mut between_attempts = storm(15639, 6, weather, &[(0, Lie::MaskSetToSome)]);
    between_attempts.faults = vec![
        on(&between_attempts, 1, Phase::ShareKeys, What::Pause(Duration::from_millis(36_505))),
        on(&between_attempts, 2, Phase::ConsistencyCheck, What::Pause(Duration::from_millis(7_766))),
    ];
    let weather = Weather { breaks: 0, delays: 2, repeats: 29 };
    let mut of_mask_sets = storm(17629, 7, weather, &[(0, Lie::NoRoster), (1, Lie::TwoMaskSets)]);
    of_mask_sets.faults = vec![on(&of_mask_sets, 5, Phase::MaskedInput, cut(&of_mask_sets, &[1], 39_787))];
    for storm in [of_rosters, between_attempts, of_mask_sets] {
        assert_eq!(violations(&run(&storm)), Vec::<String>::new(), "{}", storm.describe());
    }
}

/// The monitor took a roster under a broken signature for the roster, and what followed from the true one for
/// something that nobody had agreed on.
#[test]
fn a_roster_under_a_broken_signature_does_not_stand_for_the_true_one() {
    let policy = Policy { corrupt: Some(1), standby_bytes: 0, ..Policy::default() };
    let mut storm = storm_under(policy, 20311, 4, Weather::default(), &[(0, Lie::BrokenSignatures)]);
    storm.faults = vec![
        acting(Phase::ShareKeys, cut(&storm, &[0, 3], 14_309)),
        on(&storm, 2, Phase::ShareKeys, cut(&storm, &[1, 2, 3], 8_702)),
    ];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

/// Whoever was shown the other of two mask sets reveals of those in there, and is not to blame.
#[test]
fn whoever_reveals_under_another_mask_set_is_not_blamed() {
    let weather = Weather { breaks: 1, delays: 7, repeats: 0 };
    let storm = storm(213_305, 7, weather, &[(0, Lie::TwoMaskSets), (4, Lie::WrongKind)]);
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}

/// An aggregator that was shown a mask set without itself, although its own member was shown the other one.
#[test]
fn whoever_is_left_out_of_its_own_slot_is_not_blamed_by_itself() {
    let weather = Weather { breaks: 4, delays: 0, repeats: 18 };
    let mut storm = storm(411_826, 7, weather, &[(0, Lie::TwoMaskSets)]);
    storm.faults = vec![
        acting(Phase::MaskedInput, cut(&storm, &[2, 0, 5, 4], 13_292)),
        acting(Phase::Publish, What::Pause(Duration::from_millis(5_385))),
    ];
    assert_eq!(violations(&run(&storm)), Vec::<String>::new());
}
