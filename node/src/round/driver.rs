//! The driver: the only place that turns outputs of the state machines into deeds.
//!
//! It runs on a thread of its own, so the state machines may take their time over signatures and shares.
//! Outputs are carried out in order; a journal entry is on disk before anything after it leaves.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use consort_protocol::{
    aggregator::Aggregator,
    codec,
    contract::{Contract, ContractError, TURNS_PER_MEMBER, Task, Terms},
    election,
    encoding::{self, ValidInput},
    ids::MemberId,
    io::{Input, JournalEntry, Now, Output, Work},
    manifest::Manifest,
    masking::MaskPlan,
    member::Member,
    messages::{Message, advertise_keys::Decline, consistency_check::SurvivorSet, publish::Published},
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::SeenKeys,
    signing::{Identity, Signed},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    events::{NodeEvent, Observer, Role},
    ledger::{AttemptRecord, Ledger, RoundRecord},
    limits::{self, TokenBucket},
    network::{BulkStream, Event, EventStream, Network},
};

use super::{
    attempt::{Attempt, recipient},
    bulk::blocking,
    fetch::fetch,
    intake::Intake,
    offers::{Offer, Offers},
    results::Results,
    schedule::{Decision, Gathering, Peers},
    serve::serve,
    status::Status,
    upload::{Source, deposit, upload},
};

/// An input that waits for a round.
pub(crate) struct Pending {
    pub(crate) task: Task,
    pub(crate) input: Arc<ValidInput>,
    pub(crate) reply: oneshot::Sender<Result<RoundResult, String>>,
}

/// What came of a round for a member that gave an input.
#[derive(Clone)]
pub struct RoundResult {
    /// The round.
    pub round: u64,
    /// Whose inputs are in the sum, in ascending order.
    pub survivors: Vec<MemberId>,
    /// Who was on the roster, in ascending order.
    pub roster: Vec<MemberId>,
    /// The aggregate.
    pub aggregate: Arc<encoding::Aggregate>,
}

/// What the driver is told to do.
pub(crate) enum Command {
    Submit(Pending),
}

/// A job of an attempt is done; the number tells attempts apart.
struct Done {
    attempt: u64,
    role: Role,
    work: Work,
    aggregate: Option<Arc<encoding::Aggregate>>,
}

pub(crate) struct Driver {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) network: Network,
    pub(crate) events: EventStream,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) ledger: Ledger,
    pub(crate) results: Arc<Results>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: CancellationToken,
    pub(crate) state: DriverState,
}

/// What the driver remembers between events.
pub(crate) struct DriverState {
    me: MemberId,
    started: Instant,
    peers: Peers,
    gathering: Gathering,
    seen: Arc<SeenKeys>,
    pending: Option<Pending>,
    attempt: Option<Attempt>,
    /// Counts attempts, so that what a job reports after its attempt is over goes nowhere.
    generation: u64,
    offers: Offers,
    /// Warnings that a peer can cause.
    warnings: TokenBucket,
    attempts: Vec<AttemptRecord>,
    wake: Option<Now>,
    done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
}

impl DriverState {
    pub(crate) fn new(manifest: &Arc<Manifest>, me: MemberId, round: u64, seen: SeenKeys) -> Self {
        Self {
            me,
            started: Instant::now(),
            peers: Peers::new(manifest.clone(), me, Now::ZERO),
            gathering: Gathering::new(manifest, round),
            seen: Arc::new(seen),
            pending: None,
            attempt: None,
            generation: 0,
            offers: Offers::default(),
            warnings: TokenBucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND, Instant::now()),
            attempts: Vec::new(),
            wake: None,
            done: mpsc::channel(limits::MAX_JOBS),
        }
    }
}

impl Driver {
    /// Runs until the node is stopped or its network ends.
    pub(crate) async fn run(mut self) {
        self.publish_status();
        loop {
            let wake = self.state.attempt.as_ref().map_or(self.state.wake, Attempt::deadline);
            let sleep = tokio::time::sleep_until(
                (self.state.started
                    + wake.unwrap_or(Duration::from_secs(3600)).min(Duration::from_secs(1 << 30)))
                .into(),
            );
            tokio::select! {
                () = self.stop.cancelled() => return,
                event = self.events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                Some(command) = self.commands.recv() => match command {
                    Command::Submit(pending) => self.submit(pending),
                },
                Some(done) = self.state.done.1.recv() => self.done(done).await,
                () = sleep => self.both(|| Input::Tick).await,
            }
            self.schedule().await;
        }
    }

    fn now(&self) -> Now {
        self.state.started.elapsed()
    }

    fn submit(&mut self, pending: Pending) {
        if self.state.pending.is_some() {
            let _ = pending.reply.send(Err("an input is waiting already; it has to be used first".into()));
            return;
        }
        self.state.pending = Some(pending);
        self.publish_status();
    }

    fn publish_status(&self) {
        let waiting = self.state.pending.as_ref().map(|pending| pending.task.digest());
        self.network.set_status(Status { round: self.state.gathering.round, waiting }.encode());
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Connected(peer) => {
                self.state.peers.connected(peer);
                self.report_peers().await;
                self.both(|| Input::Connected(peer)).await;
            }
            Event::Disconnected(peer) => {
                let now = self.now();
                self.state.peers.disconnected(peer, now);
                self.report_peers().await;
                self.both(|| Input::Lost(peer)).await;
            }
            Event::Status { from, bytes } => {
                if let Some(status) = Status::decode(&bytes) {
                    self.state.peers.status(from, status);
                }
            }
            Event::Frame { from, bytes } => match codec::decode::<Message>(&bytes) {
                Ok(Message::Contract(contract)) => self.contract(from, *contract, true).await,
                Ok(message) => {
                    let role = recipient(&message);
                    self.feed(role, Input::Message(from, Box::new(message))).await;
                }
                Err(error) if self.worth_a_warning() => {
                    tracing::warn!(%from, %error, "malformed control message dropped");
                }
                Err(_) => {}
            },
            Event::Gossip { from, bytes } => match codec::decode::<Message>(&bytes) {
                Ok(message @ Message::Published(_)) => {
                    self.feed(Role::Member, Input::Message(from, Box::new(message))).await;
                }
                Ok(Message::Contract(contract)) => self.contract(from, *contract, false).await,
                _ if self.worth_a_warning() => {
                    tracing::warn!(%from, "gossip that is no announcement dropped")
                }
                _ => {}
            },
            Event::Bulk { from, stream } => self.bulk(from, stream),
        }
    }

    async fn report_peers(&self) {
        let connected = self.manifest.members().len() - 1 - self.state.peers.absent().len();
        self.observer.notify(NodeEvent::Peers(connected)).await;
    }

    /// Whether a warning that a peer can cause should be logged: a flood must not reach the log.
    fn worth_a_warning(&mut self) -> bool {
        self.state.warnings.take(Instant::now())
    }

    /// Somebody proposes an attempt. A contract is kept only if it is its author's turn, so nobody can take
    /// another one's place; one for each slot, so a second contract of the same slot changes nothing.
    async fn contract(&mut self, from: MemberId, contract: Signed<Contract>, direct: bool) {
        let (round, slot) = (contract.body.round, contract.body.slot);
        let current = self.state.gathering.round;
        let order = election::order(&self.manifest, round);
        let exists = (slot as usize) < order.len() * TURNS_PER_MEMBER;
        let turn = (slot as usize).checked_rem(order.len()).and_then(|place| order.get(place));
        if contract.signer != from || turn != Some(&from) || !exists {
            if self.worth_a_warning() {
                tracing::warn!(%from, round, slot, "contract dropped: it is not its author's turn");
            }
            return;
        }
        let Some(offer) = Offer::of(&contract) else { return };
        if !(current..current + limits::ROUNDS_AHEAD).contains(&round) {
            if direct && round < current {
                self.decline(&offer, "this round is over");
            }
            return;
        }
        if self.state.pending.is_none() && self.state.attempt.is_none() {
            if direct {
                self.decline(&offer, "no input is waiting");
            }
            return;
        }
        self.state.offers.keep(round, slot, offer);
    }

    fn decline(&mut self, offer: &Offer, reason: &str) {
        if self.worth_a_warning() {
            tracing::info!(from = %offer.author, reason, "contract declined");
        }
        let decline = Decline { contract: offer.digest, reason: reason.into() };
        if let Ok(decline) = Signed::new(decline, &self.identity) {
            self.send(offer.author, &Message::Decline(Box::new(decline)));
        }
    }

    /// Starts an attempt if there is one to start.
    async fn schedule(&mut self) {
        if self.state.attempt.is_some() {
            return;
        }
        if let Some(round) = self.state.peers.round().filter(|round| *round > self.state.gathering.round) {
            tracing::info!(round, missed = self.state.gathering.round, "catching up with the others");
            self.begin_round(round);
        }
        while let Some(pending) = &self.state.pending {
            let task = pending.task.clone();
            if self.join_proposed(&task).await {
                return;
            }
            let now = self.now();
            match self.state.gathering.decide(&self.state.peers, &task.digest(), now) {
                Decision::Wait(until) => {
                    self.state.wake = until;
                    return;
                }
                Decision::Propose => return self.propose(task).await,
                Decision::NextRound => {
                    let round = self.state.gathering.round;
                    tracing::info!(round, "too few are left in this round, following to the next");
                    self.begin_round(round.saturating_add(1));
                }
                Decision::PassOver(aggregator) => self.pass_over(aggregator),
            }
        }
        self.state.wake = None;
    }

    /// Joins the proposed attempt of the lowest slot that may act.
    async fn join_proposed(&mut self, task: &Task) -> bool {
        let DriverState { peers, gathering, offers, .. } = &mut self.state;
        let round = gathering.round;
        let may_join =
            |slot, author: &MemberId| peers.is_connected(author) && gathering.may_skip_to(slot, peers);
        let Some((slot, offer)) = offers.take(round, may_join) else { return false };
        let accepted = offer
            .contract(round, slot, task)
            .ok_or(ContractError::Task)
            .and_then(|contract| Terms::accept(self.manifest.clone(), &contract, task));
        match accepted {
            Ok(terms) => {
                while self.state.gathering.slot < slot {
                    let Some(aggregator) = self.state.gathering.aggregator() else { break };
                    self.pass_over(aggregator);
                }
                self.start(terms, false).await;
                true
            }
            Err(error) => {
                self.decline(&offer, &error.to_string());
                false
            }
        }
    }

    async fn propose(&mut self, task: Task) {
        let Gathering { round, slot, .. } = self.state.gathering;
        match Terms::new(self.manifest.clone(), round, 0, slot, task) {
            Ok(terms) => self.start(terms, true).await,
            Err(error) => self.fail_round(&error.to_string()).await,
        }
    }

    async fn start(&mut self, terms: Terms, as_aggregator: bool) {
        let terms = Arc::new(terms);
        let mut attempt = match Attempt::new(terms.clone()) {
            Ok(attempt) => attempt,
            Err(reason) => return self.fail_round(&reason).await,
        };
        let Contract { round, slot, .. } = terms.contract();
        tracing::info!(round, slot, aggregator = %terms.aggregator(), "attempt begins");
        let (now, seen, absent) = (self.now(), self.state.seen.clone(), self.state.peers.absent());
        let mut outputs = Vec::new();
        if as_aggregator {
            // whoever is not connected to this node may still learn of the round
            if let Ok(contract) = terms.sign(&self.identity)
                && let Ok(bytes) = codec::encode(&Message::Contract(Box::new(contract)))
            {
                self.network.publish(bytes);
            }
            let (aggregator, out) =
                Aggregator::propose(self.identity.clone(), terms.clone(), seen.clone(), absent.clone(), now);
            attempt.aggregator = Some(aggregator);
            outputs.extend(out.into_iter().map(|output| (Role::Aggregator, output)));
        }
        let (member, out) = Member::join(self.identity.clone(), terms, seen, absent, now, attempt.rng());
        attempt.member = Some(member);
        outputs.extend(out.into_iter().map(|output| (Role::Member, output)));
        self.state.generation += 1;
        self.state.attempt = Some(attempt);
        self.drive(VecDeque::new(), outputs).await;
    }

    async fn both(&mut self, input: impl Fn() -> Input) {
        self.feed(Role::Aggregator, input()).await;
        self.feed(Role::Member, input()).await;
    }

    async fn feed(&mut self, role: Role, input: Input) {
        self.drive(VecDeque::from([(role, input)]), Vec::new()).await;
    }

    /// Carries out outputs and feeds back what they lead to on this node, until nothing is left.
    async fn drive(&mut self, mut inputs: VecDeque<(Role, Input)>, outputs: Vec<(Role, Output)>) {
        let mut outputs = VecDeque::from(outputs);
        loop {
            while let Some((role, output)) = outputs.pop_front() {
                if let Err(detail) = self.carry_out(role, output, &mut inputs).await {
                    outputs.clear();
                    inputs.push_front((role, Input::Done(Work::Failed(detail))));
                }
            }
            let Some((role, input)) = inputs.pop_front() else { break };
            let now = self.now();
            let Some(attempt) = &mut self.state.attempt else { return };
            outputs.extend(attempt.handle(role, input, now).into_iter().map(|output| (role, output)));
        }
        if self.state.attempt.as_ref().is_some_and(Attempt::is_over)
            && let Some(attempt) = self.state.attempt.take()
        {
            self.conclude(attempt).await;
        }
    }

    async fn carry_out(
        &mut self,
        role: Role,
        output: Output,
        inputs: &mut VecDeque<(Role, Input)>,
    ) -> Result<(), String> {
        match output {
            Output::Phase(phase) => self.phase(role, phase).await,
            Output::Journal(entry) => self.journal(entry)?,
            Output::Send(to, message) if to == self.state.me => {
                inputs.push_back((recipient(&message), Input::Message(to, message)));
            }
            Output::Send(to, message) => self.send(to, &message),
            Output::Upload(plan) => self.upload(plan),
            Output::Fetch(published) => self.fetch(&published),
            Output::Receive(session, members) => self.receive(session, members)?,
            Output::Unmask(survivors, plan) => self.unmask(survivors, *plan),
            Output::Fault(fault) => {
                if self.worth_a_warning() {
                    tracing::warn!(peer = %fault.who, phase = %fault.phase, fault = %fault.kind, "peer at fault");
                }
                self.observer.notify(NodeEvent::Fault(fault)).await;
            }
            Output::Finished(outcome) => self.finished(role, outcome).await,
        }
        Ok(())
    }

    async fn phase(&mut self, role: Role, phase: Phase) {
        let Some(attempt) = &mut self.state.attempt else { return };
        let Contract { round, attempt: number, slot, .. } = *attempt.terms.contract();
        if role == Role::Aggregator {
            attempt.phases.enter(Some(phase));
        }
        tracing::info!(round, attempt = number, slot, ?role, %phase, "phase");
        self.observer.notify(NodeEvent::Phase { round, attempt: number, slot, role, phase }).await;
    }

    fn journal(&mut self, entry: JournalEntry) -> Result<(), String> {
        self.ledger.journal(&entry).map_err(|error| error.to_string())?;
        if let JournalEntry::RosterAccepted { session, participants, keys, .. } = entry {
            Arc::make_mut(&mut self.state.seen).extend(keys);
            if let Some(attempt) = &mut self.state.attempt {
                attempt.session = Some(session);
                attempt.roster = participants;
            }
        }
        Ok(())
    }

    /// Never waits: an attempt sends a peer a few frames, so a full queue means one that does not read, and
    /// whoever waited for such a peer would let it hold up everybody.
    fn send(&mut self, to: MemberId, message: &Message) {
        let sent = match codec::encode(message) {
            Ok(frame) => self.network.try_send(to, frame).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent
            && self.worth_a_warning()
        {
            tracing::warn!(%to, error, "control message not sent");
        }
    }

    /// Starts a job whose end the current attempt is told of.
    fn spawn(
        &mut self,
        role: Role,
        job: impl Future<Output = (Work, Option<Arc<encoding::Aggregate>>)> + Send + 'static,
    ) {
        let (generation, done) = (self.state.generation, self.state.done.0.clone());
        let Some(attempt) = &mut self.state.attempt else { return };
        attempt.jobs.spawn(async move {
            let (work, aggregate) = job.await;
            let _ = done.send(Done { attempt: generation, role, work, aggregate }).await;
        });
    }

    async fn done(&mut self, done: Done) {
        if done.attempt != self.state.generation {
            return;
        }
        let Some(attempt) = &mut self.state.attempt else { return };
        if let Some(aggregate) = done.aggregate {
            attempt.aggregate = Some(aggregate);
        }
        if let Work::Received(member, _) = done.work {
            attempt.received.insert(member);
            let event = NodeEvent::Received {
                round: attempt.terms.contract().round,
                vectors: attempt.received.len(),
                expected: attempt.expected,
            };
            self.observer.notify(event).await;
        }
        if let Work::Failed(detail) = &done.work {
            tracing::error!(detail, "work of this attempt failed");
        }
        self.feed(done.role, Input::Done(done.work)).await;
    }

    fn upload(&mut self, plan: Arc<MaskPlan>) {
        let (Some(attempt), Some(pending)) = (&self.state.attempt, &self.state.pending) else { return };
        let Some(session) = attempt.session else { return };
        let source = Arc::new(Source {
            session,
            layout: attempt.terms.layout().clone(),
            input: pending.input.clone(),
            plan,
        });
        let (aggregator, me, network) = (attempt.terms.aggregator(), self.state.me, self.network.clone());
        if aggregator != me {
            self.spawn(Role::Member, async move {
                (Work::Uploaded(upload(source, aggregator, network).await), None)
            });
            return;
        }
        let Some(intake) = attempt.intake.clone() else { return };
        let (generation, done) = (self.state.generation, self.state.done.0.clone());
        self.spawn(Role::Aggregator, async move {
            match deposit(source, me, intake).await {
                Ok(root) => {
                    let work = Work::Uploaded(root);
                    let _ = done
                        .send(Done { attempt: generation, role: Role::Member, work, aggregate: None })
                        .await;
                    (Work::Received(me, root), None)
                }
                Err(error) => (Work::Failed(format!("my own vector: {error}")), None),
            }
        });
    }

    fn receive(
        &mut self,
        session: consort_protocol::ids::SessionId,
        members: Vec<MemberId>,
    ) -> Result<(), String> {
        let Some(attempt) = &mut self.state.attempt else { return Ok(()) };
        attempt.expected = members.len();
        let layout = attempt.terms.layout().clone();
        let intake = Intake::new(session, layout, members, self.results.folder())
            .map_err(|error| format!("no room for the members' vectors: {error}"))?;
        attempt.intake = Some(Arc::new(intake));
        Ok(())
    }

    fn bulk(&mut self, from: MemberId, stream: BulkStream) {
        let intake = self.state.attempt.as_ref().and_then(|attempt| attempt.intake.clone());
        let ended = self.state.attempt.as_ref().map(|attempt| attempt.ended.clone()).unwrap_or_default();
        let (results, attempt, done) =
            (self.results.clone(), self.state.generation, self.state.done.0.clone());
        tokio::spawn(async move {
            match serve(stream, from, intake, &ended, &results).await {
                Ok(Some(root)) => {
                    let work = Work::Received(from, root);
                    let _ = done.send(Done { attempt, role: Role::Aggregator, work, aggregate: None }).await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%from, %error, "bulk stream ended early"),
            }
        });
    }

    fn unmask(&mut self, survivors: SurvivorSet, plan: MaskPlan) {
        let Some(attempt) = &self.state.attempt else { return };
        let Some(intake) = attempt.intake.clone() else { return };
        let (results, layout) = (self.results.clone(), attempt.terms.layout().clone());
        self.spawn(Role::Aggregator, async move {
            match results.sum(intake, layout, survivors, plan).await {
                Ok(root) => (Work::Summed(root), None),
                Err(error) => (Work::Failed(format!("the sum could not be computed: {error}")), None),
            }
        });
    }

    fn fetch(&mut self, published: &Published) {
        let Some(attempt) = &self.state.attempt else { return };
        let (terms, root) = (attempt.terms.clone(), published.sum.body.root);
        let survivors = published.certificate.survivors.0.len();
        let (network, results) = (self.network.clone(), self.results.clone());
        self.spawn(Role::Member, async move {
            let fetched = fetch(network, results, terms.layout().clone(), root, terms.aggregator()).await;
            let decoded = match fetched {
                Ok(sum) => blocking(move || sum.decode(&terms, survivors)).await,
                Err(error) => Err(error),
            };
            match decoded {
                Ok(aggregate) => (Work::Stored, Some(Arc::new(aggregate))),
                Err(error) => (Work::Failed(format!("the published sum: {error}")), None),
            }
        });
    }

    async fn finished(&mut self, role: Role, outcome: Outcome) {
        let Some(attempt) = &mut self.state.attempt else { return };
        if role == Role::Aggregator {
            attempt.phases.enter(None);
            let (round, phases_ms) = (attempt.terms.contract().round, attempt.phases.milliseconds().clone());
            if let Outcome::Completed { published, .. } = &outcome
                && let Ok(bytes) = codec::encode(&Message::Published(published.clone()))
            {
                self.network.publish(bytes);
            }
            self.observer.notify(NodeEvent::Aggregated { round, phases_ms }).await;
        } else {
            attempt.outcome = Some(outcome);
        }
    }

    /// An attempt is over on this node.
    async fn conclude(&mut self, attempt: Attempt) {
        let contract = attempt.terms.contract().clone();
        let mut record = AttemptRecord {
            attempt: contract.attempt,
            slot: contract.slot,
            aggregator: attempt.terms.aggregator(),
            outcome: "completed".into(),
            detail: None,
        };
        let roster = attempt.roster;
        match attempt.outcome {
            Some(Outcome::Completed { published, threshold }) => {
                self.state.attempts.push(record);
                let result = attempt.aggregate.map(|aggregate| RoundResult {
                    round: contract.round,
                    survivors: published.certificate.survivors.ids().collect(),
                    roster: roster.clone(),
                    aggregate,
                });
                tracing::info!(
                    round = contract.round,
                    survivors = published.certificate.survivors.0.len(),
                    "round completed"
                );
                self.end_round(
                    contract,
                    Some(*published),
                    threshold,
                    roster,
                    result.ok_or_else(|| "no aggregate".into()),
                )
                .await;
            }
            Some(Outcome::Aborted(reason)) => {
                tracing::warn!(round = contract.round, slot = contract.slot, %reason, "attempt without a result");
                record.outcome = reason.word().into();
                record.detail = Some(reason.to_string());
                if nothing_was_sent(&reason) && attempt.session.is_none() {
                    self.next_slot(record);
                } else {
                    self.state.attempts.push(record);
                    self.end_round(contract, None, 0, roster, Err(reason.to_string())).await;
                }
            }
            // its last words could not be journalled; what has left before is not known any more
            None => {
                let reason = "this node could not write its ledger";
                record.outcome = "local-failure".into();
                record.detail = Some(reason.into());
                self.state.attempts.push(record);
                self.end_round(contract, None, 0, roster, Err(reason.into())).await;
            }
        }
    }

    /// The slot's aggregator began nothing.
    fn pass_over(&mut self, aggregator: MemberId) {
        let why = match self.state.peers.is_connected(&aggregator) {
            true => "proposed nothing when its turn came",
            false => "not connected when its turn came",
        };
        self.next_slot(AttemptRecord {
            attempt: 0,
            slot: self.state.gathering.slot,
            aggregator,
            outcome: "aggregator-lost".into(),
            detail: Some(format!("{why}; passed over before anything was sent")),
        });
    }

    fn next_slot(&mut self, record: AttemptRecord) {
        tracing::info!(round = self.state.gathering.round, slot = record.slot, aggregator = %record.aggregator, outcome = record.outcome, "next slot");
        self.state.attempts.push(record);
        self.state.gathering.next_slot();
    }

    async fn fail_round(&mut self, reason: &str) {
        tracing::error!(round = self.state.gathering.round, reason, "round given up");
        let round = self.state.gathering.round;
        let attempts = std::mem::take(&mut self.state.attempts);
        self.begin_round(round + 1);
        if let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(Err(reason.into()));
        }
        self.publish_status();
        self.observer.notify(NodeEvent::RoundOver { round, attempts, roster: Vec::new() }).await;
    }

    async fn end_round(
        &mut self,
        contract: Contract,
        published: Option<Published>,
        threshold: usize,
        roster: Vec<MemberId>,
        result: Result<RoundResult, String>,
    ) {
        let round = contract.round;
        let attempts = std::mem::take(&mut self.state.attempts);
        let record = RoundRecord {
            round,
            attempts: attempts.clone(),
            contract: Some(contract),
            published,
            threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
        };
        if let Err(error) = self.ledger.record(&record) {
            tracing::error!(round, %error, "the round's record is not on disk");
        }
        self.begin_round(round + 1);
        if let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(result);
        }
        self.publish_status();
        self.observer.notify(NodeEvent::RoundOver { round, attempts, roster }).await;
    }

    fn begin_round(&mut self, round: u64) {
        self.state.gathering = Gathering::new(&self.manifest, round);
        self.state.attempts.clear();
        self.publish_status();
    }
}

/// Whether an attempt ended before this member had told anybody more than a public key.
fn nothing_was_sent(reason: &AbortReason) -> bool {
    match reason {
        AbortReason::TooFewMembers { phase, .. }
        | AbortReason::AggregatorLost { phase }
        | AbortReason::Inconsistent { phase, .. }
        | AbortReason::Local { phase, .. } => *phase == Phase::AdvertiseKeys,
    }
}
