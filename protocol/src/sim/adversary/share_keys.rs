//! Lies about shares, receipts and mask sets.

use crate::{
    ids::MemberId,
    messages::{
        Message,
        share_keys::{DealtCommitments, DealtShares, MaskSet, Receipt, SealedShares},
    },
    sharing::Share,
    signing::Signed,
};

use super::{Liar, Lie, Said};

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::Shares(sealed) => shares(liar, to, *sealed),
        Message::Receipt(receipt, commitments) => self::receipt(liar, to, *receipt, *commitments),
        Message::MaskSet(mask_set) if mask_set.signer == liar.me => {
            vec![(to, Message::MaskSet(Box::new(self::mask_set(liar, &to, *mask_set))))]
        }
        message => vec![(to, message)],
    }
}

fn shares(liar: &mut Liar, to: MemberId, honest: SealedShares) -> Said {
    let say = |sealed| (to, Message::Shares(Box::new(sealed)));
    let both = match liar.lie {
        Lie::GarbledShares => {
            let mut garbled = honest.clone();
            if let Some(byte) = garbled.ciphertext.first_mut() {
                *byte ^= 1;
            }
            [None, Some(garbled)]
        }
        Lie::WrongShares => {
            let swapped = |dealt: DealtShares| DealtShares {
                mask_key: dealt.self_mask.clone(),
                self_mask: dealt.mask_key.clone(),
                ..dealt
            };
            [None, changed(liar, &honest, swapped)]
        }
        Lie::OtherSecret => {
            let swapped = |dealt: DealtShares| DealtShares {
                commitments: self::swapped(&dealt.commitments),
                mask_key: dealt.self_mask.clone(),
                self_mask: dealt.mask_key.clone(),
                ..dealt
            };
            [None, changed(liar, &honest, swapped)]
        }
        Lie::SplitDealing if !liar.favours(&to) => [None, dealt_again(liar, &honest)],
        Lie::TwoDealings => {
            let again = dealt_again(liar, &honest);
            [Some(honest.clone()), again]
        }
        _ => [None, None],
    };
    let said: Said = both.into_iter().flatten().map(say).collect();
    if said.is_empty() { vec![say(honest)] } else { said }
}

/// The same dealing after a change, signed and sealed again.
fn changed(
    liar: &Liar,
    honest: &SealedShares,
    change: impl FnOnce(DealtShares) -> DealtShares,
) -> Option<SealedShares> {
    let session = liar.known.sessions.get(&honest.session)?;
    let spied = liar.secrets(session)?;
    let opened = spied.open(session, &liar.me, honest)?;
    spied.seal(session, &liar.identity, change(opened.body))
}

/// The same secrets under other polynomials: the same ones for all receivers.
fn dealt_again(liar: &mut Liar, honest: &SealedShares) -> Option<SealedShares> {
    let session = liar.known.sessions.get(&honest.session)?.clone();
    let at = session.position(&honest.receiver)?;
    let drawn = rand_core::Rng::next_u64(&mut liar.rng);
    let mut rng = <chacha20::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(drawn);
    let other = |dealt: DealtShares, commitments: DealtCommitments, (mask_key, self_mask): (Share, Share)| {
        DealtShares { commitments, mask_key, self_mask, ..dealt }
    };
    let known = liar.plan.dealt.as_ref().filter(|(of, _)| *of == session.id()).is_some();
    if !known {
        let dealt = liar.secrets(&session)?.deal(&session, &mut rng)?;
        liar.plan.dealt = Some((session.id(), dealt));
    }
    let (_, dealt) = liar.plan.dealt.as_ref()?;
    let (commitments, shares) = (dealt.commitments.clone(), dealt.shares.get(at)?.clone());
    changed(liar, honest, |honest| other(honest, commitments, shares))
}

/// The commitments to each secret in place of those to the other.
fn swapped(commitments: &DealtCommitments) -> DealtCommitments {
    let DealtCommitments { mask_key, self_mask } = commitments.clone();
    DealtCommitments { mask_key: self_mask, self_mask: mask_key }
}

fn receipt(liar: &mut Liar, to: MemberId, honest: Signed<Receipt>, commitments: DealtCommitments) -> Said {
    let say = |receipt| (to, Message::Receipt(Box::new(receipt), Box::new(commitments.clone())));
    let mut body = honest.body.clone();
    if liar.lie != Lie::OtherSecret {
        // its own entry is compared with the commitments beside it
        let others = body.confirmed.iter_mut().filter(|(dealer, _)| *dealer != liar.me);
        others.for_each(|(_, named)| named[0] ^= 1);
    }
    match liar.lie {
        Lie::FalseReceipt => liar.sign(body).map(say).into_iter().collect(),
        Lie::OtherSecret => {
            let commitments = swapped(&commitments);
            let mine = body.confirmed.iter_mut().filter(|(dealer, _)| *dealer == liar.me);
            mine.for_each(|(_, named)| *named = commitments.digest());
            let receipt = liar.sign(body);
            receipt
                .map(|it| (to, Message::Receipt(Box::new(it), Box::new(commitments))))
                .into_iter()
                .collect()
        }
        Lie::TwoReceipts => [Some(honest), liar.sign(body)].into_iter().flatten().map(say).collect(),
        _ => vec![say(honest)],
    }
}

fn mask_set(liar: &mut Liar, to: &MemberId, honest: Signed<MaskSet>) -> Signed<MaskSet> {
    let victim = liar.victim();
    let mut body = honest.body.clone();
    match liar.lie {
        Lie::TwoMaskSets if !liar.favours(to) => body.dealers.retain(|(id, _)| Some(*id) != victim),
        Lie::AlteredMaskSet => {
            body.dealers
                .iter_mut()
                .filter(|(id, _)| Some(*id) == victim)
                .for_each(|(_, named)| named[0] ^= 1);
        }
        Lie::SmallMaskSet => {
            let least = liar.known.session().map_or(1, |session| session.min_survivors());
            body.dealers.truncate(least - 1);
        }
        _ => return honest,
    }
    liar.sign(body).unwrap_or(honest)
}
