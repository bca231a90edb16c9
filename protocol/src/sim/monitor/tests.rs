//! Each invariant fires where it is broken: an honest transcript with one thing in it that must not be.

use std::sync::Arc;

use super::*;
use crate::{
    array::{Array, Dtype, Values},
    contract::{Task, Terms, spec_for},
    encoding::{Input, Layout, Reduction, ValidInput},
    evidence::Crime,
    fault::FaultKind,
    manifest::Policy,
    masking::MaskPlan,
    messages::{
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Proposal, Vote},
    },
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::Session,
    signing::{Identity, Signed, Statement},
    sim::{Adversary, Consortium, Host, Lie, Report, SequentialHost, Simulation, consortium},
};

const MEMBERS: usize = 4;

/// Writes down all that is said.
#[derive(Default)]
struct Recorder {
    sent: Vec<Envelope>,
    sums_are_wrong: bool,
}

impl Host for Recorder {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.mask(input, plan, layout)
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        let mut chunks = SequentialHost.sum(vectors, plan, layout);
        chunks[0][0] ^= u8::from(self.sums_are_wrong);
        chunks
    }

    fn sent(&mut self, envelope: &Envelope, _bytes: usize) {
        self.sent.push(envelope.clone());
    }
}

struct Scene {
    consortium: Consortium,
    sent: Vec<Envelope>,
    report: Report,
}

fn run(
    members: usize,
    adversary: impl FnOnce(&Consortium, &Terms) -> Adversary,
    host: &mut Recorder,
) -> (Consortium, Report) {
    let consortium = consortium(members, Policy::default(), 3).unwrap();
    let spec = spec_for(&consortium.manifest, [(vec![1], Dtype::I64)], Reduction::Sum, None);
    let task = Task { label: None, query: [0; 32], spec };
    let terms = Arc::new(Terms::new(consortium.manifest.clone(), 0, 0, 0, task).unwrap());
    let node = |identity: &Arc<Identity>| {
        let array = Array::new(vec![1], Values::I64(vec![5])).unwrap();
        let input = Input { leaves: vec![array], weight: 1 };
        let valid = ValidInput::new(input, &terms.contract().task.spec, terms.layout()).unwrap();
        (identity.clone(), Some(valid))
    };
    let inputs = consortium.identities.iter().map(node);
    let adversary = adversary(&consortium, &terms);
    let report = Simulation::new(terms.clone(), inputs, 1, host).adversary(adversary).run();
    (consortium, report)
}

impl Scene {
    fn new() -> Self {
        let mut host = Recorder::default();
        let (consortium, report) = run(MEMBERS, |_, _| Adversary::default(), &mut host);
        Self { consortium, sent: host.sent, report }
    }

    fn empty(&self) -> Monitor {
        Monitor::new(self.consortium.manifest.clone(), [])
    }

    fn with_journals(&self) -> Monitor {
        let mut monitor = self.empty();
        for (id, journal) in &self.report.journals {
            journal.iter().for_each(|entry| monitor.journal(*id, entry));
        }
        monitor
    }

    /// A monitor that has seen all of it.
    fn watched(&self) -> Monitor {
        let mut monitor = self.with_journals();
        self.sent.iter().for_each(|envelope| monitor.sent(envelope));
        assert_eq!(monitor.violations(), []);
        monitor
    }

    fn first<T>(&self, pick: impl Fn(&Message) -> Option<T>) -> (MemberId, T) {
        self.sent.iter().find_map(|it| Some((it.from, pick(&it.message)?))).unwrap()
    }

    fn vote(&self) -> (MemberId, Signed<Vote>) {
        self.first(|message| match message {
            Message::Vote(it) => Some((**it).clone()),
            _ => None,
        })
    }

    fn identity(&self, id: &MemberId) -> &Identity {
        self.consortium.identities.iter().find(|identity| identity.id() == *id).unwrap()
    }

    fn says<T: Statement>(&self, by: &MemberId, body: T, wrap: fn(Box<Signed<T>>) -> Message) -> Envelope {
        let signed = Signed::new(body, self.identity(by)).unwrap();
        Envelope { from: *by, to: *by, message: wrap(Box::new(signed)) }
    }

    /// What opens a session of the next attempt with the same members.
    fn next_attempt(&self) -> (Vec<Envelope>, SessionId) {
        let (aggregator, contract) = self.first(|message| match message {
            Message::Contract(it) => Some((**it).clone()),
            _ => None,
        });
        let mut body = contract.body;
        body.attempt = 1;
        let digest = crate::signing::body_digest(&body).unwrap();
        let mut advertisements = Vec::new();
        for envelope in &self.sent {
            if let Message::Advertise(it) = &envelope.message {
                let keys = Advertisement { contract: digest, ..it.body.clone() };
                advertisements.push(Signed::new(keys, self.identity(&it.signer)).unwrap());
            }
        }
        advertisements.sort_by_key(|it| it.signer);
        let terms = Terms::new(self.consortium.manifest.clone(), body.round, 1, body.slot, body.task.clone())
            .unwrap();
        let contract = self.says(&aggregator, body, Message::Contract);
        let roster = self.says(&aggregator, Roster { contract: digest, advertisements }, Message::Roster);
        let Message::Roster(signed) = &roster.message else { unreachable!() };
        let session = Session::new(Arc::new(terms), signed, &Default::default()).unwrap().id();
        (vec![contract, roster], session)
    }
}

fn fires(monitor: &Monitor, is: impl Fn(&Violation) -> bool) {
    assert!(monitor.violations().iter().any(is), "{:?}", monitor.violations());
}

#[test]
fn votes() {
    let scene = Scene::new();
    let (by, vote) = scene.vote();
    let Vote { session, slot, .. } = vote.body;

    let mut monitor = scene.watched();
    monitor.sent(&scene.says(&by, Vote { value: Value::Abandon, ..vote.body }, Message::Vote));
    fires(&monitor, |it| *it == Violation::TwoVotes { by, session, slot });

    for promise in [JournalEntry::TimedOut(session, slot), JournalEntry::Followed(session, slot + 1)] {
        let mut monitor = scene.empty();
        monitor.journal(by, &promise);
        monitor.journal(by, &JournalEntry::Voted(session, slot, vote.body.value));
        monitor.sent(&scene.says(&by, vote.body, Message::Vote));
        assert_eq!(monitor.violations(), [Violation::VoteBelowPromise { by, session, slot }]);
    }

    let mut monitor = scene.empty();
    monitor.sent(&scene.says(&by, vote.body, Message::Vote));
    fires(&monitor, |it| matches!(it, Violation::BeforeJournal { what: "its vote", .. }));
}

#[test]
fn votes_for_too_few() {
    let scene = Scene::new();
    let (by, vote) = scene.vote();
    let (aggregator, proposal) = scene.first(|message| match message {
        Message::Proposal(it) => Some((**it).clone()),
        _ => None,
    });
    let Proposed::Survivors { mut statements, standbys } = proposal.body.value else { panic!("it is a set") };
    statements.truncate(2);
    let value = Proposed::Survivors { statements, standbys };
    let vote = Vote { slot: 1, value: value.value(), ..vote.body };
    let mut monitor = scene.watched();
    monitor.sent(&scene.says(&aggregator, Proposal { slot: 1, value, ..proposal.body }, Message::Proposal));
    monitor.sent(&scene.says(&by, vote, Message::Vote));
    fires(&monitor, |it| *it == Violation::BadVote { by });
}

#[test]
fn two_certified_values() {
    let scene = Scene::new();
    let session = scene.vote().1.body.session;
    let mut monitor = scene.watched();
    for identity in &scene.consortium.identities {
        let vote = Vote { session, slot: 1, value: Value::Abandon };
        monitor.sent(&scene.says(&identity.id(), vote, Message::Vote));
    }
    fires(&monitor, |it| *it == Violation::TwoCertified { session });
}

#[test]
fn an_input_in_two_attempts() {
    let scene = Scene::new();
    let (by, statement) = scene.first(|message| match message {
        Message::MaskedInput(it) => Some(it.body.clone()),
        _ => None,
    });
    let (_, vote) = scene.vote();
    let (opening, session) = scene.next_attempt();
    let mut monitor = scene.watched();
    opening.iter().for_each(|envelope| monitor.sent(envelope));
    let again = crate::messages::masked_input::MaskedInput { session, ..statement };
    monitor.sent(&scene.says(&by, again, Message::MaskedInput));
    fires(&monitor, |it| *it == Violation::EarlyInput { by, attempt: 1 });
    for identity in &scene.consortium.identities {
        monitor.sent(&scene.says(&identity.id(), Vote { session, ..vote.body }, Message::Vote));
    }
    fires(&monitor, |it| matches!(it, Violation::InputTwice { .. }));
}

#[test]
fn two_roots_and_two_rosters() {
    let scene = Scene::new();
    let (by, mut statement) = scene.first(|message| match message {
        Message::MaskedInput(it) => Some(it.body.clone()),
        _ => None,
    });
    let mut monitor = scene.watched();
    statement.root[0] ^= 1;
    let session = statement.session;
    monitor.sent(&scene.says(&by, statement, Message::MaskedInput));
    fires(&monitor, |it| *it == Violation::TwoRoots { by, session });

    let (round, attempt, session) = (0, 0, SessionId([7; 32]));
    let (participants, keys) = Default::default();
    monitor.journal(by, &JournalEntry::RosterAccepted { round, attempt, session, participants, keys });
    fires(&monitor, |it| *it == Violation::TwoRosters { by, attempt: 0 });
}

#[test]
fn shares() {
    let scene = Scene::new();
    let (by, mut reveal) = scene.first(|message| match message {
        Message::Reveal(it) => Some(it.body.clone()),
        _ => None,
    });
    let session = reveal.session;
    let mut monitor = scene.with_journals();
    monitor.sent(&scene.says(&by, reveal.clone(), Message::Reveal));
    assert_eq!(monitor.violations(), [Violation::Uncertified { by, session }]);

    let mut monitor = scene.watched();
    let (of, share) = reveal.shares.pop_first().unwrap();
    reveal.shares.insert(of, RevealedShare::PairwiseKey(share.open().1.clone()));
    monitor.sent(&scene.says(&by, reveal, Message::Reveal));
    fires(&monitor, |it| *it == Violation::BothShares { by, session, of });
}

#[test]
fn keys() {
    let scene = Scene::new();
    let (first, keys) = scene.first(|message| match message {
        Message::Advertise(it) => Some(it.body.clone()),
        _ => None,
    });
    let by = scene.consortium.identities.iter().map(|it| it.id()).find(|id| *id != first).unwrap();
    let mut monitor = scene.watched();
    monitor.sent(&scene.says(&by, keys, Message::Advertise));
    fires(&monitor, |it| *it == Violation::ReusedKey { by });
}

#[test]
fn blame() {
    let scene = Scene::new();
    let (who, vote) = scene.vote();
    let by = scene.consortium.identities.iter().map(|it| it.id()).find(|id| *id != who).unwrap();
    let mut monitor = scene.watched();
    let late = PeerFault { who, phase: Phase::Unmasking, kind: FaultKind::Session };
    monitor.fault(by, &late);
    assert_eq!(monitor.violations(), []);
    monitor.fault(by, &PeerFault { kind: FaultKind::Share, ..late });
    assert_eq!(monitor.violations(), [Violation::Framed { by, who, kind: FaultKind::Share }]);

    let other = Signed::new(Vote { value: Value::Abandon, ..vote.body }, scene.identity(&who)).unwrap();
    let session = monitor.sessions.get(&vote.body.session).unwrap().clone();
    let evidence = Evidence::conflict(&session, &vote, &other).unwrap();
    monitor.evidence(by, &evidence);
    fires(&monitor, |it| *it == Violation::Convicted { by, who, crime: Crime::TwoVotes });
    // it proves nothing in another consortium
    let others = consortium(5, Policy::default(), 4).unwrap();
    let mut elsewhere = Monitor::new(others.manifest, []);
    elsewhere.evidence(by, &evidence);
    assert_eq!(elsewhere.violations(), [Violation::Unproven { by }]);
}

#[test]
fn endings() {
    let scene = Scene::new();
    let (by, outcome) = scene.report.outcomes.iter().next().unwrap();
    let mut monitor = scene.watched();
    monitor.ended(*by, Some(outcome), true);
    monitor.ended(*by, Some(&Outcome::Aborted(AbortReason::Void { detail: String::new() })), false);
    assert_eq!(monitor.violations(), []);
    monitor.ended(*by, Some(outcome), false);
    monitor.ended(*by, None, false);
    assert_eq!(monitor.violations(), [Violation::NoSum { by: *by }, Violation::Stuck { by: *by }]);
}

#[test]
fn a_sum_that_is_none() {
    let mut host = Recorder { sums_are_wrong: true, ..Recorder::default() };
    let (_, report) = run(MEMBERS, |_, _| Adversary::default(), &mut host);
    assert_eq!(report.violations.len(), MEMBERS);
    assert!(report.violations.iter().all(|it| matches!(it, Violation::WrongSum { .. })));
}

/// The round's first aggregator splits the view, and whoever comes last in the order conspires with it.
fn conspire(members: usize, corrupt: usize) -> Report {
    let adversary = |consortium: &Consortium, terms: &Terms| {
        let order = terms.order();
        let chosen = order.iter().take(1).chain(order.iter().rev().take(corrupt - 1));
        let liars = chosen.map(|id| {
            let identity = consortium.identities.iter().find(|it| it.id() == *id).unwrap();
            (identity.clone(), Lie::SplitView)
        });
        Adversary::new(&consortium.manifest, liars, 1)
    };
    run(members, adversary, &mut Recorder::default()).1
}

#[test]
fn one_corrupt_member_more_than_planned_unmasks_somebody_and_the_oracle_sees_it() {
    for (members, corrupt) in [(4, 2), (7, 3)] {
        let report = conspire(members, corrupt);
        let found = |is: fn(&Violation) -> bool| report.violations.iter().any(is);
        assert!(found(|it| matches!(it, Violation::BothSecrets { .. })), "{:?}", report.violations);
        assert!(found(|it| matches!(it, Violation::SmallSum { .. })), "{:?}", report.violations);
        assert!(found(|it| matches!(it, Violation::UncertifiedSum { .. })), "{:?}", report.violations);
        assert!(found(|it| matches!(it, Violation::SecondSum { .. })), "{:?}", report.violations);
        assert!(found(|it| matches!(it, Violation::TwoCertified { .. })), "{:?}", report.violations);
    }
}

#[test]
fn as_many_as_planned_unmask_nobody() {
    for (members, corrupt) in [(4, 1), (7, 2), (8, 2)] {
        assert_eq!(conspire(members, corrupt).violations, []);
    }
}
