//! `share-keys`: receipts come in, the mask set goes out.
//!
//! A receipt is taken when
//! 1. it comes from the participant that signed it, for this session;
//! 2. its dealers are participants, each once, in ascending order, the member itself among them;
//! 3. the commitments beside it are those that it names for itself, and match the advertised keys.
//!
//! A dealer enters the mask set (U2) when at least a threshold of members, itself included, confirmed the
//! same commitments, and those commitments are here: without them its shares could not be checked later.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    seat::{Outputs, Seat, send},
    sharing::Verifier,
    signing::Signed,
};

use super::{Progress, all_answered, masked_input::MaskedInput, too_few};

/// What a dealer's revealed shares are checked against.
pub(super) struct Verifiers {
    pub(super) mask_key: Verifier,
    pub(super) self_mask: Verifier,
}

pub(super) struct ShareKeys {
    pub(super) session: Arc<Session>,
    /// Dealers that each member confirmed, with the digests of their commitments.
    confirmed: BTreeMap<MemberId, BTreeSet<(MemberId, Digest)>>,
    verifiers: BTreeMap<MemberId, (Digest, Verifiers)>,
}

impl ShareKeys {
    pub(super) fn begin(session: Arc<Session>, out: &mut Outputs) -> Self {
        out.push(Output::Phase(Phase::ShareKeys));
        Self { session, confirmed: BTreeMap::new(), verifiers: BTreeMap::new() }
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
        let participant = self.session.participant(&from).ok_or(FaultKind::Stranger(from))?;
        let Receipt { session, confirmed } = &receipt.body;
        if *session != self.session.id() {
            return Err(FaultKind::Session);
        }
        if !ascending(confirmed.iter().map(|(dealer, _)| *dealer)) {
            return Err(FaultKind::Order);
        }
        if let Some((stranger, _)) =
            confirmed.iter().find(|(dealer, _)| self.session.position(dealer).is_none())
        {
            return Err(FaultKind::Stranger(*stranger));
        }
        receipt.verify().map_err(|_| FaultKind::Signature)?;
        let digest = commitments.digest();
        if !confirmed.iter().any(|(dealer, named)| *dealer == from && *named == digest) {
            return Err(FaultKind::Commitments);
        }
        match self.verifiers.get(&from) {
            Some((first, _)) if *first != digest => return Err(FaultKind::Equivocation),
            Some(_) => {}
            None => {
                let threshold = self.session.threshold();
                let mask_key = commitments.mask_key.verifier(threshold, &participant.mask_key.point());
                let self_mask = commitments.self_mask.verifier(threshold, &participant.self_mask);
                let (Ok(mask_key), Ok(self_mask)) = (mask_key, self_mask) else {
                    return Err(FaultKind::Commitments);
                };
                self.verifiers.insert(from, (digest, Verifiers { mask_key, self_mask }));
            }
        }
        self.confirmed.entry(from).or_default().extend(receipt.body.confirmed);
        Ok(())
    }

    pub(super) fn advance(
        mut self,
        seat: &Seat,
        late: bool,
        out: &mut Outputs,
    ) -> Progress<Self, MaskedInput> {
        let participants = self.session.participants().iter().map(|participant| &participant.id);
        if !late && !all_answered(seat, participants, |id| self.confirmed.contains_key(id)) {
            return Progress::Waiting(self);
        }
        let dealers = self.confirmed_dealers();
        let needed = self.session.min_survivors();
        if dealers.len() < needed {
            return Progress::Impossible(too_few(Phase::ShareKeys, dealers.len(), needed));
        }
        let verifiers = dealers
            .iter()
            .filter_map(|(dealer, _)| Some((*dealer, self.verifiers.remove(dealer)?.1)))
            .collect();
        match announce(seat, &self.session, dealers, out) {
            Ok(mask_set) => Progress::Next(MaskedInput::begin(self.session, mask_set, verifiers, out)),
            Err(reason) => Progress::Impossible(reason),
        }
    }

    fn confirmed_dealers(&self) -> Vec<(MemberId, Digest)> {
        let threshold = self.session.threshold().get();
        let confirmations =
            |dealer: (MemberId, Digest)| self.confirmed.values().filter(|set| set.contains(&dealer)).count();
        self.verifiers
            .iter()
            .map(|(dealer, (digest, _))| (*dealer, *digest))
            .filter(|dealer| confirmations(*dealer) >= threshold)
            .collect()
    }
}

fn announce(
    seat: &Seat,
    session: &Session,
    dealers: Vec<(MemberId, Digest)>,
    out: &mut Outputs,
) -> Result<AcceptedMaskSet, AbortReason> {
    let mask_set = seat.sign(MaskSet { session: session.id(), dealers })?;
    for participant in session.participants() {
        send(out, participant.id, Message::MaskSet(Box::new(mask_set.clone())));
    }
    Ok(AcceptedMaskSet { digest: mask_set.digest(), dealers: mask_set.body.dealers })
}
