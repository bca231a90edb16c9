//! Whole attempts on the virtual network: the published aggregate is the plain sum of the survivors.

use std::sync::Arc;

use consort_protocol::{
    array::{Array, Dtype, Values},
    contract::{Task, Terms, spec_for},
    encoding::{Input, Reduction, ValidInput},
    ids::MemberId,
    manifest::Policy,
    phase::Phase,
    report::Outcome,
    sim::{Consortium, Kill, Report, SequentialHost, Simulation, consortium},
};

const LENGTH: usize = 40;

struct Setting {
    consortium: Consortium,
    terms: Arc<Terms>,
}

fn setting(members: usize, seed: u64) -> Setting {
    let consortium = consortium(members, Policy::default(), seed).unwrap();
    let leaves = [(vec![LENGTH as u64], Dtype::I64)];
    let spec = spec_for(&consortium.manifest, leaves, Reduction::Sum, None);
    let task = Task { label: None, query: [0; 32], spec };
    let terms = Arc::new(Terms::new(consortium.manifest.clone(), seed, 0, 0, task).unwrap());
    Setting { consortium, terms }
}

/// Member number k gives k·1000 + coordinate, with alternating sign.
fn values(number: usize) -> Vec<i64> {
    (0..LENGTH as i64).map(|at| (number as i64 * 1000 + at) * if at % 2 == 0 { 1 } else { -1 }).collect()
}

impl Setting {
    fn inputs(&self) -> Vec<(Arc<consort_protocol::signing::Identity>, Option<ValidInput>)> {
        let input = |number| {
            let array = Array::new(vec![LENGTH as u64], Values::I64(values(number))).unwrap();
            let input = Input { leaves: vec![array], weight: 1 };
            ValidInput::new(input, &self.terms.contract().task.spec, self.terms.layout()).ok()
        };
        self.consortium.identities.iter().enumerate().map(|(n, id)| (id.clone(), input(n))).collect()
    }

    fn plain_sum(&self, survivors: &[MemberId]) -> Vec<i64> {
        let mut sum = vec![0; LENGTH];
        for (number, identity) in self.consortium.identities.iter().enumerate() {
            if survivors.contains(&identity.id()) {
                sum.iter_mut().zip(values(number)).for_each(|(sum, value)| *sum += value);
            }
        }
        sum
    }

    /// Everybody alive has the plain sum of the survivors.
    fn verify_sum(&self, report: &Report, alive: usize) {
        let survivors = report.survivors().expect("the attempt completes");
        let expected = Values::I64(self.plain_sum(&survivors));
        assert_eq!(report.aggregates.len(), alive);
        for aggregate in report.aggregates.values() {
            assert!(*aggregate.leaves[0].values() == expected, "an aggregate differs from the plain sum");
        }
        let completed =
            report.outcomes.values().filter(|outcome| matches!(outcome, Outcome::Completed { .. })).count();
        assert_eq!(completed, alive);
    }

    /// Members in the order of their ids, without the aggregator.
    fn others(&self) -> Vec<MemberId> {
        let members = self.consortium.manifest.members().iter().map(|member| member.id);
        members.filter(|id| *id != self.terms.aggregator()).collect()
    }
}

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
                simulation = simulation.kill(Kill { member, phase });
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
        simulation = simulation.kill(Kill { member, phase: Phase::MaskedInput });
    }
    let report = simulation.run();
    let Some(Outcome::Aborted(reason)) = &report.aggregator else { panic!("it completed") };
    assert_eq!(reason.word(), "too-few-members");
    assert_eq!(reason.to_string(), "5 members are left in masked-input, 6 are needed");
    assert!(report.outcomes.values().all(|outcome| matches!(outcome, Outcome::Aborted(_))));
    assert!(report.aggregates.is_empty());
}
