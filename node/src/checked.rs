//! Whether an input can be in any round, as whoever hands it in is told at once.

use std::sync::Arc;

use consort_protocol::{
    contract::{Task, Terms, spec_for},
    encoding::{Input, Reduction, ValidInput},
    hash::Digest,
    manifest::Manifest,
};

use crate::{
    consent::Consent,
    node::{Reduce, Submission, SubmitError},
};

/// An input that fits the rules of a manifest.
pub(crate) struct Checked {
    /// Digest of the manifest.
    pub(crate) manifest: Digest,
    /// The owner's own clip, in place of the policy's.
    pub(crate) clip: Option<f64>,
    pub(crate) task: Task,
    /// Elements of all its arrays.
    pub(crate) elements: u64,
    pub(crate) input: ValidInput,
}

/// Checks an input as whoever hands it in is told at once.
pub(crate) fn check(
    manifest: &Arc<Manifest>,
    consent: &Consent,
    submission: Submission,
) -> Result<Checked, SubmitError> {
    let Submission { leaves, reduce, label, query, clip } = submission;
    let (reduction, weight) = match reduce {
        Reduce::Sum => (Reduction::Sum, 1),
        Reduce::Mean => (Reduction::Mean, 1),
        Reduce::WeightedMean(weight) => {
            (Reduction::WeightedMean { max_weight: manifest.policy().max_weight }, weight)
        }
    };
    let shapes = leaves.iter().map(|leaf| (leaf.shape().to_vec(), leaf.dtype()));
    let spec = spec_for(manifest, shapes, reduction, clip);
    // the terms of any round would do: only the vector and the label can be at fault
    let task = Task { label, query, spec };
    let terms = Terms::new(manifest.clone(), 0, 0, 0, task)?;
    consent.check(&terms)?;
    let task = terms.contract().task.clone();
    let input = ValidInput::new(Input { leaves, weight }, &task.spec, terms.layout())?;
    Ok(Checked { manifest: *manifest.digest(), clip, task, elements: terms.layout().elements(), input })
}
