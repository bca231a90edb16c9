//! A whole simulated attempt with a witness of all traffic, and what must hold of it whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consort_protocol::{
    array::{Array, Values},
    codec,
    contract::Terms,
    encoding::{Input, Layout, ValidInput},
    hash::Digest,
    ids::{MemberId, SessionId},
    io::JournalEntry,
    manifest::Policy,
    masking::MaskPlan,
    messages::{Message, consistency_check::Value, unmasking::RevealedShare},
    report::Outcome,
    signing::Identity,
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
}

pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) sent: Vec<Envelope>,
}

impl Scene {
    pub(crate) fn new(members: usize, round: u64, attempt: u32) -> Self {
        let consortium = consortium(members, Policy::default(), 5).unwrap();
        let terms = crate::world::terms(&consortium, round, attempt, LENGTH);
        Self { consortium, terms }
    }

    /// A member that does not aggregate.
    pub(crate) fn member(&self, number: usize) -> Arc<Identity> {
        let mut others = self.consortium.identities.iter();
        others.by_ref().filter(|it| it.id() != self.terms.aggregator()).nth(number).unwrap().clone()
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
        assert!(report.aggregator.is_some(), "the aggregator never comes to an end");
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

        let mut certified: BTreeMap<SessionId, BTreeSet<Digest>> = BTreeMap::new();
        let mut votes: BTreeMap<(MemberId, SessionId, u32), BTreeSet<Value>> = BTreeMap::new();
        let mut roots: BTreeMap<(MemberId, SessionId), BTreeSet<Digest>> = BTreeMap::new();
        let mut kinds: BTreeMap<(MemberId, SessionId, MemberId), BTreeSet<bool>> = BTreeMap::new();
        for Envelope { from, message, .. } in sent {
            match message {
                Message::Certificate(it) => {
                    certified.entry(it.session).or_default().insert(it.survivors.digest());
                }
                Message::Published(it) => {
                    let certificate = &it.certificate;
                    certified.entry(certificate.session).or_default().insert(certificate.survivors.digest());
                }
                Message::Vote(it) => {
                    let slot = (*from, it.body.session, it.body.slot);
                    votes.entry(slot).or_default().insert(it.body.value);
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
        assert!(certified.values().all(|sets| sets.len() == 1), "two sets are certified in one session");
        assert!(votes.values().all(|sets| sets.len() == 1), "somebody votes twice in a slot");
        assert!(roots.values().all(|sets| sets.len() == 1), "somebody sends two vectors in one session");
        assert!(kinds.values().all(|kinds| kinds.len() == 1), "somebody reveals both kinds of share");
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
}

pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    codec::encode(message).unwrap()
}
