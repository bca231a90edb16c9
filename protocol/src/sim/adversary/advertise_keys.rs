//! Lies about contracts, keys and rosters.

use crate::{
    ids::MemberId,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
    },
    sharing::{MaskKey, PublicPoint, SelfMaskSecret},
    signing::{Identity, Signed},
};

use super::{Liar, Lie, Said, speech::unsigned};

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::Contract(contract) if liar.lie == Lie::TwoContracts && !liar.favours(&to) => {
            let mut body = contract.body;
            body.task.query[0] ^= 1;
            let other = liar.sign(body).map(|contract| (to, Message::Contract(Box::new(contract))));
            other.into_iter().collect()
        }
        Message::Advertise(advertisement) => advertise(liar, to, *advertisement),
        Message::Roster(roster) if roster.signer == liar.me => {
            let roster = self::roster(liar, &to, *roster);
            vec![(to, Message::Roster(Box::new(roster)))]
        }
        message => vec![(to, message)],
    }
}

fn advertise(liar: &mut Liar, to: MemberId, first: Signed<Advertisement>) -> Said {
    let say = |advertisement| (to, Message::Advertise(Box::new(advertisement)));
    match liar.lie {
        Lie::ForgedAdvertisement => vec![say(unsigned(first))],
        Lie::RepeatedKey => {
            let mut body = first.body;
            body.self_mask = body.mask_key.point();
            liar.sign(body).map(say).into_iter().collect()
        }
        Lie::TwoAdvertisements => {
            let body = Advertisement {
                mask_key: MaskKey::generate(&mut liar.rng).public(),
                self_mask: SelfMaskSecret::generate(&mut liar.rng).public_point(),
                ..first.body.clone()
            };
            [Some(first), liar.sign(body)].into_iter().flatten().map(say).collect()
        }
        _ => vec![say(first)],
    }
}

/// The roster that a receiver gets.
fn roster(liar: &mut Liar, to: &MemberId, honest: Signed<Roster>) -> Signed<Roster> {
    let victim = liar.victim();
    let without_victim = |roster: &Signed<Roster>| {
        let mut body = roster.body.clone();
        body.advertisements.retain(|advertisement| Some(advertisement.signer) != victim);
        body
    };
    let changed = match liar.lie {
        Lie::TwoRosters if !liar.favours(to) => Some(without_victim(&honest)),
        Lie::RosterWithStranger => with_stranger(liar, &honest),
        Lie::RosterWithClone => {
            let mut body = honest.body.clone();
            if let Some(clone) = body.advertisements.first().cloned() {
                body.advertisements.insert(0, clone);
            }
            Some(body)
        }
        Lie::AlteredRoster => with_other_keys(liar, &honest, victim),
        Lie::SmallRoster => {
            let mut body = honest.body.clone();
            let most = liar.known.sessions.manifest().min_participants().saturating_sub(1);
            body.advertisements.truncate(most);
            Some(body)
        }
        _ => None,
    };
    changed.and_then(|body| liar.sign(body)).unwrap_or(honest)
}

fn with_stranger(liar: &mut Liar, honest: &Signed<Roster>) -> Option<Roster> {
    let stranger = Identity::from_secret(&[0x5a; 32]);
    let keys = Advertisement {
        contract: honest.body.contract,
        mask_key: MaskKey::generate(&mut liar.rng).public(),
        self_mask: SelfMaskSecret::generate(&mut liar.rng).public_point(),
        sealing_key: MaskKey::generate(&mut liar.rng).public().to_montgomery(),
    };
    let mut body = honest.body.clone();
    body.advertisements.push(Signed::new(keys, &stranger).ok()?);
    body.advertisements.sort_by_key(|advertisement| advertisement.signer);
    Some(body)
}

/// The victim's entry with a key that the liar knows, under the victim's old signature.
fn with_other_keys(liar: &mut Liar, honest: &Signed<Roster>, victim: Option<MemberId>) -> Option<Roster> {
    let key: PublicPoint = MaskKey::generate(&mut liar.rng).public().point();
    let mut body = honest.body.clone();
    let entry = body.advertisements.iter_mut().find(|entry| Some(entry.signer) == victim)?;
    let keys = Advertisement { mask_key: key.try_into().ok()?, ..entry.body.clone() };
    *entry = Signed::from_parts(keys, entry.signer, entry.signature());
    Some(body)
}

/// Whether its node never hears of an advertisement.
pub(super) fn ignores(liar: &mut Liar, advertisement: &Signed<Advertisement>) -> bool {
    match liar.lie {
        Lie::RosterWithoutVictim => Some(advertisement.signer) == liar.victim(),
        // the keys are public, and the roster is made last: all that can be chosen is who is on it
        Lie::Grinding => {
            let manifest = liar.known.sessions.manifest();
            let spare = manifest.members().len() - manifest.min_participants();
            let disliked = advertisement.body.mask_key.to_bytes()[0] & 1 == 1;
            let chosen = disliked && liar.plan.asked.len() < spare && advertisement.signer != liar.me;
            if chosen {
                liar.plan.asked.push(advertisement.digest());
            }
            chosen
        }
        _ => false,
    }
}
