//! Proposals, votes and certificates, checked: the agreement on one survivor set without which no share
//! is revealed.

use crate::{
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    messages::{
        consistency_check::{Certificate, Proposal, SurvivorSet, Vote},
        masked_input::MaskedInput,
    },
    roster::{Session, ascending},
    signing::{self, Signed},
};

/// The mask set (U2) as a member or an aggregator accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedMaskSet {
    /// What masked inputs name.
    pub digest: Digest,
    /// Dealers with the digests of their commitments, in ascending order.
    pub dealers: Vec<(MemberId, Digest)>,
}

impl AcceptedMaskSet {
    /// Whether a member's masks enter.
    #[must_use]
    pub fn contains(&self, id: &MemberId) -> bool {
        self.dealers.binary_search_by_key(id, |(dealer, _)| *dealer).is_ok()
    }

    /// The dealers' ids in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.dealers.iter().map(|(id, _)| *id)
    }
}

/// Checks one signed masked-input statement.
///
/// # Errors
/// [`FaultKind`] says which check failed; its signer is to blame, or who passed it on.
pub fn check_masked_input(
    session: &Session,
    mask_set: &AcceptedMaskSet,
    statement: &Signed<MaskedInput>,
) -> Result<(), FaultKind> {
    if !mask_set.contains(&statement.signer) {
        return Err(FaultKind::Stranger(statement.signer));
    }
    if statement.body.session != session.id() || statement.body.mask_set != mask_set.digest {
        return Err(FaultKind::Session);
    }
    statement.verify().map_err(|_| FaultKind::Signature)
}

/// Checks a proposal as every member of the mask set does before it votes:
///
/// 1. it is signed by the slot's aggregator, for this session and slot;
/// 2. its survivors are members of the mask set, each once, in ascending order;
/// 3. every survivor signed its root under this mask set;
/// 4. there are enough of them.
///
/// # Errors
/// [`FaultKind`] says which check failed; the aggregator is to blame.
pub fn check_proposal(
    session: &Session,
    mask_set: &AcceptedMaskSet,
    proposal: &Signed<Proposal>,
) -> Result<SurvivorSet, FaultKind> {
    let aggregator = session.terms().aggregator();
    if proposal.signer != aggregator {
        return Err(FaultKind::Author { signer: proposal.signer, expected: aggregator });
    }
    let Proposal { session: named, slot, survivors } = &proposal.body;
    if *named != session.id() || *slot != session.terms().contract().slot {
        return Err(FaultKind::Session);
    }
    check_size(session, survivors.len())?;
    if !ascending(survivors.iter().map(|survivor| survivor.signer)) {
        return Err(FaultKind::Order);
    }
    proposal.verify().map_err(|_| FaultKind::Signature)?;
    for survivor in survivors {
        check_masked_input(session, mask_set, survivor)?;
    }
    Ok(SurvivorSet(survivors.iter().map(|survivor| (survivor.signer, survivor.body.root)).collect()))
}

/// Checks a certificate: votes of a threshold of the mask set, in this session and one slot, for one set
/// that is large enough and lies within the mask set.
///
/// # Errors
/// [`FaultKind`] says which check failed; who passed it on is to blame.
pub fn check_certificate(
    session: &Session,
    mask_set: &AcceptedMaskSet,
    certificate: &Certificate,
) -> Result<(), FaultKind> {
    if certificate.session != session.id() || certificate.slot != session.terms().contract().slot {
        return Err(FaultKind::Session);
    }
    check_size(session, certificate.survivors.0.len())?;
    if !ascending(certificate.survivors.ids()) || !ascending(certificate.votes.iter().map(|(id, _)| *id)) {
        return Err(FaultKind::Order);
    }
    if let Some(stranger) = certificate.survivors.ids().find(|id| !mask_set.contains(id)) {
        return Err(FaultKind::Stranger(stranger));
    }
    if let Some((stranger, _)) = certificate.votes.iter().find(|(id, _)| !mask_set.contains(id)) {
        return Err(FaultKind::Stranger(*stranger));
    }
    let vote = Vote {
        session: certificate.session,
        slot: certificate.slot,
        survivors: certificate.survivors.digest(),
    };
    let valid =
        certificate.votes.iter().filter(|(id, signature)| signing::verify_body(&vote, id, signature)).count();
    let needed = session.threshold().get();
    if valid < needed { Err(FaultKind::Votes { valid, needed }) } else { Ok(()) }
}

fn check_size(session: &Session, found: usize) -> Result<(), FaultKind> {
    let needed = session.min_survivors();
    if found < needed { Err(FaultKind::TooFew { found, needed }) } else { Ok(()) }
}
