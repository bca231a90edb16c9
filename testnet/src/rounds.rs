//! The rounds of a run: inputs out, aggregates back, kills in between, and what came of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use consort_protocol::phase::Phase;
use tokio::time::timeout_at;

use crate::{
    cli::{Kill, Who},
    control::{Order, Try, Usage, Word},
    fleet::Fleet,
    found::Founded,
    report::Killed,
    view::View,
};

/// Nodes on one machine that do not find each other for so long never will.
const CONNECT: Duration = Duration::from_secs(60);

/// A round on one machine that does not end for so long never will, plus the time that its bytes take.
const ROUND: Duration = Duration::from_secs(120);

/// Slower than this no machine sums.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// What came of one round.
pub(crate) struct RoundOutcome {
    /// Each member's tries as it saw them; the longest list is the whole story.
    pub(crate) tries: Vec<Try>,
    /// What each node with an aggregate has, by index.
    pub(crate) aggregates: BTreeMap<usize, Delivered>,
    /// Why nodes have none, by index.
    pub(crate) failures: BTreeMap<usize, String>,
    /// Milliseconds of each phase.
    pub(crate) phases: BTreeMap<Phase, f64>,
    /// The whole round.
    pub(crate) wall: Duration,
    /// What each node used in this round, by index.
    pub(crate) usage: BTreeMap<usize, Usage>,
    /// Who died.
    pub(crate) killed: Vec<Killed>,
}

/// An aggregate as a node delivered it.
#[derive(Clone)]
pub(crate) struct Delivered {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) survivors: Vec<String>,
    pub(crate) roster: Vec<String>,
    pub(crate) error_bound: f64,
}

/// A fleet whose members are all connected, and how far it is.
pub(crate) struct Rounds<'a> {
    pub(crate) fleet: Fleet,
    pub(crate) founded: &'a Founded,
    pub(crate) view: &'a View,
    pub(crate) kills: Vec<Kill>,
    pub(crate) rounds: u32,
    pub(crate) vector_bytes: u64,
    used: BTreeMap<usize, u64>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(
        fleet: Fleet,
        founded: &'a Founded,
        view: &'a View,
        kills: Vec<Kill>,
        rounds: u32,
        vector_bytes: u64,
    ) -> Self {
        Self { fleet, founded, view, kills, rounds, vector_bytes, used: BTreeMap::new() }
    }

    /// The address of a node that has just been started.
    pub(crate) async fn address(&mut self, index: usize) -> anyhow::Result<String> {
        let deadline = tokio::time::Instant::now() + CONNECT;
        loop {
            match timeout_at(deadline, self.fleet.next()).await.context("a node does not come up")? {
                (from, Word::Listening(address)) if from == index => return Ok(address),
                (from, Word::Broken(reason)) => bail!("node {from}: {reason}"),
                _ => {}
            }
        }
    }

    /// Waits until everybody is connected with everybody.
    pub(crate) async fn connected(&mut self) -> anyhow::Result<()> {
        let nodes = self.fleet.alive().len();
        let mut peers = vec![0; nodes];
        let deadline = tokio::time::Instant::now() + CONNECT;
        while peers.iter().any(|&count| count + 1 < nodes) {
            let links: usize = peers.iter().sum();
            self.view.connecting(links / 2, nodes * (nodes - 1) / 2);
            let next = timeout_at(deadline, self.fleet.next()).await;
            match next
                .with_context(|| format!("the nodes do not find each other: {peers:?} of {}", nodes - 1))?
            {
                (from, Word::Peers(count)) => {
                    if let Some(slot) = peers.get_mut(from) {
                        *slot = count;
                    }
                }
                (from, Word::Broken(reason)) => bail!("node {from}: {reason}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs one round.
    pub(crate) async fn run(&mut self, round: u32) -> anyhow::Result<RoundOutcome> {
        let alive = self.fleet.alive();
        let needed = self.founded.manifest.min_participants();
        if alive.len() < needed {
            bail!(
                "round {round} cannot start: {} of {} nodes are left, and a roster needs {needed}",
                alive.len(),
                self.founded.identities.len()
            );
        }
        self.prepare(round, &alive).await?;
        let started = Instant::now();
        for &index in &alive {
            self.fleet.order(index, &Order::Submit(round)).await?;
        }
        let patience = ROUND + Duration::from_secs(self.vector_bytes * alive.len() as u64 / BYTES_PER_SECOND);
        let deadline = tokio::time::Instant::now() + patience;
        let present = alive.len();
        let mut waiting: BTreeSet<usize> = alive.into_iter().collect();
        let mut outcome = RoundOutcome {
            tries: Vec::new(),
            aggregates: BTreeMap::new(),
            failures: BTreeMap::new(),
            phases: BTreeMap::new(),
            wall: Duration::ZERO,
            usage: BTreeMap::new(),
            killed: Vec::new(),
        };
        // the aggregator's own account of the phases comes after its aggregate
        while !waiting.is_empty() || (outcome.phases.is_empty() && !outcome.aggregates.is_empty()) {
            let next = timeout_at(deadline, self.fleet.next()).await;
            let Ok((from, word)) = next else {
                bail!(
                    "round {round} did not end within {} s; waiting for nodes {waiting:?}",
                    patience.as_secs()
                );
            };
            if self.word(round, from, word, &mut outcome).await? {
                waiting.remove(&from);
            }
            // the nodes would wait for the dead to come back; here nobody does
            let dead = outcome.killed.iter().filter(|killed| killed.phase == Phase::AdvertiseKeys).count();
            if present - dead < needed {
                let reason = format!("{} members are left for a roster, {needed} are needed", present - dead);
                outcome.failures.extend(waiting.iter().map(|&index| (index, reason.clone())));
                waiting.clear();
            }
            if waiting.is_empty() && outcome.wall.is_zero() {
                outcome.wall = started.elapsed();
            }
        }
        Ok(outcome)
    }

    async fn prepare(&mut self, round: u32, alive: &[usize]) -> anyhow::Result<()> {
        for &index in alive {
            self.fleet.order(index, &Order::Prepare(round)).await?;
        }
        let mut waiting: BTreeSet<usize> = alive.iter().copied().collect();
        while !waiting.is_empty() {
            match self.fleet.next().await {
                (from, Word::Prepared(of)) if of == round => {
                    waiting.remove(&from);
                }
                (from, Word::Broken(reason)) => bail!("node {from}: {reason}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes in what a node says; tells whether the round is over for it.
    async fn word(
        &mut self,
        round: u32,
        from: usize,
        word: Word,
        outcome: &mut RoundOutcome,
    ) -> anyhow::Result<bool> {
        match word {
            Word::Aggregates { phase, .. } => self.view.phase(round, self.rounds, phase, from),
            Word::Received { vectors, expected, .. } => self.view.received(vectors, expected),
            Word::Phases { milliseconds, .. } => {
                for (phase, time) in milliseconds {
                    *outcome.phases.entry(phase).or_default() += time;
                }
            }
            Word::Over { attempts, .. } => {
                if attempts.len() >= outcome.tries.len() {
                    outcome.tries = attempts;
                }
            }
            Word::Held { hold, usage } => {
                self.use_of(from, usage, outcome);
                self.fleet.kill(from).await?;
                self.kills.retain(|kill| kill.who != Who::Node(from));
                self.view.say(&format!("round {round}: node {from} killed as {} began", hold.phase));
                let peer = self.founded.peer(from);
                outcome.killed.push(Killed { node: from, peer, phase: hold.phase, round });
                return Ok(true);
            }
            Word::Aggregate { round: of, path, sha256, survivors, roster, error_bound, usage, .. }
                if of == round =>
            {
                self.use_of(from, usage, outcome);
                let delivered = Delivered { path, sha256, survivors, roster, error_bound };
                outcome.aggregates.insert(from, delivered);
                // one that is to be killed as the result reaches it has been by now
                return Ok(true);
            }
            Word::Failed { round: of, reason } if of == round => {
                outcome.failures.insert(from, reason);
                return Ok(true);
            }
            Word::Broken(reason) => {
                if self.fleet.alive().contains(&from) {
                    bail!("node {from}: {reason}");
                }
            }
            Word::Aggregate { .. }
            | Word::Failed { .. }
            | Word::Listening(_)
            | Word::Peers(_)
            | Word::Prepared(_) => {}
        }
        Ok(false)
    }

    fn use_of(&mut self, from: usize, usage: Usage, outcome: &mut RoundOutcome) {
        let before = self.used.insert(from, usage.bytes_sent).unwrap_or(0);
        let bytes_sent = usage.bytes_sent.saturating_sub(before);
        outcome.usage.insert(from, Usage { bytes_sent, peak_rss: usage.peak_rss });
    }
}
