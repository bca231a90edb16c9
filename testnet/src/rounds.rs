//! The rounds of a run: inputs out, aggregates back, faults in between, and what came of each.

mod outcome;
mod strike;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use consort_protocol::phase::Phase;
use tokio::time::{Instant, timeout_at};

use crate::{
    cli::Fault,
    control::{Order, Usage, Word},
    fleet::Fleet,
    found::Founded,
    plan::Plan,
    report::Convict,
    view::View,
};

pub(crate) use outcome::{Delivered, RoundOutcome};
use strike::Later;

/// Nodes on one machine that do not find each other for so long never will.
const CONNECT: Duration = Duration::from_secs(60);

/// A round on one machine that does not end for so long never will, plus the time that its bytes and its
/// faults take.
const ROUND: Duration = Duration::from_secs(120);

/// Slower than this no machine sums.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// When the last aggregate came so long ago, a node that was away has missed the round: it takes back its
/// input, if it still can.
const QUIET: Duration = Duration::from_secs(3);

/// What a round waits for.
#[derive(PartialEq, Eq)]
enum Next {
    /// Something was said or done.
    Happened,
    /// Nothing until the deadline.
    Deadline,
}

/// A fleet, and how far it is.
pub(crate) struct Rounds<'a> {
    pub(crate) fleet: Fleet,
    founded: &'a Founded,
    pub(crate) view: &'a View,
    rounds: u32,
    vector_bytes: u64,
    pub(crate) homes: Vec<PathBuf>,
    /// Where each node was listening last.
    addresses: BTreeMap<usize, String>,
    /// With how many others each node is connected.
    peers: BTreeMap<usize, usize>,
    /// Those that have not struck yet.
    pub(crate) faults: Vec<Fault>,
    agenda: Vec<(Instant, Later)>,
    partition: Option<[BTreeSet<usize>; 2]>,
    /// How many there were.
    partitions: u64,
    /// Nodes that were started again, went on or can be reached again, and may not be connected yet.
    returning: BTreeSet<usize>,
    prepared: BTreeSet<usize>,
    /// The round that a node's waiting input is for.
    outstanding: BTreeMap<usize, u32>,
    /// Nodes that lie: whatever becomes of them is their own doing.
    liars: BTreeSet<usize>,
    /// Nodes that lie, or that stood still or were cut off at some time in this round.
    disturbed: BTreeSet<usize>,
    /// Nodes that have missed results, and with them what the shared model has learned.
    stale: BTreeSet<usize>,
    /// A file with the shared model by now.
    pub(crate) model: Option<PathBuf>,
    current: RoundOutcome,
    /// Members that were proved to have broken the protocol.
    pub(crate) convicted: Vec<Convict>,
    /// Aggregates of earlier rounds that came late: the round, who has it, and what.
    pub(crate) late: Vec<(u32, usize, Delivered)>,
    used: BTreeMap<usize, u64>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(plan: &'a Plan, view: &'a View) -> Self {
        Self {
            fleet: Fleet::new(plan.run.nodes),
            founded: &plan.founded,
            view,
            rounds: plan.run.rounds,
            vector_bytes: plan.elements() * 8,
            homes: Vec::new(),
            addresses: BTreeMap::new(),
            peers: BTreeMap::new(),
            faults: plan.run.faults.clone(),
            agenda: Vec::new(),
            partition: None,
            partitions: 0,
            returning: BTreeSet::new(),
            prepared: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            liars: plan.liars(),
            disturbed: BTreeSet::new(),
            stale: BTreeSet::new(),
            model: None,
            current: RoundOutcome::new(0),
            convicted: Vec::new(),
            late: Vec::new(),
            used: BTreeMap::new(),
        }
    }

    /// The address of a node that has just been started.
    pub(crate) async fn address(&mut self, index: usize) -> anyhow::Result<String> {
        let deadline = Instant::now() + CONNECT;
        loop {
            if let Some(address) = self.addresses.get(&index) {
                return Ok(address.clone());
            }
            if self.next(deadline).await? == Next::Deadline {
                bail!("node {index} does not come up");
            }
        }
    }

    /// Waits until everybody is connected with everybody.
    pub(crate) async fn connected(&mut self) -> anyhow::Result<()> {
        let nodes = self.fleet.alive().len();
        let deadline = Instant::now() + CONNECT;
        loop {
            let counts: Vec<usize> =
                (0..nodes).map(|node| self.peers.get(&node).copied().unwrap_or(0)).collect();
            if counts.iter().all(|count| count + 1 >= nodes) {
                return Ok(());
            }
            self.view.connecting(counts.iter().sum::<usize>() / 2, nodes * (nodes - 1) / 2);
            if self.next(deadline).await? == Next::Deadline {
                bail!("the nodes do not find each other: {counts:?} of {}", nodes - 1);
            }
        }
    }

    /// Runs one round.
    pub(crate) async fn run(&mut self, round: u32) -> anyhow::Result<RoundOutcome> {
        self.current = RoundOutcome::new(round);
        self.disturbed = self.fleet.alive().into_iter().filter(|node| !self.is_at_hand(*node)).collect();
        self.disturbed.extend(&self.liars);
        self.disturbed.extend(self.partition.iter().flatten().flatten());
        self.bring_back().await?;
        let participants = self.participants(round).await?;
        self.prepare(round, &participants).await?;
        self.current.start();
        for &index in &participants {
            self.outstanding.insert(index, round);
            self.fleet.order(index, &Order::Submit(round)).await?;
        }
        let bulk = self.vector_bytes * participants.len() as u64 / BYTES_PER_SECOND;
        let patience = ROUND + Duration::from_secs(bulk);
        let mut deadline = Instant::now() + patience;
        let mut withdrawn = false;
        while !self.is_over() {
            // what passes is waited for
            if let Some(due) = self.due() {
                deadline = deadline.max(due + patience);
            }
            let stuck =
                (self.only_disturbed_are_left() && !withdrawn) || self.lacks_quorum(participants.len());
            let look = if stuck { Instant::now() + QUIET } else { deadline };
            if self.next(look).await? == Next::Deadline && look >= deadline {
                bail!(
                    "round {round} did not end within {} s; waiting for nodes {:?}",
                    patience.as_secs(),
                    self.waiting()
                );
            }
            if self.only_disturbed_are_left() && !withdrawn && self.current.quiet() >= QUIET {
                withdrawn = true;
                self.withdraw().await?;
            }
            if withdrawn && self.current.quiet() >= 2 * QUIET {
                break;
            }
            if self.lacks_quorum(participants.len()) && self.current.quiet() >= QUIET {
                self.give_up(participants.len());
                break;
            }
        }
        self.close().await
    }

    /// Those without an aggregate have missed the round, and take back their inputs.
    async fn close(&mut self) -> anyhow::Result<RoundOutcome> {
        self.withdraw().await?;
        let mut outcome = std::mem::replace(&mut self.current, RoundOutcome::new(0));
        let mut without = self.fleet.alive();
        without.retain(|node| !outcome.aggregates.contains_key(node));
        self.stale.extend(&without);
        outcome.missed = without.into_iter().filter(|node| !outcome.failures.contains_key(node)).collect();
        Ok(outcome)
    }

    /// Nodes that get an input for this round: all that live and have none waiting.
    async fn participants(&mut self, round: u32) -> anyhow::Result<Vec<usize>> {
        let needed = self.founded.manifest.min_participants();
        let deadline = Instant::now() + ROUND + self.longest_fault();
        loop {
            let alive = self.fleet.alive();
            if alive.len() < needed {
                bail!(
                    "round {round} cannot start: {} of {} nodes are left, and a roster needs {needed}",
                    alive.len(),
                    self.founded.identities.len()
                );
            }
            let at_hand: Vec<usize> = alive.into_iter().filter(|node| self.is_at_hand(*node)).collect();
            if at_hand.len() >= needed {
                return Ok(at_hand);
            }
            if self.next(deadline).await? == Next::Deadline {
                bail!(
                    "round {round} cannot start: only nodes {at_hand:?} are there, and a roster needs {needed}"
                );
            }
        }
    }

    fn longest_fault(&self) -> Duration {
        self.agenda
            .iter()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()))
            .max()
            .unwrap_or_default()
    }

    fn is_at_hand(&self, node: usize) -> bool {
        !self.fleet.is_paused(node) && !self.outstanding.contains_key(&node)
    }

    async fn prepare(&mut self, round: u32, participants: &[usize]) -> anyhow::Result<()> {
        self.prepared.clear();
        for &index in participants {
            let model = self.model.clone().filter(|_| self.stale.remove(&index));
            self.fleet.order(index, &Order::Prepare { round, model }).await?;
        }
        let deadline = Instant::now() + ROUND;
        while participants.iter().any(|index| !self.prepared.contains(index)) {
            if self.next(deadline).await? == Next::Deadline {
                bail!("round {round}: only nodes {:?} have their inputs ready", self.prepared);
            }
        }
        Ok(())
    }

    /// The first proof against each is told.
    fn convicted(&mut self, culprit: &str, crime: String) {
        let Some(node) = self.founded.index_of_key(culprit) else { return };
        if self.convicted.iter().all(|convict| convict.node != node) {
            let round = self.current.round;
            self.view.say(&format!("round {round}: node {node} convicted of {crime}"));
            self.convicted.push(Convict { node, peer: self.founded.peer(node), crime, round });
        }
    }

    /// Whether so many died in this round that no aggregate can come of it, unless it is on its way: the nodes
    /// would wait for the dead to come back, but here nobody comes back with what it knew.
    fn lacks_quorum(&self, participants: usize) -> bool {
        let (left, needed) = self.left_and_needed(participants);
        left < needed && self.current.aggregates.is_empty() && !self.waiting().is_empty()
    }

    fn left_and_needed(&self, participants: usize) -> (usize, usize) {
        let manifest = &self.founded.manifest;
        let struck = || self.current.kills.iter().chain(&self.current.restarts);
        let early = struck().filter(|struck| struck.phase == Phase::AdvertiseKeys).count();
        let quorum = manifest.threshold(participants - early).map_or(participants, |quorum| quorum.get());
        let needed = if struck().count() == early { manifest.min_participants() } else { quorum };
        (participants - struck().count(), needed)
    }

    fn give_up(&mut self, participants: usize) {
        let (left, needed) = self.left_and_needed(participants);
        for node in self.waiting() {
            let reason = format!("too few members: {left} are left in this round, {needed} are needed");
            self.current.failed(node, reason);
        }
    }

    /// Nodes whose input of this round is still out.
    fn waiting(&self) -> Vec<usize> {
        let ours = |(_, round): &(&usize, &u32)| **round == self.current.round;
        self.outstanding.iter().filter(ours).map(|(node, _)| *node).collect()
    }

    /// Whether all are done who are there: nobody waits for those that stand still or are cut off from
    /// everybody who has the aggregate.
    fn is_over(&self) -> bool {
        let waiting = self.waiting();
        let have = &self.current.aggregates;
        let cut_off = |node: usize| !have.is_empty() && have.keys().all(|other| !self.reaches(node, *other));
        let away = |node: &usize| self.fleet.is_paused(*node) || cut_off(*node);
        let told = !have.is_empty() || !self.current.failures.is_empty();
        waiting.is_empty() || (told && waiting.iter().all(away))
    }

    fn only_disturbed_are_left(&self) -> bool {
        !self.current.aggregates.is_empty() && self.waiting().iter().all(|node| self.disturbed.contains(node))
    }

    async fn withdraw(&mut self) -> anyhow::Result<()> {
        let round = self.current.round;
        for node in self.waiting() {
            self.fleet.order(node, &Order::Withdraw(round)).await?;
        }
        Ok(())
    }

    /// Takes in the next thing that a node says, or does what is due.
    async fn next(&mut self, deadline: Instant) -> anyhow::Result<Next> {
        let until = self.due().map_or(deadline, |due| due.min(deadline));
        match timeout_at(until, self.fleet.next()).await {
            Ok((from, word)) => self.word(from, word).await?,
            Err(_) if until < deadline => self.do_what_is_due().await?,
            Err(_) => return Ok(Next::Deadline),
        }
        Ok(Next::Happened)
    }

    async fn word(&mut self, from: usize, word: Word) -> anyhow::Result<()> {
        let now = self.current.round;
        match word {
            Word::Listening(address) => drop(self.addresses.insert(from, address)),
            Word::Peers(count) => drop(self.peers.insert(from, count)),
            Word::Prepared(round) if round == now => drop(self.prepared.insert(from)),
            Word::Aggregates { round, phase } if round == now => {
                self.current.phase(phase);
                self.view.phase(round, self.rounds, phase, from);
            }
            Word::Received { vectors, expected } => self.view.received(vectors, expected),
            Word::Over { round, attempts } if round == now => self.current.tried(attempts),
            Word::Held { round, phase, aggregator, usage } => {
                self.use_of(from, usage);
                self.strike(from, (aggregator, phase, round)).await?;
            }
            Word::Aggregate { round, path, sha256, survivors, roster, error_bound, usage } => {
                self.outstanding.remove(&from);
                let delivered = Delivered { path, sha256, survivors, roster, error_bound };
                if round == now {
                    self.use_of(from, usage);
                    self.current.delivered(from, delivered);
                } else {
                    self.late.push((round, from, delivered));
                }
            }
            Word::Failed { round, reason } => {
                self.outstanding.remove(&from);
                // whoever was away has missed the round
                if round == now && !self.disturbed.contains(&from) {
                    self.current.failed(from, reason);
                } else {
                    self.view.say(&format!("round {round}: node {from} has no aggregate: {reason}"));
                }
            }
            Word::Convicted { culprit, crime } => self.convicted(&culprit, crime),
            Word::Withdrawn(_) => drop(self.outstanding.remove(&from)),
            Word::Broken(reason) => bail!("node {from}: {reason}"),
            Word::Prepared(_) | Word::Aggregates { .. } | Word::Over { .. } => {}
        }
        Ok(())
    }

    fn use_of(&mut self, from: usize, usage: Usage) {
        let before = self.used.insert(from, usage.bytes_sent).unwrap_or(0);
        let bytes_sent = usage.bytes_sent.saturating_sub(before);
        let used = self.current.usage.entry(from).or_default();
        *used = Usage { bytes_sent: used.bytes_sent + bytes_sent, peak_rss: usage.peak_rss };
    }

    fn say(&self, what: &str) {
        self.view.say(&format!("round {}: {what}", self.current.round));
    }
}
