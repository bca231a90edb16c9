//! Faults by name: `WHO@PHASE[@ROUND]`.

use std::fmt;
use std::str::FromStr;

use consort_protocol::phase::Phase;

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The node with this index.
    Node(usize),
    /// Whoever aggregates then.
    Aggregator,
}

/// A node is killed, with SIGKILL, as a phase of a round begins on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    /// Who.
    pub(crate) who: Who,
    /// In which phase.
    pub(crate) phase: Phase,
    /// Of which round; 0 where none was named.
    pub(crate) round: u32,
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('@').collect();
        let (who, phase, round) = match parts.as_slice() {
            [who, phase] => (who, phase, "0"),
            [who, phase, round] => (who, phase, *round),
            _ => return Err("expected WHO@PHASE or WHO@PHASE@ROUND, as in 3@masked-input@1".into()),
        };
        let who = match *who {
            "aggregator" => Who::Aggregator,
            index => Who::Node(index.parse().map_err(|_| {
                format!("'{}' is neither the index of a node nor 'aggregator'", index.escape_debug())
            })?),
        };
        let round = round.parse().map_err(|_| {
            format!("'{}' is not the number of a round; the first is 0", round.escape_debug())
        })?;
        Ok(Self {
            who,
            phase: phase.parse().map_err(|error: consort_protocol::phase::UnknownPhase| error.to_string())?,
            round,
        })
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Node(index) => write!(formatter, "{index}@{}@{}", self.phase, self.round),
            Who::Aggregator => write!(formatter, "aggregator@{}@{}", self.phase, self.round),
        }
    }
}
