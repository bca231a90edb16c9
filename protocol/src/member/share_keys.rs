//! `share-keys`: deals shares of both secrets to the neighbours, verifies theirs, and accepts the mask set.
//!
//! A share is accepted when
//! 1. it comes from the dealer itself, for this session, and the dealer is a neighbour on the roster;
//! 2. it opens under the session's sealing keys and carries the dealer's signature, for me;
//! 3. both commitments have as many points as the threshold and begin with the advertised C₀;
//! 4. both shares satisfy them under the fixed generator.
//!
//! A mask set (U2) is accepted when
//! 1. [`AcceptedMaskSet::check`] finds nothing against it;
//! 2. if I am in it: it names the commitments that I dealt, and I hold shares of at least a threshold of
//!    its dealers, verified against the commitments that it names.

use std::{collections::BTreeMap, sync::Arc};

use rand_core::CryptoRng;

use crate::{
    certificate::AcceptedMaskSet,
    codec,
    evidence::{Breach, Evidence},
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{Now, Output},
    messages::{
        Message,
        share_keys::{Dealing, DealtCommitments, DealtShares, MaskSet, Receipt, SealedShares},
    },
    mutation::{Check, checked},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    sharing::{self, SharedSecret, deal},
    signing::Signed,
};

use super::{
    Refused,
    advertise_keys::Secrets,
    held::{HeldShare, HeldShares},
    masked_input::Masked,
    playing::Stage,
    sealing::{Envelope, SealingKey},
};

pub(super) struct ShareKeys {
    session: Arc<Session>,
    /// When to report what has arrived, complete or not; `None` once that is done.
    pub(super) report_at: Option<Now>,
    secrets: Secrets,
    sealing: SealingKey,
    commitments: DealtCommitments,
    held: HeldShares,
    /// What each dealer signed for me.
    dealings: BTreeMap<MemberId, Signed<Dealing>>,
    reported: usize,
    /// What I dealt, for those whose connection broke before it arrived.
    dealt: BTreeMap<MemberId, SealedShares>,
}

impl ShareKeys {
    pub(super) fn begin(
        seat: &Seat,
        session: Arc<Session>,
        secrets: Secrets,
        sealing: SealingKey,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let mask_key = deal_to_all(&secrets.mask_key, &session, rng)?;
        let self_mask = deal_to_all(&secrets.self_mask, &session, rng)?;
        let commitments =
            DealtCommitments { mask_key: mask_key.commitments, self_mask: self_mask.commitments };
        let digest = commitments.digest();
        let my_position = session.position(&seat.me).ok_or_else(|| local("I am not on the roster"))?;
        let graph = session.graph();
        let mut held = HeldShares::default();
        let mut dealt_to = BTreeMap::new();

        let shares = mask_key.shares.into_iter().zip(self_mask.shares);
        for (position, (participant, (mask_key, self_mask))) in
            session.participants().iter().zip(shares).enumerate()
        {
            if position == my_position {
                held.insert(seat.me, HeldShare { mask_key, self_mask, commitments: digest });
            } else if graph.adjacent(my_position, position) {
                let envelope = Envelope { session: session.id(), dealer: seat.me, receiver: participant.id };
                let dealt = seat.sign(DealtShares {
                    session: session.id(),
                    receiver: participant.id,
                    commitments: commitments.clone(),
                    mask_key,
                    self_mask,
                })?;
                let plaintext = zeroize::Zeroizing::new(codec::encode(&dealt).map_err(|e| local(&e))?);
                let ciphertext = sealing
                    .seal(&participant.sealing_key, envelope, &plaintext)
                    .ok_or_else(|| local("a sealing key contributes nothing"))?;
                let sealed = SealedShares {
                    session: session.id(),
                    dealer: seat.me,
                    receiver: participant.id,
                    ciphertext,
                };
                send(out, participant.id, Message::Shares(Box::new(sealed.clone())));
                dealt_to.insert(participant.id, sealed);
            }
        }
        let (report_at, reported) = (None, 0);
        let dealings = BTreeMap::new();
        Ok(Self {
            session,
            report_at,
            secrets,
            sealing,
            commitments,
            held,
            dealings,
            reported,
            dealt: dealt_to,
        })
    }

    /// What I dealt.
    pub(super) fn commitments(&self) -> &DealtCommitments {
        &self.commitments
    }

    /// What a peer may have missed while it was away.
    pub(super) fn resend(
        &mut self,
        seat: &Seat,
        peer: MemberId,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        if let Some(sealed) = self.dealt.get(&peer) {
            send(out, peer, Message::Shares(Box::new(sealed.clone())));
        }
        if peer == seat.aggregator() && self.reported > 0 {
            self.reported = 0;
            self.report(seat, out)?;
        }
        Ok(())
    }

    /// Shares of this session that came before the roster.
    pub(super) fn early(
        &mut self,
        seat: &Seat,
        dealer: MemberId,
        sealed: &SealedShares,
        out: &mut Outputs,
    ) -> Result<Option<DealtCommitments>, AbortReason> {
        match self.shares(seat, dealer, sealed, out) {
            Ok(commitments) => Ok(commitments),
            Err(Refused::Dropped(kind)) => {
                out.push(Seat::fault(dealer, Phase::ShareKeys, kind));
                Ok(None)
            }
            Err(Refused::Fatal(reason)) => Err(reason),
        }
    }

    pub(super) fn shares(
        &mut self,
        seat: &Seat,
        from: MemberId,
        sealed: &SealedShares,
        out: &mut Outputs,
    ) -> Result<Option<DealtCommitments>, Refused> {
        let dealt = self.open(seat, from, sealed)?;
        let (dealing, digest) = (Dealing::of_signed(&dealt), dealt.body.commitments.digest());
        if let Some(first) = self.dealings.get(&from) {
            if first.body == dealing.body {
                return Ok(None);
            }
            let proof = Evidence::conflict(&self.session, first, &dealing);
            out.extend(proof.map(|it| Output::Evidence(Box::new(it))));
            return Err(FaultKind::Equivocation.into());
        }
        if let Err(kind) = self.verify(seat, from, &dealt.body) {
            let breach = Breach::of_dealing(&self.session, &dealt);
            let proof = breach.and_then(|breach| Evidence::breach(&self.session, breach));
            out.extend(proof.map(|it| Output::Evidence(Box::new(it))));
            return Err(kind.into());
        }
        self.dealings.insert(from, dealing);
        let DealtShares { mask_key, self_mask, commitments, .. } = dealt.body;
        self.held.insert(from, HeldShare { mask_key, self_mask, commitments: digest });
        self.report_if_complete(seat, out)?;
        Ok(Some(commitments))
    }

    /// Sends the receipt once everybody who is connected has delivered.
    pub(super) fn report_if_complete(&mut self, seat: &Seat, out: &mut Outputs) -> Result<(), AbortReason> {
        let Some(mine) = self.session.position(&seat.me) else { return Ok(()) };
        let complete = self
            .session
            .graph()
            .of(mine)
            .filter_map(|position| self.session.participants().get(position))
            .all(|neighbour| seat.absent.contains(&neighbour.id) || self.held.get(&neighbour.id).is_some());
        if complete { self.report(seat, out) } else { Ok(()) }
    }

    /// Sends the receipt for what is there, unless that has been reported already.
    pub(super) fn report(&mut self, seat: &Seat, out: &mut Outputs) -> Result<(), AbortReason> {
        self.report_at = None;
        if self.held.len() > self.reported {
            self.reported = self.held.len();
            let receipt =
                seat.sign(Receipt { session: self.session.id(), confirmed: self.held.confirmed() })?;
            let message = Message::Receipt(Box::new(receipt), Box::new(self.commitments.clone()));
            send(out, seat.aggregator(), message);
        }
        Ok(())
    }

    pub(super) fn check(
        &self,
        seat: &Seat,
        mask_set: &Signed<MaskSet>,
    ) -> Result<AcceptedMaskSet, FaultKind> {
        let accepted = AcceptedMaskSet::check(&self.session, mask_set)?;
        let dealers = accepted.dealers();
        let holds = |(dealer, commitments): &&(MemberId, Digest)| {
            self.held.get(dealer).is_some_and(|held| held.commitments == *commitments)
        };
        if accepted.contains(&seat.me) {
            let mine = self.commitments.digest();
            if accepted.commitments_of(&seat.me) != Some(&mine) {
                return Err(FaultKind::Altered);
            }
            let (found, needed) = (dealers.iter().filter(holds).count(), self.session.threshold().get());
            if found < needed && checked(Check::SharesHeld) {
                return Err(FaultKind::Unconfirmed { found, needed });
            }
        }
        Ok(accepted)
    }

    pub(super) fn mask_set_accepted(
        mut self,
        seat: &Seat,
        mask_set: AcceptedMaskSet,
        out: &mut Outputs,
    ) -> Result<Stage, AbortReason> {
        if !mask_set.contains(&seat.me) {
            return Ok(Stage::LeftOut(Box::new(mask_set)));
        }
        self.held.retain(mask_set.dealers());
        let next = Masked::begin(seat, &self.session, mask_set, self.secrets, self.held, out)?;
        Ok(Stage::MaskedInput(Box::new(next)))
    }

    fn open(
        &self,
        seat: &Seat,
        from: MemberId,
        sealed: &SealedShares,
    ) -> Result<Signed<DealtShares>, FaultKind> {
        if sealed.dealer != from {
            return Err(FaultKind::Author { signer: sealed.dealer, expected: from });
        }
        if sealed.session != self.session.id() || sealed.receiver != seat.me {
            return Err(FaultKind::Session);
        }
        let dealer = self.session.participant(&from).ok_or(FaultKind::Stranger(from))?;
        let envelope = Envelope { session: sealed.session, dealer: from, receiver: seat.me };
        let plaintext =
            self.sealing.open(&dealer.sealing_key, envelope, &sealed.ciphertext).ok_or(FaultKind::Seal)?;
        let dealt: Signed<DealtShares> = codec::decode(&plaintext).map_err(|_| FaultKind::Seal)?;
        if dealt.signer != from {
            return Err(FaultKind::Author { signer: dealt.signer, expected: from });
        }
        dealt.verify().map_err(|_| FaultKind::Signature)?;
        if dealt.body.session != self.session.id() || dealt.body.receiver != seat.me {
            return Err(FaultKind::Session);
        }
        Ok(dealt)
    }

    fn verify(&self, seat: &Seat, from: MemberId, dealt: &DealtShares) -> Result<(), FaultKind> {
        let dealer = self.session.participant(&from).ok_or(FaultKind::Stranger(from))?;
        let index = self.session.share_index(&seat.me).ok_or(FaultKind::Altered)?;
        let threshold = self.session.threshold();
        let DealtCommitments { mask_key, self_mask } = &dealt.commitments;
        let mask_key =
            mask_key.verifier(threshold, &dealer.mask_key.point()).map_err(|_| FaultKind::Commitments)?;
        let self_mask =
            self_mask.verifier(threshold, &dealer.self_mask).map_err(|_| FaultKind::Commitments)?;
        let right = mask_key.verify(index, &dealt.mask_key).is_ok()
            && self_mask.verify(index, &dealt.self_mask).is_ok();
        if right || !checked(Check::DealtShares) { Ok(()) } else { Err(FaultKind::Share) }
    }
}

fn deal_to_all(
    secret: &impl SharedSecret,
    session: &Session,
    rng: &mut impl CryptoRng,
) -> Result<sharing::Dealing, AbortReason> {
    deal(secret, session.threshold(), session.participants().len(), rng).map_err(|error| local(&error))
}

fn local(detail: &(impl ToString + ?Sized)) -> AbortReason {
    AbortReason::Local { phase: Phase::ShareKeys, detail: detail.to_string() }
}
