//! A member in a session: where it is, and what each message does there.

use core::mem;
use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    guard::Guard,
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        consistency_check::{Certificate, Proposal, Proposed},
        publish::Published,
        share_keys::{DealtCommitments, MaskSet},
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat},
    signing::Signed,
};

use super::{
    Refused,
    ballot::Ballot,
    consistency_check,
    masked_input::Masked,
    publish::{self, Fetching},
    share_keys::ShareKeys,
    standby::StandingBy,
    unmasking,
};

/// Sums of one session that are fetched at a time: one for each of the liars that may announce a false one,
/// and the true one, in all but the largest consortia.
const MAX_FETCHING: usize = 8;

/// How far a member has come.
pub(super) enum Stage {
    /// It has no secrets in this session: it may only help to end it, and hear of the result.
    Spectating,
    ShareKeys(Box<ShareKeys>),
    /// Its masks do not enter.
    LeftOut(Box<AcceptedMaskSet>),
    MaskedInput(Box<Masked>),
    ConsistencyCheck(Box<Masked>),
    Unmasking(Box<Masked>),
}

pub(super) struct Playing {
    pub(super) session: Arc<Session>,
    pub(super) ballot: Ballot,
    /// Sets whose sums of this label's data may be known, this session's included.
    pub(super) guard: Arc<Guard>,
    pub(super) stage: Stage,
    /// Commitments of all dealers whose shares I hold, for an aggregator that takes over.
    pub(super) commitments: BTreeMap<MemberId, DealtCommitments>,
    /// Results whose sums are on their way, by their roots. Where one was announced that nobody has, the next
    /// aggregator announces another.
    pub(super) fetching: BTreeMap<Digest, Fetching>,
    /// Sums that were here and none, by who signed them: an honest author has no other one.
    pub(super) unreadable: BTreeMap<MemberId, Digest>,
    pub(super) standing_by: StandingBy,
}

impl Playing {
    pub(super) fn new(
        seat: &Seat,
        session: Arc<Session>,
        stage: Stage,
        commitments: BTreeMap<MemberId, DealtCommitments>,
    ) -> Self {
        let (ballot, standing_by) = (Ballot::new(session.clone()), StandingBy::default());
        let guard = seat.guard.clone();
        let (fetching, unreadable) = (BTreeMap::new(), BTreeMap::new());
        Self { session, ballot, guard, stage, commitments, fetching, unreadable, standing_by }
    }

    pub(super) fn phase(&self) -> Phase {
        if !self.fetching.is_empty() {
            return Phase::Publish;
        }
        match self.stage {
            Stage::Spectating | Stage::ShareKeys(_) => Phase::ShareKeys,
            Stage::MaskedInput(_) => Phase::MaskedInput,
            Stage::ConsistencyCheck(_) => Phase::ConsistencyCheck,
            Stage::LeftOut(_) | Stage::Unmasking(_) => Phase::Unmasking,
        }
    }

    pub(super) fn mask_set(&self) -> Option<&AcceptedMaskSet> {
        match &self.stage {
            Stage::Spectating | Stage::ShareKeys(_) => None,
            Stage::LeftOut(mask_set) => Some(mask_set),
            Stage::MaskedInput(masked) | Stage::ConsistencyCheck(masked) | Stage::Unmasking(masked) => {
                Some(&masked.mask_set)
            }
        }
    }

    pub(super) fn masked(&mut self) -> Option<&mut Masked> {
        match &mut self.stage {
            Stage::MaskedInput(masked) | Stage::ConsistencyCheck(masked) | Stage::Unmasking(masked) => {
                Some(masked)
            }
            Stage::Spectating | Stage::ShareKeys(_) | Stage::LeftOut(_) => None,
        }
    }

    /// Root of my vector, once an aggregator has had it.
    pub(super) fn root(&self) -> Option<Digest> {
        match &self.stage {
            Stage::MaskedInput(masked) | Stage::ConsistencyCheck(masked) | Stage::Unmasking(masked) => {
                masked.root().copied()
            }
            Stage::Spectating | Stage::ShareKeys(_) | Stage::LeftOut(_) => None,
        }
    }

    /// What leads from one phase to the next; everything about slots is in `failover.rs`.
    pub(super) fn message(
        &mut self,
        seat: &Seat,
        from: MemberId,
        message: Message,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        match message {
            Message::Shares(shares) => {
                if let Stage::ShareKeys(phase) = &mut self.stage
                    && let Some(commitments) = phase.shares(seat, from, &shares, out)?
                {
                    self.commitments.insert(from, commitments);
                }
                Ok(())
            }
            Message::Roster(roster) => {
                again(seat::repeated(&self.session.proof().roster.digest(), &roster.digest()))
            }
            Message::MaskSet(mask_set) => self.mask_set_announced(seat, &mask_set, out),
            Message::Proposal(proposal) => self.proposed(seat, &proposal, out),
            Message::Certificate(certificate) => self.certified(seat, from, &certificate, out),
            Message::Published(published) => self.published(seat, from, *published, out),
            Message::Standby(request) => {
                let root = self.root();
                self.standing_by.asked(seat, &self.session, root, *request, out)
            }
            _ => Err(FaultKind::Unexpected.into()),
        }
    }

    fn published(
        &mut self,
        seat: &Seat,
        from: MemberId,
        published: Published,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let root = published.sum.body.root;
        if self.unreadable.contains_key(&published.sum.signer) {
            return Ok(());
        }
        let shows = published.opening.is_some();
        let audits = self.audits(seat, &published);
        if let Some(fetching) = self.fetching.get_mut(&root) {
            // somebody who could not show the secrets has passed it on before
            if shows && fetching.published.opening.is_none() {
                publish::check(&self.session, from, &published)?;
                fetching.published = published;
                match fetching.here {
                    Some(_) if audits => publish::audit(&self.session, &fetching.published, out)?,
                    // I have signed it myself meanwhile, and it is here
                    Some(_) => out.push(Output::Fetch(Box::new(fetching.published.clone()))),
                    None => {}
                }
            }
            return Ok(());
        }
        if self.fetching.len() >= MAX_FETCHING {
            return Ok(());
        }
        publish::check(&self.session, from, &published)?;
        // somebody who cannot show them passes it on; others can
        if !shows && audits {
            return Ok(());
        }
        self.known(published.certificate.survivors.ids(), out);
        if self.fetching.is_empty() {
            out.push(Output::Phase(Phase::Publish));
        }
        out.push(Output::Fetch(Box::new(published.clone())));
        self.fetching.insert(root, Fetching { published, here: None });
        Ok(())
    }

    fn mask_set_announced(
        &mut self,
        seat: &Seat,
        mask_set: &Signed<MaskSet>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        if let Some(mine) = self.mask_set() {
            return again(seat::repeated(mine.digest(), &mask_set.digest()));
        }
        if self.ballot.has_given_up() {
            return Ok(());
        }
        self.accept_mask_set(seat, mask_set, out)
    }

    /// Accepts a mask set, if I still have what it takes.
    pub(super) fn accept_mask_set(
        &mut self,
        seat: &Seat,
        mask_set: &Signed<MaskSet>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let Stage::ShareKeys(phase) = &self.stage else { return Ok(()) };
        let accepted = phase.check(seat, mask_set)?;
        let Stage::ShareKeys(phase) = mem::replace(&mut self.stage, Stage::Spectating) else { return Ok(()) };
        self.stage = phase.mask_set_accepted(seat, accepted, out)?;
        Ok(())
    }

    fn proposed(
        &mut self,
        seat: &Seat,
        proposal: &Signed<Proposal>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let (mask_set, root) = (self.mask_set().cloned(), self.root());
        let checked =
            consistency_check::check(seat, &mut self.ballot, mask_set.as_ref(), root.as_ref(), proposal)?;
        let Some(value) = checked else { return Ok(()) };
        if !value.is_abandon() && self.masked().is_none() {
            return Err(FaultKind::Unexpected.into());
        }
        if let Proposed::Survivors { statements, .. } = &proposal.body.value {
            let survivors = || statements.iter().map(|statement| statement.signer);
            if let Some(refusal) = seat.refuses(&self.guard, survivors()) {
                return Ok(seat.decline(Phase::ConsistencyCheck, &refusal, out)?);
            }
            self.known(survivors(), out);
        }
        consistency_check::vote(seat, &self.session, &mut self.ballot, proposal, value, out)?;
        let stage = mem::replace(&mut self.stage, Stage::Spectating);
        self.stage = match stage {
            Stage::MaskedInput(masked) if !value.is_abandon() => Stage::ConsistencyCheck(masked),
            other => other,
        };
        Ok(())
    }

    fn certified(
        &mut self,
        seat: &Seat,
        from: MemberId,
        certificate: &Certificate,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let session = self.session.clone();
        let Some(masked) = self.masked() else { return Ok(()) };
        consistency_check::check_certified(seat, &session, masked, certificate)?;
        // the others can have the sum without me, so it counts as known; but I do not help
        let refusal = seat.refuses(&self.guard, certificate.survivors.ids());
        self.known(certificate.survivors.ids(), out);
        if let Some(refusal) = refusal {
            return Ok(seat.decline(Phase::Unmasking, &refusal, out)?);
        }
        let Some(masked) = self.masked() else { return Ok(()) };
        unmasking::reveal(seat, &session, masked, certificate, from, out)?;
        let stage = mem::replace(&mut self.stage, Stage::Spectating);
        self.stage = match stage {
            Stage::MaskedInput(masked) | Stage::ConsistencyCheck(masked) => Stage::Unmasking(masked),
            other => other,
        };
        Ok(())
    }

    /// Whether I can add up for myself what this says, and have not done so as its aggregator.
    pub(super) fn audits(&self, seat: &Seat, published: &Published) -> bool {
        let survivors = &published.certificate.survivors;
        published.sum.signer != seat.me && self.standing_by.holds(seat, self.root(), survivors)
    }

    /// The vector is with an aggregator.
    pub(super) fn uploaded(
        &mut self,
        seat: &Seat,
        to: MemberId,
        root: Digest,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let session = self.session.clone();
        match self.masked() {
            Some(masked) => masked.uploaded(seat, &session, to, root, out),
            None => Ok(()),
        }
    }
}

fn again(fault: Option<FaultKind>) -> Result<(), Refused> {
    fault.map_or(Ok(()), |kind| Err(kind.into()))
}
