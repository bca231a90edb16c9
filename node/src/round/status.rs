//! What members tell each other between rounds: how far they are, and what they wait with.

use consort_protocol::{codec, hash::Digest};
use serde::{Deserialize, Serialize};

/// A member's place in the sequence of rounds, carried in its presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The epoch whose manifest it runs with.
    pub(crate) epoch: u64,
    /// The round that it would take part in next.
    pub(crate) round: u64,
    /// Digest of the task that its waiting input is for.
    pub(crate) waiting: Option<Digest>,
}

impl Status {
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes).ok()
    }
}
