//! The driver: the only place that turns outputs of the state machines into deeds.
//!
//! It runs on a thread of its own, so the state machines may take their time over signatures and shares.
//! Outputs are carried out in order; a journal entry is on disk before anything after it leaves.

mod deeds;
mod ending;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use consort_protocol::{
    aggregator::Aggregator,
    codec,
    contract::{Contract, ContractError, Task, Terms},
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
        if contract.signer != from || election::holder(&self.manifest, round, slot) != Some(from) {
            if self.worth_a_warning() {
                tracing::warn!(%from, round, slot, "contract dropped: it is not its author's turn");
            }
            return;
        }
        let Some(offer) = Offer::of(&contract) else { return };
        if !(current..current.saturating_add(limits::ROUNDS_AHEAD)).contains(&round) {
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
}
