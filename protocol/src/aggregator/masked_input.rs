//! `masked-input`: whole vectors and the statements that bind their owners to them.
//!
//! A member survives when
//! 1. its statement passes [`check_masked_input`] and is the only one it made;
//! 2. its whole vector is here, from itself or passed on, and its root is the one in the statement.
//!
//! Vectors are passed on to standbys as they arrive; the survivors are proposed once enough standbys have
//! signed that they hold all of them. Where an earlier slot's votes require a set, it is the survivors. Where the guard
//! lets no set of them through, the members are asked to abandon the attempt.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    certificate::{AcceptedMaskSet, check_masked_input},
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{Now, Output},
    messages::{
        Message,
        consistency_check::{Proposed, SurvivorSet},
        failover::StandbyReceipt,
        masked_input::MaskedInput as Statement,
        share_keys::DealtCommitments,
    },
    mutation::{Check, checked},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat},
    signing::Signed,
};

use super::{
    Progress, State, all_answered, consistency_check::ConsistencyCheck, standbys::Standbys,
    verifiers::Verifiers,
};

/// A set that earlier votes require.
pub(super) struct Required {
    pub(super) statements: Vec<Signed<Statement>>,
    pub(super) digest: Digest,
    /// Who has signed that it holds all their vectors.
    pub(super) holders: Vec<MemberId>,
}

pub(super) struct MaskedInput {
    pub(super) session: Arc<Session>,
    mask_set: AcceptedMaskSet,
    verifiers: Verifiers,
    required: Option<Required>,
    statements: BTreeMap<MemberId, Signed<Statement>>,
    /// Roots of the vectors that members have sent themselves.
    roots: BTreeMap<MemberId, Digest>,
    /// Whose vectors others have passed on, with their roots: whoever does that may have spoilt them.
    passed_on: BTreeSet<(MemberId, Digest)>,
    /// Members whose vector is not the one they signed.
    refused: BTreeSet<MemberId>,
    standbys: Standbys,
    /// The survivors, once they are chosen and only standbys are waited for.
    chosen: Option<Vec<Signed<Statement>>>,
    /// What has been said to all, for those who come back.
    pub(super) announced: Vec<Message>,
}

impl MaskedInput {
    pub(super) fn begin(
        seat: &Seat,
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        verifiers: Verifiers,
        required: Option<Required>,
        announced: Vec<Message>,
        out: &mut Outputs,
    ) -> Self {
        out.push(Output::Phase(Phase::MaskedInput));
        out.push(Output::Receive(session.id(), mask_set.ids().collect()));
        let expected = required.as_ref().map_or(mask_set.dealers().len(), |set| set.statements.len());
        let statements = match &required {
            Some(set) => {
                set.statements.iter().map(|statement| (statement.signer, statement.clone())).collect()
            }
            None => BTreeMap::new(),
        };
        let standbys = Standbys::new(&session, seat, expected);
        Self {
            session,
            mask_set,
            verifiers,
            required,
            statements,
            roots: BTreeMap::new(),
            passed_on: BTreeSet::new(),
            refused: BTreeSet::new(),
            standbys,
            chosen: None,
            announced,
        }
    }

    pub(super) fn statement(
        &mut self,
        from: MemberId,
        statement: Signed<Statement>,
        out: &mut Outputs,
    ) -> Result<(), FaultKind> {
        if statement.signer != from {
            return Err(FaultKind::Author { signer: statement.signer, expected: from });
        }
        check_masked_input(&self.session, &self.mask_set, &statement)?;
        if let Some(first) = self.statements.get(&from) {
            return seat::repeated(&first.digest(), &statement.digest()).map_or(Ok(()), Err);
        }
        self.statements.insert(from, statement);
        self.compare(from, out)
    }

    pub(super) fn received(
        &mut self,
        from: MemberId,
        root: Digest,
        out: &mut Outputs,
    ) -> Result<(), FaultKind> {
        // whoever was shown another mask set sends a vector, too
        if !self.mask_set.contains(&from) {
            return Err(FaultKind::MaskSet);
        }
        // what is required may still come from whoever holds it
        if self.required_root(&from).is_some_and(|required| required != root) {
            return Ok(());
        }
        self.roots.entry(from).or_insert(root);
        self.compare(from, out)
    }

    /// Somebody has passed on a vector as this member's.
    pub(super) fn passed_on(&mut self, of: MemberId, root: Digest, out: &mut Outputs) {
        if self.mask_set.contains(&of) {
            self.passed_on.insert((of, root));
            self.is_here(of, out);
        }
    }

    /// Root of the vector that has to be a member's, where earlier votes require a set.
    pub(super) fn required_root(&self, of: &MemberId) -> Option<Digest> {
        let required = self.required.as_ref()?;
        let statement = required.statements.iter().find(|statement| statement.signer == *of)?;
        Some(statement.body.root)
    }

    pub(super) fn commitments(&mut self, dealer: MemberId, commitments: &DealtCommitments) {
        if let Some(pinned) = self.mask_set.commitments_of(&dealer) {
            self.verifiers.add(&self.session, dealer, commitments, Some(pinned));
        }
    }

    pub(super) fn receipt(
        &mut self,
        seat: &Seat,
        from: MemberId,
        receipt: Signed<StandbyReceipt>,
    ) -> Result<(), FaultKind> {
        if receipt.signer != from {
            return Err(FaultKind::Author { signer: receipt.signer, expected: from });
        }
        // members check the same, and a proposal with such a receipt would be refused
        if self.session.position(&from).is_none() {
            return Err(FaultKind::Stranger(from));
        }
        let Some(chosen) = &self.chosen else { return Err(FaultKind::Unexpected) };
        let survivors = SurvivorSet::of(chosen).digest();
        if receipt.body != (StandbyReceipt { session: self.session.id(), slot: seat.slot, survivors }) {
            return Err(FaultKind::Session);
        }
        receipt.verify().map_err(|_| FaultKind::Signature)?;
        self.standbys.signed(from, receipt);
        Ok(())
    }

    /// Gives when the phase is to be over at the latest, where that is another time than before.
    pub(super) fn advance(
        mut self,
        seat: &Seat,
        now: Now,
        deadline: &mut Now,
        out: &mut Outputs,
    ) -> Progress<Self, State> {
        let late = now >= *deadline;
        if self.chosen.is_none() {
            match self.choose(seat, late) {
                Ok(true) => {}
                Ok(false) => return Progress::Waiting(self),
                Err(reason) if self.required.is_some() || !seat.has_quorum(&self.session) => {
                    return Progress::Impossible(reason);
                }
                // no set was ever voted for, so the members are asked to begin again with who is left
                Err(reason) => {
                    let (session, announced) = (self.session, self.announced);
                    let why = reason.to_string();
                    return match ConsistencyCheck::abandon(seat, session, &why, announced, out) {
                        Ok(next) => Progress::Next(State::ConsistencyCheck(next)),
                        Err(reason) => Progress::Impossible(reason),
                    };
                }
            }
            *deadline = now + seat.terms.deadline(Phase::MaskedInput);
        }
        let late = now >= *deadline;
        let Some(chosen) = &self.chosen else { return Progress::Waiting(self) };
        let survivors = SurvivorSet::of(chosen);
        let Some(standbys) = self.standbys.complete(&self.session, seat, &survivors, out) else {
            return if late {
                Progress::Impossible(self.standbys.too_few(&self.session, survivors.vectors.len()))
            } else {
                Progress::Waiting(self)
            };
        };
        let Self { session, mask_set, verifiers, chosen, announced, .. } = self;
        let proposed = Proposed::Survivors { statements: chosen.unwrap_or_default(), standbys };
        match ConsistencyCheck::propose(seat, session, mask_set, verifiers, proposed, announced, out) {
            Ok(next) => Progress::Next(State::ConsistencyCheck(next)),
            Err(reason) => Progress::Impossible(reason),
        }
    }

    /// Chooses the survivors; gives whether it is time.
    fn choose(&mut self, seat: &Seat, late: bool) -> Result<bool, AbortReason> {
        let wanted: Vec<MemberId> = match &self.required {
            Some(set) => set.statements.iter().map(|statement| statement.signer).collect(),
            None => self.mask_set.ids().collect(),
        };
        let done = |id: &MemberId| self.survives(id) || self.refused.contains(id);
        // a vector whose owner is gone may still come from whoever holds it
        let holders = self.required.iter().flat_map(|set| &set.holders);
        let served = holders.into_iter().any(|id| *id != seat.me && !seat.absent.contains(id));
        if !late && !all_answered(seat, wanted.iter(), done) || !late && served && !wanted.iter().all(done) {
            return Ok(false);
        }
        let found = wanted.iter().filter(|id| self.survives(id)).count();
        let needed = self.required.as_ref().map_or(self.session.min_survivors(), |set| set.statements.len());
        if found < needed {
            return Err(seat::too_few(Phase::MaskedInput, found, needed));
        }
        let chosen = wanted.iter().filter(|id| self.survives(id));
        let chosen: Vec<_> = chosen.filter_map(|id| self.statements.get(id).cloned()).collect();
        let right = self.required.as_ref().is_none_or(|set| SurvivorSet::of(&chosen).digest() == set.digest);
        if !right {
            return Err(seat::too_few(Phase::MaskedInput, found, needed));
        }
        self.chosen = Some(self.allowed(seat, chosen)?);
        Ok(true)
    }

    /// Those of the survivors that may be summed as far as this node's own guard knows: the others would refuse
    /// more, and nobody has voted yet.
    fn allowed(
        &self,
        seat: &Seat,
        chosen: Vec<Signed<Statement>>,
    ) -> Result<Vec<Signed<Statement>>, AbortReason> {
        let ids: BTreeSet<MemberId> = chosen.iter().map(|statement| statement.signer).collect();
        if self.required.is_some() || seat.refuses(&seat.guard, ids.iter().copied()).is_none() {
            return Ok(chosen);
        }
        let least = self.session.min_survivors();
        let allowed = seat.guard.choose(&ids, least, seat.terms.manifest().corrupt());
        let allowed = allowed.map_err(|refusal| seat::refused(Phase::MaskedInput, &refusal))?;
        Ok(chosen.into_iter().filter(|statement| allowed.contains(&statement.signer)).collect())
    }

    fn survives(&self, id: &MemberId) -> bool {
        let Some(signed) = self.statements.get(id).map(|statement| statement.body.root) else { return false };
        let sent = self.roots.get(id);
        sent == Some(&signed) || self.passed_on.contains(&(*id, signed)) || !checked(Check::VectorRoot)
    }

    fn is_here(&mut self, member: MemberId, out: &mut Outputs) -> bool {
        let here = self.survives(&member);
        if let Some(statement) = self.statements.get(&member).filter(|_| here) {
            self.standbys.here(member, statement.body.root, out);
        }
        here
    }

    fn compare(&mut self, from: MemberId, out: &mut Outputs) -> Result<(), FaultKind> {
        let both = self.statements.contains_key(&from) && self.roots.contains_key(&from);
        // vectors that are here may be reported again
        if !self.is_here(from, out) && both && self.refused.insert(from) {
            return Err(FaultKind::Root);
        }
        Ok(())
    }
}
