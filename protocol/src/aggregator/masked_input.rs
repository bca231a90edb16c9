//! `masked-input`: whole vectors and the statements that bind their owners to them.
//!
//! A member survives when
//! 1. its statement passes [`check_masked_input`] and is the only one it made;
//! 2. its whole vector is here, and its root is the one in the statement.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    certificate::{AcceptedMaskSet, check_masked_input},
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::{Proposal, SurvivorSet},
        masked_input,
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat, send},
    signing::Signed,
};

use super::{Progress, all_answered, consistency_check::ConsistencyCheck, share_keys::Verifiers, too_few};

pub(super) struct MaskedInput {
    pub(super) session: Arc<Session>,
    mask_set: AcceptedMaskSet,
    verifiers: BTreeMap<MemberId, Verifiers>,
    statements: BTreeMap<MemberId, Signed<masked_input::MaskedInput>>,
    roots: BTreeMap<MemberId, Digest>,
    /// Members whose vector is not the one they signed.
    refused: BTreeSet<MemberId>,
}

impl MaskedInput {
    pub(super) fn begin(
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        verifiers: BTreeMap<MemberId, Verifiers>,
        out: &mut Outputs,
    ) -> Self {
        out.push(Output::Phase(Phase::MaskedInput));
        out.push(Output::Receive(session.id(), mask_set.ids().collect()));
        Self {
            session,
            mask_set,
            verifiers,
            statements: BTreeMap::new(),
            roots: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    pub(super) fn statement(
        &mut self,
        from: MemberId,
        statement: Signed<masked_input::MaskedInput>,
    ) -> Result<(), FaultKind> {
        if statement.signer != from {
            return Err(FaultKind::Author { signer: statement.signer, expected: from });
        }
        check_masked_input(&self.session, &self.mask_set, &statement)?;
        if let Some(first) = self.statements.get(&from) {
            return seat::repeated(&first.digest(), &statement.digest()).map_or(Ok(()), Err);
        }
        self.statements.insert(from, statement);
        self.compare(from)
    }

    pub(super) fn received(&mut self, from: MemberId, root: Digest) -> Result<(), FaultKind> {
        if !self.mask_set.contains(&from) {
            return Err(FaultKind::Stranger(from));
        }
        self.roots.entry(from).or_insert(root);
        self.compare(from)
    }

    pub(super) fn advance(
        self,
        seat: &Seat,
        late: bool,
        out: &mut Outputs,
    ) -> Progress<Self, ConsistencyCheck> {
        let ids: Vec<MemberId> = self.mask_set.ids().collect();
        let done = |id: &MemberId| self.survives(id) || self.refused.contains(id);
        if !late && !all_answered(seat, ids.iter(), done) {
            return Progress::Waiting(self);
        }
        let (found, needed) =
            (ids.iter().filter(|id| self.survives(id)).count(), self.session.min_survivors());
        if found < needed {
            return Progress::Impossible(too_few(Phase::MaskedInput, found, needed));
        }
        match self.propose(seat, out) {
            Ok(next) => Progress::Next(next),
            Err(reason) => Progress::Impossible(reason),
        }
    }

    fn survives(&self, id: &MemberId) -> bool {
        let signed = self.statements.get(id).map(|statement| &statement.body.root);
        signed.is_some() && signed == self.roots.get(id)
    }

    fn compare(&mut self, from: MemberId) -> Result<(), FaultKind> {
        match (self.statements.get(&from), self.roots.get(&from)) {
            (Some(statement), Some(root)) if statement.body.root != *root => {
                self.refused.insert(from);
                Err(FaultKind::Root)
            }
            _ => Ok(()),
        }
    }

    fn propose(mut self, seat: &Seat, out: &mut Outputs) -> Result<ConsistencyCheck, AbortReason> {
        let ids: Vec<MemberId> = self.mask_set.ids().filter(|id| self.survives(id)).collect();
        let statements: Vec<_> = ids.iter().filter_map(|id| self.statements.remove(id)).collect();
        let survivors =
            SurvivorSet(statements.iter().map(|statement| (statement.signer, statement.body.root)).collect());
        let (session, slot) = (self.session.id(), seat.terms.contract().slot);
        let proposal = seat.sign(Proposal { session, slot, survivors: statements })?;
        out.push(Output::Phase(Phase::ConsistencyCheck));
        out.push(Output::Journal(JournalEntry::Proposed(session, slot, survivors.digest())));
        for member in self.mask_set.ids() {
            send(out, member, Message::Proposal(Box::new(proposal.clone())));
        }
        Ok(ConsistencyCheck::begin(self.session, self.mask_set, self.verifiers, slot, survivors))
    }
}
