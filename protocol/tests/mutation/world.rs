//! Honest members with real inputs, and a coalition that speaks for everybody else and carries all messages.
//!
//! Whatever an honest member says goes to the oracle, shares among honest members excepted, which it cannot
//! open. Nothing else passes between honest members: the network is the coalition's, too.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use consort_protocol::{
    array::{Array, Dtype, Values},
    bulk::mask_chunk,
    contract::{Task, Terms, spec_for},
    encoding::{Input as Data, Reduction, ValidInput},
    fault::FaultKind,
    guard::Guard,
    hash::Digest,
    ids::MemberId,
    io::{Input, JournalEntry, Now, Output, Work},
    manifest::Policy,
    masking::MaskPlan,
    member::Member,
    messages::{
        Message,
        advertise_keys::Advertisement,
        consistency_check::Value,
        failover::ShownTimeout,
        masked_input::{MaskedInput, chunk_digest, vector_root},
        publish::Published,
        share_keys::{DealtCommitments, MaskSet},
    },
    phase::Phase,
    roster::Session,
    signing::{Identity, Signature, Signed, Statement},
    sim::{Consortium, Dealt, Envelope, Oracle, Spied, consortium},
};

mod speech;

const LENGTH: usize = 4;
const ROUND: u64 = 3;

/// Somebody for whom the coalition speaks.
pub(crate) struct Corrupt {
    pub(crate) identity: Arc<Identity>,
    secrets: Spied,
    dealt: Option<Dealt>,
}

pub(crate) struct World {
    pub(crate) consortium: Consortium,
    pub(crate) terms: Arc<Terms>,
    pub(crate) corrupt: BTreeMap<MemberId, Corrupt>,
    pub(crate) honest: BTreeMap<MemberId, Member>,
    inputs: BTreeMap<MemberId, (Vec<i64>, ValidInput)>,
    pub(crate) advertisements: BTreeMap<MemberId, Signed<Advertisement>>,
    pub(crate) commitments: BTreeMap<MemberId, DealtCommitments>,
    pub(crate) statements: BTreeMap<MemberId, Signed<MaskedInput>>,
    votes: BTreeMap<(u32, Digest), BTreeMap<MemberId, Signature>>,
    pub(crate) timeouts: BTreeMap<MemberId, ShownTimeout>,
    /// Results that honest members have accepted and wait for.
    pub(crate) accepted: Vec<Published>,
    /// Every statement of a root by an honest member.
    pub(crate) stated: Vec<Signed<MaskedInput>>,
    /// What honest members have found wrong, in order.
    pub(crate) refused: Vec<FaultKind>,
    /// Sets of the label of which honest members have noted that their sums may be known.
    pub(crate) known: BTreeMap<MemberId, Vec<Vec<MemberId>>>,
    /// To what honest members have said no.
    pub(crate) declined: Vec<String>,
    session: Option<Arc<Session>>,
    pub(crate) mask_set: Option<Signed<MaskSet>>,
    pub(crate) oracle: Oracle,
    now: Now,
    pub(crate) rng: ChaCha20Rng,
}

/// A consortium whose rounds need no standbys, and the terms of one of them.
fn terms(members: usize, round: u64, label: Option<&str>) -> (Consortium, Arc<Terms>) {
    let policy = Policy { standby_bytes: 0, ..Policy::default() };
    let consortium = consortium(members, policy, 5).unwrap();
    let spec = spec_for(&consortium.manifest, [(vec![LENGTH as u64], Dtype::I64)], Reduction::Sum, None);
    let task = Task { label: label.map(str::to_owned), query: [0; 32], spec };
    let terms = Arc::new(Terms::new(consortium.manifest.clone(), round, 0, 0, task).unwrap());
    (consortium, terms)
}

impl World {
    /// Everybody has advertised. The coalition holds the first slot and as many further ones as there may be
    /// corrupt members, so that c are corrupt.
    pub(crate) fn new(members: usize) -> Self {
        Self::with_slots(members, &[])
    }

    /// The coalition holds these slots, and the first ones as far as there may be more corrupt members.
    pub(crate) fn with_slots(members: usize, slots: &[u32]) -> Self {
        let terms = terms(members, ROUND, None).1;
        let held = slots.iter().map(|slot| terms.holder(*slot).unwrap());
        let mut coalition: Vec<MemberId> = Vec::new();
        for id in held.chain(terms.order().iter().copied()) {
            if coalition.len() < terms.manifest().corrupt() && !coalition.contains(&id) {
                coalition.push(id);
            }
        }
        Self::of(members, ROUND, &coalition).expect("the coalition holds the first slot")
    }

    /// Another round with this coalition, if the first slot is held by one of them.
    pub(crate) fn of(members: usize, round: u64, coalition: &[MemberId]) -> Option<Self> {
        Self::after(members, round, coalition, None, &BTreeMap::new())
    }

    /// The same, for data under a label, of which honest members know these earlier sums.
    pub(crate) fn after(
        members: usize,
        round: u64,
        coalition: &[MemberId],
        label: Option<&str>,
        known: &BTreeMap<MemberId, Vec<Vec<MemberId>>>,
    ) -> Option<Self> {
        let (consortium, terms) = terms(members, round, label);
        if !coalition.contains(&terms.aggregator()) {
            return None;
        }
        let mut rng = ChaCha20Rng::seed_from_u64(round);
        let oracle = Oracle::new(consortium.manifest.clone(), coalition.iter().copied());
        let mut world = Self {
            oracle,
            consortium,
            terms: terms.clone(),
            corrupt: BTreeMap::new(),
            honest: BTreeMap::new(),
            inputs: BTreeMap::new(),
            advertisements: BTreeMap::new(),
            commitments: BTreeMap::new(),
            statements: BTreeMap::new(),
            votes: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            accepted: Vec::new(),
            stated: Vec::new(),
            refused: Vec::new(),
            known: known.clone(),
            declined: Vec::new(),
            session: None,
            mask_set: None,
            now: Now::ZERO,
            rng: ChaCha20Rng::seed_from_u64(7),
        };
        for (number, identity) in world.consortium.identities.clone().into_iter().enumerate() {
            let id = identity.id();
            if coalition.contains(&id) {
                world.recruit(identity);
                continue;
            }
            world.inputs.insert(id, world.input(number));
            let guard = Arc::new(Guard::new(2, known.get(&id).cloned().unwrap_or_default()));
            let (seen, nobody) = (Arc::default(), BTreeSet::new());
            let (member, out) =
                Member::join(identity, terms.clone(), seen, guard, nobody, Now::ZERO, &mut rng);
            world.honest.insert(id, member);
            world.carry_out(id, out);
        }
        let contract = terms.sign(world.identity(&terms.aggregator())).unwrap();
        world.tap(terms.aggregator(), terms.aggregator(), Message::Contract(Box::new(contract)));
        Some(world)
    }

    /// The file of an honest member is overwritten while it is being sent.
    pub(crate) fn overwrite_input(&mut self, id: &MemberId) {
        self.inputs.insert(*id, self.input(99));
    }

    fn input(&self, number: usize) -> (Vec<i64>, ValidInput) {
        let values: Vec<i64> = (0..LENGTH as i64).map(|at| (number as i64 + 1) * 1000 + at).collect();
        let array = Array::new(vec![LENGTH as u64], Values::I64(values.clone())).unwrap();
        let data = Data { leaves: vec![array], weight: 1 };
        (values, ValidInput::new(data, &self.terms.contract().task.spec, self.terms.layout()).unwrap())
    }

    /// The coalition speaks for one more, with keys of its own making.
    fn recruit(&mut self, identity: Arc<Identity>) -> MemberId {
        let (id, secrets) = (identity.id(), Spied::generate(&mut self.rng));
        self.oracle.spied(id, secrets.duplicate());
        let advertisement = Signed::new(secrets.advertisement(*self.terms.digest()), &identity).unwrap();
        self.advertisements.insert(id, advertisement);
        self.corrupt.insert(id, Corrupt { identity, secrets, dealt: None });
        id
    }

    /// The coalition speaks for an honest member that is not there, as far as that goes without its identity: it
    /// advertises keys for it, and takes in what is sent to it.
    pub(crate) fn impersonate(&mut self, id: &MemberId) {
        self.honest.remove(id);
        let secrets = Spied::generate(&mut self.rng);
        let body = secrets.advertisement(*self.terms.digest());
        self.advertisements.insert(*id, self.forge(body, *id));
        self.oracle.spied(*id, secrets);
    }

    /// A statement of somebody else, with a signature that is worth nothing.
    pub(crate) fn forge<T: Statement>(&self, body: T, by: MemberId) -> Signed<T> {
        let other = &self.advertisements[&self.aggregator()];
        Signed::from_parts(body, by, other.signature())
    }

    /// So many whom the manifest does not know.
    pub(crate) fn strangers(&mut self, count: u8) -> Vec<MemberId> {
        let strangers: Vec<_> =
            (0..count).map(|number| Arc::new(Identity::from_secret(&[200 + number; 32]))).collect();
        strangers.into_iter().map(|identity| self.recruit(identity)).collect()
    }

    pub(crate) fn aggregator(&self) -> MemberId {
        self.terms.aggregator()
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        self.session.as_ref().expect("the roster is out")
    }

    pub(crate) fn honest_ids(&self) -> Vec<MemberId> {
        self.honest.keys().copied().collect()
    }

    /// The honest member after whose input the coalition is.
    pub(crate) fn victim(&self) -> MemberId {
        *self.honest.keys().next().unwrap()
    }

    pub(crate) fn corrupt_ids(&self) -> Vec<MemberId> {
        self.corrupt.keys().copied().collect()
    }

    pub(crate) fn identity(&self, id: &MemberId) -> &Identity {
        &self.corrupt.get(id).expect("the coalition signs for its own only").identity
    }

    pub(crate) fn sign<T: Statement>(&self, body: T, by: &MemberId) -> Signed<T> {
        Signed::new(body, self.identity(by)).unwrap()
    }

    /// The coalition says something to an honest member, as the holder of a slot.
    pub(crate) fn say(&mut self, slot: u32, to: &MemberId, message: Message) {
        let from = self.terms.holder(slot).unwrap();
        self.tap(from, *to, message.clone());
        self.hear(to, Input::Message(from, Box::new(message)));
    }

    pub(crate) fn hear(&mut self, to: &MemberId, input: Input) {
        let out = self.honest.get_mut(to).unwrap().handle(input, self.now, &mut self.rng);
        self.carry_out(*to, out);
    }

    fn tap(&mut self, from: MemberId, to: MemberId, message: Message) {
        self.oracle.sent(&Envelope { from, to, message });
    }

    /// What an honest member wants done, done.
    fn carry_out(&mut self, id: MemberId, out: Vec<Output>) {
        let mut todo = VecDeque::from(out);
        while let Some(output) = todo.pop_front() {
            match output {
                Output::Send(to, message) => {
                    self.tap(id, to, (*message).clone());
                    self.sent(id, to, *message);
                }
                Output::Upload(plan, to) => {
                    let root = self.upload(id, &plan);
                    let done = Input::Done(Work::Uploaded(to, root));
                    todo.extend(self.honest.get_mut(&id).unwrap().handle(done, self.now, &mut self.rng));
                }
                Output::Fetch(published) => self.accepted.push(*published),
                Output::Fault(fault) => self.refused.push(fault.kind),
                Output::Declined { reason, .. } => self.declined.push(reason),
                Output::Journal(JournalEntry::Cohort { members, .. }) => {
                    self.known.entry(id).or_default().push(members);
                }
                _ => {}
            }
        }
    }

    fn upload(&mut self, id: MemberId, plan: &MaskPlan) -> Digest {
        let (_, input) = &self.inputs[&id];
        let chunks = self.terms.layout().chunks().map(|chunk| mask_chunk(input, plan, &chunk).unwrap());
        let chunks: Vec<Vec<u8>> = chunks.collect();
        self.oracle.vector(self.session().id(), id, &chunks);
        let layout = self.terms.layout();
        let digests = layout.chunks().zip(&chunks).map(|(chunk, packed)| chunk_digest(&chunk, packed));
        vector_root(&digests.collect::<Vec<_>>())
    }

    fn sent(&mut self, from: MemberId, to: MemberId, message: Message) {
        match message {
            Message::Advertise(it) => {
                self.advertisements.insert(from, *it);
            }
            Message::Shares(_) if self.honest.contains_key(&to) => {
                self.hear(&to, Input::Message(from, Box::new(message)));
            }
            Message::Receipt(_, commitments) => {
                self.commitments.insert(from, *commitments);
            }
            Message::MaskedInput(it) => {
                self.stated.push((*it).clone());
                self.statements.insert(from, *it);
            }
            Message::Vote(it) => {
                if let Value::Survivors(set) = it.body.value {
                    self.votes.entry((it.body.slot, set)).or_default().insert(from, it.signature());
                }
            }
            Message::Timeout(it) => {
                self.timeouts.insert(from, *it);
            }
            _ => {}
        }
    }

    /// Time passes until honest members report which shares have come; the aggregator is there.
    pub(crate) fn wait_for_shares(&mut self) {
        self.now += self.terms.deadline(Phase::ShareKeys);
        for id in self.honest_ids() {
            self.say(0, &id, Message::Alive(*self.terms.digest()));
            self.hear(&id, Input::Tick);
        }
    }

    /// Time passes, and the aggregator says nothing, until all honest members have given a slot up.
    pub(crate) fn give_up(&mut self, slot: u32) {
        for id in self.honest_ids() {
            while self.timeouts.get(&id).is_none_or(|shown| shown.timeout.body.slot < slot) {
                let Some(due) = self.honest[&id].deadline() else { break };
                self.now = self.now.max(due);
                self.hear(&id, Input::Tick);
            }
        }
    }

    /// Fewer honest inputs than are promised to be in any sum of everybody's roster, or a second sum: what the
    /// coalition has computed against the promise, with its plain values.
    pub(crate) fn leaked(&self) -> Vec<(BTreeSet<MemberId>, Vec<i64>)> {
        let manifest = &self.consortium.manifest;
        let promised = manifest.min_survivors(manifest.members().len()).unwrap() - manifest.corrupt();
        self.sums().into_iter().filter(|(members, _)| members.len() < promised).collect()
    }

    /// All sums of honest inputs that the coalition has computed, with their plain values.
    pub(crate) fn sums(&self) -> Vec<(BTreeSet<MemberId>, Vec<i64>)> {
        let sums = self.oracle.extracted().into_iter();
        let plain = |values: &Values| match values {
            Values::I64(values) => values.clone(),
            _ => panic!("inputs are integers"),
        };
        sums.map(|it| (it.members, plain(it.sum.leaves[0].values()))).collect()
    }

    pub(crate) fn plain_sum(&self, members: &BTreeSet<MemberId>) -> Vec<i64> {
        let add = |mut sum: Vec<i64>, id: &MemberId| {
            sum.iter_mut().zip(&self.inputs[id].0).for_each(|(sum, value)| *sum += value);
            sum
        };
        members.iter().fold(vec![0; LENGTH], add)
    }
}
