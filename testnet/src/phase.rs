//! The phases of a round by the names that people use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A phase, in the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Phase {
    AdvertiseKeys,
    ShareKeys,
    MaskedInput,
    ConsistencyCheck,
    Unmasking,
    Publish,
}

impl Phase {
    /// All phases, in order.
    pub(crate) const ALL: [Self; 6] = [
        Self::AdvertiseKeys,
        Self::ShareKeys,
        Self::MaskedInput,
        Self::ConsistencyCheck,
        Self::Unmasking,
        Self::Publish,
    ];

    /// The name in flags, logs and reports.
    pub(crate) fn name(self) -> &'static str {
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no phase '{}'; the phases are {names}", name.escape_debug())
        })
    }
}
