//! Numbers of a sharing: how many shares it takes, and which point each member's share is taken at.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::SharingError;

/// How many shares determine a secret, and how many coefficients its polynomial has.
///
/// At least 2, since with 1 every share is the secret itself. Which threshold a roster needs is the
/// contract's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u16);

impl Threshold {
    /// A threshold of `threshold` for `members` holders of shares.
    ///
    /// # Errors
    /// [`SharingError::Threshold`] unless `2 ≤ threshold ≤ members ≤ 65535`.
    pub fn new(threshold: usize, members: usize) -> Result<Self, SharingError> {
        let error = SharingError::Threshold { threshold, members };
        if threshold < 2 || threshold > members || members > usize::from(u16::MAX) {
            return Err(error);
        }
        u16::try_from(threshold).map(Self).map_err(|_| error)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// The point at which a member's share of every secret is evaluated: its position on the roster plus
/// one, since the value at zero is the secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ShareIndex(u16);

impl ShareIndex {
    /// The index of the member at this position of the roster, counted from 0.
    ///
    /// # Errors
    /// [`SharingError::Position`] from 65535 on.
    pub fn from_position(position: usize) -> Result<Self, SharingError> {
        let error = SharingError::Position(position);
        let index = position.checked_add(1).ok_or(error.clone())?;
        u16::try_from(index).map(Self).map_err(|_| error)
    }

    /// The evaluation point, never 0.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// Position on the roster, counted from 0.
    #[must_use]
    pub fn position(self) -> usize {
        usize::from(self.0).saturating_sub(1)
    }
}

impl TryFrom<u16> for ShareIndex {
    type Error = &'static str;

    fn try_from(index: u16) -> Result<Self, Self::Error> {
        if index == 0 {
            Err("share index 0 would be the secret itself, expected 1 or more")
        } else {
            Ok(Self(index))
        }
    }
}

impl From<ShareIndex> for u16 {
    fn from(index: ShareIndex) -> Self {
        index.0
    }
}

impl fmt::Debug for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareIndex({})", self.0)
    }
}
