//! How an attempt ends: the closed lists that logs, metrics and reports share.

use serde::{Deserialize, Serialize};

use crate::{messages::consistency_check::SurvivorSet, messages::publish::Published, phase::Phase};

/// Why an attempt ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum AbortReason {
    /// Fewer members than the phase needs are left.
    #[error("{found} members are left in {phase}, {needed} are needed")]
    TooFewMembers {
        /// The phase.
        phase: Phase,
        /// Members left.
        found: u32,
        /// Members needed.
        needed: u32,
    },
    /// The aggregator is gone.
    #[error("the aggregator was lost in {phase}")]
    AggregatorLost {
        /// The phase of the member that noticed.
        phase: Phase,
    },
    /// What the aggregator said cannot be acted on.
    #[error("the aggregator's statement in {phase} is inconsistent: {detail}")]
    Inconsistent {
        /// The phase.
        phase: Phase,
        /// What is wrong with it.
        detail: String,
    },
    /// This node could not do its part.
    #[error("this node failed in {phase}: {detail}")]
    Local {
        /// The phase.
        phase: Phase,
        /// What went wrong.
        detail: String,
    },
    /// The attempt goes on without this member.
    #[error("left out in {phase}: it had ended before this node's answer came")]
    LeftOut {
        /// The phase that was over.
        phase: Phase,
    },
    /// No slot is left, or two sets were proposed: nothing that follows is safe.
    #[error("the round is void: {detail}")]
    Void {
        /// Why nothing else is safe, and what may have become known.
        detail: String,
    },
    /// The aggregator has published a sum that is not the sum.
    #[error("the published sum is false, and this node can prove it; the others may have taken it for true")]
    FalseSum,
    /// The attempt was abandoned by vote; a fresh one follows.
    #[error("abandoned by vote in slot {slot}: {why}")]
    Abandoned {
        /// The slot of the votes.
        slot: u32,
        /// Why its aggregator proposed it.
        why: String,
    },
    /// The aggregator could not do its part.
    #[error("the aggregator failed in {phase}; its own log says why")]
    AggregatorFailed {
        /// The phase.
        phase: Phase,
    },
    /// Members will have no part in it, by rules of their own.
    #[error("refused in {phase}: {why}")]
    Refused {
        /// The phase.
        phase: Phase,
        /// How many, and why.
        why: String,
    },
}

/// Most bytes of a detail that somebody else wrote.
const MAX_DETAIL_BYTES: usize = 256;

impl AbortReason {
    /// What it means to me that a peer gave this reason in this phase. What only a node's own disk, or votes that
    /// it has seen, can tell it becomes the peer's failure; words are cut to 256 bytes, without control characters.
    #[must_use]
    pub fn from_peer(self, phase: Phase) -> Self {
        match self {
            Self::Inconsistent { phase, detail } => {
                Self::Inconsistent { phase, detail: words_of_peer(&detail) }
            }
            Self::Refused { phase, why } => Self::Refused { phase, why: words_of_peer(&why) },
            Self::Local { phase, .. } => Self::AggregatorFailed { phase },
            Self::Void { detail: words } | Self::Abandoned { why: words, .. } => {
                Self::Inconsistent { phase, detail: words_of_peer(&words) }
            }
            Self::FalseSum => Self::Inconsistent { phase, detail: Self::FalseSum.to_string() },
            Self::TooFewMembers { .. }
            | Self::AggregatorLost { .. }
            | Self::LeftOut { .. }
            | Self::AggregatorFailed { .. } => self,
        }
    }

    /// The plain word that reports use.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::TooFewMembers { .. } => "too-few-members",
            Self::AggregatorLost { .. } => "aggregator-lost",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Local { .. } => "local-failure",
            Self::LeftOut { .. } => "left-out",
            Self::AggregatorFailed { .. } => "aggregator-failed",
            Self::Refused { .. } => "refused",
            Self::FalseSum => "false-sum",
            Self::Void { .. } => "void",
            Self::Abandoned { .. } => "abandoned",
        }
    }
}

/// Words of a peer as they may be kept and shown: cut to 256 bytes, without control characters.
pub(crate) fn words_of_peer(words: &str) -> String {
    let mut within = (0..=MAX_DETAIL_BYTES.min(words.len())).rev();
    let end = within.find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    words.get(..end).unwrap_or_default().replace(char::is_control, " ")
}

/// How an attempt ended for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result is published, verified and stored.
    Completed {
        /// The result with its certificate.
        published: Box<Published>,
        /// Threshold of the session, for those who check the certificate later.
        threshold: usize,
    },
    /// No result.
    Aborted(AbortReason),
}

impl Outcome {
    /// The certified survivors, where there are any.
    #[must_use]
    pub fn survivors(&self) -> Option<&SurvivorSet> {
        match self {
            Self::Completed { published, .. } => Some(&published.certificate.survivors),
            Self::Aborted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer cannot tell me that my own disk has failed, or that votes were cast which I have not seen.
    #[test]
    fn what_only_i_can_know_is_not_taken_from_a_peer() {
        let phase = Phase::ShareKeys;
        let words = "x\n".repeat(1000);
        for reason in [
            AbortReason::Local { phase, detail: words.clone() },
            AbortReason::Void { detail: words.clone() },
            AbortReason::Abandoned { slot: 7, why: words.clone() },
            AbortReason::FalseSum,
        ] {
            let word = reason.word();
            let heard = reason.from_peer(phase);
            let own = [AbortReason::AggregatorFailed { phase }.word(), "inconsistent"];
            assert!(own.contains(&heard.word()), "{word}: {heard}");
            let said = heard.to_string();
            assert!(said.len() < 400 && !said.contains('\n'), "{word}: {said}");
        }
    }
}
