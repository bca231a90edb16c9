//! The network, the clock, and the driver of one simulated attempt.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{
    aggregator::Aggregator,
    codec,
    contract::Terms,
    encoding::{Aggregate, Decoder, ValidInput, packing},
    fault::PeerFault,
    hash::{Digest, digest},
    ids::MemberId,
    io::{Input, JournalEntry, Now, Output, Work},
    masking::MaskPlan,
    member::Member,
    messages::{
        Message,
        consistency_check::SurvivorSet,
        masked_input::{chunk_digest, vector_root},
        publish::Published,
    },
    phase::Phase,
    report::Outcome,
    roster::SeenKeys,
    signing::Identity,
};

use super::{
    host::{Host, Role},
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

/// A member dies as a phase starts on it, before it has said anything in that phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Who dies.
    pub member: MemberId,
    /// The phase.
    pub phase: Phase,
}

/// What came of a simulated attempt.
pub struct Report {
    /// How it ended for each member that lives.
    pub outcomes: BTreeMap<MemberId, Outcome>,
    /// How it ended for the aggregator.
    pub aggregator: Option<Outcome>,
    /// The decoded aggregate of each member that has stored one.
    pub aggregates: BTreeMap<MemberId, Aggregate>,
    /// Packed chunks of every vector that reached the aggregator.
    pub vectors: BTreeMap<MemberId, Vec<Vec<u8>>>,
    /// What each node journalled, in order.
    pub journals: BTreeMap<MemberId, Vec<JournalEntry>>,
    /// Faults, with the node that found them.
    pub faults: Vec<(MemberId, PeerFault)>,
    /// Hash of everything that was sent, in order.
    pub transcript: Digest,
}

type Interference<'a> = Box<dyn FnMut(Envelope) -> Vec<Envelope> + 'a>;

struct Node {
    identity: Arc<Identity>,
    member: Option<Member>,
    aggregator: Option<Aggregator>,
    input: Option<ValidInput>,
    alive: bool,
}

/// One attempt, ready to run.
pub struct Simulation<'a, H> {
    terms: Arc<Terms>,
    nodes: BTreeMap<MemberId, Node>,
    queue: Queue,
    kills: Vec<Kill>,
    interfere: Interference<'a>,
    sums: BTreeMap<Digest, Vec<Vec<u8>>>,
    now: Now,
    rng: ChaCha20Rng,
    host: &'a mut H,
    report: Report,
}

impl<'a, H: Host> Simulation<'a, H> {
    /// An attempt under these terms; members without an input do not take part, as if they were not there.
    pub fn new(
        terms: Arc<Terms>,
        members: impl IntoIterator<Item = (Arc<Identity>, Option<ValidInput>)>,
        seed: u64,
        host: &'a mut H,
    ) -> Self {
        let node = |(identity, input): (Arc<Identity>, Option<ValidInput>)| {
            let alive = input.is_some();
            (identity.id(), Node { identity, member: None, aggregator: None, input, alive })
        };
        let report = Report {
            outcomes: BTreeMap::new(),
            aggregator: None,
            aggregates: BTreeMap::new(),
            vectors: BTreeMap::new(),
            journals: BTreeMap::new(),
            faults: Vec::new(),
            transcript: Digest::default(),
        };
        Self {
            terms,
            nodes: members.into_iter().map(node).collect(),
            queue: Queue::default(),
            kills: Vec::new(),
            interfere: Box::new(|envelope| vec![envelope]),
            sums: BTreeMap::new(),
            now: Now::ZERO,
            rng: ChaCha20Rng::seed_from_u64(seed),
            host,
            report,
        }
    }

    /// Kills a member as a phase starts on it.
    #[must_use]
    pub fn kill(mut self, kill: Kill) -> Self {
        self.kills.push(kill);
        self
    }

    /// Lets somebody replace each control message by any others before it is delivered.
    #[must_use]
    pub fn interfere(mut self, with: impl FnMut(Envelope) -> Vec<Envelope> + 'a) -> Self {
        self.interfere = Box::new(with);
        self
    }

    /// Runs the attempt to its end.
    pub fn run(mut self) -> Report {
        self.start();
        loop {
            while let Some((from, to, bytes)) = self.queue.pick(&mut self.rng) {
                self.deliver(from, to, &bytes);
            }
            let deadlines = self.nodes.values().filter(|node| node.alive).flat_map(|node| {
                [
                    node.member.as_ref().and_then(Member::deadline),
                    node.aggregator.as_ref().and_then(Aggregator::deadline),
                ]
            });
            let Some(next) = deadlines.flatten().min() else { return self.report };
            self.now = self.now.max(next);
            let alive: Vec<MemberId> = self.nodes.keys().copied().collect();
            for id in alive {
                self.both(id, &|| Input::Tick);
            }
        }
    }

    fn start(&mut self) {
        let absent: BTreeSet<MemberId> = self
            .terms
            .manifest()
            .members()
            .iter()
            .map(|member| member.id)
            .filter(|id| self.nodes.get(id).is_none_or(|node| !node.alive))
            .collect();
        let (seen, terms) = (Arc::new(SeenKeys::default()), self.terms.clone());
        let ids: Vec<MemberId> = self.nodes.keys().copied().collect();
        if let Some(node) = self.nodes.get_mut(&terms.aggregator()) {
            self.host.begin();
            let (aggregator, out) = Aggregator::propose(
                node.identity.clone(),
                terms.clone(),
                seen.clone(),
                absent.clone(),
                self.now,
            );
            node.aggregator = Some(aggregator);
            self.host.end(terms.aggregator(), Role::Aggregator, Phase::AdvertiseKeys);
            self.carry_out(terms.aggregator(), Role::Aggregator, out);
        }
        for id in ids {
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { continue };
            let (seen, absent) = (seen.clone(), absent.clone());
            self.host.begin();
            let (member, out) =
                Member::join(node.identity.clone(), terms.clone(), seen, absent, self.now, &mut self.rng);
            self.host.end(id, Role::Member, Phase::AdvertiseKeys);
            node.member = Some(member);
            self.carry_out(id, Role::Member, out);
        }
    }

    fn deliver(&mut self, from: MemberId, to: MemberId, bytes: &[u8]) {
        self.host.begin();
        let Ok(message) = codec::decode(bytes) else { return };
        self.end(to, addressee(&message), None);
        for Envelope { from, to, message } in (self.interfere)(Envelope { from, to, message }) {
            let role = addressee(&message);
            // both sides have the contract from the start
            if !matches!(message, Message::Contract(_)) {
                self.handle(to, role, Input::Message(from, Box::new(message)));
            }
        }
    }

    fn handle(&mut self, id: MemberId, role: Role, input: Input) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
        self.host.begin();
        let (before, out) = match role {
            Role::Member => {
                let Some(member) = &mut node.member else { return };
                (member.phase(), member.handle(input, self.now, &mut self.rng))
            }
            Role::Aggregator => {
                let Some(aggregator) = &mut node.aggregator else { return };
                (aggregator.phase(), aggregator.handle(input, self.now, &mut self.rng))
            }
        };
        self.end(id, role, before);
        self.carry_out(id, role, out);
    }

    /// Ends a piece of work. `before` is the phase in which it was begun, for work that ends the attempt.
    fn end(&mut self, id: MemberId, role: Role, before: Option<Phase>) {
        let node = self.nodes.get(&id);
        let phase = node.and_then(|node| match role {
            Role::Member => node.member.as_ref()?.phase(),
            Role::Aggregator => node.aggregator.as_ref()?.phase(),
        });
        self.host.end(id, role, phase.or(before).unwrap_or(Phase::Publish));
    }

    fn both(&mut self, id: MemberId, input: &dyn Fn() -> Input) {
        self.handle(id, Role::Aggregator, input());
        self.handle(id, Role::Member, input());
    }

    fn carry_out(&mut self, id: MemberId, role: Role, outputs: Vec<Output>) {
        for output in outputs {
            if !self.nodes.get(&id).is_some_and(|node| node.alive) {
                return;
            }
            match output {
                Output::Phase(phase) => self.phase(id, role, phase),
                Output::Journal(entry) => self.report.journals.entry(id).or_default().push(entry),
                Output::Send(to, message) => self.send(role, Envelope { from: id, to, message: *message }),
                Output::Upload(plan) => self.upload(id, &plan),
                Output::Fetch(published) => self.fetch(id, &published),
                Output::Receive(..) => {}
                Output::Unmask(survivors, plan) => self.unmask(id, &survivors, &plan),
                Output::Fault(fault) => self.report.faults.push((id, fault)),
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
        if role == Role::Member && self.kills.contains(&Kill { member: id, phase }) {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.alive = false;
            }
            let others: Vec<MemberId> = self.nodes.keys().copied().collect();
            for other in others {
                self.both(other, &|| Input::Lost(id));
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

    fn upload(&mut self, id: MemberId, plan: &MaskPlan) {
        let Some(input) = self.nodes.get(&id).and_then(|node| node.input.as_ref()) else { return };
        self.host.begin();
        let chunks = self.host.mask(input, plan, self.terms.layout());
        let root = root_of(&chunks);
        self.host.end(id, Role::Member, Phase::MaskedInput);
        self.handle(id, Role::Member, Input::Done(Work::Uploaded(root)));
        let aggregator = self.terms.aggregator();
        self.host.begin();
        let received = root_of(&chunks);
        self.host.end(aggregator, Role::Aggregator, Phase::MaskedInput);
        self.report.vectors.insert(id, chunks);
        self.handle(aggregator, Role::Aggregator, Input::Done(Work::Received(id, received)));
    }

    fn unmask(&mut self, id: MemberId, survivors: &SurvivorSet, plan: &MaskPlan) {
        let vectors: Vec<&[Vec<u8>]> =
            survivors.ids().filter_map(|id| self.report.vectors.get(&id)).map(Vec::as_slice).collect();
        self.host.begin();
        let chunks = self.host.sum(&vectors, plan, self.terms.layout());
        let root = root_of(&chunks);
        self.host.end(id, Role::Aggregator, Phase::Unmasking);
        self.sums.insert(root, chunks);
        self.handle(id, Role::Aggregator, Input::Done(Work::Summed(root)));
    }

    fn fetch(&mut self, id: MemberId, published: &Published) {
        let Some(chunks) = self.sums.get(&published.sum.body.root) else { return };
        let survivors = published.certificate.survivors.0.len();
        self.host.begin();
        let aggregate = decode(&self.terms, chunks, survivors);
        let as_announced = root_of(chunks) == published.sum.body.root;
        self.host.end(id, Role::Member, Phase::Publish);
        if let Some(aggregate) = aggregate.filter(|_| as_announced) {
            self.report.aggregates.insert(id, aggregate);
            self.handle(id, Role::Member, Input::Done(Work::Stored));
        }
    }
}

impl Report {
    /// The survivors of the certificate, if the aggregator finished with one.
    #[must_use]
    pub fn survivors(&self) -> Option<Vec<MemberId>> {
        Some(self.aggregator.as_ref()?.survivors()?.ids().collect())
    }
}

fn root_of(chunks: &[Vec<u8>]) -> Digest {
    let digests: Vec<Digest> =
        chunks.iter().enumerate().map(|(index, chunk)| chunk_digest(index as u32, chunk)).collect();
    vector_root(&digests)
}

fn decode(terms: &Terms, chunks: &[Vec<u8>], survivors: usize) -> Option<Aggregate> {
    let layout = terms.layout();
    let mut decoder = Decoder::new(&terms.contract().task.spec, layout, survivors);
    for (chunk, packed) in layout.chunks().zip(chunks) {
        let mut words = vec![0; chunk.len as usize];
        packing::unpack(packed, chunk.bits, &mut words).ok()?;
        decoder.push(&chunk, &words).ok()?;
    }
    decoder.finish().ok()
}

/// Which of the receiver's machines a message is for.
fn addressee(message: &Message) -> Role {
    if message.is_for_aggregator() { Role::Aggregator } else { Role::Member }
}
