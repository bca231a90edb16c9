//! Nobody honest is convicted, whatever is put together from what the honest signed and what others make up.

use proptest::prelude::*;

use super::{
    super::breach::{Confirmed, Opened},
    transcript::{MEMBERS, Transcript, five, statements},
    *,
};
use crate::{
    messages::share_keys::{Dealing, MaskSet},
    signing::Statement,
};

/// Two rounds of the same members: what was signed in one may be shown in the other.
struct Stage {
    plays: [Transcript; 2],
    corrupt: MemberId,
    manifest: Arc<Manifest>,
}

impl Stage {
    /// One member is corrupt: the aggregator of the first round, or somebody else.
    fn new(aggregator: bool) -> Self {
        let consortium = five();
        let plays = [2, 3].map(|round| Transcript::of(&consortium, round));
        let corrupt = if aggregator { plays[0].aggregator() } else { plays[0].member() };
        Self { plays, corrupt, manifest: consortium.manifest }
    }

    /// What was signed, and for each statement others: altered and signed by the corrupt member, altered under
    /// the signature of its author, unaltered under another's name.
    fn pool<T: Statement + Clone>(
        &self,
        signed: impl Fn(&Transcript) -> Vec<Signed<T>>,
        alter: impl Fn(&mut T),
    ) -> Vec<Signed<T>> {
        let mut pool = Vec::new();
        for play in &self.plays {
            for statement in signed(play) {
                let mut body = statement.body.clone();
                alter(&mut body);
                pool.push(play.sign(body.clone(), &self.corrupt));
                pool.push(play.sign(statement.body.clone(), &self.corrupt));
                pool.push(Signed::from_parts(body, statement.signer, statement.signature()));
                let victim = play.identities.keys().find(|id| **id != self.corrupt).unwrap();
                pool.push(Signed::from_parts(statement.body.clone(), *victim, statement.signature()));
                pool.push(statement);
            }
        }
        pool
    }

    fn judge(&self, evidence: &Evidence) -> bool {
        match evidence.verify(&self.manifest) {
            Ok(proven) => {
                assert_eq!(
                    proven.culprit, self.corrupt,
                    "{} is convicted of {}",
                    proven.culprit, proven.crime
                );
                true
            }
            Err(_) => false,
        }
    }

    /// Every pair from the pool, in either round and without a session; whether anybody is convicted.
    fn conflicts<T: Exclusive>(&self, pool: &[Signed<T>]) -> bool {
        let mut convicted = false;
        for play in &self.plays {
            let roster = signing::body_digest(&play.roster.body).unwrap();
            for (first, second) in
                pool.iter().flat_map(|first| pool.iter().map(move |second| (first, second)))
            {
                // signatures of two authors are seen without checking one
                if first.signer != second.signer {
                    continue;
                }
                for roster in [None, Some(roster)] {
                    let accusation = Accusation::Conflict(roster, T::conflict(first.clone(), second.clone()));
                    let contract = play.contract.body.clone();
                    convicted |= self.judge(&Evidence { contract, accusation });
                }
            }
        }
        convicted
    }

    fn breaches(&self, breaches: &[Breach]) -> bool {
        let mut convicted = false;
        for play in &self.plays {
            for breach in breaches {
                let accusation = Accusation::Breach(Box::new(play.roster.clone()), Box::new(breach.clone()));
                let contract = play.contract.body.clone();
                convicted |= self.judge(&Evidence { contract, accusation });
            }
        }
        convicted
    }
}

fn everywhere(judged: impl Fn(&Stage) -> bool) {
    for aggregator in [true, false] {
        assert!(judged(&Stage::new(aggregator)), "the corrupt member is not convicted either");
    }
}

#[test]
fn by_two_statements() {
    everywhere(|stage| {
        stage.conflicts(&stage.pool(|it| vec![it.contract.clone()], |it| it.task.query = [1; 32]))
    });
    everywhere(|stage| {
        stage.conflicts(&stage.pool(|it| it.advertisements.clone(), |it| it.sealing_key = [1; 32]))
    });
    everywhere(|stage| {
        stage.conflicts(
            &stage.pool(|it| vec![it.roster.clone()], |it| it.advertisements.truncate(MEMBERS - 1)),
        )
    });
    everywhere(|stage| {
        stage.conflicts(&stage.pool(|it| it.receipts.clone(), |it| it.confirmed[0].1 = [1; 32]))
    });
    everywhere(|stage| {
        stage.conflicts(&stage.pool(|it| vec![it.mask_set.clone()], |it| it.dealers.truncate(4)))
    });
    everywhere(|stage| stage.conflicts(&stage.pool(|it| it.inputs.clone(), |it| it.root = [1; 32])));
    everywhere(|stage| {
        stage
            .conflicts(&stage.pool(|it| vec![it.proposal.clone()], |it| statements(it).truncate(MEMBERS - 2)))
    });
    everywhere(|stage| {
        stage.conflicts(&stage.pool(|it| it.votes.clone(), |it| it.value = Value::Survivors([1; 32])))
    });
    everywhere(|stage| stage.conflicts(&stage.pool(|it| vec![it.sum.clone()], |it| it.root = [1; 32])));
    let dealings =
        |it: &Transcript| it.dealt.values().flat_map(|parts| &parts[..2]).map(Dealing::of_signed).collect();
    everywhere(|stage| stage.conflicts(&stage.pool(dealings, |it| it.shares[0] = [1; 32])));
    let reveals = |it: &Transcript| it.reveals.iter().map(RevealedDigests::of_signed).collect();
    everywhere(|stage| stage.conflicts(&stage.pool(reveals, |it| it.survivors = [1; 32])));
}

#[test]
fn by_rosters_mask_sets_and_proposals() {
    everywhere(|stage| {
        let rosters = stage.pool(|it| vec![it.roster.clone()], |it| it.advertisements.truncate(2));
        let mut convicted = false;
        for (play, roster) in stage.plays.iter().flat_map(|play| rosters.iter().map(move |it| (play, it))) {
            let accusation = Accusation::Breach(Box::new(roster.clone()), Box::new(Breach::Roster));
            convicted |= stage.judge(&Evidence { contract: play.contract.body.clone(), accusation });
        }
        convicted
    });
    everywhere(|stage| {
        let sets: Vec<Signed<MaskSet>> =
            stage.pool(|it| vec![it.mask_set.clone()], |it| it.dealers.truncate(1));
        stage.breaches(&sets.into_iter().map(Breach::MaskSet).collect::<Vec<_>>())
    });
    everywhere(|stage| {
        let proposals = stage.pool(|it| vec![it.proposal.clone()], |it| statements(it).truncate(1));
        stage.breaches(&proposals.into_iter().map(Breach::Proposal).collect::<Vec<_>>())
    });
}

#[test]
fn by_shares() {
    everywhere(|stage| {
        let receivers =
            |parts: &Vec<Signed<DealtShares>>| parts.iter().take(2).map(Dealing::of_signed).collect();
        let pool = stage.pool(
            |it| it.dealt.values().flat_map(|parts| -> Vec<_> { receivers(parts) }).collect(),
            |it| it.commitments.reverse(),
        );
        let mut breaches = Vec::new();
        for (play, dealing) in stage.plays.iter().flat_map(|play| pool.iter().map(move |it| (play, it))) {
            for part in play.dealt.values().flat_map(|parts| parts.iter().take(2)) {
                let DealtShares { commitments, mask_key, self_mask, .. } = &part.body;
                let opened = |kind, share: Option<&Share>| Opened {
                    kind,
                    commitments: commitments.to(kind).clone(),
                    share: share.cloned(),
                };
                let (one, other) = (SecretKind::MaskKey, SecretKind::SelfMask);
                let all = [
                    opened(one, None),
                    opened(one, Some(mask_key)),
                    opened(one, Some(self_mask)),
                    opened(other, Some(self_mask)),
                ];
                breaches.extend(all.map(|opened| Breach::Dealing(dealing.clone(), opened)));
            }
        }
        // the corrupt member has signed the dealings of all others as its own
        stage.breaches(&breaches)
    });
}

#[test]
fn by_reveals() {
    everywhere(|stage| {
        let reveals = |it: &Transcript| it.reveals.iter().map(RevealedDigests::of_signed).collect();
        let pool = stage.pool(reveals, |it| it.survivors[0] ^= 1);
        let mut breaches = Vec::new();
        for (play, reveal) in stage.plays.iter().flat_map(|play| pool.iter().map(move |it| (play, it))) {
            breaches.push(Breach::RevealedKind(reveal.clone(), play.survivors.clone()));
            // of a survivor and of the lost member
            let dealers = [play.dealt.first_key_value(), play.dealt.last_key_value()].into_iter().flatten();
            let receipts = play.receipts.iter().filter(|receipt| receipt.signer == reveal.signer);
            for (receipt, (dealer, parts)) in
                receipts.flat_map(|it| dealers.clone().map(move |parts| (it, parts)))
            {
                for part in parts {
                    let DealtShares { commitments, mask_key, self_mask, .. } = &part.body;
                    let confirmed = |kind, other, share: &Share| Confirmed {
                        dealer: *dealer,
                        share: share.clone(),
                        commitments: commitments.to(kind).clone(),
                        other: commitments.to(other).digest(),
                    };
                    let (one, other) = (SecretKind::MaskKey, SecretKind::SelfMask);
                    for confirmed in [confirmed(one, other, mask_key), confirmed(other, one, self_mask)] {
                        breaches.push(Breach::Reveal(reveal.clone(), receipt.clone(), confirmed));
                    }
                }
            }
        }
        // it has signed the reveals of others, whose shares are for other places
        stage.breaches(&breaches)
    });
}

fn samples(stage: &Stage) -> Vec<Vec<u8>> {
    let play = &stage.plays[0];
    let roster = Some(signing::body_digest(&play.roster.body).unwrap());
    let honest =
        *play.identities.keys().find(|id| **id != stage.corrupt && **id != play.aggregator()).unwrap();
    let vote = play.by(&play.votes, &honest);
    let input = play.by(&play.inputs, &honest);
    let part = &play.dealt[&honest][0];
    let opened = Opened {
        kind: SecretKind::MaskKey,
        commitments: part.body.commitments.mask_key.clone(),
        share: Some(part.body.mask_key.clone()),
    };
    let of = |breach| Accusation::Breach(Box::new(play.roster.clone()), Box::new(breach));
    let reveal = play.by(&play.reveals, &honest);
    let receipt = play.by(&play.receipts, &honest);
    let lost = play.identities.keys().last().unwrap();
    let revealed = Breach::of_reveal(reveal, receipt, lost, &play.commitments[lost]).unwrap();
    let accusations = [
        Accusation::Conflict(roster, Exclusive::conflict(vote.clone(), vote.clone())),
        Accusation::Conflict(roster, Exclusive::conflict(input.clone(), input.clone())),
        of(Breach::Dealing(Dealing::of_signed(part), opened)),
        of(revealed),
        of(Breach::RevealedKind(RevealedDigests::of_signed(reveal), play.survivors.clone())),
        of(Breach::Proposal(play.proposal.clone())),
    ];
    let encode =
        |accusation| codec::encode(&Evidence { contract: play.contract.body.clone(), accusation }).unwrap();
    accusations.into_iter().map(encode).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever is changed in what honest members signed, it convicts nobody, and nothing panics.
    #[test]
    fn by_edited_records(
        sample in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        thread_local!(static SAMPLES: Vec<Vec<u8>> = samples(&Stage::new(false)));
        let mut bytes = SAMPLES.with(|samples| samples[sample.index(samples.len())].clone());
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(evidence) = codec::decode::<Evidence>(&bytes) {
            prop_assert!(evidence.verify(&five().manifest).is_err());
        }
    }
}
