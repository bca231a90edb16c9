//! `publish`: the result with its certificate, and the receipts for it.

use serde::{Deserialize, Serialize};

use crate::{
    hash::Digest,
    ids::SessionId,
    opening::Opening,
    signing::{Signed, Statement},
};

use super::{consistency_check::Certificate, share_keys::MaskSet};

/// The aggregator's statement of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The session.
    pub session: SessionId,
    /// Digest of the certified survivor set, and so of the mask set whose masks were lifted.
    pub survivors: Digest,
    /// Root of the sum: ring elements packed like a masked vector.
    pub root: Digest,
}

impl Statement for Sum {
    const CONTEXT: &'static str = "sum";
}

/// The result as it is announced; the vector itself is fetched by its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// What the sum is.
    pub sum: Signed<Sum>,
    /// That the survivors were agreed on.
    pub certificate: Certificate,
    /// Whose masks had entered, for those who have not heard of it.
    pub mask_set: Signed<MaskSet>,
    /// What lifts the masks, for those who hold the vectors. Its author always shows it; whoever has been started
    /// again since has it no more.
    pub opening: Option<Opening>,
}

impl Published {
    /// The result as it may be written down.
    #[must_use]
    pub fn without_opening(&self) -> Self {
        let Self { sum, certificate, mask_set, opening: _ } = self;
        Self { sum: sum.clone(), certificate: certificate.clone(), mask_set: mask_set.clone(), opening: None }
    }
}

/// A member has verified and stored the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The session.
    pub session: SessionId,
    /// Root of the stored sum.
    pub root: Digest,
}

impl Statement for Acknowledgement {
    const CONTEXT: &'static str = "acknowledgement";
}
