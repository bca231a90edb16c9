//! `unmasking`: revealed shares come in; a threshold of them gives the secrets that lift the masks.
//!
//! A reveal is taken when
//! 1. it comes from the member of the mask set that signed it, for this session and the certified set;
//! 2. of each survivor it reveals the self mask's share, of each other dealer the mask key's, of nobody
//!    outside of the mask set anything. Who reveals of others on the roster may have accepted another mask set.
//!
//! Secrets are reconstructed from the first threshold of shares and compared with C₀. Only where that
//! fails are the shares checked one by one; whoever revealed a wrong one is named and left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_core::CryptoRng;

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        consistency_check::Certificate,
        publish::{Published, Sum},
        share_keys::{DealtCommitments, MaskSet},
        unmasking::{Reveal, RevealedShare},
    },
    mutation::{Check, checked},
    opening::{Opening, lifting},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat},
    sharing::{Lagrange, RecoveredSecret, Share, ShareIndex, Verifier},
    signing::Signed,
};

use super::{Progress, State, all_answered, publish::Publish, verifiers::Verifiers};

pub(super) struct Unmasking {
    pub(super) session: Arc<Session>,
    mask_set: AcceptedMaskSet,
    verifiers: Verifiers,
    certificate: Certificate,
    reveals: BTreeMap<MemberId, BTreeMap<MemberId, RevealedShare>>,
    /// Everybody whose reveal was looked at, good or bad.
    answered: BTreeSet<MemberId>,
    /// What has been said to all, for those who come back.
    pub(super) announced: Vec<Message>,
}

/// Shares of one dealer that cannot give its secret.
enum Failed {
    /// Too few so far.
    Missing,
    /// These members revealed wrong ones.
    Wrong(Vec<MemberId>),
}

impl Unmasking {
    pub(super) fn begin(
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        verifiers: Verifiers,
        certificate: Certificate,
        announced: Vec<Message>,
    ) -> Self {
        let (reveals, answered) = Default::default();
        Self { session, mask_set, verifiers, certificate, reveals, answered, announced }
    }

    pub(super) fn commitments(&mut self, dealer: MemberId, commitments: &DealtCommitments) {
        if let Some(pinned) = self.mask_set.commitments_of(&dealer) {
            self.verifiers.add(&self.session, dealer, commitments, Some(pinned));
        }
    }

    pub(super) fn reveal(&mut self, from: MemberId, reveal: Signed<Reveal>) -> Result<(), FaultKind> {
        if reveal.signer != from {
            return Err(FaultKind::Author { signer: reveal.signer, expected: from });
        }
        let Reveal { session, survivors, shares } = &reveal.body;
        if *session != self.session.id() || *survivors != self.certificate.survivors.digest() {
            return Err(FaultKind::Session);
        }
        if !self.mask_set.contains(&from) {
            let on_roster = self.session.position(&from).is_some();
            return Err(if on_roster { FaultKind::MaskSet } else { FaultKind::Stranger(from) });
        }
        let right_kind = |(dealer, share): (&MemberId, &RevealedShare)| {
            let survived = self.certificate.survivors.contains(dealer);
            let on_roster = self.session.position(dealer).is_some();
            on_roster && survived == matches!(share, RevealedShare::SelfMask(_))
        };
        if !shares.iter().all(right_kind) && checked(Check::RevealedKind) {
            return Err(FaultKind::RevealKind);
        }
        // whoever was shown another mask set answers for those in there
        if !shares.keys().all(|dealer| self.mask_set.contains(dealer)) {
            return Err(FaultKind::MaskSet);
        }
        reveal.verify().map_err(|_| FaultKind::Signature)?;
        if self.answered.insert(from) {
            self.reveals.insert(from, reveal.body.shares);
        }
        Ok(())
    }

    pub(super) fn advance(
        mut self,
        seat: &Seat,
        late: bool,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Progress<Self, State> {
        let needed = self.session.threshold().get();
        while self.reveals.len() >= needed {
            match self.secrets(rng) {
                Ok(secrets) => {
                    let opening = Opening::of(&secrets);
                    let plan = lifting(&self.session, &self.certificate.survivors, secrets);
                    out.push(Output::Unmask(self.certificate.survivors.clone(), Box::new(plan)));
                    let Self { session, certificate, mask_set, announced, .. } = self;
                    let mask_set = mask_set.statement().clone();
                    return Progress::Next(State::Summing(Summing {
                        session,
                        certificate,
                        mask_set,
                        opening,
                        announced,
                    }));
                }
                Err(Failed::Missing) => break,
                Err(Failed::Wrong(liars)) => {
                    for liar in liars {
                        self.reveals.remove(&liar);
                        out.push(Seat::fault(liar, Phase::Unmasking, FaultKind::Share));
                    }
                }
            }
        }
        let ids: Vec<MemberId> = self.mask_set.ids().collect();
        if late || all_answered(seat, ids.iter(), |id| self.answered.contains(id)) {
            return Progress::Impossible(seat::too_few(Phase::Unmasking, self.reveals.len(), needed));
        }
        Progress::Waiting(self)
    }

    /// One secret of each dealer: of a survivor its self mask, of each other its mask key.
    fn secrets(&self, rng: &mut impl CryptoRng) -> Result<Vec<(MemberId, RecoveredSecret)>, Failed> {
        let mut lagrange = BTreeMap::new();
        let recover = |dealer| Ok((dealer, self.recover(&dealer, &mut lagrange, rng)?));
        self.mask_set.ids().map(recover).collect()
    }

    fn recover(
        &self,
        dealer: &MemberId,
        lagrange: &mut BTreeMap<Vec<ShareIndex>, Lagrange>,
        rng: &mut impl CryptoRng,
    ) -> Result<RecoveredSecret, Failed> {
        let verifiers = self.verifiers.get(dealer).ok_or(Failed::Missing)?;
        let mut verifier = &verifiers.self_mask;
        let mut holders = Vec::new();
        let mut shares: Vec<(ShareIndex, &Share)> = Vec::new();
        for (holder, revealed) in &self.reveals {
            let (Some(share), Some(index)) = (revealed.get(dealer), self.session.share_index(holder)) else {
                continue;
            };
            let share = match share {
                RevealedShare::SelfMask(share) => share,
                RevealedShare::PairwiseKey(share) => {
                    verifier = &verifiers.mask_key;
                    share
                }
            };
            holders.push(*holder);
            shares.push((index, share));
        }
        let needed = self.session.threshold().get();
        let (Some(first), Some(_)) = (shares.get(..needed), holders.get(..needed)) else {
            return Err(Failed::Missing);
        };
        let indices: Vec<ShareIndex> = first.iter().map(|(index, _)| *index).collect();
        let values: Vec<&Share> = first.iter().map(|(_, share)| *share).collect();
        let coefficients = match lagrange.entry(indices) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let computed = Lagrange::new(entry.key()).map_err(|_| Failed::Missing)?;
                entry.insert(computed)
            }
        };
        let recovered = coefficients.combine(&values).and_then(|secret| secret.check(verifier));
        recovered.map_err(|_| self.wrong(verifier, &shares, rng))
    }

    fn wrong(
        &self,
        verifier: &Verifier,
        shares: &[(ShareIndex, &Share)],
        rng: &mut impl CryptoRng,
    ) -> Failed {
        let bad = verifier.find_bad(shares, rng);
        let liars: Vec<MemberId> = bad
            .into_iter()
            .filter_map(|index| self.session.participants().get(index.position()))
            .map(|participant| participant.id)
            .collect();
        if liars.is_empty() { Failed::Missing } else { Failed::Wrong(liars) }
    }
}

/// The sum is being computed.
pub(super) struct Summing {
    pub(super) session: Arc<Session>,
    certificate: Certificate,
    mask_set: Signed<MaskSet>,
    opening: Opening,
    pub(super) announced: Vec<Message>,
}

impl Summing {
    pub(super) fn summed(self, seat: &Seat, root: Digest, out: &mut Outputs) -> Result<Publish, AbortReason> {
        let Self { session, certificate, mask_set, opening, announced } = self;
        let survivors = certificate.survivors.digest();
        let sum = seat.sign(Sum { session: session.id(), survivors, root })?;
        let published = Published { sum, certificate, mask_set, opening: Some(opening) };
        Ok(Publish::begin(seat, session, published, announced, out))
    }
}
