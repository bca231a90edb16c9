//! The network, the clock, and the driver of one simulated round.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{
    codec,
    contract::Terms,
    encoding::{Aggregate, ValidInput},
    evidence::Evidence,
    fault::PeerFault,
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    io::{Input, JournalEntry, Now, Output, Role, Work},
    masking::MaskPlan,
    messages::{Message, consistency_check::SurvivorSet, publish::Published},
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::SeenKeys,
    round::{Deeds, Round, RoundSetup},
    signing::Identity,
};

use super::{
    bulk::{Chunks, Store, decode, root_of},
    faults::{Fault, What},
    host::Host,
    queue::Queue,
};

/// A control message on its way.
#[derive(Clone)]
pub struct Envelope {
    /// Who sends it.
    pub from: MemberId,
    /// To whom.
    pub to: MemberId,
    /// What it says.
    pub message: Message,
}

/// A slot that was given up, as one node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOver {
    /// The attempt.
    pub attempt: u32,
    /// The slot.
    pub slot: u32,
    /// Why.
    pub reason: AbortReason,
}

/// What came of a simulated round.
pub struct Report {
    /// How it ended for each node that lives.
    pub outcomes: BTreeMap<MemberId, Outcome>,
    /// How it ended for the last aggregator.
    pub aggregator: Option<Outcome>,
    /// The decoded aggregate of each member that has stored one.
    pub aggregates: BTreeMap<MemberId, Aggregate>,
    /// Packed chunks of every vector of the last session that reached an aggregator.
    pub vectors: BTreeMap<MemberId, Vec<Vec<u8>>>,
    /// What each node journalled, in order.
    pub journals: BTreeMap<MemberId, Vec<JournalEntry>>,
    /// Slots that each node has seen given up, in order.
    pub slots: BTreeMap<MemberId, Vec<SlotOver>>,
    /// Faults, with the node that found them.
    pub faults: Vec<(MemberId, PeerFault)>,
    /// What was proved, with the node that proved it.
    pub evidence: Vec<(MemberId, Evidence)>,
    /// Hash of everything that was sent, in order.
    pub transcript: Digest,
    /// When the last of it happened.
    pub ended: Now,
}

type Interference<'a> = Box<dyn FnMut(Envelope) -> Vec<Envelope> + 'a>;

struct Node {
    identity: Arc<Identity>,
    round: Option<Round>,
    input: Option<ValidInput>,
    alive: bool,
    /// Until when it is stopped, and what has come in meanwhile.
    paused: Option<Now>,
    inbox: VecDeque<Input>,
    undone: Deeds,
    store: Store,
    fetching: Option<Published>,
}

/// One round, ready to run.
pub struct Simulation<'a, H> {
    terms: Arc<Terms>,
    nodes: BTreeMap<MemberId, Node>,
    queue: Queue,
    faults: Vec<Fault>,
    /// Who cannot reach the others, and until when.
    cut: Option<(BTreeSet<MemberId>, Now)>,
    interfere: Interference<'a>,
    now: Now,
    rng: ChaCha20Rng,
    host: &'a mut H,
    report: Report,
}

impl<'a, H: Host> Simulation<'a, H> {
    /// The round of these terms; members without an input do not take part, as if they were not there.
    pub fn new(
        terms: Arc<Terms>,
        members: impl IntoIterator<Item = (Arc<Identity>, Option<ValidInput>)>,
        seed: u64,
        host: &'a mut H,
    ) -> Self {
        let node = |(identity, input): (Arc<Identity>, Option<ValidInput>)| {
            let alive = input.is_some();
            let (round, paused, inbox, undone, store, fetching) = Default::default();
            (identity.id(), Node { identity, round, input, alive, paused, inbox, undone, store, fetching })
        };
        let report = Report {
            outcomes: BTreeMap::new(),
            aggregator: None,
            aggregates: BTreeMap::new(),
            vectors: BTreeMap::new(),
            journals: BTreeMap::new(),
            slots: BTreeMap::new(),
            faults: Vec::new(),
            evidence: Vec::new(),
            transcript: Digest::default(),
            ended: Now::ZERO,
        };
        Self {
            terms,
            nodes: members.into_iter().map(node).collect(),
            queue: Queue::default(),
            faults: Vec::new(),
            cut: None,
            interfere: Box::new(|envelope| vec![envelope]),
            now: Now::ZERO,
            rng: ChaCha20Rng::seed_from_u64(seed),
            host,
            report,
        }
    }

    /// Lets something go wrong; each happens once, in the order in which they were given.
    #[must_use]
    pub fn fault(mut self, fault: impl Into<Fault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// Lets somebody replace each control message by any others before it is delivered.
    #[must_use]
    pub fn interfere(mut self, with: impl FnMut(Envelope) -> Vec<Envelope> + 'a) -> Self {
        self.interfere = Box::new(with);
        self
    }

    /// Runs the round to its end.
    pub fn run(mut self) -> Report {
        self.start();
        loop {
            while let Some((from, to, bytes)) = self.queue.pick(&mut self.rng) {
                self.deliver(from, to, &bytes);
            }
            self.report.ended = self.now;
            if self.nodes.values().all(Node::is_over) {
                return self.report;
            }
            let awake = self.nodes.values().filter(|node| node.alive && node.paused.is_none());
            let deadlines = awake.filter_map(|node| node.round.as_ref()?.deadline());
            let resumed = self.nodes.values().filter(|node| node.alive).filter_map(|node| node.paused);
            let healed = self.cut.as_ref().map(|(_, until)| *until);
            let Some(next) = deadlines.chain(resumed).chain(healed).min() else { return self.report };
            self.now = self.now.max(next);
            self.recover();
            for id in self.ids() {
                self.handle(id, Role::Member, Input::Tick);
            }
        }
    }

    fn ids(&self) -> Vec<MemberId> {
        self.nodes.keys().copied().collect()
    }

    fn start(&mut self) {
        let manifest = self.terms.manifest().clone();
        let members = manifest.members().iter().map(|member| member.id);
        let away: BTreeMap<MemberId, Now> = members
            .filter(|id| self.nodes.get(id).is_none_or(|node| !node.alive))
            .map(|id| (id, Now::ZERO))
            .collect();
        let seen = Arc::new(SeenKeys::default());
        let contract = self.terms.contract().clone();
        for id in self.ids() {
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { continue };
            let setup = RoundSetup {
                identity: node.identity.clone(),
                manifest: manifest.clone(),
                number: contract.round,
                task: contract.task.clone(),
                seen: seen.clone(),
                away: away.clone(),
                excluded: BTreeSet::new(),
            };
            self.host.begin();
            let (round, deeds) = Round::begin(setup, self.now, &mut self.rng);
            node.round = Some(round);
            let role = if id == self.terms.aggregator() { Role::Aggregator } else { Role::Member };
            self.host.end(id, role, Phase::AdvertiseKeys);
            self.carry_out(id, deeds);
        }
    }

    /// Whoever was stopped or cut off long enough is back.
    fn recover(&mut self) {
        for id in self.ids() {
            let now = self.now;
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if node.paused.is_some_and(|until| now >= until) {
                node.paused = None;
                let (undone, inbox) = (std::mem::take(&mut node.undone), std::mem::take(&mut node.inbox));
                self.carry_out(id, undone);
                for input in inbox {
                    self.handle(id, Role::Member, input);
                }
            }
        }
        if self.cut.as_ref().is_some_and(|(_, until)| self.now >= *until)
            && let Some((side, _)) = self.cut.take()
        {
            self.across(&side, Input::Connected);
        }
        self.fetch();
    }

    /// Tells both sides of a cut about each other.
    fn across(&mut self, side: &BTreeSet<MemberId>, input: fn(MemberId) -> Input) {
        for one in self.ids() {
            for other in self.ids() {
                let alive = self.nodes.get(&other).is_some_and(|node| node.alive);
                if side.contains(&one) != side.contains(&other) && alive {
                    self.handle(one, Role::Member, input(other));
                }
            }
        }
    }

    fn is_cut(&self, one: &MemberId, other: &MemberId) -> bool {
        self.cut.as_ref().is_some_and(|(side, _)| side.contains(one) != side.contains(other))
    }

    fn reaches(&self, from: &MemberId, to: &MemberId) -> bool {
        self.nodes.get(to).is_some_and(|node| node.alive) && !self.is_cut(from, to)
    }

    fn deliver(&mut self, from: MemberId, to: MemberId, bytes: &[u8]) {
        self.host.begin();
        let Ok(message) = codec::decode(bytes) else { return };
        self.end(to, addressee(&message), None);
        for Envelope { from, to, message } in (self.interfere)(Envelope { from, to, message }) {
            if !self.is_cut(&from, &to) {
                self.handle(to, addressee(&message), Input::Message(from, Box::new(message)));
            }
        }
    }

    /// `role` is whose work it counts as.
    fn handle(&mut self, id: MemberId, role: Role, input: Input) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
        if node.paused.is_some() {
            if !matches!(input, Input::Tick) {
                node.inbox.push_back(input);
            }
            return;
        }
        let Some(round) = &mut node.round else { return };
        self.host.begin();
        let before = round.phase(role);
        let deeds = round.handle(input, self.now, &mut self.rng);
        self.end(id, role, before);
        self.carry_out(id, deeds);
    }

    /// Ends a piece of work. `before` is the phase in which it was begun, for work that ends the attempt.
    /// Outside of any phase a node either waits for a contract or is done.
    fn end(&mut self, id: MemberId, role: Role, before: Option<Phase>) {
        let round = self.nodes.get(&id).and_then(|node| node.round.as_ref());
        let phase = round.and_then(|round| round.phase(role)).or(before);
        let phase = phase.or_else(|| round?.phase(Role::Member));
        let acknowledged = self.report.journals.get(&id).and_then(|journal| journal.last());
        let done = matches!(acknowledged, Some(JournalEntry::Acknowledged(..)))
            || self.report.outcomes.contains_key(&id);
        let idle = if done { Phase::Publish } else { Phase::AdvertiseKeys };
        self.host.end(id, role, phase.unwrap_or(idle));
    }

    fn carry_out(&mut self, id: MemberId, deeds: Deeds) {
        for (role, output) in deeds {
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
            if node.paused.is_some() {
                node.undone.push((role, output));
                continue;
            }
            match output {
                Output::Phase(phase) => self.phase(id, role, phase),
                Output::Journal(entry) => self.report.journals.entry(id).or_default().push(entry),
                Output::Send(to, message) => self.send(role, Envelope { from: id, to, message: *message }),
                Output::Announce(_) => {}
                Output::Upload(plan, to) => self.upload(id, &plan, to),
                Output::Fetch(published) => {
                    node.fetching = Some(*published);
                    self.fetch();
                }
                Output::Receive(session, members) => self.receive(id, session, &members),
                Output::PassOn { vector, to } => self.pass_on(id, vector, to),
                Output::Unmask(survivors, plan) => self.unmask(id, &survivors, &plan),
                Output::Fault(fault) => self.report.faults.push((id, fault)),
                Output::Evidence(evidence) => self.report.evidence.push((id, *evidence)),
                Output::SlotOver { attempt, slot, reason, .. } => {
                    self.report.slots.entry(id).or_default().push(SlotOver { attempt, slot, reason });
                }
                Output::Finished(outcome) => {
                    if role == Role::Member {
                        self.report.outcomes.insert(id, outcome);
                    } else {
                        self.report.aggregator = Some(outcome);
                    }
                }
            }
        }
    }

    fn phase(&mut self, id: MemberId, role: Role, phase: Phase) {
        let Some(at) = self.faults.iter().position(|fault| fault.strikes(id, role, phase)) else { return };
        match self.faults.remove(at).what {
            What::Kill => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.alive = false;
                }
                self.report.outcomes.remove(&id);
                for other in self.ids() {
                    if !self.is_cut(&other, &id) {
                        self.handle(other, Role::Member, Input::Lost(id));
                    }
                }
            }
            What::Pause(time) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.paused = Some(self.now + time);
                }
            }
            What::Cut(side, time) => {
                self.cut = Some((side.clone(), self.now + time));
                self.across(&side, Input::Lost);
            }
        }
    }

    fn send(&mut self, role: Role, envelope: Envelope) {
        self.host.begin();
        let encoded = codec::encode(&envelope.message);
        self.end(envelope.from, role, None);
        let Ok(bytes) = encoded else { return };
        self.host.sent(&envelope, bytes.len());
        let Envelope { from, to, .. } = envelope;
        self.report.transcript = digest("transcript", &[&self.report.transcript, &from.0, &to.0, &bytes]);
        self.queue.push(from, to, bytes);
    }

    fn session_of(&self, id: MemberId) -> Option<SessionId> {
        let round = self.nodes.get(&id)?.round.as_ref()?;
        Some(round.member()?.session()?.id())
    }

    fn upload(&mut self, id: MemberId, plan: &MaskPlan, to: MemberId) {
        let Some(session) = self.session_of(id) else { return };
        let Some(input) = self.nodes.get(&id).and_then(|node| node.input.as_ref()) else { return };
        self.host.begin();
        let chunks = self.host.mask(input, plan, self.terms.layout());
        let root = root_of(&chunks);
        self.host.end(id, Role::Member, Phase::MaskedInput);
        if !self.reaches(&id, &to) {
            return;
        }
        self.handle(id, Role::Member, Input::Done(Work::Uploaded(to, root)));
        self.host.begin();
        let received = root_of(&chunks);
        self.host.end(to, Role::Aggregator, Phase::MaskedInput);
        self.report.vectors.insert(id, chunks.clone());
        self.keep(to, session, id, chunks);
        self.handle(to, Role::Aggregator, Input::Done(Work::Received(id, received)));
    }

    fn keep(&mut self, at: MemberId, session: SessionId, member: MemberId, chunks: Chunks) {
        if let Some(node) = self.nodes.get_mut(&at) {
            node.store.keep_vector(session, member, chunks);
        }
    }

    fn receive(&mut self, id: MemberId, session: SessionId, members: &[MemberId]) {
        for member in members {
            let Some(node) = self.nodes.get(&id) else { return };
            if let Some(root) = node.store.vector(session, *member).map(|chunks| root_of(chunks)) {
                self.handle(id, Role::Aggregator, Input::Done(Work::Received(*member, root)));
            }
        }
    }

    fn pass_on(&mut self, id: MemberId, vector: MemberId, to: MemberId) {
        let Some(session) = self.session_of(id).filter(|_| self.reaches(&id, &to)) else { return };
        let stored = self.nodes.get(&id).and_then(|node| node.store.vector(session, vector)).cloned();
        let Some(chunks) = stored else { return };
        let root = root_of(&chunks);
        self.keep(to, session, vector, chunks);
        self.handle(to, Role::Member, Input::Done(Work::Held(vector, root)));
    }

    fn unmask(&mut self, id: MemberId, survivors: &SurvivorSet, plan: &MaskPlan) {
        let Some(session) = self.session_of(id).or_else(|| self.last_session(id)) else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let stored = survivors.ids().map(|member| node.store.vector(session, member));
        let Some(vectors) = stored.map(|chunks| chunks.map(Vec::as_slice)).collect::<Option<Vec<_>>>() else {
            return;
        };
        self.host.begin();
        let chunks = self.host.sum(&vectors, plan, self.terms.layout());
        let root = root_of(&chunks);
        self.host.end(id, Role::Aggregator, Phase::Unmasking);
        node.store.keep_sum(root, chunks);
        self.handle(id, Role::Aggregator, Input::Done(Work::Summed(root)));
        self.fetch();
    }

    /// The session that a node has journalled last: its member may be done with it before its aggregator is.
    fn last_session(&self, id: MemberId) -> Option<SessionId> {
        let journal = self.report.journals.get(&id)?;
        journal.iter().rev().find_map(|entry| match entry {
            JournalEntry::RosterAccepted { session, .. } => Some(*session),
            _ => None,
        })
    }

    /// Whoever fetches a sum gets it from anybody who can be reached and has it.
    fn fetch(&mut self) {
        for id in self.ids() {
            let Some(published) = self.nodes.get(&id).and_then(|node| node.fetching.clone()) else {
                continue;
            };
            let root = published.sum.body.root;
            let from = self.ids().into_iter().filter(|from| *from == id || self.reaches(&id, from));
            let found = from.filter_map(|from| self.nodes.get(&from)?.store.sum(&root).cloned()).next();
            let Some(chunks) = found else { continue };
            self.host.begin();
            let aggregate = decode(&self.terms, &chunks, published.certificate.survivors.0.len());
            let as_announced = root_of(&chunks) == root;
            self.host.end(id, Role::Member, Phase::Publish);
            if let Some(aggregate) = aggregate.filter(|_| as_announced)
                && let Some(node) = self.nodes.get_mut(&id)
            {
                node.fetching = None;
                node.store.keep_sum(root, chunks);
                self.report.aggregates.insert(id, aggregate);
                self.handle(id, Role::Member, Input::Done(Work::Stored));
            }
        }
    }
}

impl Node {
    fn is_over(&self) -> bool {
        !self.alive || self.round.as_ref().is_none_or(Round::is_over)
    }
}

impl Report {
    /// The survivors of the certificate, if anybody has a result.
    #[must_use]
    pub fn survivors(&self) -> Option<Vec<MemberId>> {
        let outcomes = self.aggregator.iter().chain(self.outcomes.values());
        Some(outcomes.filter_map(Outcome::survivors).next()?.ids().collect())
    }
}

/// Which of the receiver's machines a message is for.
fn addressee(message: &Message) -> Role {
    if message.is_for_aggregator() { Role::Aggregator } else { Role::Member }
}
