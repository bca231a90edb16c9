//! `masked-input`: the masks of this session go onto the input, and the vector to the aggregator.
//!
//! The member's own secrets end here: both are turned into mask seeds and erased. If the slot passes to
//! another aggregator, the identical vector goes to that one, made again from the same seeds.

use std::sync::Arc;

use crate::{
    certificate::AcceptedMaskSet,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Output},
    masking::{MaskPlan, Sign, pairwise_mask_seed, self_mask_seed},
    messages::{Message, masked_input::MaskedInput},
    mutation::{Check, checked},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    signing::Signed,
};

use super::{
    advertise_keys::Secrets,
    held::{Disclosure, HeldShares},
};

/// What a member of the mask set keeps until the attempt is over.
pub(super) struct Masked {
    pub(super) mask_set: AcceptedMaskSet,
    pub(super) disclosure: Disclosure,
    plan: Arc<MaskPlan>,
    statement: Option<Signed<MaskedInput>>,
}

impl Masked {
    pub(super) fn begin(
        seat: &Seat,
        session: &Session,
        mask_set: AcceptedMaskSet,
        secrets: Secrets,
        held: HeldShares,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let plan = plan(seat, session, &mask_set, &secrets).ok_or(AbortReason::Inconsistent {
            phase: Phase::MaskedInput,
            detail: "a neighbour's key contributes nothing".into(),
        })?;
        let masked =
            Self { mask_set, disclosure: Disclosure::Held(held), plan: Arc::new(plan), statement: None };
        out.push(Output::Phase(Phase::MaskedInput));
        out.push(Output::Journal(JournalEntry::UploadStarted(session.id())));
        masked.upload(seat, session, out);
        Ok(masked)
    }

    /// The vector goes to the aggregator of the slot.
    pub(super) fn upload(&self, seat: &Seat, session: &Session, out: &mut Outputs) {
        // whoever may be asked to stand by takes in vectors, too
        if session.standbys(self.mask_set.dealers().len()) > 0 {
            out.push(Output::Receive(session.id(), self.mask_set.ids().collect()));
        }
        out.push(Output::Upload(self.plan.clone(), seat.aggregator()));
    }

    /// The vector is with an aggregator: the statement that binds me to it follows.
    pub(super) fn uploaded(
        &mut self,
        seat: &Seat,
        session: &Session,
        to: MemberId,
        root: Digest,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        if to != seat.aggregator() {
            return Ok(());
        }
        let statement = match &self.statement {
            Some(statement) if statement.body.root == root => statement.clone(),
            Some(_) if checked(Check::OneVector) => {
                let detail = "the vector was not the same when it was made again".into();
                return Err(AbortReason::Local { phase: Phase::MaskedInput, detail });
            }
            _ => {
                let body = MaskedInput { session: session.id(), mask_set: *self.mask_set.digest(), root };
                let statement = seat.sign(body)?;
                out.push(Output::Journal(JournalEntry::InputSent(session.id(), root)));
                statement
            }
        };
        self.statement = Some(statement);
        self.resend(seat, out);
        Ok(())
    }

    /// The statement once more, for an aggregator that may not have heard it.
    pub(super) fn resend(&self, seat: &Seat, out: &mut Outputs) {
        if let Some(statement) = &self.statement {
            send(out, seat.aggregator(), Message::MaskedInput(Box::new(statement.clone())));
        }
    }

    /// Root of my vector, once an aggregator has had it.
    pub(super) fn root(&self) -> Option<&Digest> {
        self.statement.as_ref().map(|statement| &statement.body.root)
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
