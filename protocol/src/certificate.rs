//! Proposals, votes and certificates, checked: the agreement on one survivor set without which no share
//! is revealed.

use crate::{
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    messages::{
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::{Abandonment, StandbyReceipt},
        masked_input::MaskedInput,
        publish::Published,
        share_keys::MaskSet,
    },
    mutation::{Check, checked},
    roster::{Session, ascending},
    signing::{self, Signature, Signed},
};

/// The mask set (U2) as a member or an aggregator accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedMaskSet {
    statement: Signed<MaskSet>,
    digest: Digest,
}

impl AcceptedMaskSet {
    /// Checks what everybody can see of a mask set:
    ///
    /// 1. it is signed by the aggregator of the contract's slot, for this session;
    /// 2. it lies within the roster, each dealer once, in ascending order;
    /// 3. it is large enough for the threshold and the minimum of survivors.
    ///
    /// # Errors
    /// [`FaultKind`] says which check failed.
    pub fn check(session: &Session, statement: &Signed<MaskSet>) -> Result<Self, FaultKind> {
        let expected = session.terms().aggregator();
        if statement.signer != expected {
            return Err(FaultKind::Author { signer: statement.signer, expected });
        }
        let MaskSet { session: named, dealers } = &statement.body;
        if *named != session.id() {
            return Err(FaultKind::Session);
        }
        if !ascending(dealers.iter().map(|(dealer, _)| *dealer)) {
            return Err(FaultKind::Order);
        }
        let strange = |(dealer, _): &&(MemberId, Digest)| session.position(dealer).is_none();
        if let Some((stranger, _)) = dealers.iter().find(strange)
            && checked(Check::MaskSetMembers)
        {
            return Err(FaultKind::Stranger(*stranger));
        }
        check_size(session, dealers.len())?;
        statement.verify().map_err(|_| FaultKind::Signature)?;
        Ok(Self { statement: statement.clone(), digest: statement.digest() })
    }

    /// What masked inputs name.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the aggregator signed.
    #[must_use]
    pub fn statement(&self) -> &Signed<MaskSet> {
        &self.statement
    }

    /// Dealers with the digests of their commitments, in ascending order.
    #[must_use]
    pub fn dealers(&self) -> &[(MemberId, Digest)] {
        &self.statement.body.dealers
    }

    /// Digest of a dealer's commitments; `None` for one whose masks do not enter.
    #[must_use]
    pub fn commitments_of(&self, id: &MemberId) -> Option<&Digest> {
        let at = self.dealers().binary_search_by_key(id, |(dealer, _)| *dealer).ok()?;
        self.dealers().get(at).map(|(_, digest)| digest)
    }

    /// Whether a member's masks enter.
    #[must_use]
    pub fn contains(&self, id: &MemberId) -> bool {
        self.commitments_of(id).is_some()
    }

    /// The dealers' ids in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.dealers().iter().map(|(id, _)| *id)
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
    let same = statement.body.mask_set == mask_set.digest || !checked(Check::SameMaskSet);
    if statement.body.session != session.id() || !same {
        return Err(FaultKind::Session);
    }
    if !mask_set.contains(&statement.signer) && checked(Check::SurvivorsInMaskSet) {
        return Err(FaultKind::Stranger(statement.signer));
    }
    let signed = statement.verify().is_ok() || !checked(Check::SurvivorSignature);
    if signed { Ok(()) } else { Err(FaultKind::Signature) }
}

/// Checks a proposal as everybody does before a vote is cast, or a vote for it is believed:
///
/// 1. it is signed by the aggregator of the slot that it names, for this session;
/// 2. its survivors are members of the mask set, each once, in ascending order;
/// 3. every survivor signed its root under this mask set;
/// 4. there are enough of them;
/// 5. enough standbys signed that they hold all their vectors.
///
/// # Errors
/// [`FaultKind`] says which check failed; the aggregator is to blame.
pub fn check_proposal(
    session: &Session,
    mask_set: Option<&AcceptedMaskSet>,
    proposal: &Signed<Proposal>,
) -> Result<(), FaultKind> {
    let Proposal { session: named, slot, value } = &proposal.body;
    let expected = session.terms().holder(*slot).ok_or(FaultKind::Session)?;
    if proposal.signer != expected {
        return Err(FaultKind::Author { signer: proposal.signer, expected });
    }
    if *named != session.id() || *slot < session.terms().contract().slot {
        return Err(FaultKind::Session);
    }
    let Proposed::Survivors { statements, standbys } = value else {
        return proposal.verify().map_err(|_| FaultKind::Signature);
    };
    let mask_set = mask_set.ok_or(FaultKind::Unexpected)?;
    check_size(session, statements.len())?;
    if !ascending(statements.iter().map(|statement| statement.signer)) && checked(Check::SurvivorsDistinct) {
        return Err(FaultKind::Order);
    }
    proposal.verify().map_err(|_| FaultKind::Signature)?;
    for statement in statements {
        check_masked_input(session, mask_set, statement)?;
    }
    let survivors = SurvivorSet::of(statements);
    let expected = StandbyReceipt { session: session.id(), slot: *slot, survivors: survivors.digest() };
    if !ascending(standbys.iter().map(|receipt| receipt.signer)) {
        return Err(FaultKind::Order);
    }
    let found = standbys
        .iter()
        .filter(|receipt| receipt.signer != proposal.signer && session.position(&receipt.signer).is_some())
        .filter(|receipt| receipt.body == expected && receipt.verify().is_ok())
        .count();
    let needed = session.standbys(survivors.vectors.len());
    if found < needed { Err(FaultKind::Standbys { found, needed }) } else { Ok(()) }
}

/// Checks a certificate: votes of a threshold of the mask set, in this session and one slot, for one set
/// that is large enough and lies within the mask set, which it names.
///
/// # Errors
/// [`FaultKind`] says which check failed; who passed it on is to blame.
pub fn check_certificate(
    session: &Session,
    mask_set: &AcceptedMaskSet,
    certificate: &Certificate,
) -> Result<(), FaultKind> {
    let Certificate { session: named, slot, survivors, votes } = certificate;
    let mine = *named == session.id() || !checked(Check::CertificateSession);
    if !mine || *slot < session.terms().contract().slot {
        return Err(FaultKind::Session);
    }
    if survivors.mask_set != mask_set.digest && checked(Check::CertifiedMaskSet) {
        return Err(FaultKind::MaskSet);
    }
    check_size(session, survivors.vectors.len())?;
    if !ascending(survivors.ids()) && checked(Check::SurvivorsDistinct) {
        return Err(FaultKind::Order);
    }
    if let Some(stranger) = survivors.ids().find(|id| !mask_set.contains(id))
        && checked(Check::SurvivorsInMaskSet)
    {
        return Err(FaultKind::Stranger(stranger));
    }
    if let Some((stranger, _)) = votes.iter().find(|(id, _)| !mask_set.contains(id))
        && checked(Check::VotersInMaskSet)
    {
        return Err(FaultKind::Stranger(*stranger));
    }
    let vote = Vote { session: *named, slot: *slot, value: Value::Survivors(survivors.digest()) };
    check_votes(session, &vote, votes)
}

/// Checks what everybody can see of a result. Gives its mask set:
///
/// 1. the aggregator of the certificate's slot signed it for this session;
/// 2. its certificate is valid, and for the set that the result names;
/// 3. its mask set is one of this session, and the one that the certificate names.
///
/// # Errors
/// [`FaultKind`] says which check failed; who passed it on is to blame.
pub fn check_published(session: &Session, published: &Published) -> Result<AcceptedMaskSet, FaultKind> {
    let Published { sum, certificate, mask_set, opening: _ } = published;
    let expected = session.terms().holder(certificate.slot).ok_or(FaultKind::Session)?;
    if sum.signer != expected && checked(Check::ResultAuthor) {
        return Err(FaultKind::Author { signer: sum.signer, expected });
    }
    if sum.body.session != session.id() || sum.body.survivors != certificate.survivors.digest() {
        return Err(FaultKind::Session);
    }
    sum.verify().map_err(|_| FaultKind::Signature)?;
    let shown = AcceptedMaskSet::check(session, mask_set)?;
    if checked(Check::ResultCertificate) {
        check_certificate(session, &shown, certificate)?;
    }
    Ok(shown)
}

/// Checks an abandonment certificate: votes of a threshold of the roster, in this session and one slot.
///
/// # Errors
/// [`FaultKind`] says which check failed; who passed it on is to blame.
pub fn check_abandonment(session: &Session, abandonment: &Abandonment) -> Result<(), FaultKind> {
    let Abandonment { slot, votes, .. } = abandonment;
    if !checked(Check::AbandonmentCertificate) {
        return Ok(());
    }
    if *slot < session.terms().contract().slot {
        return Err(FaultKind::Session);
    }
    if let Some((stranger, _)) = votes.iter().find(|(id, _)| session.position(id).is_none()) {
        return Err(FaultKind::Stranger(*stranger));
    }
    check_votes(session, &Vote { session: session.id(), slot: *slot, value: Value::Abandon }, votes)
}

fn check_votes(session: &Session, vote: &Vote, votes: &[(MemberId, Signature)]) -> Result<(), FaultKind> {
    if !ascending(votes.iter().map(|(id, _)| *id)) && checked(Check::VotersDistinct) {
        return Err(FaultKind::Order);
    }
    let signed = |(id, signature): &&(MemberId, Signature)| {
        signing::verify_body(vote, id, signature) || !checked(Check::VoteSignature)
    };
    let (valid, needed) = (votes.iter().filter(signed).count(), session.threshold().get());
    if valid < needed && checked(Check::EnoughVotes) {
        Err(FaultKind::Votes { valid, needed })
    } else {
        Ok(())
    }
}

fn check_size(session: &Session, found: usize) -> Result<(), FaultKind> {
    let needed = session.min_survivors();
    let enough = found >= needed || !checked(Check::MinSurvivors);
    if enough { Ok(()) } else { Err(FaultKind::TooFew { found, needed }) }
}
