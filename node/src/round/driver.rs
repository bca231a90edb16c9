//! The driver: the only place that turns outputs of the state machines into deeds.
//!
//! It runs on a thread of its own, so the state machines may take their time over signatures and shares.
//! Outputs are carried out in order; a journal entry is on disk before anything after it leaves.

mod consent;
mod deeds;
mod ending;
mod evidence;
#[cfg(feature = "lies")]
mod lies;
mod looking;
mod membership;
mod starting;
mod stopping;
mod telling;
mod vectors;
mod waiting;

pub(crate) use consent::{Declined, Past};
pub(crate) use ending::RECENT;
#[cfg(feature = "lies")]
pub(crate) use lies::Lying;
pub(crate) use looking::View;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use consort_protocol::{
    codec,
    contract::{Contract, Task, Terms},
    election,
    encoding::{self, ValidInput},
    evidence::Evidence,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{Input, JournalEntry, Now, Output, Role, Work},
    manifest::{Chain, Manifest, ManifestError, SignedManifest, Tally},
    masking::MaskPlan,
    messages::{
        Abort, Message,
        advertise_keys::{Decline, Roster},
        consistency_check::SurvivorSet,
        publish::Published,
    },
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::SeenKeys,
    round::{Deeds, RoundSetup},
    signing::{Identity, Signed},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::{
    checked::Checked,
    config::Limits,
    consent::Consent,
    events::{NodeEvent, Observer},
    exhibits::Exhibits,
    inputs::Kept,
    ledger::{AttemptRecord, Ledger, RoundRecord},
    limits::{self, TokenBucket},
    membership::Membership,
    network::{BulkStream, Event, EventStream, Network},
    node::SubmitError,
};

use super::{
    audit::audit,
    bulk::blocking,
    fetch::fetch,
    intake::Intake,
    offers::{Offer, Offers},
    pass_on::pass_on,
    places::Places,
    reminders::{OwnWords, Reminders},
    results::Results,
    running::Running,
    schedule::{Decision, Gathering, Peers},
    serve::{Trusted, serve},
    status::{Status, Summary},
    upload::{Source, deposit, upload},
};

/// Nothing is due: the driver looks again after so long anyway.
const IDLE: Duration = Duration::from_secs(3600);

/// An input that waits for a round.
pub(crate) struct Pending {
    /// Digest of the manifest that it was checked against.
    pub(crate) manifest: Digest,
    /// The owner's own clip, in place of the policy's.
    pub(crate) clip: Option<f64>,
    pub(crate) task: Task,
    pub(crate) input: Arc<ValidInput>,
    /// Where it is on disk, if it came through the local API.
    pub(crate) kept: Option<Kept>,
    pub(crate) reply: oneshot::Sender<Result<RoundResult, SubmitError>>,
}

impl Pending {
    pub(crate) fn new(
        checked: Checked,
        kept: Option<Kept>,
        reply: oneshot::Sender<Result<RoundResult, SubmitError>>,
    ) -> Self {
        let Checked { manifest, clip, task, input, .. } = checked;
        Self { manifest, clip, task, input: Arc::new(input), kept, reply }
    }
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
    /// Whether this member's input is in the sum; where it is not, nothing of it was used.
    pub included: bool,
    /// The aggregate.
    pub aggregate: Arc<encoding::Aggregate>,
}

/// What the driver is told to do.
pub(crate) enum Command {
    Submit(Pending),
    /// Takes back an input that waits, unless a round has it already.
    Withdraw(oneshot::Sender<bool>),
    /// Takes in epochs in ascending order; the last one perhaps not signed by enough.
    Adopt(Vec<SignedManifest>, oneshot::Sender<Result<Option<Tally>, ManifestError>>),
    /// Asks how things are.
    Look(oneshot::Sender<View>),
    /// Begins no further round; answered once nothing is lost by stopping, with whether a round ended before.
    Finish(oneshot::Sender<bool>),
}

/// A job is done; the number tells rounds apart, and what was begun in one session is for no other.
struct Done {
    generation: u64,
    session: SessionId,
    role: Role,
    work: Work,
    aggregate: Option<Arc<encoding::Aggregate>>,
}

pub(crate) struct Driver {
    /// The manifest that rounds run under.
    pub(crate) manifest: Arc<Manifest>,
    /// Tells everybody else which one that is, with the epochs before.
    pub(crate) in_force: watch::Sender<Arc<Chain>>,
    /// What the operator consents to.
    pub(crate) consent: Arc<Consent>,
    /// The newest known one, which comes into force between rounds.
    pub(crate) membership: Membership,
    pub(crate) identity: Arc<Identity>,
    pub(crate) network: Network,
    pub(crate) events: EventStream,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) ledger: Ledger,
    /// Tells why the node has ended by itself.
    pub(crate) failed: watch::Sender<Option<String>>,
    pub(crate) results: Arc<Results>,
    /// What it spends as an aggregator.
    pub(crate) limits: watch::Receiver<Limits>,
    pub(crate) exhibits: Exhibits,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: CancellationToken,
    #[cfg(feature = "lies")]
    pub(crate) lying: Option<Lying>,
    pub(crate) state: DriverState,
}

/// What the driver remembers between events.
pub(crate) struct DriverState {
    me: MemberId,
    started: Instant,
    peers: Peers,
    gathering: Gathering,
    seen: Arc<SeenKeys>,
    grounds: consent::Grounds,
    pending: Option<Pending>,
    running: Option<Running>,
    /// Whether no further round begins.
    finishing: bool,
    /// Who waits for this node to have nothing more to do, and whether it had when they asked.
    finished: Vec<(oneshot::Sender<bool>, bool)>,
    /// Places for vectors that are taken in.
    uploads: Places,
    /// Counts rounds, so that what a job reports after its round is over goes nowhere.
    generation: u64,
    offers: Offers,
    /// What this home remembers of this node's words.
    own_words: OwnWords,
    /// Whether that is less than this node has said.
    restored: bool,
    /// What the others said last.
    reminders: Reminders,
    /// The last abort of each member: it may have passed its turn in a round that has not begun here.
    passes: BTreeMap<MemberId, Box<Signed<Abort>>>,
    /// Results of the last rounds, for those who have missed them.
    recent: VecDeque<Published>,
    /// One record for each member that was convicted.
    evidence: Vec<Evidence>,
    /// Warnings that a peer can cause.
    warnings: TokenBucket,
    wake: Option<Now>,
    /// Connected members that were sent epochs or proposals, and up to which epoch.
    told: BTreeMap<MemberId, u64>,
    /// When the log says that nobody is connected.
    solitude: Option<Now>,
    /// When the network learns of the members of a new epoch.
    gate_due: Option<Now>,
    done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
}

impl DriverState {
    pub(crate) fn new(
        chain: &Chain,
        me: MemberId,
        round: u64,
        seen: SeenKeys,
        recent: Vec<Published>,
        evidence: Vec<Evidence>,
        past: Past,
    ) -> Self {
        let manifest = chain.manifest();
        let mut peers = Peers::new(manifest.clone(), me, Now::ZERO);
        let holds = |evidence: &Evidence| {
            chain.by_digest(evidence.manifest()).is_some_and(|manifest| evidence.verify(manifest).is_ok())
        };
        let evidence: Vec<Evidence> = evidence.into_iter().filter(holds).collect();
        evidence.iter().for_each(|evidence| peers.exclude(evidence.accused(), Now::ZERO));
        Self {
            me,
            started: Instant::now(),
            peers,
            gathering: Gathering::new(manifest, round),
            seen: Arc::new(seen),
            grounds: consent::Grounds::new(past),
            pending: None,
            running: None,
            finishing: false,
            finished: Vec::new(),
            uploads: Places::default(),
            generation: 0,
            offers: Offers::default(),
            own_words: OwnWords::before(round),
            restored: false,
            reminders: Reminders::default(),
            passes: BTreeMap::new(),
            recent: recent.into(),
            evidence,
            warnings: TokenBucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND, Instant::now()),
            wake: None,
            told: BTreeMap::new(),
            solitude: None,
            gate_due: None,
            done: mpsc::channel(limits::MAX_JOBS),
        }
    }
}

impl Driver {
    /// Runs until the node is stopped or its network ends.
    pub(crate) async fn run(mut self) {
        self.name_members();
        self.publish_status();
        let mut visits = tokio::time::interval(limits::MEMBERSHIP_INTERVAL);
        visits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let running = self.state.running.as_ref();
            let due = running.map_or(self.state.wake, |running| {
                running.round.deadline().into_iter().chain(self.state.wake).min()
            });
            let sleep = due.map_or(IDLE, |due| due.saturating_sub(self.now()).min(IDLE));
            tokio::select! {
                () = self.stop.cancelled() => return,
                event = self.events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                Some(command) = self.commands.recv() => match command {
                    Command::Submit(pending) => self.submit(pending),
                    Command::Withdraw(reply) => self.withdraw(reply),
                    Command::Adopt(epochs, reply) => {
                        let _ = reply.send(self.adopt(epochs).await);
                    }
                    Command::Look(reply) => {
                        let _ = reply.send(self.view());
                    }
                    Command::Finish(reply) => self.finish(reply),
                },
                Some(done) = self.state.done.1.recv() => self.done(done).await,
                _ = visits.tick() => self.visit().await,
                () = tokio::time::sleep(sleep) => self.feed(Input::Tick).await,
            }
            if let Some(reason) = self.ledger.broken() {
                tracing::error!(reason, "the ledger takes no more: this node stops");
                self.failed.send_replace(Some(reason.to_owned()));
                return;
            }
            self.change_epoch().await;
            self.schedule().await;
            self.let_go();
        }
    }

    fn now(&self) -> Now {
        self.state.started.elapsed()
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Connected(peer) => {
                self.state.peers.connected(peer);
                self.report_peers().await;
                self.remind(peer);
                self.show_evidence(peer);
                self.feed(Input::Connected(peer)).await;
                self.heed(peer).await;
            }
            Event::Disconnected(peer) => {
                let now = self.now();
                self.state.peers.disconnected(peer, now);
                self.state.told.remove(&peer);
                if let Some(running) = &mut self.state.running {
                    running.idle.remove(&peer);
                }
                self.report_peers().await;
                self.feed(Input::Lost(peer)).await;
            }
            Event::Status { from, bytes } => {
                if let Some(status) = Status::decode(&bytes) {
                    self.state.peers.status(from, status);
                    self.heed(from).await;
                }
            }
            // what a member had sent before it was removed
            Event::Frame { from, .. } | Event::Gossip { from, .. } if !self.manifest.contains(&from) => {}
            Event::Frame { from, bytes } => match codec::decode::<Message>(&bytes) {
                Ok(message) => self.message(from, message).await,
                Err(error) if self.worth_a_warning() => {
                    tracing::warn!(%from, %error, "malformed control message dropped");
                }
                Err(_) => {}
            },
            Event::Gossip { from, bytes } => match codec::decode::<Message>(&bytes) {
                Ok(message @ (Message::Published(_) | Message::Evidence(_) | Message::Manifest(_))) => {
                    self.message(from, message).await
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

    async fn message(&mut self, from: MemberId, message: Message) {
        #[cfg(feature = "lies")]
        if self.lie_about(from, &message) {
            return;
        }
        let asks_for = match &message {
            Message::TimedOut(timeout) => Some(timeout.body.session),
            Message::Timeout(shown) => Some(shown.timeout.body.session),
            _ => None,
        };
        match message {
            Message::Contract(contract) => self.contract(from, *contract, true).await,
            Message::Evidence(evidence) => self.evidence(*evidence, Some(from)).await,
            Message::Manifest(signed) => self.heard(from, *signed).await,
            Message::Reminder(reminder) => self.reminded(from, &reminder).await,
            Message::Abort(abort) => {
                self.keep_pass(from, &abort);
                self.feed(Input::Message(from, Box::new(Message::Abort(abort)))).await;
            }
            _ if asks_for.is_some_and(|session| self.answer(from, &session)) => {}
            message => self.feed(Input::Message(from, Box::new(message))).await,
        }
    }

    /// Whether a warning that a peer can cause should be logged: a flood must not reach the log.
    fn worth_a_warning(&mut self) -> bool {
        self.state.warnings.take(Instant::now())
    }
}
