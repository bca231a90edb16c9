//! The six phases of an attempt, by the names that logs, metrics, the command line and the docs share.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A phase of an attempt (docs/protocol.md, sections 4 to 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Members advertise fresh keys; the aggregator answers with the roster.
    AdvertiseKeys,
    /// Members deal shares of their secrets to each other; the aggregator fixes the mask set.
    ShareKeys,
    /// Members upload masked vectors.
    MaskedInput,
    /// Members vote for one survivor set; enough votes are its certificate.
    ConsistencyCheck,
    /// Against the certificate, members reveal the shares that lift the survivors' masks.
    Unmasking,
    /// The aggregate goes to everybody.
    Publish,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 6] = [
        Self::AdvertiseKeys,
        Self::ShareKeys,
        Self::MaskedInput,
        Self::ConsistencyCheck,
        Self::Unmasking,
        Self::Publish,
    ];

    /// The name used everywhere, e.g. `masked-input`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdvertiseKeys => "advertise-keys",
            Self::ShareKeys => "share-keys",
            Self::MaskedInput => "masked-input",
            Self::ConsistencyCheck => "consistency-check",
            Self::Unmasking => "unmasking",
            Self::Publish => "publish",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No phase has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown phase `{0}`; the phases are advertise-keys, share-keys, masked-input, consistency-check, unmasking, publish"
)]
pub struct UnknownPhase(String);

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| UnknownPhase(name.into()))
    }
}
