//! The split view of the design: every honest member is shown another set, each large enough, so that together
//! they would give away nearly all mask keys and leave the sum of a few.
//!
//! `CONSORT_SPLIT_MEMBERS=100` plays it at the size of the design's example.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use consort_protocol::{
    ids::MemberId,
    manifest::{Policy, max_corrupt, quorum},
    messages::{
        Message,
        consistency_check::{Certificate, Proposed, SurvivorSet, Vote},
    },
    signing::{Signature, Signed, sign_body},
    sim::{Adversary, Envelope, Lie, Report, SequentialHost, Simulation},
};

use crate::setting::Setting;

/// What came of it.
pub(crate) struct SplitView {
    pub(crate) setting: Setting,
    /// Honest members that nobody is told to be dead.
    pub(crate) spared: BTreeSet<MemberId>,
    /// How many honest members have revealed shares.
    pub(crate) revealed: usize,
    pub(crate) report: Report,
}

/// Whom each honest member is told to be dead: as many as may be, spread evenly over all but `spared`.
fn declared_dead(honest: &[MemberId], spared: usize, most: usize) -> BTreeMap<MemberId, BTreeSet<MemberId>> {
    let mut times = vec![0; honest.len()];
    let mut dead = BTreeMap::new();
    for (at, viewer) in honest.iter().enumerate() {
        let mut others: Vec<usize> = (spared..honest.len()).filter(|other| *other != at).collect();
        others.sort_by_key(|other| (times[*other], (other + honest.len() - at) % honest.len()));
        others.truncate(most);
        others.iter().for_each(|other| times[*other] += 1);
        dead.insert(*viewer, others.into_iter().map(|other| honest[other]).collect());
    }
    dead
}

/// Plays it. Each member is asked for its shares as soon as it has voted for the set that it was shown.
pub(crate) fn play() -> SplitView {
    let members = std::env::var("CONSORT_SPLIT_MEMBERS").ok().and_then(|it| it.parse().ok()).unwrap_or(30);
    let corrupt = max_corrupt(members);
    let threshold = quorum(members, corrupt);
    let setting = Setting::new(members, Policy { standby_bytes: 0, ..Policy::default() }, 5);
    let (aggregator, manifest) = (setting.order()[0], &setting.consortium.manifest);
    let coalition: Vec<MemberId> =
        setting.order()[..1].iter().chain(&setting.order()[members - corrupt + 1..]).copied().collect();
    let honest: Vec<MemberId> =
        manifest.members().iter().map(|it| it.id).filter(|id| !coalition.contains(id)).collect();

    // without agreement it would do: all but a few of the honest keys, and a threshold that each one sees
    let spared = (1..honest.len())
        .find(|spared| {
            let dead = declared_dead(&honest, *spared, members - threshold);
            let enough = |victim: &MemberId| {
                dead.values().filter(|it| it.contains(victim)).count() >= threshold - corrupt
            };
            honest[*spared..].iter().all(enough)
        })
        .expect("some assignment works");
    assert!(spared < threshold - corrupt, "{spared} of {} honest inputs", honest.len());
    let dead = declared_dead(&honest, spared, members - threshold);

    let by = setting.identity(&aggregator);
    let revealed = RefCell::new(0);
    let shown: RefCell<BTreeMap<MemberId, SurvivorSet>> = RefCell::default();
    let interfere = |envelope: Envelope| {
        let Envelope { from, to, message } = envelope;
        match message {
            Message::Proposal(proposal) if from == aggregator && dead.contains_key(&to) => {
                let mut body = proposal.body;
                if let Proposed::Survivors { statements, .. } = &mut body.value {
                    statements.retain(|statement| !dead[&to].contains(&statement.signer));
                    shown.borrow_mut().insert(to, SurvivorSet::of(statements));
                }
                let message = Message::Proposal(Box::new(Signed::new(body, &by).unwrap()));
                vec![Envelope { from, to, message }]
            }
            // its own vote and those of the coalition: all that there are for its set
            Message::Vote(vote) if to == aggregator && dead.contains_key(&from) => {
                let Vote { session, slot, .. } = vote.body;
                let sign = |id: &MemberId| (*id, sign_body(&vote.body, &setting.identity(id)).unwrap());
                let mut votes: BTreeMap<MemberId, Signature> = coalition.iter().map(sign).collect();
                votes.insert(from, vote.signature());
                let survivors = shown.borrow()[&from].clone();
                let votes = votes.into_iter().collect();
                let asked = Certificate { session, slot, survivors, votes };
                let message = Message::Certificate(Box::new(asked));
                vec![
                    Envelope { from, to, message: Message::Vote(vote) },
                    Envelope { from: to, to: from, message },
                ]
            }
            Message::Reveal(reveal) => {
                *revealed.borrow_mut() += 1;
                vec![Envelope { from, to, message: Message::Reveal(reveal) }]
            }
            message => vec![Envelope { from, to, message }],
        }
    };
    let mut host = SequentialHost;
    let liars = coalition.iter().map(|id| (setting.identity(id), Lie::NoAcknowledgement));
    let report = Simulation::new(setting.terms.clone(), setting.inputs(), 1, &mut host)
        .adversary(Adversary::new(manifest, liars, 1))
        .interfere(interfere)
        .run();
    let spared = honest[..spared].iter().copied().collect();
    let revealed = *revealed.borrow();
    SplitView { setting, spared, revealed, report }
}
