//! What members tell each other between rounds: how far they are, and what they wait with.

use consort_protocol::{
    array::Dtype,
    codec,
    contract::Task,
    encoding::{Encoding, Reduction},
    hash::Digest,
};
use serde::{Deserialize, Serialize};

/// A member's place in the sequence of rounds, carried in its presence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The round that it would take part in next.
    pub(crate) round: u64,
    /// Digest of the task that its waiting input is for.
    pub(crate) waiting: Option<Digest>,
    /// The task in short, for people: nothing is decided by it.
    pub(crate) summary: Option<Summary>,
}

impl Status {
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes).ok()
    }
}

/// Sides of a shape that a summary names, so that a status stays small.
const SIDES: usize = 8;

/// What people need to know of a task to see why two do not meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) label: Option<String>,
    pub(crate) query: Digest,
    pub(crate) reduction: Reduction,
    /// Number of arrays.
    pub(crate) arrays: u32,
    /// Of the first array, at most [`SIDES`] of its sides.
    pub(crate) shape: Vec<u64>,
    pub(crate) dtype: Option<Dtype>,
    /// Clip of the first array, if it is one of floats.
    pub(crate) clip: Option<f64>,
}

impl Summary {
    pub(crate) fn of(task: &Task) -> Self {
        let first = task.spec.leaves.first();
        let clip = first.and_then(|leaf| match leaf.encoding {
            Encoding::Fixed { clip, .. } => Some(clip),
            Encoding::Integer { .. } => None,
        });
        Self {
            label: task.label.clone(),
            query: task.query,
            reduction: task.spec.reduction,
            arrays: u32::try_from(task.spec.leaves.len()).unwrap_or(u32::MAX),
            shape: first.map(|leaf| leaf.shape.iter().take(SIDES).copied().collect()).unwrap_or_default(),
            dtype: first.map(|leaf| leaf.dtype),
            clip,
        }
    }

    /// In what another task differs from mine, each in a few words.
    pub(crate) fn differences(&self, mine: &Self) -> Vec<String> {
        let label = |label: &Option<String>| match label {
            Some(label) => format!("\"{}\"", label.escape_debug()),
            None => "none".into(),
        };
        let query = |query: &Digest| match query {
            [0, ..] if query.iter().all(|byte| *byte == 0) => "none".into(),
            [a, b, c, d, ..] => format!("{}…", hex::encode([*a, *b, *c, *d])),
        };
        let shape = |summary: &Self| format!("{} of {:?}", summary.arrays, summary.shape);
        let dtype = |summary: &Self| summary.dtype.map_or("none", Dtype::name).to_owned();
        let clip = |summary: &Self| summary.clip.map_or("none".into(), |clip| clip.to_string());
        let pairs = [
            ("label", label(&self.label), label(&mine.label)),
            ("query", query(&self.query), query(&mine.query)),
            ("reduction", reduction(self.reduction).into(), reduction(mine.reduction).into()),
            ("arrays", shape(self), shape(mine)),
            ("dtype", dtype(self), dtype(mine)),
            ("clip", clip(self), clip(mine)),
        ];
        let differing = pairs.into_iter().filter(|(_, theirs, mine)| theirs != mine);
        let mut words: Vec<String> =
            differing.map(|(what, theirs, mine)| format!("{what}: theirs {theirs}, here {mine}")).collect();
        if words.is_empty() {
            words.push("a part that a summary does not show: a later array, or a bound".into());
        }
        words
    }
}

/// A reduction as people write it.
pub(crate) fn reduction(reduction: Reduction) -> &'static str {
    match reduction {
        Reduction::Sum => "sum",
        Reduction::Mean => "mean",
        Reduction::WeightedMean { .. } => "weighted mean",
    }
}

#[cfg(test)]
mod tests {
    use consort_protocol::{
        contract::spec_for,
        manifest::Policy,
        sim::{Consortium, consortium},
    };

    use super::*;
    use crate::limits::MAX_STATUS_BYTES;

    fn task(consortium: &Consortium, shape: Vec<u64>, label: Option<String>) -> Task {
        let spec = spec_for(&consortium.manifest, [(shape, Dtype::F32)], Reduction::Sum, None);
        Task { label, query: [0; 32], spec }
    }

    #[test]
    fn the_longest_fits_into_presence() {
        let consortium = consortium(4, Policy::default(), 1).unwrap();
        let mut task = task(&consortium, vec![u64::MAX; 32], Some("x".repeat(256)));
        task.spec.reduction = Reduction::WeightedMean { max_weight: u64::MAX };
        let summary = Some(Summary::of(&task));
        let status = Status { round: u64::MAX, waiting: Some(task.digest()), summary };
        let bytes = status.encode();
        assert!(bytes.len() <= MAX_STATUS_BYTES, "{} bytes", bytes.len());
        assert_eq!(Status::decode(&bytes), Some(status));
    }

    #[test]
    fn differences_are_named_and_nothing_else_is() {
        let consortium = consortium(4, Policy::default(), 1).unwrap();
        let mine = Summary::of(&task(&consortium, vec![3], None));
        let theirs = Summary::of(&task(&consortium, vec![4], Some("ward\n7".into())));
        assert_eq!(
            theirs.differences(&mine),
            ["label: theirs \"ward\\n7\", here none", "arrays: theirs 1 of [4], here 1 of [3]"]
        );
    }
}
