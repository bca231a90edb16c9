//! What a run will do, checked as far as it can be before a process is started.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use consort_protocol::{array::Dtype, phase::Phase};

use crate::{
    cli::{Deed, Fault, Run, Who, Workload},
    control::{Hold, Share},
    found::{Founded, Shape, found, reduce},
    workload::{
        digits::{Digits, PARAMETERS, Split},
        vectors::{Extent, Inputs, Reduction, weights},
    },
};

/// The largest input file that is read.
pub(crate) const LARGEST_FILE: u64 = 8 << 30;

/// Random vectors and model updates stay within this, or their node refuses them.
const GENERATED_EXTENT: f64 = 16.0;

/// Everything that is known before a process is started.
pub(crate) struct Plan {
    pub(crate) run: Run,
    pub(crate) shape: Shape,
    pub(crate) weights: Vec<u64>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) arrays: Option<Inputs>,
    pub(crate) split: Option<Split>,
    pub(crate) founded: Founded,
}

/// Checks all inputs; nothing is started or written.
pub(crate) fn make(mut run: Run) -> Result<Plan, String> {
    let line = |error: &dyn std::fmt::Display| error.to_string();
    let mut plan = match &run.workload {
        Workload::Digits => {
            let split = Split::new(&Digits::load(), run.seed, run.nodes);
            let weights: Vec<u64> =
                split.shards().iter().map(crate::workload::digits::Shard::weight).collect();
            let shape = Shape {
                sides: vec![PARAMETERS as u64],
                dtype: Dtype::F32,
                extent: Extent::Float(GENERATED_EXTENT),
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: Reduction::WeightedMean,
            };
            Parts { shape, weights, files: Vec::new(), arrays: None, split: Some(split) }
        }
        Workload::Random { len, reduction, weights: file } => {
            let weights = read_weights(file.as_deref(), run.nodes)?;
            let shape = Shape {
                sides: vec![*len as u64],
                dtype: Dtype::F32,
                extent: Extent::Float(GENERATED_EXTENT),
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: *reduction,
            };
            Parts { shape, weights, files: Vec::new(), arrays: None, split: None }
        }
        Workload::Files { files, reduction, weights: file } => {
            let weights = read_weights(file.as_deref(), run.nodes)?;
            let arrays = Inputs::read(files, LARGEST_FILE).map_err(|error| line(&error))?;
            let first = arrays.arrays().first().ok_or("no inputs")?;
            let extent = arrays
                .arrays()
                .iter()
                .map(|array| Extent::of(array.values()))
                .reduce(Extent::max)
                .ok_or("no inputs")?;
            let shape = Shape {
                sides: first.shape().to_vec(),
                dtype: first.dtype(),
                extent,
                max_weight: weights.iter().copied().max().unwrap_or(1),
                reduction: *reduction,
            };
            Parts { shape, weights, files: files.clone(), arrays: Some(arrays), split: None }
        }
    };
    if plan.shape.reduction == Reduction::WeightedMean && plan.weights.iter().all(|&weight| weight == 0) {
        return Err("all weights are 0, so there is no weighted mean; give at least one node a weight".into());
    }
    if plan.shape.reduction != Reduction::WeightedMean {
        plan.shape.max_weight = 1;
    }
    let founded = found(&run, &plan.shape).map_err(|error| format!("{error:#}"))?;
    if run.demonstration {
        run.faults = demonstration_faults(&run, &founded);
    }
    let Parts { shape, weights, files, arrays, split } = plan;
    Ok(Plan { run, shape, weights, files, arrays, split, founded })
}

struct Parts {
    shape: Shape,
    weights: Vec<u64>,
    files: Vec<PathBuf>,
    arrays: Option<Inputs>,
    split: Option<Split>,
}

fn read_weights(file: Option<&Path>, nodes: usize) -> Result<Vec<u64>, String> {
    match file {
        Some(file) => weights(file, nodes).map_err(|error| error.to_string()),
        None => Ok(vec![1; nodes]),
    }
}

/// The demonstration loses a member in one round and whoever aggregates in another. The member is one whose
/// turn to aggregate does not come in this run, so that its death shows in one round only.
fn demonstration_faults(run: &Run, founded: &Founded) -> Vec<Fault> {
    let due: BTreeSet<usize> =
        (0..run.rounds).filter_map(|round| founded.order(round).first().copied()).collect();
    let member = (0..run.nodes).rev().find(|node| !due.contains(node)).unwrap_or(0);
    let kill = |who, phase, round| Fault { deed: Deed::Kill, who, phase, round };
    vec![kill(Who::Node(member), Phase::MaskedInput, 1), kill(Who::Aggregator, Phase::Unmasking, 3)]
}

impl Plan {
    /// Elements of a node's input.
    pub(crate) fn elements(&self) -> u64 {
        self.shape.sides.iter().product()
    }

    /// What a node gives to each round.
    pub(crate) fn share(&self, index: usize) -> Share {
        let weight = self.weights.get(index).copied().unwrap_or(1);
        let reduce = reduce(self.shape.reduction, weight);
        match &self.run.workload {
            Workload::Digits => Share::Digits,
            Workload::Random { len, .. } => Share::Random { len: *len, reduce },
            Workload::Files { .. } => {
                let path = self.files.get(index).cloned().unwrap_or_default();
                Share::File { path: path.canonicalize().unwrap_or(path), reduce }
            }
        }
    }

    /// Where a node stops, because something may happen to it there.
    pub(crate) fn holds(&self, index: usize) -> Vec<Hold> {
        let faults = self.run.faults.iter();
        let may_strike =
            faults.filter(|fault| matches!(fault.who, Who::Aggregator) || fault.who == Who::Node(index));
        let hold = |fault: &Fault| Hold {
            round: fault.round,
            phase: fault.phase,
            aggregator: fault.who == Who::Aggregator,
        };
        may_strike.map(hold).collect()
    }
}
