//! Lies that are after what must stay masked.

use std::collections::BTreeMap;

use crate::{
    hash::Digest,
    ids::MemberId,
    messages::{
        Message,
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::StandbyRequest,
        unmasking::{Reveal, RevealedShare},
    },
    sharing::Share,
    signing::{self, Signature, Signed},
};

use super::{Liar, Lie, Said};

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::Certificate(certificate) => self::certificate(liar, to, *certificate),
        Message::Reveal(reveal) => self::reveal(liar, to, *reveal),
        message => vec![(to, message)],
    }
}

fn certificate(liar: &Liar, to: MemberId, honest: Certificate) -> Said {
    let say = |certificate| (to, Message::Certificate(Box::new(certificate)));
    let victim = liar.victim();
    let mut smaller = honest.clone();
    smaller.survivors.vectors.retain(|(id, _)| Some(*id) != victim);
    match liar.lie {
        Lie::ThinCertificate => {
            let threshold = liar.known.session().map_or(1, |session| session.threshold().get());
            let mut thin = honest;
            thin.votes.truncate(threshold - 1);
            vec![say(thin)]
        }
        Lie::ForgedCertificate => vec![say(signed_by_fellows(liar, smaller))],
        // the others are asked for the shares of the set that they have voted for
        Lie::SplitView if !liar.favours(&to) => Said::new(),
        Lie::AskedTwice => vec![say(honest), say(signed_by_fellows(liar, smaller))],
        _ => vec![say(honest)],
    }
}

/// A certificate whose votes are those of whoever conspires, and beside them votes for something else.
fn signed_by_fellows(liar: &Liar, mut certificate: Certificate) -> Certificate {
    let value = Value::Survivors(certificate.survivors.digest());
    let vote = Vote { session: certificate.session, slot: certificate.slot, value };
    let mut votes: BTreeMap<MemberId, Signature> = certificate.votes.into_iter().collect();
    votes.extend(votes_of_fellows(liar, &vote));
    certificate.votes = votes.into_iter().collect();
    certificate
}

fn votes_of_fellows(liar: &Liar, vote: &Vote) -> BTreeMap<MemberId, Signature> {
    let sign = |fellow: &std::sync::Arc<signing::Identity>| {
        Some((fellow.id(), signing::sign_body(vote, fellow).ok()?))
    };
    liar.fellows.iter().filter_map(sign).collect()
}

fn reveal(liar: &Liar, to: MemberId, honest: Signed<Reveal>) -> Said {
    let say = |reveal| (to, Message::Reveal(Box::new(reveal)));
    let victim = liar.victim();
    let mut body = honest.body.clone();
    let entry = body.shares.iter_mut().find(|(dealer, _)| Some(**dealer) == victim);
    let Some((_, share)) = entry else { return vec![say(honest)] };
    match liar.lie {
        Lie::WrongReveal | Lie::TwoReveals => *share = wrong(share),
        Lie::WrongKind => {
            *share = match share {
                RevealedShare::SelfMask(share) => RevealedShare::PairwiseKey(share.clone()),
                RevealedShare::PairwiseKey(share) => RevealedShare::SelfMask(share.clone()),
            }
        }
        _ => return vec![say(honest)],
    }
    let other = liar.sign(body).map(say);
    let first = (liar.lie == Lie::TwoReveals).then(|| say(honest));
    first.into_iter().chain(other).collect()
}

fn wrong(share: &RevealedShare) -> RevealedShare {
    let one = |share: &Share| {
        let mut bytes = share.to_bytes();
        bytes[0] ^= 1;
        Share::from_bytes(bytes).unwrap_or_else(|_| share.clone())
    };
    match share {
        RevealedShare::SelfMask(share) => RevealedShare::SelfMask(one(share)),
        RevealedShare::PairwiseKey(share) => RevealedShare::PairwiseKey(one(share)),
    }
}

/// Standbys are asked to hold the smaller set as well.
pub(super) fn standbys_of_both(liar: &mut Liar, to: MemberId, request: StandbyRequest) -> Said {
    let victim = liar.victim();
    let mut smaller = request.clone();
    smaller.survivors.vectors.retain(|(id, _)| Some(*id) != victim);
    // the request that comes last is the one that counts until its vectors are there
    [smaller, request].map(|request| (to, Message::Standby(Box::new(request)))).into()
}

/// One half gets the honest proposal, the other one without the victim, once it has its standbys.
pub(super) fn propose_both(liar: &mut Liar, to: MemberId, honest: Signed<Proposal>) -> Said {
    let abandons = matches!(honest.body.value, Proposed::Abandon);
    if abandons || liar.favours(&to) {
        return vec![(to, Message::Proposal(Box::new(honest)))];
    }
    liar.plan.waiting.push(to);
    propose_smaller(liar)
}

fn propose_smaller(liar: &mut Liar) -> Said {
    let Some(smaller) = smaller(liar) else { return Said::new() };
    let waiting = std::mem::take(&mut liar.plan.waiting);
    waiting.into_iter().map(|to| (to, Message::Proposal(Box::new(smaller.clone())))).collect()
}

/// The set without the victim, with receipts of as many standbys as voters ask for.
fn smaller(liar: &Liar) -> Option<Signed<Proposal>> {
    let honest = liar.known.proposal.as_ref().filter(|proposal| proposal.signer == liar.me)?;
    let Proposal { session, slot, value } = &honest.body;
    let Proposed::Survivors { statements, .. } = value else { return None };
    let statements = liar.without_victim(statements);
    let set = SurvivorSet::of(&statements);
    let receipts = liar.known.receipts.get(&(*session, *slot, set.digest()));
    let of_others = receipts.into_iter().flatten().filter(|(id, _)| **id != liar.me);
    let standbys: Vec<_> = of_others.map(|(_, receipt)| receipt.clone()).collect();
    let needed = liar.known.sessions.get(session)?.standbys(set.vectors.len());
    let value = Proposed::Survivors { statements, standbys };
    (set.vectors.len() >= liar.known.sessions.get(session)?.min_survivors()
        && matches!(&value, Proposed::Survivors { standbys, .. } if standbys.len() >= needed))
    .then(|| liar.sign(Proposal { session: *session, slot: *slot, value }))
    .flatten()
}

/// More receipts, more votes: proposes to those who wait, and asks for shares of every set that has enough.
pub(super) fn incoming(liar: &mut Liar, message: &Message) -> Said {
    match message {
        Message::StandbyReceipt(_) => propose_smaller(liar),
        Message::Vote(vote) => match vote.body.value {
            Value::Survivors(digest) => ask(liar, vote.body, digest),
            Value::Abandon => Said::new(),
        },
        _ => Said::new(),
    }
}

fn ask(liar: &mut Liar, vote: Vote, digest: Digest) -> Said {
    let Vote { session, slot, value } = vote;
    let Some(roster) = liar.known.sessions.get(&session) else { return Said::new() };
    let Some(survivors) = liar.known.sets.get(&digest).cloned() else { return Said::new() };
    let mut votes = liar.known.votes.get(&(session, slot, value)).cloned().unwrap_or_default();
    votes.extend(votes_of_fellows(liar, &vote));
    if votes.len() < roster.threshold().get() {
        return Said::new();
    }
    // whoever has answered one certificate answers no other
    let voters = liar.known.votes.get(&(session, slot, value)).into_iter().flat_map(|votes| votes.keys());
    let asked: Vec<MemberId> = voters.copied().filter(|id| *id != liar.me).collect();
    let votes = votes.into_iter().collect();
    let certificate = Message::Certificate(Box::new(Certificate { session, slot, survivors, votes }));
    asked.into_iter().map(|to| (to, certificate.clone())).collect()
}
