//! `advertise-keys`: fresh keys out, the roster back.
//!
//! The roster is checked by [`Session::new`]; this file adds what only the member itself can see:
//! 1. my own advertisement is on it, to the letter.

use std::{collections::BTreeMap, sync::Arc};

use rand_core::CryptoRng;

use crate::{
    fault::FaultKind,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{JournalEntry, Output},
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        share_keys::SealedShares,
    },
    mutation::{Check, checked},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    sharing::{MaskKey, SelfMaskSecret},
    signing::Signed,
};

use super::{
    playing::{Playing, Stage},
    sealing::SealingKey,
    share_keys::ShareKeys,
};

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
        send(out, seat.aggregator(), Message::Advertise(Box::new(advertisement.clone())));
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

    /// The advertisement once more, for an aggregator that may not have heard it.
    pub(super) fn resend(&self, seat: &Seat, out: &mut Outputs) {
        send(out, seat.aggregator(), Message::Advertise(Box::new(self.advertisement.clone())));
    }

    /// Digest of what I advertised.
    pub(super) fn advertised(&self) -> Digest {
        self.advertisement.digest()
    }

    #[cfg(feature = "sim")]
    pub(super) fn spied(&self) -> crate::sim::Spied {
        crate::sim::Spied {
            sealing: self.sealing.duplicate(),
            mask_key: self.secrets.mask_key.duplicate(),
            self_mask: self.secrets.self_mask.duplicate(),
        }
    }

    pub(super) fn check(&self, seat: &Seat, roster: &Signed<Roster>) -> Result<Session, FaultKind> {
        let session = Session::new(seat.terms.clone(), roster, &seat.seen)?;
        let mine = session.position(&seat.me).and_then(|at| roster.body.advertisements.get(at));
        let unaltered = mine == Some(&self.advertisement) || !checked(Check::OwnAdvertisement);
        if unaltered { Ok(session) } else { Err(FaultKind::Altered) }
    }

    pub(super) fn roster_accepted(
        self,
        seat: &Seat,
        session: Session,
        rng: &mut impl CryptoRng,
        out: &mut Outputs,
    ) -> Result<Playing, AbortReason> {
        let id = session.id();
        out.push(Output::Phase(Phase::ShareKeys));
        out.push(Output::Journal(accepted(&session)));
        let session = Arc::new(session);
        let mut sharing = ShareKeys::begin(seat, session.clone(), self.secrets, self.sealing, rng, out)?;
        let mut known = BTreeMap::from([(seat.me, sharing.commitments().clone())]);
        for (dealer, mut kept) in self.early {
            if let Some(shares) = kept.remove(&id)
                && let Some(commitments) = sharing.early(seat, dealer, &shares, out)?
            {
                known.insert(dealer, commitments);
            }
        }
        Ok(Playing::new(seat, session, Stage::ShareKeys(Box::new(sharing)), known))
    }
}

/// What is journalled when a roster is accepted.
pub(super) fn accepted(session: &Session) -> JournalEntry {
    let contract = session.terms().contract();
    JournalEntry::RosterAccepted {
        round: contract.round,
        attempt: contract.attempt,
        session: session.id(),
        participants: session.participants().iter().map(|participant| participant.id).collect(),
        keys: session.keys().collect(),
    }
}
