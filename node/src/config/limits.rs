//! What this node spends on rounds: the section `[limits]`.

use serde::{Deserialize, Serialize};

use crate::limits;

const MIB: u64 = 1 << 20;

/// What one element takes in memory, at most: 8 bytes in the input, and 8 in the aggregate.
const BYTES_PER_ELEMENT: u64 = 16;

/// Bounds that an operator may move without the others. They take effect with the next input or round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// MiB of memory for an input and its aggregate.
    pub memory_mib: u64,
    /// MiB on disk for the members' vectors of one round, while this node aggregates it.
    pub round_mib: u64,
    /// Vectors that are taken in at once; others wait for their turn.
    pub uploads: u16,
}

/// What is over a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// The input is too large.
    #[error(
        "an input of {elements} elements takes {needed} MiB of memory with its aggregate, this node spends {allowed} (limits.memory_mib in its config.toml)"
    )]
    Memory {
        /// Its elements.
        elements: u64,
        /// MiB.
        needed: u64,
        /// MiB.
        allowed: u64,
    },
    /// The vectors of a round are too large.
    #[error(
        "the vectors of {members} members take {needed} MiB on disk, this node spends {allowed} on a round that it aggregates (limits.round_mib in its config.toml)"
    )]
    Round {
        /// Whose vectors are expected.
        members: usize,
        /// MiB.
        needed: u64,
        /// MiB.
        allowed: u64,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: limits::MEMORY_MIB, round_mib: limits::ROUND_MIB, uploads: limits::UPLOADS }
    }
}

impl Limits {
    /// What is wrong with these numbers, if anything.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let none = self.memory_mib == 0 || self.round_mib == 0 || self.uploads == 0;
        none.then_some("a limit of 0 allows no round: leave the line out for the default")
    }

    /// Elements of the largest input.
    pub(crate) fn max_elements(&self) -> u64 {
        self.memory_mib.saturating_mul(MIB) / BYTES_PER_ELEMENT
    }

    /// Whether an input of so many elements may be handed in.
    ///
    /// # Errors
    /// [`OverLimit::Memory`].
    pub fn check_input(&self, elements: u64) -> Result<(), OverLimit> {
        let needed = elements.saturating_mul(BYTES_PER_ELEMENT).div_ceil(MIB);
        let allowed = self.memory_mib;
        if needed > allowed { Err(OverLimit::Memory { elements, needed, allowed }) } else { Ok(()) }
    }

    /// Whether this node aggregates vectors of so many bytes each.
    ///
    /// # Errors
    /// [`OverLimit::Round`].
    pub fn check_round(&self, members: usize, vector_bytes: u64) -> Result<(), OverLimit> {
        let needed = vector_bytes.saturating_mul(members as u64).div_ceil(MIB);
        let allowed = self.round_mib;
        if needed > allowed { Err(OverLimit::Round { members, needed, allowed }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_a_limit_is_named_with_the_setting_to_change() {
        let limits = Limits { memory_mib: 1, round_mib: 3, uploads: 1 };
        assert_eq!(limits.check_input(65_536), Ok(()));
        let over = limits.check_input(65_537).unwrap_err().to_string();
        assert!(over.contains("takes 2 MiB") && over.contains("spends 1 (limits.memory_mib"), "{over}");
        assert_eq!(limits.check_round(3, MIB), Ok(()));
        let over = limits.check_round(4, MIB).unwrap_err().to_string();
        assert!(over.contains("4 members take 4 MiB") && over.contains("limits.round_mib"), "{over}");
        assert!(limits.check_round(usize::MAX, u64::MAX).is_err());
        assert!(limits.check_input(u64::MAX).is_err());
    }

    #[test]
    fn the_defaults_allow_the_largest_vector_of_the_default_policy() {
        let policy = consort_protocol::manifest::Policy::default();
        assert_eq!(Limits::default().check_input(policy.max_vector), Ok(()));
        assert_eq!(Limits::default().mistake(), None);
        assert!(Limits { uploads: 0, ..Limits::default() }.mistake().is_some());
    }
}
