//! A whole simulated attempt with a witness of all traffic, and what must hold of it whatever happens.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consort_protocol::{
    array::{Array, Values},
    codec,
    contract::{Contract, Terms},
    encoding::{Input, Layout, ValidInput},
    hash::Digest,
    ids::{MemberId, SessionId},
    io::JournalEntry,
    manifest::Policy,
    masking::MaskPlan,
    messages::{
        Message,
        consistency_check::{Value, Vote},
        unmasking::RevealedShare,
    },
    report::Outcome,
    roster::{SeenKeys, Session},
    signing::{Identity, Signature, verify_body},
    sim::{Consortium, Envelope, Host, Report, SequentialHost, Simulation, consortium},
};

const LENGTH: u64 = 6;

/// Works for the simulation and writes down everything that the machines send, before anybody meddles.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) sent: Vec<Envelope>,
}

impl Host for Witness {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.mask(input, plan, layout)
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.sum(vectors, plan, layout)
    }

    fn sent(&mut self, envelope: &Envelope, _bytes: usize) {
        self.sent.push(envelope.clone());
    }
}

pub(crate) struct Scene {
    pub(crate) consortium: Consortium,
    pub(crate) terms: Arc<Terms>,
    /// Whose keys the test has asked for: nobody else can have signed a lie.
    suspects: RefCell<BTreeSet<MemberId>>,
}

pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) sent: Vec<Envelope>,
}

impl Scene {
    pub(crate) fn new(members: usize, round: u64, attempt: u32) -> Self {
        let consortium = consortium(members, Policy::default(), 5).unwrap();
        let terms = crate::world::terms(&consortium, round, attempt, LENGTH);
        Self { consortium, terms, suspects: RefCell::default() }
    }

    /// A member that does not aggregate in the first slot.
    pub(crate) fn member(&self, number: usize) -> Arc<Identity> {
        let mut others = self.consortium.identities.iter().filter(|it| it.id() != self.terms.aggregator());
        let member = others.nth(number).unwrap().clone();
        self.suspects.borrow_mut().insert(member.id());
        member
    }

    fn values(number: usize) -> Vec<i64> {
        (0..LENGTH as i64).map(|at| (number as i64 + 1) * 10i64.pow(at as u32) * (1 - 2 * (at % 2))).collect()
    }

    fn inputs(&self) -> Vec<(Arc<Identity>, Option<ValidInput>)> {
        let input = |number| {
            let array = Array::new(vec![LENGTH], Values::I64(Self::values(number))).unwrap();
            let input = Input { leaves: vec![array], weight: 1 };
            ValidInput::new(input, &self.terms.contract().task.spec, self.terms.layout()).ok()
        };
        self.consortium.identities.iter().enumerate().map(|(n, id)| (id.clone(), input(n))).collect()
    }

    pub(crate) fn play(&self, seed: u64, with: impl FnMut(Envelope) -> Vec<Envelope>) -> Played {
        let mut witness = Witness::default();
        let simulation = Simulation::new(self.terms.clone(), self.inputs(), seed, &mut witness);
        let report = simulation.interfere(with).run();
        let played = Played { report, sent: witness.sent };
        self.check(&played);
        played
    }

    pub(crate) fn plain_sum(&self, survivors: &[MemberId]) -> Vec<i64> {
        let mut sum = vec![0; LENGTH as usize];
        for (number, identity) in self.consortium.identities.iter().enumerate() {
            if survivors.contains(&identity.id()) {
                sum.iter_mut().zip(Self::values(number)).for_each(|(sum, value)| *sum += value);
            }
        }
        sum
    }

    /// What holds in every run: see the assertions.
    fn check(&self, Played { report, sent }: &Played) {
        for identity in &self.consortium.identities {
            assert!(report.outcomes.contains_key(&identity.id()), "a member never comes to an end");
        }
        for (id, aggregate) in &report.aggregates {
            let outcome = &report.outcomes[id];
            let survivors: Vec<MemberId> = outcome.survivors().unwrap().ids().collect();
            assert!(survivors.len() >= self.terms.manifest().min_survivors(survivors.len()).unwrap_or(3));
            let expected = Values::I64(self.plain_sum(&survivors));
            assert!(*aggregate.leaves[0].values() == expected, "an aggregate is not the survivors' sum");
        }
        for (id, outcome) in &report.outcomes {
            let completed = matches!(outcome, Outcome::Completed { .. });
            assert_eq!(completed, report.aggregates.contains_key(id), "completed means: has the aggregate");
        }
        for (_, evidence) in &report.evidence {
            let culprit = evidence.verify(&self.consortium.manifest).unwrap().culprit;
            assert!(self.suspects.borrow().contains(&culprit), "somebody honest is convicted");
        }

        let mut rosters: BTreeMap<SessionId, BTreeSet<MemberId>> = BTreeMap::new();
        for entry in report.journals.values().flatten() {
            if let JournalEntry::RosterAccepted { session, participants, .. } = entry {
                rosters.insert(*session, participants.iter().copied().collect());
            }
        }
        let mut summed: BTreeMap<MemberId, BTreeSet<SessionId>> = BTreeMap::new();
        let mut promised: BTreeMap<(MemberId, SessionId), u32> = BTreeMap::new();
        let mut certified: BTreeMap<SessionId, BTreeSet<Value>> = BTreeMap::new();
        let mut votes: BTreeMap<(MemberId, SessionId, u32), BTreeSet<Value>> = BTreeMap::new();
        let mut roots: BTreeMap<(MemberId, SessionId), BTreeSet<Digest>> = BTreeMap::new();
        let mut kinds: BTreeMap<(MemberId, SessionId, MemberId), BTreeSet<bool>> = BTreeMap::new();
        for Envelope { from, message, .. } in sent {
            match message {
                Message::Certificate(it) => {
                    let value = Value::Survivors(it.survivors.digest());
                    self.check_votes((it.session, it.slot, value), &it.votes, &rosters);
                    certified.entry(it.session).or_default().insert(value);
                    for id in it.survivors.ids() {
                        summed.entry(id).or_default().insert(it.session);
                    }
                }
                Message::Published(it) => {
                    let certificate = &it.certificate;
                    let value = Value::Survivors(certificate.survivors.digest());
                    self.check_votes(
                        (certificate.session, certificate.slot, value),
                        &certificate.votes,
                        &rosters,
                    );
                    certified.entry(certificate.session).or_default().insert(value);
                    for id in certificate.survivors.ids() {
                        summed.entry(id).or_default().insert(certificate.session);
                    }
                }
                Message::Abandonment(it) => {
                    let Contract { round, task, .. } = self.terms.contract();
                    let (manifest, seen) = (&self.consortium.manifest, SeenKeys::default());
                    let session =
                        Session::from_proof(manifest, *round, task, &it.session, &seen).unwrap().id();
                    self.check_votes((session, it.slot, Value::Abandon), &it.votes, &rosters);
                    certified.entry(session).or_default().insert(Value::Abandon);
                }
                Message::TimedOut(it) => {
                    let highest = promised.entry((*from, it.body.session)).or_default();
                    *highest = it.body.slot.max(*highest);
                }
                Message::Vote(it) => {
                    let slot = (*from, it.body.session, it.body.slot);
                    votes.entry(slot).or_default().insert(it.body.value);
                    let promise = promised.get(&(*from, it.body.session));
                    assert!(promise.is_none_or(|slot| *slot < it.body.slot), "a vote in a slot given up");
                }
                Message::MaskedInput(it) => {
                    roots.entry((*from, it.body.session)).or_default().insert(it.body.root);
                }
                Message::Reveal(it) => {
                    for (dealer, share) in &it.body.shares {
                        let kind = matches!(share, RevealedShare::SelfMask(_));
                        kinds.entry((*from, it.body.session, *dealer)).or_default().insert(kind);
                    }
                    let note = JournalEntry::Revealed(it.body.session, it.body.survivors);
                    assert!(report.journals[from].contains(&note), "revealed without a note on disk");
                }
                _ => {}
            }
        }
        assert!(certified.values().all(|sets| sets.len() == 1), "two values are certified in one session");
        assert!(summed.values().all(|sessions| sessions.len() == 1), "an input is in two certified sets");
        assert!(votes.values().all(|sets| sets.len() == 1), "somebody votes twice in a slot");
        assert!(roots.values().all(|sets| sets.len() == 1), "somebody sends two vectors in one session");
        assert!(kinds.values().all(|kinds| kinds.len() == 1), "somebody reveals both kinds of share");
    }

    /// Votes of one slot make a certificate, and a threshold of its roster.
    fn check_votes(
        &self,
        (session, slot, value): (SessionId, u32, Value),
        votes: &[(MemberId, Signature)],
        rosters: &BTreeMap<SessionId, BTreeSet<MemberId>>,
    ) {
        let roster = &rosters[&session];
        let vote = Vote { session, slot, value };
        let valid: BTreeSet<MemberId> = votes
            .iter()
            .filter(|(id, signature)| roster.contains(id) && verify_body(&vote, id, signature))
            .map(|(id, _)| *id)
            .collect();
        let needed = self.terms.manifest().threshold(roster.len()).unwrap().get();
        assert!(valid.len() >= needed, "a certificate with {} votes, {needed} are needed", valid.len());
    }
}

impl Played {
    pub(crate) fn survivors(&self) -> Vec<MemberId> {
        self.report.survivors().unwrap_or_else(|| panic!("no result: {:?}", self.report.aggregator))
    }

    /// Who was blamed for what, and by whom.
    pub(crate) fn blames(&self) -> Vec<(MemberId, MemberId, consort_protocol::fault::FaultKind)> {
        self.report.faults.iter().map(|(by, fault)| (*by, fault.who, fault.kind.clone())).collect()
    }

    /// Nobody but these was blamed for anything.
    #[track_caller]
    pub(crate) fn only_blamed(&self, liars: &[MemberId]) {
        let innocent = self.blames().into_iter().find(|(_, who, _)| !liars.contains(who));
        assert_eq!(innocent, None, "somebody honest is blamed");
    }
}

pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    codec::encode(message).unwrap()
}
