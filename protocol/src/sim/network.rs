//! The network, the clock, and the driver of one simulated round.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{
    codec,
    contract::Terms,
    encoding::ValidInput,
    guard::Guard,
    ids::MemberId,
    io::{Input, JournalEntry, Now, Role},
    messages::{Message, publish::Published},
    phase::Phase,
    roster::SeenKeys,
    round::{Deeds, Round, RoundSetup},
    signing::Identity,
};

use super::{
    adversary::Adversary,
    bulk::Store,
    faults::Fault,
    host::Host,
    monitor::Monitor,
    oracle::Oracle,
    queue::Queue,
    report::{Envelope, Report},
    violation::Violation,
    weather::{Fate, Weather, between},
};

type Interference<'a> = Box<dyn FnMut(Envelope) -> Vec<Envelope> + 'a>;

pub(super) struct Node {
    pub(super) identity: Arc<Identity>,
    pub(super) round: Option<Round>,
    pub(super) input: Option<ValidInput>,
    pub(super) alive: bool,
    /// When it is back, without its round.
    pub(super) restarts: Option<Now>,
    /// Until when it is stopped, and what has come in meanwhile.
    pub(super) paused: Option<Now>,
    pub(super) inbox: VecDeque<Input>,
    pub(super) undone: Deeds,
    pub(super) store: Store,
    pub(super) fetching: Vec<Published>,
}

/// One round, ready to run.
pub struct Simulation<'a, H> {
    pub(super) terms: Arc<Terms>,
    pub(super) nodes: BTreeMap<MemberId, Node>,
    pub(super) queue: Queue,
    pub(super) faults: Vec<Fault>,
    weather: Weather,
    /// Who cannot reach the others, and until when.
    pub(super) cut: Option<(BTreeSet<MemberId>, Now)>,
    /// Connections that are broken, and until when.
    broken: BTreeMap<(MemberId, MemberId), Now>,
    interfere: Interference<'a>,
    pub(super) adversary: Adversary,
    /// What members know of earlier sums of the label.
    guards: BTreeMap<MemberId, Guard>,
    /// Members that do not aggregate, by their own settings.
    passing: BTreeSet<MemberId>,
    pub(super) monitor: Monitor,
    pub(super) oracle: Oracle,
    /// What waits until the deeds under way are done: a node carries out all of one step before the next.
    pending: VecDeque<(MemberId, Role, Input)>,
    busy: bool,
    pub(super) now: Now,
    rng: ChaCha20Rng,
    pub(super) host: &'a mut H,
    pub(super) report: Report,
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
            let (round, restarts, paused, inbox, undone, store, fetching) = Default::default();
            let id = identity.id();
            let node =
                Node { identity, round, input, alive, restarts, paused, inbox, undone, store, fetching };
            (id, node)
        };
        let manifest = terms.manifest().clone();
        Self {
            terms,
            nodes: members.into_iter().map(node).collect(),
            queue: Queue::default(),
            faults: Vec::new(),
            weather: Weather::default(),
            cut: None,
            broken: BTreeMap::new(),
            interfere: Box::new(|envelope| vec![envelope]),
            adversary: Adversary::default(),
            guards: BTreeMap::new(),
            passing: BTreeSet::new(),
            monitor: Monitor::new(manifest.clone(), []),
            oracle: Oracle::new(manifest, []),
            pending: VecDeque::new(),
            busy: false,
            now: Now::ZERO,
            rng: ChaCha20Rng::seed_from_u64(seed),
            host,
            report: Report::default(),
        }
    }

    /// Lets something go wrong; each happens once, in the order in which they were given.
    #[must_use]
    pub fn fault(mut self, fault: impl Into<Fault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// Lets links misbehave.
    #[must_use]
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// Lets these members conspire; everybody else is honest.
    #[must_use]
    pub fn adversary(mut self, adversary: Adversary) -> Self {
        let manifest = self.terms.manifest();
        self.monitor = Monitor::new(manifest.clone(), adversary.members());
        self.oracle = Oracle::new(manifest.clone(), adversary.members());
        self.adversary = adversary;
        self
    }

    /// Lets somebody replace each control message by any others before it is delivered. Nobody but those who
    /// interfere is to blame for what comes of it.
    #[must_use]
    pub fn interfere(mut self, with: impl FnMut(Envelope) -> Vec<Envelope> + 'a) -> Self {
        self.interfere = Box::new(with);
        self
    }

    /// Lets these members know of earlier sums of the label; the others know of none.
    #[must_use]
    pub fn guards(mut self, guards: impl IntoIterator<Item = (MemberId, Guard)>) -> Self {
        self.guards.extend(guards);
        self
    }

    /// Lets these members pass their turns to aggregate.
    #[must_use]
    pub fn passing(mut self, members: impl IntoIterator<Item = MemberId>) -> Self {
        self.passing.extend(members);
        self
    }

    /// Runs the round to its end.
    pub fn run(mut self) -> Report {
        self.start();
        let mut steps = 0;
        loop {
            while let Some((from, to, bytes)) = self.queue.pick(&mut self.rng) {
                steps += 1;
                if steps > self.most_steps() {
                    return self.never_ends();
                }
                self.carry(from, to, bytes);
            }
            self.report.ended = self.now;
            if self.nodes.values().all(Node::is_over) {
                return self.end_of_run();
            }
            let Some(next) = self.next_event() else { return self.end_of_run() };
            // time stands still for no longer than it takes to say what is to be said
            steps = if next > self.now { 0 } else { steps + self.nodes.len() };
            if steps > self.most_steps() {
                return self.never_ends();
            }
            self.now = self.now.max(next);
            self.recover();
            for id in self.ids() {
                self.handle(id, Role::Member, Input::Tick);
            }
        }
    }

    /// More than honest nodes ever need at one moment: each tells each other everything a few times.
    fn most_steps(&self) -> usize {
        self.nodes.len() * self.nodes.len() * 1000
    }

    /// Nodes talk without end, or have a deadline that has passed and after which they do nothing.
    fn never_ends(mut self) -> Report {
        let overdue = |node: &Node| node.round.as_ref()?.deadline().filter(|at| *at <= self.now);
        let spin = self.nodes.iter().find(|(_, node)| node.alive && overdue(node).is_some());
        let by = spin.map(|(id, _)| *id);
        self.monitor.violation(Violation::Endless { by });
        self.end_of_run()
    }

    fn next_event(&self) -> Option<Now> {
        let awake = self.nodes.values().filter(|node| node.alive && node.paused.is_none());
        let deadlines = awake.filter_map(|node| node.round.as_ref()?.deadline());
        let resumed = self.nodes.values().filter(|node| node.alive).filter_map(|node| node.paused);
        let restarted = self.nodes.values().filter_map(|node| node.restarts);
        let healed = self.cut.as_ref().map(|(_, until)| *until);
        let mended = self.broken.values().copied();
        let later = deadlines.chain(resumed).chain(restarted).chain(healed).chain(mended);
        later.chain(self.queue.next_release()).min()
    }

    pub(super) fn ids(&self) -> Vec<MemberId> {
        self.nodes.keys().copied().collect()
    }

    fn start(&mut self) {
        let manifest = self.terms.manifest().clone();
        let seen = Arc::new(SeenKeys::default());
        let contract = self.terms.contract().clone();
        for id in self.ids() {
            // some may be gone before others have begun
            let members = manifest.members().iter().map(|member| member.id);
            let away = members.filter(|other| !self.reaches(&id, other)).map(|other| (other, Now::ZERO));
            let away: BTreeMap<MemberId, Now> = away.collect();
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { continue };
            let setup = RoundSetup {
                identity: node.identity.clone(),
                manifest: manifest.clone(),
                number: contract.round,
                task: contract.task.clone(),
                seen: seen.clone(),
                aggregates: !self.passing.contains(&id),
                guard: Arc::new(self.guards.get(&id).cloned().unwrap_or_default()),
                away,
                excluded: BTreeSet::new(),
            };
            self.host.begin();
            let (round, deeds) = Round::begin(setup, self.now, &mut self.rng);
            node.round = Some(round);
            let role = if id == self.terms.aggregator() { Role::Aggregator } else { Role::Member };
            self.host.end(id, role, Phase::AdvertiseKeys);
            self.spy(id);
            self.carry_out_all(id, deeds);
        }
    }

    /// Whoever was stopped or cut off long enough is back.
    fn recover(&mut self) {
        let now = self.now;
        self.queue.release(now);
        for id in self.ids() {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if node.restarts.is_some_and(|at| now >= at) {
                (node.alive, node.restarts) = (true, None);
                for other in self.ids().into_iter().filter(|other| *other != id) {
                    self.queue.lose(id, other);
                    if self.reaches(&other, &id) {
                        self.handle(other, Role::Member, Input::Connected(id));
                        self.handle(other, Role::Member, Input::Left(id));
                    }
                }
                continue;
            }
            if node.paused.is_some_and(|until| now >= until) {
                node.paused = None;
                let (undone, inbox) = (std::mem::take(&mut node.undone), std::mem::take(&mut node.inbox));
                self.carry_out_all(id, undone);
                for input in inbox {
                    self.handle(id, Role::Member, input);
                }
            }
        }
        if self.cut.as_ref().is_some_and(|(_, until)| now >= *until)
            && let Some((side, _)) = self.cut.take()
        {
            self.across(&side, Input::Connected);
        }
        let mended: Vec<_> =
            self.broken.iter().filter(|(_, until)| now >= **until).map(|(link, _)| *link).collect();
        for (one, other) in mended {
            self.broken.remove(&(one, other));
            self.tell_both(one, other, Input::Connected);
        }
        self.fetch();
    }

    /// Tells both sides of a cut about each other.
    pub(super) fn across(&mut self, side: &BTreeSet<MemberId>, input: fn(MemberId) -> Input) {
        for one in self.ids() {
            for other in self.ids() {
                let alive = self.nodes.get(&other).is_some_and(|node| node.alive);
                let apart = side.contains(&one) != side.contains(&other);
                if apart && alive && !self.broken.contains_key(&between(one, other)) {
                    self.handle(one, Role::Member, input(other));
                }
            }
        }
    }

    fn tell_both(&mut self, one: MemberId, other: MemberId, input: fn(MemberId) -> Input) {
        for (id, peer) in [(one, other), (other, one)] {
            let alive = self.nodes.get(&peer).is_some_and(|node| node.alive);
            if alive && !self.is_cut(&id, &peer) {
                self.handle(id, Role::Member, input(peer));
            }
        }
    }

    pub(super) fn is_cut(&self, one: &MemberId, other: &MemberId) -> bool {
        self.cut.as_ref().is_some_and(|(side, _)| side.contains(one) != side.contains(other))
    }

    /// Whether a message between the two is on its way at all.
    pub(super) fn is_apart(&self, one: &MemberId, other: &MemberId) -> bool {
        self.is_cut(one, other) || self.broken.contains_key(&between(*one, *other))
    }

    pub(super) fn reaches(&self, from: &MemberId, to: &MemberId) -> bool {
        self.nodes.get(to).is_some_and(|node| node.alive) && !self.is_apart(from, to)
    }

    /// Carries one message as far as the weather lets it come.
    fn carry(&mut self, from: MemberId, to: MemberId, bytes: Vec<u8>) {
        // what a node says to itself does not travel
        let fate = if from == to { Fate::Delivered } else { self.weather.fate(self.now, &mut self.rng) };
        match fate {
            Fate::Delivered => self.deliver(from, to, &bytes),
            Fate::Repeated => {
                self.queue.push(from, to, bytes.clone());
                self.deliver(from, to, &bytes);
            }
            Fate::Late(until) => self.queue.hold(from, to, bytes, until),
            Fate::Broken(until) => {
                self.queue.lose(from, to);
                if !self.is_apart(&from, &to) {
                    self.tell_both(from, to, Input::Lost);
                    self.broken.insert(between(from, to), until);
                }
            }
        }
    }

    fn deliver(&mut self, from: MemberId, to: MemberId, bytes: &[u8]) {
        self.host.begin();
        let Ok(message) = codec::decode(bytes) else { return };
        self.end(to, addressee(&message), None);
        for envelope in (self.interfere)(Envelope { from, to, message }) {
            if self.is_apart(&envelope.from, &envelope.to) {
                continue;
            }
            self.monitor.overheard(&envelope.message);
            let (said, heard) = self.adversary.incoming(&envelope);
            let Envelope { from, to, message } = envelope;
            if heard {
                self.handle(to, addressee(&message), Input::Message(from, Box::new(message)));
            }
            let alive = self.nodes.get(&to).is_some_and(|node| node.alive && node.paused.is_none());
            for envelope in said.into_iter().filter(|_| alive) {
                self.post(Role::Member, envelope);
            }
        }
    }

    /// `role` is whose work it counts as.
    pub(super) fn handle(&mut self, id: MemberId, role: Role, input: Input) {
        self.pending.push_back((id, role, input));
        self.settle();
    }

    /// Carries out what a node wants done, and all that follows at once.
    fn carry_out_all(&mut self, id: MemberId, deeds: Deeds) {
        let outermost = !std::mem::replace(&mut self.busy, true);
        self.carry_out(id, deeds);
        self.busy = !outermost;
        self.settle();
    }

    fn settle(&mut self) {
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        while let Some((id, role, input)) = self.pending.pop_front() {
            self.step(id, role, input);
        }
        self.busy = false;
    }

    fn step(&mut self, id: MemberId, role: Role, input: Input) {
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
        self.spy(id);
        self.carry_out(id, deeds);
    }

    /// The coalition knows what its nodes know.
    fn spy(&mut self, id: MemberId) {
        if self.adversary.has(&id)
            && let Some(round) = self.nodes.get(&id).and_then(|node| node.round.as_ref())
            && let (Some(one), Some(other)) = (round.spied(), round.spied())
        {
            self.adversary.spy(&id, one);
            self.oracle.spied(id, other);
        }
    }

    /// Ends a piece of work. `before` is the phase in which it was begun, for work that ends the attempt.
    /// Outside of any phase a node either waits for a contract or is done.
    pub(super) fn end(&mut self, id: MemberId, role: Role, before: Option<Phase>) {
        let round = self.nodes.get(&id).and_then(|node| node.round.as_ref());
        let phase = round.and_then(|round| round.phase(role)).or(before);
        let phase = phase.or_else(|| round?.phase(Role::Member));
        let last = self.report.journals.get(&id).and_then(|journal| journal.last());
        let done =
            matches!(last, Some(JournalEntry::Acknowledged(..))) || self.report.outcomes.contains_key(&id);
        let idle = if done { Phase::Publish } else { Phase::AdvertiseKeys };
        self.host.end(id, role, phase.unwrap_or(idle));
    }
}

impl Node {
    fn is_over(&self) -> bool {
        (!self.alive && self.restarts.is_none()) || self.round.as_ref().is_none_or(Round::is_over)
    }
}

/// Which of the receiver's machines a message is for.
fn addressee(message: &Message) -> Role {
    if message.is_for_aggregator() { Role::Aggregator } else { Role::Member }
}
