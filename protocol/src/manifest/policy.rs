//! The rules of a consortium, and which of them are too weak or cannot be kept.

use serde::{Deserialize, Serialize};

use super::{MIN_MEMBERS, ManifestBody, ManifestError, max_corrupt, quorum};
use crate::encoding::MAX_STEP_LOG2;

const DAY_MS: u64 = 86_400_000;

/// The rules that all members have signed. `None` means: computed from the number of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How many members may be corrupt, the aggregator included (`c`).
    pub corrupt: Option<u16>,
    /// Fewest inputs in one sum; never below the threshold or 3.
    pub min_survivors: Option<u16>,
    /// Fewest members on a roster; never below `⌊(N+c)/2⌋+1`.
    pub min_participants: Option<u16>,
    /// Losses after the shares are dealt that a round is planned for; raises the threshold to `n − planned_losses`.
    pub planned_losses: Option<u16>,
    /// Floats lie in `[−clip, clip]`.
    pub clip: f64,
    /// Fixed-point step as a power of two: the step is `2^step_log2`.
    pub step_log2: i8,
    /// Largest weight in a weighted mean.
    pub max_weight: u64,
    /// Largest magnitude of an integer element; `None`: the largest whose sum fits 64 bits.
    pub integer_bound: Option<u64>,
    /// Most elements in one vector.
    pub max_vector: u64,
    /// What an aggregator may pass on in one round, in bytes, so that the vectors do not die with it.
    pub standby_bytes: u64,
    /// How long the others wait, in milliseconds, for members that have no input yet.
    pub gather_ms: u64,
    /// How long a phase waits, in milliseconds, for members that do not answer, vectors apart.
    pub deadline_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            corrupt: None,
            min_survivors: None,
            min_participants: None,
            planned_losses: None,
            clip: 16.0,
            step_log2: -16,
            max_weight: 1 << 20,
            integer_bound: None,
            max_vector: 1 << 27,
            standby_bytes: 64 << 20,
            gather_ms: 5_000,
            deadline_ms: 10_000,
        }
    }
}

impl Policy {
    pub(super) fn check(&self, body: &ManifestBody) -> Result<(), ManifestError> {
        let members = body.members.len();
        let refuse = |key, found: &dyn ToString, expected: String| {
            Err(ManifestError::Policy { key, found: found.to_string(), expected })
        };
        let c = body.corrupt();
        if !(1..=max_corrupt(members)).contains(&c) {
            return refuse("corrupt", &c, format!("1 to {} for {members} members", max_corrupt(members)));
        }
        let floors = [
            ("min_participants", self.min_participants, quorum(members, c)),
            ("min_survivors", self.min_survivors, MIN_MEMBERS),
        ];
        for (key, set, least) in floors {
            if let Some(set) = set
                && !(least..=members).contains(&set.into())
            {
                return refuse(key, &set, format!("{least} to {members}"));
            }
        }
        if !(self.clip.is_finite() && self.clip > 0.0) {
            return refuse("clip", &self.clip, "a positive number".into());
        }
        if !(-MAX_STEP_LOG2..=MAX_STEP_LOG2).contains(&self.step_log2) {
            return refuse(
                "step",
                &format!("2^{}", self.step_log2),
                format!("2^-{MAX_STEP_LOG2} to 2^{MAX_STEP_LOG2}"),
            );
        }
        let positive = [
            ("integer_bound", self.integer_bound.unwrap_or(1)),
            ("max_weight", self.max_weight),
            ("max_vector", self.max_vector),
        ];
        for (key, set) in positive {
            if set == 0 {
                return refuse(key, &set, "at least 1".into());
            }
        }
        for (key, milliseconds, least) in [("gather", self.gather_ms, 0), ("deadlines", self.deadline_ms, 1)]
        {
            if !(least..=DAY_MS).contains(&milliseconds) {
                return refuse(key, &format!("{milliseconds} ms"), format!("{least} ms to a day (24h)"));
            }
        }
        Ok(())
    }
}
