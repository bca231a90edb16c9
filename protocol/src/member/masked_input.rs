//! `masked-input`: the masks of this session go onto the input, and the vector to the aggregator.
//!
//! The member's own secrets end here: both are turned into mask seeds and erased. A proposal is checked by
//! [`check_proposal`]; this file adds what only the member itself can see:
//! 1. if I am among the survivors, then with the root that I signed.

use std::sync::Arc;

use crate::{
    certificate::{AcceptedMaskSet, check_proposal},
    fault::FaultKind,
    hash::Digest,
    io::{JournalEntry, Output},
    masking::{MaskPlan, Sign, pairwise_mask_seed, self_mask_seed},
    messages::{
        Message,
        consistency_check::{Proposal, SurvivorSet},
        masked_input,
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    signing::Signed,
};

use super::{advertise_keys::Secrets, consistency_check::ConsistencyCheck, held::HeldShares};

pub(super) struct MaskedInput {
    pub(super) session: Arc<Session>,
    pub(super) mask_set: AcceptedMaskSet,
    pub(super) held: HeldShares,
    /// Root of my vector once it is with the aggregator.
    pub(super) root: Option<Digest>,
    /// My id.
    me: crate::ids::MemberId,
}

impl MaskedInput {
    pub(super) fn begin(
        seat: &Seat,
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        secrets: Secrets,
        held: HeldShares,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let plan = plan(seat, &session, &mask_set, &secrets).ok_or(AbortReason::Inconsistent {
            phase: Phase::MaskedInput,
            detail: "a neighbour's key contributes nothing".into(),
        })?;
        out.push(Output::Phase(Phase::MaskedInput));
        out.push(Output::Journal(JournalEntry::UploadStarted(session.id())));
        out.push(Output::Upload(Arc::new(plan)));
        Ok(Self { session, mask_set, held, root: None, me: seat.me })
    }

    pub(super) fn uploaded(
        &mut self,
        seat: &Seat,
        root: Digest,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        if self.root.is_some() {
            return Ok(());
        }
        self.root = Some(root);
        let session = self.session.id();
        let statement =
            seat.sign(masked_input::MaskedInput { session, mask_set: self.mask_set.digest, root })?;
        out.push(Output::Journal(JournalEntry::InputSent(session, root)));
        send(out, seat.terms.aggregator(), Message::MaskedInput(Box::new(statement)));
        Ok(())
    }

    pub(super) fn check(&self, proposal: &Signed<Proposal>) -> Result<SurvivorSet, FaultKind> {
        let survivors = check_proposal(&self.session, &self.mask_set, proposal)?;
        if survivors.contains(&self.me) && survivors.root_of(&self.me) != self.root.as_ref() {
            return Err(FaultKind::Altered);
        }
        Ok(survivors)
    }

    pub(super) fn proposal_accepted(
        self,
        seat: &Seat,
        survivors: SurvivorSet,
        proposal: &Signed<Proposal>,
        out: &mut Outputs,
    ) -> Result<ConsistencyCheck, AbortReason> {
        ConsistencyCheck::begin(seat, self, &survivors, proposal, out)
    }
}

/// My self mask, and a pairwise mask for each neighbour in the mask set.
fn plan(seat: &Seat, session: &Session, mask_set: &AcceptedMaskSet, secrets: &Secrets) -> Option<MaskPlan> {
    let my_position = session.position(&seat.me)?;
    let my_key = session.participants().get(my_position)?.mask_key;
    let mut masks = vec![(Sign::Add, self_mask_seed(&secrets.self_mask, &session.id()))];
    for position in session.graph().of(my_position) {
        let neighbour = session.participants().get(position)?;
        if mask_set.contains(&neighbour.id) {
            let shared = secrets.mask_key.diffie_hellman(&neighbour.mask_key)?;
            let seed = pairwise_mask_seed(
                &shared,
                &session.id(),
                (seat.me, &my_key),
                (neighbour.id, &neighbour.mask_key),
            );
            masks.push((Sign::for_pair(&seat.me, &neighbour.id), seed));
        }
    }
    Some(MaskPlan::new(masks))
}
