//! `advertise-keys`: fresh keys out, the roster back.
//!
//! The roster is checked by [`Session::new`]; this file adds what only the member itself can see:
//! 1. my own advertisement is on it, to the letter.

use std::{collections::BTreeMap, sync::Arc};

use rand_core::CryptoRng;

use crate::{
    fault::FaultKind,
    ids::{MemberId, SessionId},
    io::{JournalEntry, Output},
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        share_keys::SealedShares,
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    sharing::{MaskKey, SelfMaskSecret},
    signing::Signed,
};

use super::{sealing::SealingKey, share_keys::ShareKeys};

/// Sessions of which a dealer's early shares are kept: this one, and as many earlier ones as may still
/// be on their way.
const EARLY_SESSIONS: usize = 4;

/// Sealed shares that are longer than this many bytes are none: two commitments for each member at most,
/// and everything else.
const fn max_sealed_bytes(members: usize) -> usize {
    2 * 32 * members + 512
}

/// Both secrets of a session; they erase themselves on drop.
pub(super) struct Secrets {
    pub(super) mask_key: MaskKey,
    pub(super) self_mask: SelfMaskSecret,
}

pub(super) struct AdvertiseKeys {
    secrets: Secrets,
    sealing: SealingKey,
    advertisement: Signed<Advertisement>,
    /// Shares from those who got the roster first, and late ones of earlier attempts: until the roster is
    /// here nobody can tell them apart.
    early: BTreeMap<MemberId, BTreeMap<SessionId, SealedShares>>,
}

impl AdvertiseKeys {
    pub(super) fn begin(
        seat: &Seat,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let secrets = Secrets { mask_key: MaskKey::generate(rng), self_mask: SelfMaskSecret::generate(rng) };
        let sealing = SealingKey::generate(rng);
        let advertisement = seat.sign(Advertisement {
            contract: *seat.terms.digest(),
            mask_key: secrets.mask_key.public(),
            self_mask: secrets.self_mask.public_point(),
            sealing_key: sealing.public(),
        })?;
        let contract = seat.terms.contract();
        out.push(Output::Phase(Phase::AdvertiseKeys));
        out.push(Output::Journal(JournalEntry::Joined {
            round: contract.round,
            attempt: contract.attempt,
            slot: contract.slot,
        }));
        send(out, seat.terms.aggregator(), Message::Advertise(Box::new(advertisement.clone())));
        Ok(Self { secrets, sealing, advertisement, early: BTreeMap::new() })
    }

    pub(super) fn early_shares(
        &mut self,
        seat: &Seat,
        from: MemberId,
        shares: SealedShares,
    ) -> Result<(), FaultKind> {
        if shares.dealer != from {
            return Err(FaultKind::Author { signer: shares.dealer, expected: from });
        }
        if !seat.terms.manifest().contains(&from) {
            return Err(FaultKind::Stranger(from));
        }
        if shares.ciphertext.len() > max_sealed_bytes(seat.terms.manifest().members().len()) {
            return Err(FaultKind::Seal);
        }
        let kept = self.early.entry(from).or_default();
        if kept.len() < EARLY_SESSIONS {
            kept.entry(shares.session).or_insert(shares);
        }
        Ok(())
    }

    pub(super) fn check(&self, seat: &Seat, roster: &Signed<Roster>) -> Result<Session, FaultKind> {
        let session = Session::new(seat.terms.clone(), roster, &seat.seen)?;
        let mine = session.position(&seat.me).and_then(|at| roster.body.advertisements.get(at));
        if mine == Some(&self.advertisement) { Ok(session) } else { Err(FaultKind::Altered) }
    }

    pub(super) fn roster_accepted(
        self,
        seat: &Seat,
        session: Session,
        roster: &Signed<Roster>,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Result<ShareKeys, AbortReason> {
        let (contract, id) = (seat.terms.contract(), session.id());
        out.push(Output::Phase(Phase::ShareKeys));
        out.push(Output::Journal(JournalEntry::RosterAccepted {
            round: contract.round,
            attempt: contract.attempt,
            session: id,
            participants: session.participants().iter().map(|participant| participant.id).collect(),
            keys: session.keys().collect(),
        }));
        let mut next =
            ShareKeys::begin(seat, Arc::new(session), roster.digest(), self.secrets, self.sealing, rng, out)?;
        for (dealer, mut kept) in self.early {
            if let Some(shares) = kept.remove(&id) {
                next.early(seat, dealer, &shares, out)?;
            }
        }
        Ok(next)
    }
}
