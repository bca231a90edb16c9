//! A member's own words, shown to it: a home that was restored from an old copy does not remember them.

use serde::{Deserialize, Serialize};

use crate::{
    contract::Contract,
    ids::MemberId,
    signing::{Signed, body_digest},
};

use super::advertise_keys::Advertisement;

/// The last attempt that a member joined, as far as the sender knows. The member's own signature shows that it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reminder {
    /// What the attempt was about.
    pub contract: Contract,
    /// The keys that the member advertised for it.
    pub advertisement: Signed<Advertisement>,
}

impl Reminder {
    /// The contract, if this member has signed an advertisement for it.
    #[must_use]
    pub fn of(&self, member: &MemberId) -> Option<&Contract> {
        let Self { contract, advertisement } = self;
        let holds = advertisement.signer == *member
            && body_digest(contract).is_ok_and(|digest| advertisement.body.contract == digest)
            && advertisement.verify().is_ok();
        holds.then_some(contract)
    }
}
