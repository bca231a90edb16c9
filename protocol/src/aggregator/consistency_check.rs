//! `consistency-check`: votes come in; a threshold of them is the certificate.
//!
//! A vote counts when
//! 1. it comes from the member of the mask set that signed it;
//! 2. it is for this session, this slot and the proposed set.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        consistency_check::{Certificate, SurvivorSet, Vote},
    },
    phase::Phase,
    roster::Session,
    seat::{Outputs, Seat, send},
    signing::{Signature, Signed},
};

use super::{Progress, all_answered, share_keys::Verifiers, too_few, unmasking::Unmasking};

pub(super) struct ConsistencyCheck {
    pub(super) session: Arc<Session>,
    mask_set: AcceptedMaskSet,
    verifiers: BTreeMap<MemberId, Verifiers>,
    slot: u32,
    survivors: SurvivorSet,
    votes: BTreeMap<MemberId, Signature>,
}

impl ConsistencyCheck {
    pub(super) fn begin(
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        verifiers: BTreeMap<MemberId, Verifiers>,
        slot: u32,
        survivors: SurvivorSet,
    ) -> Self {
        Self { session, mask_set, verifiers, slot, survivors, votes: BTreeMap::new() }
    }

    pub(super) fn vote(&mut self, from: MemberId, vote: &Signed<Vote>) -> Result<(), FaultKind> {
        if vote.signer != from {
            return Err(FaultKind::Author { signer: vote.signer, expected: from });
        }
        if !self.mask_set.contains(&from) {
            return Err(FaultKind::Stranger(from));
        }
        let Vote { session, slot, survivors } = vote.body;
        if session != self.session.id() || slot != self.slot || survivors != self.survivors.digest() {
            return Err(FaultKind::Session);
        }
        vote.verify().map_err(|_| FaultKind::Signature)?;
        self.votes.insert(from, vote.signature());
        Ok(())
    }

    pub(super) fn advance(self, seat: &Seat, late: bool, out: &mut Outputs) -> Progress<Self, Unmasking> {
        let (found, needed) = (self.votes.len(), self.session.threshold().get());
        if found < needed {
            let ids: Vec<MemberId> = self.mask_set.ids().collect();
            let hopeless = all_answered(seat, ids.iter(), |id| self.votes.contains_key(id));
            return if late || hopeless {
                Progress::Impossible(too_few(Phase::ConsistencyCheck, found, needed))
            } else {
                Progress::Waiting(self)
            };
        }
        let certificate = Certificate {
            session: self.session.id(),
            slot: self.slot,
            survivors: self.survivors,
            votes: self.votes.into_iter().collect(),
        };
        out.push(Output::Phase(Phase::Unmasking));
        for member in self.mask_set.ids() {
            send(out, member, Message::Certificate(Box::new(certificate.clone())));
        }
        Progress::Next(Unmasking::begin(self.session, self.mask_set, self.verifiers, certificate))
    }
}
