//! One statement that nobody signs who compares it with the rules first.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    contract::Terms,
    fault::FaultKind,
    hash::{Digest, digest},
    ids::MemberId,
    messages::{
        advertise_keys::Roster,
        consistency_check::{Proposal, Proposed, SurvivorSet, Vote},
        failover::Timeout,
        publish::Published,
        share_keys::{Dealing, DealtCommitments, MaskSet, Receipt, SecretKind},
        unmasking::{RevealedDigests, RevealedShare},
    },
    roster::{Participant, SeenKeys, Session, ascending},
    sharing::{Commitments, PublicPoint, Share},
    signing::Signed,
};

use super::{Crime, Disproof, EvidenceError};

/// A statement that breaks a rule by itself. All but the first need a session whose roster is in order.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Breach {
    /// The roster itself: out of turn, too few, strangers, unsorted, an advertisement that is not signed or
    /// for another contract, keys that are unusable or appear twice.
    Roster,
    /// A mask set that is unsorted, too small, or has somebody who is not on the roster.
    MaskSet(Signed<MaskSet>),
    /// A proposal that is unsorted, too small, or has a statement that its author cannot have checked.
    Proposal(Signed<Proposal>),
    /// Commitments that are not to the advertised secret, or a share that does not satisfy them.
    Dealing(Signed<Dealing>, Opened),
    /// A revealed share that does not satisfy the commitments that the revealer itself has confirmed.
    Reveal(Signed<RevealedDigests>, Signed<Receipt>, Confirmed),
    /// The wrong kind of share for the survivor set that the reveal names.
    RevealedKind(Signed<RevealedDigests>, SurvivorSet),
    /// A time-out that does not report a vote cast in its slot or an earlier one: it was hidden, or cast
    /// against the promise.
    Promise(Signed<Timeout>, Signed<Vote>),
    /// A published sum that is not the sum of the certified vectors.
    Sum(Box<Published>, Box<Disproof>),
}

/// What is shown of a dealing: the commitments to one secret and, where they are in order, its share.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    pub(super) kind: SecretKind,
    pub(super) commitments: Commitments,
    pub(super) share: Option<Share>,
}

/// What is shown of a reveal: one dealer's share, and the commitments that it is checked against.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    pub(super) dealer: MemberId,
    pub(super) share: Share,
    pub(super) commitments: Commitments,
    /// Digest of the dealer's commitments to the other secret.
    pub(super) other: Digest,
}

impl Breach {
    /// What is wrong with a dealing for a receiver; `None` where nothing is.
    #[must_use]
    pub fn of_dealing(
        session: &Session,
        dealt: &Signed<crate::messages::share_keys::DealtShares>,
    ) -> Option<Self> {
        let dealer = session.participant(&dealt.signer)?;
        let index = session.share_index(&dealt.body.receiver)?;
        let opened = |kind| {
            let share = match kind {
                SecretKind::MaskKey => &dealt.body.mask_key,
                SecretKind::SelfMask => &dealt.body.self_mask,
            };
            let commitments = dealt.body.commitments.to(kind);
            let share = match commitments.verifier(session.threshold(), &advertised(dealer, kind)) {
                Ok(verifier) => Some(verifier.verify(index, share).err().map(|_| share.clone())?),
                Err(_) => None,
            };
            Some(Opened { kind, commitments: commitments.clone(), share })
        };
        let opened = opened(SecretKind::MaskKey).or_else(|| opened(SecretKind::SelfMask))?;
        Some(Self::Dealing(Dealing::of_signed(dealt), opened))
    }

    /// A share of this dealer that does not fit what the revealer has confirmed.
    #[must_use]
    pub fn of_reveal(
        reveal: &Signed<crate::messages::unmasking::Reveal>,
        receipt: &Signed<Receipt>,
        dealer: &MemberId,
        commitments: &DealtCommitments,
    ) -> Option<Self> {
        let (kind, share) = reveal.body.shares.get(dealer).map(RevealedShare::open)?;
        let other = match kind {
            SecretKind::MaskKey => SecretKind::SelfMask,
            SecretKind::SelfMask => SecretKind::MaskKey,
        };
        let confirmed = Confirmed {
            dealer: *dealer,
            share: share.clone(),
            commitments: commitments.to(kind).clone(),
            other: commitments.to(other).digest(),
        };
        Some(Self::Reveal(RevealedDigests::of_signed(reveal), receipt.clone(), confirmed))
    }

    /// Who is accused; `None` where it is the author of the roster.
    pub(super) fn accused(&self) -> Option<MemberId> {
        match self {
            Self::Roster => None,
            Self::MaskSet(it) => Some(it.signer),
            Self::Proposal(it) => Some(it.signer),
            Self::Dealing(it, _) => Some(it.signer),
            Self::Reveal(it, ..) | Self::RevealedKind(it, _) => Some(it.signer),
            Self::Promise(it, _) => Some(it.signer),
            Self::Sum(it, _) => Some(it.sum.signer),
        }
    }

    pub(super) fn prove(
        &self,
        terms: Arc<Terms>,
        roster: &Signed<Roster>,
    ) -> Result<(MemberId, Crime), EvidenceError> {
        if roster.body.contract != *terms.digest() {
            return Err(EvidenceError::Elsewhere);
        }
        let session = Session::new(terms, roster, &SeenKeys::default());
        let (guilty, culprit, crime) = match self {
            Self::Roster => {
                roster.verify()?;
                (session.is_err(), roster.signer, Crime::BadRoster)
            }
            Self::MaskSet(mask_set) => {
                mask_set.verify()?;
                (bad_mask_set(&in_order(session)?, mask_set)?, mask_set.signer, Crime::BadMaskSet)
            }
            Self::Proposal(proposal) => {
                proposal.verify()?;
                (bad_proposal(&in_order(session)?, proposal)?, proposal.signer, Crime::BadProposal)
            }
            Self::Dealing(dealing, opened) => {
                dealing.verify()?;
                let crime = if opened.share.is_some() { Crime::BadShare } else { Crime::BadCommitments };
                (bad_dealing(&in_order(session)?, dealing, opened)?, dealing.signer, crime)
            }
            Self::Reveal(reveal, receipt, confirmed) => {
                reveal.verify()?;
                receipt.verify()?;
                let guilty = bad_reveal(&in_order(session)?, reveal, receipt, confirmed)?;
                (guilty, reveal.signer, Crime::BadReveal)
            }
            Self::RevealedKind(reveal, survivors) => {
                reveal.verify()?;
                (bad_kind(&in_order(session)?, reveal, survivors)?, reveal.signer, Crime::BadReveal)
            }
            Self::Promise(timeout, vote) => {
                timeout.verify()?;
                vote.verify()?;
                (broken(&in_order(session)?, timeout, vote)?, timeout.signer, Crime::HiddenVote)
            }
            Self::Sum(published, disproof) => {
                published.sum.verify()?;
                let guilty = disproof.holds_against(&in_order(session)?, published)?;
                (guilty, published.sum.signer, Crime::FalseSum)
            }
        };
        if guilty { Ok((culprit, crime)) } else { Err(EvidenceError::Harmless) }
    }
}

fn in_order(session: Result<Session, FaultKind>) -> Result<Session, EvidenceError> {
    session.map_err(EvidenceError::Roster)
}

fn of_session(session: &Session, named: &crate::ids::SessionId) -> Result<(), EvidenceError> {
    if *named == session.id() { Ok(()) } else { Err(EvidenceError::Elsewhere) }
}

fn bad_mask_set(session: &Session, mask_set: &Signed<MaskSet>) -> Result<bool, EvidenceError> {
    let MaskSet { session: named, dealers } = &mask_set.body;
    of_session(session, named)?;
    Ok(dealers.len() < session.min_survivors()
        || !ascending(dealers.iter().map(|(dealer, _)| *dealer))
        || dealers.iter().any(|(dealer, _)| session.position(dealer).is_none()))
}

/// Whether the survivors are in the mask set is not asked: which one the author had accepted does not show.
fn bad_proposal(session: &Session, proposal: &Signed<Proposal>) -> Result<bool, EvidenceError> {
    of_session(session, &proposal.body.session)?;
    let Proposed::Survivors { statements: survivors, .. } = &proposal.body.value else { return Ok(false) };
    let mask_set = survivors.first().map(|statement| statement.body.mask_set);
    Ok(survivors.len() < session.min_survivors()
        || !ascending(survivors.iter().map(|statement| statement.signer))
        || survivors.iter().any(|statement| {
            session.position(&statement.signer).is_none()
                || statement.body.session != session.id()
                || Some(statement.body.mask_set) != mask_set
                || statement.verify().is_err()
        }))
}

fn bad_dealing(session: &Session, dealing: &Signed<Dealing>, opened: &Opened) -> Result<bool, EvidenceError> {
    of_session(session, &dealing.body.session)?;
    let dealer = session.participant(&dealing.signer).ok_or(EvidenceError::Stranger(dealing.signer))?;
    let index =
        session.share_index(&dealing.body.receiver).ok_or(EvidenceError::Stranger(dealing.body.receiver))?;
    let (commitments, named) = dealing.body.part(opened.kind);
    if opened.commitments.digest() != commitments {
        return Err(EvidenceError::Opening);
    }
    let verifier = opened.commitments.verifier(session.threshold(), &advertised(dealer, opened.kind));
    match (verifier, &opened.share) {
        (Err(_), None) => Ok(true),
        (Ok(_), None) | (Err(_), Some(_)) => Ok(false),
        (Ok(_), Some(share)) if share.digest() != named => Err(EvidenceError::Opening),
        (Ok(verifier), Some(share)) => Ok(verifier.verify(index, share).is_err()),
    }
}

fn bad_reveal(
    session: &Session,
    reveal: &Signed<RevealedDigests>,
    receipt: &Signed<Receipt>,
    confirmed: &Confirmed,
) -> Result<bool, EvidenceError> {
    if receipt.signer != reveal.signer {
        return Err(EvidenceError::Authors(reveal.signer, receipt.signer));
    }
    of_session(session, &reveal.body.session)?;
    of_session(session, &receipt.body.session)?;
    let Confirmed { dealer, share, commitments, other } = confirmed;
    let participant = session.participant(dealer).ok_or(EvidenceError::Stranger(*dealer))?;
    let index = session.share_index(&reveal.signer).ok_or(EvidenceError::Stranger(reveal.signer))?;
    let (kind, named) = reveal.body.shares.get(dealer).ok_or(EvidenceError::Harmless)?;
    let both = match kind {
        SecretKind::MaskKey => [commitments.digest(), *other],
        SecretKind::SelfMask => [*other, commitments.digest()],
    };
    let both = digest("commitments", &[&both[0], &both[1]]);
    if share.digest() != *named || !receipt.body.confirmed.contains(&(*dealer, both)) {
        return Err(EvidenceError::Opening);
    }
    // who confirms commitments to another secret than the advertised one lies as well
    let verifier = commitments.verifier(session.threshold(), &advertised(participant, *kind));
    Ok(verifier.and_then(|verifier| verifier.verify(index, share)).is_err())
}

fn bad_kind(
    session: &Session,
    reveal: &Signed<RevealedDigests>,
    survivors: &SurvivorSet,
) -> Result<bool, EvidenceError> {
    of_session(session, &reveal.body.session)?;
    if survivors.digest() != reveal.body.survivors {
        return Err(EvidenceError::Opening);
    }
    let wrong = |(dealer, (kind, _)): (&MemberId, &(SecretKind, Digest))| {
        survivors.contains(dealer) != (*kind == SecretKind::SelfMask)
    };
    Ok(reveal.body.shares.iter().any(wrong))
}

fn broken(session: &Session, timeout: &Signed<Timeout>, vote: &Signed<Vote>) -> Result<bool, EvidenceError> {
    if timeout.signer != vote.signer {
        return Err(EvidenceError::Authors(timeout.signer, vote.signer));
    }
    of_session(session, &timeout.body.session)?;
    of_session(session, &vote.body.session)?;
    Ok(timeout.body.denies(&vote.body))
}

fn advertised(participant: &Participant, kind: SecretKind) -> PublicPoint {
    match kind {
        SecretKind::MaskKey => participant.mask_key.point(),
        SecretKind::SelfMask => participant.self_mask,
    }
}
