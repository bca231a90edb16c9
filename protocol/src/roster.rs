//! The roster of an attempt, checked: participants, their keys, the session they make, and its threshold.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use curve25519_dalek::MontgomeryPoint;

use crate::{
    contract::{Task, Terms},
    fault::FaultKind,
    graph::Neighbourhood,
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{
        advertise_keys::{Advertisement, Roster},
        failover::SessionProof,
    },
    mutation::{Check, checked},
    sharing::{PublicMaskKey, PublicPoint, ShareIndex, Threshold},
    signing::{self, Signed},
};

/// How many keys of earlier sessions are remembered.
const SEEN_KEYS: usize = 1 << 17;

/// Keys of earlier sessions, which no later roster may bring back. The oldest are forgotten first.
#[derive(Clone, Default)]
pub struct SeenKeys {
    keys: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl SeenKeys {
    /// Remembers keys.
    pub fn extend(&mut self, keys: impl IntoIterator<Item = [u8; 32]>) {
        for key in keys {
            if self.keys.insert(key) {
                self.order.push_back(key);
            }
            if self.order.len() > SEEN_KEYS
                && let Some(oldest) = self.order.pop_front()
            {
                self.keys.remove(&oldest);
            }
        }
    }

    /// Whether a key was seen before.
    #[must_use]
    pub fn contains(&self, key: &[u8; 32]) -> bool {
        self.keys.contains(key)
    }
}

/// Who is on the roster of an attempt.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The member.
    pub id: MemberId,
    /// Its public mask key.
    pub mask_key: PublicMaskKey,
    /// C₀ of its self-mask secret.
    pub self_mask: PublicPoint,
    /// Shares for it are sealed to this key.
    pub sealing_key: [u8; 32],
}

/// One attempt with its roster fixed: what [`crate::ids::SessionId`] names.
#[derive(Clone, Debug)]
pub struct Session {
    id: SessionId,
    terms: Arc<Terms>,
    participants: Vec<Participant>,
    threshold: Threshold,
    min_survivors: usize,
    roster: Arc<Signed<Roster>>,
}

impl Session {
    /// Checks a roster as every participant does:
    ///
    /// 1. it is signed by the slot's aggregator, for this contract;
    /// 2. it lists members of the manifest only, each once, in ascending order;
    /// 3. every advertisement is signed by its member, for this contract;
    /// 4. all keys are usable, different from each other, and none was seen before;
    /// 5. there are enough participants.
    ///
    /// # Errors
    /// [`FaultKind`] says which check failed; the aggregator is to blame.
    pub fn new(terms: Arc<Terms>, roster: &Signed<Roster>, seen: &SeenKeys) -> Result<Self, FaultKind> {
        let aggregator = terms.aggregator();
        if roster.signer != aggregator {
            return Err(FaultKind::Author { signer: roster.signer, expected: aggregator });
        }
        let Roster { contract, advertisements } = &roster.body;
        if contract != terms.digest() {
            return Err(FaultKind::Session);
        }
        let needed = terms.manifest().min_participants();
        if advertisements.len() < needed && checked(Check::MinParticipants) {
            return Err(FaultKind::TooFew { found: advertisements.len(), needed });
        }
        if !ascending(advertisements.iter().map(|advertisement| advertisement.signer)) {
            return Err(FaultKind::Order);
        }
        roster.verify().map_err(|_| FaultKind::Signature)?;

        let mut keys = BTreeSet::new();
        for advertisement in advertisements {
            check_advertisement(&terms, advertisement, seen)?;
            if !keys_of(&advertisement.body).into_iter().all(|key| keys.insert(key)) {
                return Err(FaultKind::Key);
            }
        }
        let n = advertisements.len();
        let too_few = FaultKind::TooFew { found: n, needed };
        let threshold = terms.manifest().threshold(n).ok_or(too_few.clone())?;
        let min_survivors = terms.manifest().min_survivors(n).ok_or(too_few)?;
        let roster_digest = signing::body_digest(&roster.body).map_err(|_| FaultKind::Session)?;
        let id = session_id(terms.digest(), terms.contract().attempt, &roster_digest);
        let participants = advertisements
            .iter()
            .map(|advertisement| Participant {
                id: advertisement.signer,
                mask_key: advertisement.body.mask_key,
                self_mask: advertisement.body.self_mask,
                sealing_key: advertisement.body.sealing_key,
            })
            .collect();
        let roster = Arc::new(roster.clone());
        Ok(Self { id, terms, participants, threshold, min_survivors, roster })
    }

    /// The session that a proof names, for a round and task that are known.
    ///
    /// # Errors
    /// [`FaultKind`] says which check of the roster failed.
    pub fn from_proof(
        manifest: &Arc<Manifest>,
        round: u64,
        task: &Task,
        proof: &SessionProof,
        seen: &SeenKeys,
    ) -> Result<Self, FaultKind> {
        let terms = Terms::new(manifest.clone(), round, proof.attempt, proof.slot, task.clone());
        let terms = terms.map_err(|_| FaultKind::Session)?;
        Self::new(Arc::new(terms), &proof.roster, seen)
    }

    /// What shows the session to somebody who has the same task.
    #[must_use]
    pub fn proof(&self) -> SessionProof {
        let contract = self.terms.contract();
        SessionProof { attempt: contract.attempt, slot: contract.slot, roster: (*self.roster).clone() }
    }

    /// The next slot whose aggregator is on the roster; `None` after the last.
    #[must_use]
    pub fn next_slot(&self, after: u32) -> Option<u32> {
        let mut slot = after;
        loop {
            slot = slot.checked_add(1)?;
            if self.position(&self.terms.holder(slot)?).is_some() {
                return Some(slot);
            }
        }
    }

    /// How many standbys have to hold the vectors of so many survivors before a set is voted for: as many as
    /// may be lost, or as the policy pays for.
    #[must_use]
    pub fn standbys(&self, survivors: usize) -> usize {
        let bytes = self.terms.layout().packed_len().max(1).saturating_mul(survivors as u64).max(1);
        let paid = self.terms.manifest().policy().standby_bytes / bytes;
        let losses = self.participants.len().saturating_sub(self.threshold.get());
        losses.min(usize::try_from(paid).unwrap_or(usize::MAX))
    }

    /// The session's name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The signed roster.
    #[must_use]
    pub fn roster(&self) -> &Signed<Roster> {
        &self.roster
    }

    /// The terms of the attempt.
    #[must_use]
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// The participants in ascending order of their ids.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// A participant by its id.
    #[must_use]
    pub fn participant(&self, id: &MemberId) -> Option<&Participant> {
        self.participants.get(self.position(id)?)
    }

    /// A participant's place on the roster.
    #[must_use]
    pub fn position(&self, id: &MemberId) -> Option<usize> {
        self.participants.binary_search_by_key(id, |participant| participant.id).ok()
    }

    /// The point at which a participant's shares are evaluated.
    #[must_use]
    pub fn share_index(&self, id: &MemberId) -> Option<ShareIndex> {
        ShareIndex::from_position(self.position(id)?).ok()
    }

    /// The threshold for shares and certificates.
    #[must_use]
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Fewest inputs in the sum.
    #[must_use]
    pub fn min_survivors(&self) -> usize {
        self.min_survivors
    }

    /// Who masks with whom.
    #[must_use]
    pub fn graph(&self) -> Neighbourhood {
        self.terms.graph(self.participants.len())
    }

    /// All public keys on the roster.
    pub fn keys(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.participants.iter().flat_map(|p| [p.mask_key.to_bytes(), p.self_mask.to_bytes(), p.sealing_key])
    }
}

/// The session that a contract, an attempt and the body of a roster make.
pub(crate) fn session_id(contract: &Digest, attempt: u32, roster: &Digest) -> SessionId {
    SessionId(digest("session", &[contract, &attempt.to_le_bytes(), roster]))
}

/// Checks one advertisement as member and aggregator do.
///
/// # Errors
/// [`FaultKind`] says which check failed.
pub fn check_advertisement(
    terms: &Terms,
    advertisement: &Signed<Advertisement>,
    seen: &SeenKeys,
) -> Result<(), FaultKind> {
    if !terms.manifest().contains(&advertisement.signer) && checked(Check::RosterMembers) {
        return Err(FaultKind::Stranger(advertisement.signer));
    }
    if advertisement.body.contract != *terms.digest() {
        return Err(FaultKind::Session);
    }
    if advertisement.verify().is_err() && checked(Check::AdvertisementSignature) {
        return Err(FaultKind::Signature);
    }
    // mask key and self mask were checked when they were decoded
    let seals = contributes(&advertisement.body.sealing_key);
    if !seals || keys_of(&advertisement.body).iter().any(|key| seen.contains(key)) {
        return Err(FaultKind::Key);
    }
    Ok(())
}

/// Whether ids are in strictly ascending order, which also means: each once.
pub(crate) fn ascending(ids: impl IntoIterator<Item = MemberId>) -> bool {
    let mut last = None;
    ids.into_iter().all(|id| {
        let rises = last.is_none_or(|last| last < id);
        last = Some(id);
        rises
    })
}

/// Whether an X25519 public key can lead to a secret at all (RFC 7748 section 6.1): keys of small order
/// lead to zero under every scalar. Eight times such a key is zero; the cofactors of curve and twist are 8 and 4.
fn contributes(key: &[u8; 32]) -> bool {
    let eight = [true, false, false, false];
    MontgomeryPoint(*key).mul_bits_be(eight.into_iter()).to_bytes() != [0; 32]
}

pub(crate) fn keys_of(advertisement: &Advertisement) -> [[u8; 32]; 3] {
    [advertisement.mask_key.to_bytes(), advertisement.self_mask.to_bytes(), advertisement.sealing_key]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field's prime is 2²⁵⁵ − 19.
    fn prime_plus(small: u8) -> [u8; 32] {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xed + small, 0x7f);
        bytes
    }

    fn is_contributory(key: [u8; 32]) -> bool {
        let secret = x25519_dalek::StaticSecret::from([1; 32]);
        secret.diffie_hellman(&x25519_dalek::PublicKey::from(key)).was_contributory()
    }

    /// The list at <https://cr.yp.to/ecdh.html#validate>, and what x25519-dalek says of it.
    #[test]
    fn keys_of_small_order_do_not_contribute_and_others_do() {
        let of_order_8 = [
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        ];
        let small: Vec<[u8; 32]> = of_order_8
            .map(|hex| hex::decode(hex).unwrap().try_into().unwrap())
            .into_iter()
            .chain([0, 1].map(|u| core::array::from_fn(|at| if at == 0 { u } else { 0 })))
            .chain([prime_plus(0), prime_plus(1)])
            .chain([core::array::from_fn(|at| prime_plus(0)[at] - u8::from(at == 0))])
            .collect();
        for mut key in small {
            for top in [0, 0x80] {
                key[31] |= top;
                assert!(!contributes(&key) && !is_contributory(key), "{key:02x?}");
            }
        }
        for seed in 2..200 {
            let key = [seed; 32];
            assert!(contributes(&key) && is_contributory(key), "{seed}");
        }
    }
}
