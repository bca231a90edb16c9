//! Federated averaging (McMahan et al. 2017), and the three models that it is held against.

use super::data::{Image, Shard, Split};
use super::model::{Model, accuracy};
use crate::workload::rng;

/// Passes over a node's images in a round.
const PASSES: usize = 5;

/// What training changed: local model minus global model, one `f32` for each parameter.
pub(crate) type Update = Vec<f32>;

/// A node's work in a round: trains the global model on its own images. The node's weight is
/// [`Shard::weight`].
pub(crate) fn train_local(global: &Model, shard: &Shard, seed: u64, round: u32) -> Update {
    let mut local = global.clone();
    let rng = &mut rng("train", &[seed, shard.node as u64, u64::from(round)]);
    local.train(&shard.images, PASSES, rng);
    local.parameters.iter().zip(&global.parameters).map(|(after, before)| after - before).collect()
}

/// The same federated averaging in the clear, over the given survivors of each round: the test accuracy
/// after each. A round without survivors changes nothing.
pub(crate) fn federated_plain(split: &Split, seed: u64, survivors: &[Vec<usize>]) -> Vec<f64> {
    let mut model = Model::zero();
    let rounds = (0..).zip(survivors);
    rounds
        .map(|(round, nodes)| {
            let shards = nodes.iter().map(|&node| split.shard(node));
            let updates: Vec<(u64, Update)> =
                shards.map(|shard| (shard.weight(), train_local(&model, shard, seed, round))).collect();
            model.apply(&weighted_mean(&updates));
            accuracy(&model, split.test())
        })
        .collect()
}

/// Test accuracy of a model trained on the images of all nodes in one place, with as many passes.
pub(crate) fn train_central(split: &Split, seed: u64, rounds: u32) -> f64 {
    let all: Vec<Image> = split.shards().iter().flat_map(|shard| shard.images.iter().cloned()).collect();
    let mut model = Model::zero();
    model.train(&all, PASSES * rounds as usize, &mut rng("central", &[seed]));
    accuracy(&model, split.test())
}

/// Which node is typical, the one with the median number of images, and the test accuracy of a model that
/// it trains alone, with as many passes.
pub(crate) fn train_alone(split: &Split, seed: u64, rounds: u32) -> (usize, f64) {
    let mut by_size: Vec<&Shard> = split.shards().iter().collect();
    by_size.sort_by_key(|shard| (shard.weight(), shard.node));
    let Some(shard) = by_size.get(by_size.len().saturating_sub(1) / 2) else { return (0, 0.0) };
    let mut model = Model::zero();
    model.train(&shard.images, PASSES * rounds as usize, &mut rng("alone", &[seed, shard.node as u64]));
    (shard.node, accuracy(&model, split.test()))
}

fn weighted_mean(updates: &[(u64, Update)]) -> Update {
    let total: u64 = updates.iter().map(|(weight, _)| weight).sum();
    let mut sums = vec![0.0; updates.first().map_or(0, |(_, update)| update.len())];
    for (weight, update) in updates {
        for (sum, &change) in sums.iter_mut().zip(update) {
            *sum += *weight as f64 * f64::from(change);
        }
    }
    sums.iter().map(|sum| (sum / total.max(1) as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Digits, PARAMETERS};
    use super::*;

    const NODES: usize = 8;
    const ROUNDS: u32 = 6;

    #[test]
    fn joining_is_worth_it() {
        let split = Split::new(&Digits::load(), 1, NODES);
        let accuracies = federated_plain(&split, 1, &everyone());
        let (first, last) = (accuracies[0], accuracies[accuracies.len() - 1]);
        let central = train_central(&split, 1, ROUNDS);
        let (_, alone) = train_alone(&split, 1, ROUNDS);
        assert!(last > 0.9 && last > first + 0.1, "{accuracies:?}");
        assert!(central > 0.94 && central > last, "{central}");
        assert!(alone < last - 0.05, "{alone}");
    }

    #[test]
    fn updates_are_deterministic_differ_by_round_and_stay_small() {
        let split = Split::new(&Digits::load(), 1, NODES);
        let update = |seed, round| train_local(&Model::zero(), split.shard(2), seed, round);
        assert_eq!(update(1, 0).len(), PARAMETERS);
        assert_eq!(update(1, 0), update(1, 0));
        assert_ne!(update(1, 0), update(1, 1));
        assert_ne!(update(1, 0), update(2, 0));
        assert!(update(1, 0).iter().all(|change| change.abs() < 4.0));
    }

    #[test]
    fn plain_averaging_weighs_by_images_and_skips_the_lost() {
        let split = Split::new(&Digits::load(), 1, 3);
        let (left, right) = (split.shard(0), split.shard(2));
        let updates = [left, right].map(|shard| train_local(&Model::zero(), shard, 1, 0));
        let total = (left.weight() + right.weight()) as f32;
        let mean: Update = updates[0]
            .iter()
            .zip(&updates[1])
            .map(|(l, r)| (l * left.weight() as f32 + r * right.weight() as f32) / total)
            .collect();
        let mut model = Model::zero();
        model.apply(&mean);
        let expected = accuracy(&model, split.test());
        assert_eq!(federated_plain(&split, 1, &[vec![0, 2], vec![]]), [expected, expected]);
    }

    #[test]
    fn the_typical_node_has_the_median_number_of_images() {
        let split = Split::new(&Digits::load(), 1, 5);
        let (node, _) = train_alone(&split, 1, 1);
        let weight = split.shard(node).weight();
        assert_eq!(split.shards().iter().filter(|shard| shard.weight() < weight).count(), 2);
    }

    fn everyone() -> Vec<Vec<usize>> {
        vec![(0..NODES).collect(); ROUNDS as usize]
    }
}
