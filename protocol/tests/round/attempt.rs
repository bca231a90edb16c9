//! A round in which no aggregator is lost: the published aggregate is the plain sum of the survivors.

use consort_protocol::{
    phase::Phase,
    report::Outcome,
    sim::{Kill, SequentialHost, Simulation},
};

use crate::setting::setting;

#[test]
fn everybody_gets_the_plain_sum() {
    for members in [3, 4, 5, 8, 13] {
        let setting = setting(members, 7);
        let mut host = SequentialHost;
        let report = Simulation::new(setting.terms.clone(), setting.inputs(), 1, &mut host).run();
        assert_eq!(report.survivors().map(|s| s.len()), Some(members));
        assert_eq!(report.faults.len(), 0, "{:?}", report.faults);
        setting.verify_sum(&report, members);
    }
}

#[test]
fn up_to_two_of_eight_may_die_in_any_phase() {
    for phase in Phase::ALL {
        for dead in 1..=2 {
            let setting = setting(8, 11);
            let mut host = SequentialHost;
            let mut simulation = Simulation::new(setting.terms.clone(), setting.inputs(), 3, &mut host);
            for member in setting.others().into_iter().take(dead) {
                simulation = simulation.fault(Kill { member, phase });
            }
            let report = simulation.run();
            let counted = if phase <= Phase::MaskedInput { 8 - dead } else { 8 };
            let survivors = report.survivors().unwrap_or_else(|| panic!("{phase}: {:?}", report.aggregator));
            assert_eq!(survivors.len(), counted, "{phase}, {dead} dead");
            setting.verify_sum(&report, 8 - dead);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let setting = setting(5, 2);
        let mut host = SequentialHost;
        Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host).run().transcript
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn three_of_eight_lost_is_an_abort_for_a_stated_reason() {
    let setting = setting(8, 11);
    let mut host = SequentialHost;
    let mut simulation = Simulation::new(setting.terms.clone(), setting.inputs(), 3, &mut host);
    for member in setting.others().into_iter().take(3) {
        simulation = simulation.fault(Kill { member, phase: Phase::MaskedInput });
    }
    let report = simulation.run();
    let Some(Outcome::Aborted(reason)) = &report.aggregator else { panic!("it completed") };
    assert_eq!(reason.word(), "too-few-members");
    assert_eq!(reason.to_string(), "5 members are left in masked-input, 6 are needed");
    assert!(report.outcomes.values().all(|outcome| matches!(outcome, Outcome::Aborted(_))));
    assert!(report.aggregates.is_empty());
}
