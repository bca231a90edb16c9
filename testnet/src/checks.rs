//! Whether what the nodes published is what it should be, computed without them.
//!
//! The launcher knows all inputs: it makes or reads them again itself and never takes one from a node.

use std::borrow::Cow;

use consort_protocol::array::{Array, Values};

use crate::{
    cli::Workload,
    plan::Plan,
    report::Baselines,
    workload::{
        digits::{Model, Split, accuracy, federated_plain, train_alone, train_central, train_local},
        vectors::{Comparison, Plain, random},
    },
};

/// The plain side of a run.
pub(crate) struct Checker<'a> {
    plan: &'a Plan,
    /// The shared model as the published updates made it.
    model: Model,
    survivors: Vec<Vec<usize>>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self { plan, model: Model::zero(), survivors: Vec::new() }
    }

    /// Compares an aggregate with the plain one of these survivors.
    pub(crate) fn check(
        &mut self,
        round: u32,
        survivors: &[usize],
        aggregate: &Array,
        error_bound: f64,
    ) -> Comparison {
        let inputs: Vec<(Cow<'_, Array>, u64)> = survivors
            .iter()
            .filter_map(|&node| Some((self.input(round, node)?, *self.plan.weights.get(node)?)))
            .collect();
        self.survivors.push(survivors.to_vec());
        let plain = Plain::new(
            inputs.iter().map(|(array, weight)| (array.as_ref(), *weight)),
            self.plan.shape.reduction,
        );
        plain.compare(aggregate, error_bound)
    }

    /// The shared model as the published updates have made it, for a node that has missed some.
    pub(crate) fn model(&self) -> Option<Vec<u8>> {
        self.plan.split.as_ref().map(|_| self.model.to_bytes())
    }

    /// Lets the shared model learn from a published update; its accuracy on the test images.
    pub(crate) fn accuracy(&mut self, update: &Array) -> Option<f64> {
        let split = self.plan.split.as_ref()?;
        let Values::F32(update) = update.values() else { return None };
        self.model.apply(update);
        Some(accuracy(&self.model, split.test()))
    }

    /// What the shared model is held against after so many rounds.
    pub(crate) fn baselines(&self, rounds: usize) -> Option<Baselines> {
        let split: &Split = self.plan.split.as_ref()?;
        let (seed, rounds) = (self.plan.run.seed, u32::try_from(rounds).unwrap_or(u32::MAX));
        let (alone_node, alone) = train_alone(split, seed, rounds);
        Some(Baselines {
            federated_plain: federated_plain(split, seed, &self.survivors),
            central: train_central(split, seed, rounds),
            alone,
            alone_node,
        })
    }

    fn input(&self, round: u32, node: usize) -> Option<Cow<'a, Array>> {
        let plan = self.plan;
        match &plan.run.workload {
            Workload::Digits => {
                let update = train_local(&self.model, plan.split.as_ref()?.shard(node), plan.run.seed, round);
                Array::new(vec![update.len() as u64], Values::F32(update)).map(Cow::Owned)
            }
            Workload::Random { len, .. } => Some(Cow::Owned(random(plan.run.seed, node, round, *len))),
            Workload::Files { .. } => plan.arrays.as_ref()?.arrays().get(node).map(Cow::Borrowed),
        }
    }
}
