//! A slot that begins where another aggregator was given up: time-outs come in, and decide how it goes on.
//!
//! A time-out counts when
//! 1. it comes from the participant that signed it, for this session and the slot before;
//! 2. what it reports is shown: the mask set that it names, and what allowed its latest vote.
//!
//! A threshold of them opens the slot. Where they report a vote, its value is proposed again: the same
//! survivors, once their vectors are here. Where they report none, the session goes on with the mask set
//! that they name; where they name none, it is abandoned.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::{Proposal, Proposed, SurvivorSet, Value},
        failover::{NewSlot, ShownNewSlot, ShownTimeout, Timeout},
        share_keys::DealtCommitments,
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat, send},
    signing::Signed,
    slots::{Allowed, Slots},
};

use super::{
    Progress, State,
    consistency_check::ConsistencyCheck,
    masked_input::{MaskedInput, Required},
    verifiers::Verifiers,
};

pub(super) struct Succession {
    pub(super) session: Arc<Session>,
    slots: Slots,
    /// Those that time-outs name: more than one only where their author signed more than one.
    mask_sets: BTreeMap<Digest, AcceptedMaskSet>,
    timeouts: BTreeMap<MemberId, Signed<Timeout>>,
    commitments: BTreeMap<MemberId, DealtCommitments>,
}

impl Succession {
    pub(super) fn begin(session: Arc<Session>, commitments: BTreeMap<MemberId, DealtCommitments>) -> Self {
        let slots = Slots::new(session.clone());
        let (mask_sets, timeouts) = (BTreeMap::new(), BTreeMap::new());
        Self { session, slots, mask_sets, timeouts, commitments }
    }

    pub(super) fn timeout(
        &mut self,
        seat: &Seat,
        from: MemberId,
        shown: ShownTimeout,
    ) -> Result<(), FaultKind> {
        let ShownTimeout { timeout, mask_set, history, .. } = shown;
        if timeout.signer != from {
            return Err(FaultKind::Author { signer: timeout.signer, expected: from });
        }
        if self.session.next_slot(timeout.body.slot) != Some(seat.slot) {
            return Ok(());
        }
        // before the many signatures in there are looked at
        timeout.verify().map_err(|_| FaultKind::Signature)?;
        let shown = match &mask_set {
            Some(statement) => Some(AcceptedMaskSet::check(&self.session, statement)?),
            None => None,
        };
        if shown.as_ref().map(AcceptedMaskSet::digest) != timeout.body.mask_set.as_ref() {
            return Err(FaultKind::Unproven);
        }
        let mut slots = self.slots.clone();
        slots.learn(shown.as_ref(), &history)?;
        slots.check_timeout(&timeout)?;
        if let Entry::Vacant(place) = self.timeouts.entry(from) {
            place.insert(timeout);
            self.mask_sets.extend(shown.map(|shown| (*shown.digest(), shown)));
        }
        slots.retain(self.timeouts.values().filter_map(|timeout| timeout.body.vote));
        self.slots = slots;
        Ok(())
    }

    pub(super) fn advance(self, seat: &Seat, out: &mut Outputs) -> Progress<Self, State> {
        if self.timeouts.len() < self.session.threshold().get() {
            return Progress::Waiting(self);
        }
        match self.open(seat, out) {
            Ok(next) => Progress::Next(next),
            Err(reason) => Progress::Impossible(reason),
        }
    }

    fn open(self, seat: &Seat, out: &mut Outputs) -> Result<State, AbortReason> {
        let Self { session, slots, mask_sets, timeouts, commitments } = self;
        let (slot, id) = (seat.slot, session.id());
        let highest = timeouts.values().filter_map(|timeout| timeout.body.vote).map(|vote| vote.slot).max();
        // some may not have the roster yet
        for participant in session.participants().iter().filter(|it| !timeouts.contains_key(&it.id)) {
            send(out, participant.id, Message::Roster(Box::new(session.proof().roster)));
        }
        let timeouts = timeouts.into_values().collect();
        let new_slot = seat.sign(NewSlot { session: id, slot, timeouts })?;
        let allowed = slots.check_new_slot(&new_slot).map_err(|kind| AbortReason::Local {
            phase: Phase::ConsistencyCheck,
            detail: kind.to_string(),
        })?;
        let proposal = match &allowed {
            Allowed::Only(value) => highest.and_then(|slot| slots.proposal(slot, value)),
            Allowed::Anything | Allowed::Contradiction(_) => None,
        };
        let mask_set = chosen(mask_sets, proposal, &new_slot.body.timeouts);
        out.push(Output::Journal(JournalEntry::Opened(id, slot)));
        let mut verifiers = Verifiers::default();
        for (dealer, commitments) in commitments {
            let pinned = mask_set.as_ref().and_then(|mask_set| mask_set.commitments_of(&dealer));
            verifiers.add(&session, dealer, &commitments, pinned);
        }
        let missing = match &mask_set {
            Some(mask_set) => mask_set.ids().filter(|dealer| !verifiers.has(dealer)).collect(),
            None => Vec::new(),
        };
        let shown = ShownNewSlot {
            new_slot,
            mask_set: mask_set.as_ref().map(AcceptedMaskSet::statement).cloned(),
            history: highest.map_or_else(Vec::new, |highest| slots.history(highest)),
            missing,
        };
        for participant in session.participants() {
            send(out, participant.id, Message::NewSlot(Box::new(shown.clone())));
        }
        let announced = vec![Message::NewSlot(Box::new(shown))];
        match (allowed, mask_set) {
            (Allowed::Contradiction(slot), _) => {
                let detail = format!("the aggregator of slot {slot} proposed two different values");
                Err(AbortReason::Void { detail })
            }
            (Allowed::Only(Value::Survivors(digest)), Some(mask_set)) => {
                let required = match proposal.map(|proposal| &proposal.body.value) {
                    Some(Proposed::Survivors { statements, standbys }) => {
                        let holders = standbys.iter().map(|receipt| receipt.signer).collect();
                        Required { statements: statements.clone(), digest, holders }
                    }
                    _ => return Err(void("the proposal that was voted for is not known")),
                };
                let survivors = required.statements.iter().map(|statement| statement.signer);
                // it may be certified, so nothing else can come of this slot; whoever can sum it comes after
                if let Some(refusal) = seat.refuses(&seat.guard, survivors) {
                    return Err(seat::refused(Phase::MaskedInput, &refusal));
                }
                let phase =
                    MaskedInput::begin(seat, session, mask_set, verifiers, Some(required), announced, out);
                Ok(State::MaskedInput(phase))
            }
            (Allowed::Anything, Some(mask_set)) => {
                let phase = MaskedInput::begin(seat, session, mask_set, verifiers, None, announced, out);
                Ok(State::MaskedInput(phase))
            }
            (Allowed::Only(Value::Survivors(_)), None) => {
                Err(void("a vote for survivors was reported without the mask set"))
            }
            (Allowed::Anything | Allowed::Only(Value::Abandon), _) => {
                let why = "its aggregator was lost before a mask set was agreed on";
                ConsistencyCheck::abandon(seat, session, why, announced, out).map(State::ConsistencyCheck)
            }
        }
    }
}

/// The mask set of what has to be proposed again, or else the one that most have accepted.
fn chosen(
    mut mask_sets: BTreeMap<Digest, AcceptedMaskSet>,
    proposal: Option<&Signed<Proposal>>,
    timeouts: &[Signed<Timeout>],
) -> Option<AcceptedMaskSet> {
    if let Some(Proposed::Survivors { statements, .. }) = proposal.map(|proposal| &proposal.body.value) {
        return mask_sets.remove(&SurvivorSet::of(statements).mask_set);
    }
    let accepted =
        |digest: &Digest| timeouts.iter().filter(|it| it.body.mask_set.as_ref() == Some(digest)).count();
    mask_sets.into_iter().max_by_key(|(digest, _)| accepted(digest)).map(|(_, mask_set)| mask_set)
}

fn void(detail: &str) -> AbortReason {
    AbortReason::Void { detail: detail.into() }
}
