//! A consortium with small inputs, and what its nodes and links are to suffer.

use std::sync::Arc;

use consort_protocol::{
    array::{Array, Dtype, Values},
    contract::{Task, Terms, spec_for},
    encoding::{Input, Reduction, ValidInput},
    ids::MemberId,
    manifest::Policy,
    signing::Identity,
    sim::{Consortium, consortium},
};

const LENGTH: u64 = 3;

pub(crate) struct Setting {
    pub(crate) consortium: Consortium,
    pub(crate) terms: Arc<Terms>,
}

impl Setting {
    pub(crate) fn new(members: usize, policy: Policy, seed: u64) -> Self {
        let consortium = consortium(members, policy, seed).unwrap();
        let spec = spec_for(&consortium.manifest, [(vec![LENGTH], Dtype::I64)], Reduction::Sum, None);
        let task = Task { label: None, query: [0; 32], spec };
        let terms = Arc::new(Terms::new(consortium.manifest.clone(), seed % 16, 0, 0, task).unwrap());
        Self { consortium, terms }
    }

    pub(crate) fn inputs(&self) -> Vec<(Arc<Identity>, Option<ValidInput>)> {
        let input = |number: usize| {
            let values = (0..LENGTH as i64).map(|at| (number as i64 + 1) * 1000 + at).collect();
            let array = Array::new(vec![LENGTH], Values::I64(values)).unwrap();
            let input = Input { leaves: vec![array], weight: 1 };
            ValidInput::new(input, &self.terms.contract().task.spec, self.terms.layout()).ok()
        };
        self.consortium.identities.iter().enumerate().map(|(n, id)| (id.clone(), input(n))).collect()
    }

    /// Who would aggregate in the slots of the round, in order.
    pub(crate) fn order(&self) -> &[MemberId] {
        self.terms.order()
    }

    pub(crate) fn identity(&self, id: &MemberId) -> Arc<Identity> {
        let mut identities = self.consortium.identities.iter();
        identities.find(|identity| identity.id() == *id).unwrap().clone()
    }
}
