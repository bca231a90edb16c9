//! A consortium with inputs, and what their plain sum is.

use std::sync::Arc;

use consort_protocol::{
    array::{Array, Dtype, Values},
    contract::{Task, Terms, spec_for},
    encoding::{Input, Reduction, ValidInput},
    ids::MemberId,
    manifest::Policy,
    report::Outcome,
    sim::{Consortium, Report, consortium_where},
};

pub(crate) const LENGTH: usize = 40;

pub(crate) struct Setting {
    pub(crate) consortium: Consortium,
    pub(crate) terms: Arc<Terms>,
}

pub(crate) fn setting(members: usize, seed: u64) -> Setting {
    setting_where(members, seed, |_| true)
}

/// The members with these numbers may aggregate.
pub(crate) fn setting_where(members: usize, seed: u64, may_aggregate: impl Fn(usize) -> bool) -> Setting {
    setting_under(members, seed, may_aggregate, None)
}

/// The inputs are data of this label.
pub(crate) fn setting_under(
    members: usize,
    seed: u64,
    may_aggregate: impl Fn(usize) -> bool,
    label: Option<&str>,
) -> Setting {
    let consortium = consortium_where(members, Policy::default(), seed, may_aggregate).unwrap();
    let leaves = [(vec![LENGTH as u64], Dtype::I64)];
    let spec = spec_for(&consortium.manifest, leaves, Reduction::Sum, None);
    let task = Task { label: label.map(str::to_owned), query: [0; 32], spec };
    let terms = Arc::new(Terms::new(consortium.manifest.clone(), seed, 0, 0, task).unwrap());
    Setting { consortium, terms }
}

/// Member number k gives k·1000 + coordinate, with alternating sign.
fn values(number: usize) -> Vec<i64> {
    (0..LENGTH as i64).map(|at| (number as i64 * 1000 + at) * if at % 2 == 0 { 1 } else { -1 }).collect()
}

impl Setting {
    pub(crate) fn inputs(&self) -> Vec<(Arc<consort_protocol::signing::Identity>, Option<ValidInput>)> {
        let input = |number| {
            let array = Array::new(vec![LENGTH as u64], Values::I64(values(number))).unwrap();
            let input = Input { leaves: vec![array], weight: 1 };
            ValidInput::new(input, &self.terms.contract().task.spec, self.terms.layout()).ok()
        };
        self.consortium.identities.iter().enumerate().map(|(n, id)| (id.clone(), input(n))).collect()
    }

    pub(crate) fn plain_sum(&self, survivors: &[MemberId]) -> Vec<i64> {
        let mut sum = vec![0; LENGTH];
        for (number, identity) in self.consortium.identities.iter().enumerate() {
            if survivors.contains(&identity.id()) {
                sum.iter_mut().zip(values(number)).for_each(|(sum, value)| *sum += value);
            }
        }
        sum
    }

    /// Everybody alive has the plain sum of the survivors.
    pub(crate) fn verify_sum(&self, report: &Report, alive: usize) {
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
    pub(crate) fn others(&self) -> Vec<MemberId> {
        let members = self.consortium.manifest.members().iter().map(|member| member.id);
        members.filter(|id| *id != self.terms.aggregator()).collect()
    }
}
