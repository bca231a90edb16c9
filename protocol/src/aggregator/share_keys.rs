//! `share-keys`: receipts come in, the mask set goes out.
//!
//! A receipt is taken when
//! 1. it comes from the participant that signed it, for this session;
//! 2. its dealers are participants, each once, in ascending order, the member itself among them;
//! 3. the commitments beside it are those that it names for itself, and match the advertised keys.
//!
//! 4. it does not contradict what the member has confirmed before.
//!
//! A dealer enters the mask set (U2) when at least a threshold of members, itself included, confirmed the
//! same commitments, and those commitments are here: without them its shares could not be checked later.
//!
//! A bare threshold is taken only where there are too few dealers otherwise. A dealer that deals to just so
//! many and then falls silent takes its own shares along, and nobody could lift its masks any more; one
//! that confirms nobody takes a confirmation from each. Half of the confirmations beyond the threshold are
//! kept against the former, the other half against the latter.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        share_keys::{DealtCommitments, MaskSet, Receipt},
    },
    phase::Phase,
    report::AbortReason,
    roster::{Session, ascending},
    seat::{self, Outputs, Seat, send},
    signing::Signed,
};

use super::{
    Progress, State, all_answered, consistency_check::ConsistencyCheck, masked_input::MaskedInput,
    verifiers::Verifiers,
};

pub(super) struct ShareKeys {
    pub(super) session: Arc<Session>,
    /// Dealers that each member confirmed, with the digests of their commitments.
    confirmed: BTreeMap<MemberId, BTreeMap<MemberId, Digest>>,
    verifiers: Verifiers,
    /// What has been said to all, for those who come back.
    pub(super) announced: Vec<Message>,
}

impl ShareKeys {
    pub(super) fn begin(session: Arc<Session>, announced: Vec<Message>, out: &mut Outputs) -> Self {
        out.push(Output::Phase(Phase::ShareKeys));
        Self { session, confirmed: BTreeMap::new(), verifiers: Verifiers::default(), announced }
    }

    pub(super) fn receipt(
        &mut self,
        from: MemberId,
        receipt: Signed<Receipt>,
        commitments: &DealtCommitments,
    ) -> Result<(), FaultKind> {
        if receipt.signer != from {
            return Err(FaultKind::Author { signer: receipt.signer, expected: from });
        }
        let Receipt { session, confirmed } = &receipt.body;
        if *session != self.session.id() {
            return Err(FaultKind::Session);
        }
        self.session.participant(&from).ok_or(FaultKind::Stranger(from))?;
        if !ascending(confirmed.iter().map(|(dealer, _)| *dealer)) {
            return Err(FaultKind::Order);
        }
        if let Some((stranger, _)) =
            confirmed.iter().find(|(dealer, _)| self.session.position(dealer).is_none())
        {
            return Err(FaultKind::Stranger(*stranger));
        }
        receipt.verify().map_err(|_| FaultKind::Signature)?;
        if let Some(earlier) = self.confirmed.get(&from)
            && confirmed.iter().any(|(dealer, named)| earlier.get(dealer).is_some_and(|first| first != named))
        {
            return Err(FaultKind::Equivocation);
        }
        let digest = commitments.digest();
        if !confirmed.iter().any(|(dealer, named)| *dealer == from && *named == digest) {
            return Err(FaultKind::Commitments);
        }
        if self.verifiers.digest_of(&from).is_some_and(|first| *first != digest) {
            return Err(FaultKind::Equivocation);
        }
        if !self.verifiers.add(&self.session, from, commitments, None) {
            return Err(FaultKind::Commitments);
        }
        self.confirmed.entry(from).or_default().extend(receipt.body.confirmed);
        Ok(())
    }

    pub(super) fn advance(self, seat: &Seat, late: bool, out: &mut Outputs) -> Progress<Self, State> {
        let participants = self.session.participants().iter().map(|participant| &participant.id);
        if !late && !all_answered(seat, participants, |id| self.confirmed.contains_key(id)) {
            return Progress::Waiting(self);
        }
        let needed = self.session.min_survivors();
        let dealers = self.confirmed_dealers(needed);
        let next = if dealers.len() < needed && !seat.has_quorum(&self.session) {
            Err(seat::too_few(Phase::ShareKeys, dealers.len(), needed))
        } else if dealers.len() < needed {
            // nothing was masked yet: the members are asked to begin again with who is left
            let why = seat::too_few(Phase::ShareKeys, dealers.len(), needed).to_string();
            ConsistencyCheck::abandon(seat, self.session, &why, self.announced, out)
                .map(State::ConsistencyCheck)
        } else {
            self.announce(seat, dealers, out).map(State::MaskedInput)
        };
        next.map_or_else(Progress::Impossible, Progress::Next)
    }

    fn announce(
        self,
        seat: &Seat,
        dealers: Vec<(MemberId, Digest)>,
        out: &mut Outputs,
    ) -> Result<MaskedInput, AbortReason> {
        let Self { session, verifiers, mut announced, .. } = self;
        let statement = seat.sign(MaskSet { session: session.id(), dealers })?;
        let mask_set = AcceptedMaskSet::check(&session, &statement).map_err(|kind| AbortReason::Local {
            phase: Phase::ShareKeys,
            detail: format!("my own mask set: {kind}"),
        })?;
        let message = Message::MaskSet(Box::new(statement));
        for participant in session.participants() {
            send(out, participant.id, message.clone());
        }
        announced.push(message);
        Ok(MaskedInput::begin(seat, session, mask_set, verifiers, None, announced, out))
    }

    /// Dealers that enough members confirmed: as many more than the threshold as can be asked for while
    /// `needed` dealers are left.
    fn confirmed_dealers(&self, needed: usize) -> Vec<(MemberId, Digest)> {
        let threshold = self.session.threshold().get();
        let confirmations = |(dealer, digest): &(MemberId, Digest)| {
            self.confirmed.values().filter(|named| named.get(dealer) == Some(digest)).count()
        };
        let mut dealers: Vec<_> = self
            .verifiers
            .digests()
            .map(|dealer| (confirmations(&dealer), dealer))
            .filter(|(confirmed, _)| *confirmed >= threshold)
            .collect();
        let spare = self.confirmed.len().saturating_sub(threshold) / 2;
        let asked = (threshold..=threshold + spare)
            .rev()
            .find(|asked| dealers.iter().filter(|(confirmed, _)| confirmed >= asked).count() >= needed);
        dealers.retain(|(confirmed, _)| *confirmed >= asked.unwrap_or(threshold));
        dealers.into_iter().map(|(_, dealer)| dealer).collect()
    }
}
