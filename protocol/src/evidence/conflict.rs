//! Two statements of one author of which an honest member makes at most one.
//!
//! A kind is a line of the table: the statement, where it belongs, and when two of them exclude each other.
//! Before adding one, ask what an honest member signs after a restart, after a successor took over, and when
//! others send it contradicting things; it must not be able to sign both.

use serde::{Deserialize, Serialize};

use crate::{
    contract::Contract,
    ids::MemberId,
    messages::{
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Proposal, Vote},
        failover::{NewSlot, Timeout},
        masked_input::MaskedInput,
        publish::Sum,
        share_keys::{Dealing, MaskSet, Receipt},
        unmasking::RevealedDigests,
    },
    signing::{Signed, Statement},
};

use super::{AttemptNames, Crime, EvidenceError};

/// A statement of which an honest member makes one, at one place.
pub trait Exclusive: Statement + Clone {
    /// What whoever makes two has done.
    const CRIME: Crime;
    /// Whether it belongs to this attempt.
    fn belongs(&self, to: &AttemptNames<'_>) -> bool;
    /// Whether nobody honest makes both.
    fn excludes(&self, other: &Self) -> bool;
    /// Both, side by side.
    fn conflict(first: Signed<Self>, second: Signed<Self>) -> Conflict;
}

macro_rules! conflicts {
    ($($kind:ident($statement:ty) is $crime:ident, of $belongs:expr, if $excludes:expr;)*) => {
        /// Two statements of one author that exclude each other.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum Conflict {
            $($kind(Box<(Signed<$statement>, Signed<$statement>)>),)*
        }

        impl Conflict {
            pub(super) fn prove(&self, at: &AttemptNames<'_>) -> Result<(MemberId, Crime), EvidenceError> {
                match self {
                    $(Self::$kind(pair) => prove(&pair.0, &pair.1, at),)*
                }
            }

            pub(super) fn accused(&self) -> MemberId {
                match self {
                    $(Self::$kind(pair) => pair.0.signer,)*
                }
            }
        }

        $(impl Exclusive for $statement {
            const CRIME: Crime = Crime::$crime;

            fn belongs(&self, to: &AttemptNames<'_>) -> bool {
                let belongs: fn(&Self, &AttemptNames<'_>) -> bool = $belongs;
                belongs(self, to)
            }

            fn excludes(&self, other: &Self) -> bool {
                let excludes: fn(&Self, &Self) -> bool = $excludes;
                excludes(self, other)
            }

            fn conflict(first: Signed<Self>, second: Signed<Self>) -> Conflict {
                Conflict::$kind(Box::new((first, second)))
            }
        })*
    };
}

conflicts! {
    Contracts(Contract) is TwoContracts, of same_turn, if |a, b| a != b;
    Advertisements(Advertisement) is TwoAdvertisements, of |a, at| a.contract == at.contract_digest, if |a, b| a != b;
    Rosters(Roster) is TwoRosters, of |a, at| a.contract == at.contract_digest, if |a, b| a != b;
    // the same commitments for all; each receiver has one pair of shares
    Dealings(Dealing) is TwoDealings, of |a, at| at.session == Some(a.session),
        if |a, b| a.commitments != b.commitments || (a.receiver == b.receiver && a.shares != b.shares);
    // a receipt may name more dealers than the one before it, but no other commitments
    Receipts(Receipt) is TwoReceipts, of |a, at| at.session == Some(a.session), if confirms_otherwise;
    MaskSets(MaskSet) is TwoMaskSets, of |a, at| at.session == Some(a.session), if |a, b| a != b;
    // under whichever mask set: a member accepts one in a session
    MaskedInputs(MaskedInput) is TwoMaskedInputs, of |a, at| at.session == Some(a.session), if |a, b| a != b;
    Proposals(Proposal) is TwoProposals, of |a, at| at.session == Some(a.session),
        if |a, b| a.slot == b.slot && a != b;
    NewSlots(NewSlot) is TwoNewSlots, of |a, at| at.session == Some(a.session),
        if |a, b| a.slot == b.slot && a != b;
    // a later time-out reports no earlier vote
    Timeouts(Timeout) is HiddenVote, of |a, at| at.session == Some(a.session), if hides_a_vote;
    Votes(Vote) is TwoVotes, of |a, at| at.session == Some(a.session), if |a, b| a.slot == b.slot && a != b;
    Reveals(RevealedDigests) is TwoReveals, of |a, at| at.session == Some(a.session), if reveals_otherwise;
    // the masked vectors and the secrets are fixed by their digests, so there is one sum of a set
    Sums(Sum) is TwoSums, of |a, at| at.session == Some(a.session),
        if |a, b| a.survivors == b.survivors && a.root != b.root;
}

fn prove<T: Exclusive>(
    first: &Signed<T>,
    second: &Signed<T>,
    at: &AttemptNames<'_>,
) -> Result<(MemberId, Crime), EvidenceError> {
    if first.signer != second.signer {
        return Err(EvidenceError::Authors(first.signer, second.signer));
    }
    if !first.body.belongs(at) || !second.body.belongs(at) {
        return Err(EvidenceError::Elsewhere);
    }
    // by their names, too: a float that is no number differs from itself
    if first.digest() == second.digest() || !first.body.excludes(&second.body) {
        return Err(EvidenceError::Harmless);
    }
    first.verify()?;
    second.verify()?;
    Ok((first.signer, T::CRIME))
}

fn same_turn(contract: &Contract, at: &AttemptNames<'_>) -> bool {
    let turn = |contract: &Contract| (contract.manifest, contract.round, contract.attempt, contract.slot);
    turn(contract) == turn(at.contract)
}

fn confirms_otherwise(one: &Receipt, other: &Receipt) -> bool {
    let differs = |(dealer, named): &(MemberId, _)| {
        one.confirmed.iter().any(|(same, first)| same == dealer && first != named)
    };
    other.confirmed.iter().any(differs)
}

fn reveals_otherwise(one: &RevealedDigests, other: &RevealedDigests) -> bool {
    let differs =
        |(dealer, named): (&MemberId, _)| one.shares.get(dealer).is_some_and(|first| first != named);
    one.survivors != other.survivors || other.shares.iter().any(differs)
}

fn hides_a_vote(one: &Timeout, other: &Timeout) -> bool {
    let latest = |timeout: &Timeout| timeout.vote.map(|vote| vote.slot);
    let (earlier, later) = if one.slot <= other.slot { (one, other) } else { (other, one) };
    let contradicts = match (one.vote, other.vote) {
        (Some(first), Some(second)) => first.slot == second.slot && first.value != second.value,
        _ => false,
    };
    latest(earlier) > latest(later) || contradicts || (one.slot == other.slot && one.vote != other.vote)
}
