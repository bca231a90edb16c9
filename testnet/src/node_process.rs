//! One node of the testnet: a process with a real [`Node`], which it feeds from its own share of the data.
//!
//! It obeys the launcher over standard input and ends when that closes, so no node outlives its launcher,
//! however the launcher ends.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    future::Future,
    io::{self, BufRead as _, BufWriter, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::Context as _;
use consort_node::{
    Node, NodeOptions, Submission, SubmitError,
    config::Config,
    consortium,
    events::{NodeEvent, Observer, Role},
    home::Home,
    identity::NodeIdentity,
    ledger::AttemptRecord,
    network::Network,
    npy,
};
use consort_protocol::{
    array::{Array, Values},
    hash::digest,
    ids::MemberId,
    phase::Phase,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, mpsc};

use crate::{
    control::{Assignment, Hold, Order, Reduce, Share, Try, Usage, Word},
    memory::peak_rss,
    workload::{
        digits::{Digits, Model, Split, train_local},
        vectors,
    },
};

/// The largest file that a node reads as its input; the launcher has read it before.
const LARGEST_FILE: u64 = 1 << 40;

/// Runs a node from the assignment in its home, until the launcher says stop or goes away.
pub(crate) fn main(home: &Path) -> ExitCode {
    match run(home) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&Word::Broken(format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path) -> anyhow::Result<()> {
    let assignment = Assignment::read(path)?;
    let home = Home::open(path)?;
    let log = File::options().append(true).create(true).open(path.join("node.log")).context("node.log")?;
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CONSORT_LOG")
                .unwrap_or_else(|_| "info,libp2p=warn".into()),
        )
        .with_ansi(false)
        .with_writer(Mutex::new(log))
        .init();
    let orders = read_orders();
    tokio::runtime::Runtime::new()?.block_on(serve(home, assignment, orders))
}

/// Orders from standard input. When it closes the process ends at once: its launcher is gone.
fn read_orders() -> mpsc::Receiver<Order> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(order) =
                line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?))
            else {
                break;
            };
            if sender.blocking_send(order).is_err() {
                return;
            }
        }
        std::process::exit(0);
    });
    receiver
}

async fn serve(home: Home, assignment: Assignment, mut orders: mpsc::Receiver<Order>) -> anyhow::Result<()> {
    let identity = NodeIdentity::load(&home.identity())?;
    let consortium = consortium::load(&home.consortium())?;
    let folder = home.path().to_path_buf();
    let narrator = Arc::new(Narrator::new(assignment.holds.clone()));
    let config = Config::load(&home.config())?;
    let options = NodeOptions {
        home,
        identity,
        consortium,
        listen: config.listen,
        reach: config.reach,
        limits: config.limits,
        consent: config.consent,
        peers: assignment.peers.iter().map(|peer| peer.parse()).collect::<Result<_, _>>()?,
    };
    let node = Arc::new(start(options, narrator.clone(), &assignment)?);
    *narrator.network.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.network().clone());
    let mut source = Source::new(&assignment)?;
    let (learned, mut lessons) = mpsc::channel::<Vec<f32>>(4);
    while let Some(order) = orders.recv().await {
        match order {
            Order::Prepare { round, model } => {
                while let Ok(update) = lessons.try_recv() {
                    source.learn(&update);
                }
                if let Some(path) = model {
                    source.catch_up(&fs::read(path)?)?;
                }
                source.prepare(round)?;
                say(&Word::Prepared(round));
            }
            Order::Submit(round) => {
                let Some(submission) = source.ready.take() else { continue };
                narrator.round.store(round, Ordering::Relaxed);
                let (node, folder, learned) = (node.clone(), folder.clone(), learned.clone());
                tokio::spawn(async move {
                    let word = match node.submit(submission).await {
                        Ok(result) => aggregate(&node, &folder, round, &result, &learned).await,
                        Err(SubmitError::Withdrawn | SubmitError::Stopped) => Word::Withdrawn(round),
                        Err(error) => Word::Failed { round, reason: error.to_string() },
                    };
                    say(&word);
                });
            }
            Order::Withdraw(_) => {
                let node = node.clone();
                tokio::spawn(async move { node.withdraw().await });
            }
            Order::GoOn => narrator.go_on.notify_one(),
            Order::CutOff(members) => {
                let members: Option<BTreeSet<MemberId>> = members.iter().map(|key| member(key)).collect();
                node.network().cut_off(members.context("an order with a key that is none")?);
            }
            Order::Stop => break,
        }
    }
    // the launcher has what it asked for: nothing is worth waiting for
    Ok(())
}

#[cfg(feature = "lies")]
fn start(options: NodeOptions, narrator: Arc<Narrator>, assignment: &Assignment) -> anyhow::Result<Node> {
    match &assignment.lie {
        Some(name) => Ok(Node::start_lying(options, narrator, name.parse()?, assignment.seed)?),
        None => Ok(Node::start(options, narrator)?),
    }
}

#[cfg(not(feature = "lies"))]
fn start(options: NodeOptions, narrator: Arc<Narrator>, assignment: &Assignment) -> anyhow::Result<Node> {
    anyhow::ensure!(assignment.lie.is_none(), "this testnet was built without lies");
    Ok(Node::start(options, narrator)?)
}

async fn aggregate(
    node: &Node,
    folder: &Path,
    round: u32,
    result: &consort_node::RoundResult,
    learned: &mpsc::Sender<Vec<f32>>,
) -> Word {
    let path = folder.join(format!("aggregate-{round:03}.npy"));
    let written = result.aggregate.leaves.first().context("an aggregate without arrays").and_then(|array| {
        if let Values::F32(values) = array.values() {
            // the model takes it in before the next round; for other workloads nobody listens
            let _ = learned.try_send(values.clone());
        }
        write(&path, array)
    });
    match written {
        Ok(sha256) => Word::Aggregate {
            round,
            path,
            sha256,
            survivors: result.survivors.iter().map(key).collect(),
            roster: result.roster.iter().map(key).collect(),
            error_bound: result.aggregate.error_bound,
            usage: usage(Some(node.network())),
        },
        Err(error) => Word::Failed { round, reason: format!("{error:#}") },
    }
}

fn write(path: &PathBuf, array: &Array) -> anyhow::Result<String> {
    let mut file = Hashing { file: BufWriter::new(File::create(path)?), hash: Sha256::new() };
    npy::write(array, &mut file)?;
    file.file.flush()?;
    Ok(hex::encode(file.hash.finalize()))
}

struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where this node's inputs come from, and the model that it trains.
struct Source {
    share: Share,
    index: usize,
    seed: u64,
    digits: Option<(Split, Model)>,
    ready: Option<Submission>,
}

impl Source {
    fn new(assignment: &Assignment) -> anyhow::Result<Self> {
        let digits = matches!(assignment.share, Share::Digits)
            .then(|| (Split::new(&Digits::load(), assignment.seed, assignment.nodes), Model::zero()));
        let share = assignment.share.clone();
        Ok(Self { share, index: assignment.index, seed: assignment.seed, digits, ready: None })
    }

    fn learn(&mut self, update: &[f32]) {
        if let Some((_, model)) = &mut self.digits {
            model.apply(update);
        }
    }

    /// Takes over the model as it is by now.
    fn catch_up(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Some((_, model)) = &mut self.digits {
            *model = Model::from_bytes(bytes).context("a model of another size")?;
        }
        Ok(())
    }

    fn prepare(&mut self, round: u32) -> anyhow::Result<()> {
        // each round asks something else, so that an input which comes late enters no other round
        let question = || digest("testnet round", &[&round.to_le_bytes()]);
        let (array, reduce, query) = match (&self.share, &self.digits) {
            (Share::Random { len, reduce }, _) => {
                (vectors::random(self.seed, self.index, round, *len), *reduce, question())
            }
            (Share::File { path, reduce }, _) => (npy::read_file(path, LARGEST_FILE)?, *reduce, question()),
            (Share::Digits, Some((split, model))) => {
                let shard = split.shard(self.index);
                let update = train_local(model, shard, self.seed, round);
                let array =
                    Array::new(vec![update.len() as u64], Values::F32(update)).context("an update")?;
                (array, Reduce::Weighted(shard.weight()), digest("model", &[&model.to_bytes()]))
            }
            (Share::Digits, None) => anyhow::bail!("no data"),
        };
        let reduce = match reduce {
            Reduce::Sum => consort_node::Reduce::Sum,
            Reduce::Mean => consort_node::Reduce::Mean,
            Reduce::Weighted(weight) => consort_node::Reduce::WeightedMean(weight),
        };
        self.ready = Some(Submission { leaves: vec![array], reduce, label: None, query, clip: None });
        Ok(())
    }
}

/// Tells the launcher what happens, and stops the node where something is to happen to it.
struct Narrator {
    holds: Vec<Hold>,
    /// The round, as the launcher counts, whose input was handed in last.
    round: AtomicU32,
    go_on: Notify,
    network: Mutex<Option<Network>>,
}

impl Narrator {
    fn new(holds: Vec<Hold>) -> Self {
        Self { holds, round: AtomicU32::new(0), go_on: Notify::new(), network: Mutex::default() }
    }

    fn usage(&self) -> Usage {
        usage(self.network.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
    }

    async fn phase(&self, aggregator: bool, phase: Phase) {
        let round = self.round.load(Ordering::Relaxed);
        if aggregator {
            say(&Word::Aggregates { round, phase });
        }
        let here =
            |hold: &Hold| (hold.round, hold.phase) == (round, phase) && (aggregator || !hold.aggregator);
        if self.holds.iter().any(here) {
            say(&Word::Held { round, phase, aggregator, usage: self.usage() });
            self.go_on.notified().await;
        }
    }
}

impl Observer for Narrator {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let round = self.round.load(Ordering::Relaxed);
            let word = match event {
                NodeEvent::Listening(addresses) => addresses.into_iter().next().map(Word::Listening),
                NodeEvent::Peers(count) => Some(Word::Peers(count)),
                NodeEvent::Phase { role, phase, .. } => {
                    self.phase(role == Role::Aggregator, phase).await;
                    None
                }
                NodeEvent::Received { vectors, expected, .. } => Some(Word::Received { vectors, expected }),
                NodeEvent::Convicted(proven) => {
                    let crime = proven.crime.to_string();
                    Some(Word::Convicted { culprit: key(&proven.culprit), crime })
                }
                // the members of a testnet stay as they are
                NodeEvent::Declined { .. }
                | NodeEvent::Proposed { .. }
                | NodeEvent::Epoch(_)
                | NodeEvent::Removed { .. }
                | NodeEvent::Restored { .. }
                | NodeEvent::Forked(_) => None,
                NodeEvent::Fault(_) | NodeEvent::Aggregated { .. } => None,
                NodeEvent::RoundOver { round: number, attempts, .. } => {
                    let attempts = attempts.iter().map(|record| attempt(number, record)).collect();
                    Some(Word::Over { round, attempts })
                }
            };
            if let Some(word) = word {
                say(&word);
            }
        })
    }
}

fn attempt(round: u64, record: &AttemptRecord) -> Try {
    Try {
        round,
        attempt: record.attempt,
        slot: record.slot,
        aggregator: key(&record.aggregator),
        outcome: record.outcome.clone(),
        detail: record.detail.clone(),
    }
}

fn key(id: &MemberId) -> String {
    hex::encode(id.0)
}

fn member(key: &str) -> Option<MemberId> {
    Some(MemberId(hex::decode(key).ok()?.try_into().ok()?))
}

fn usage(network: Option<&Network>) -> Usage {
    Usage { bytes_sent: network.map_or(0, Network::bytes_sent), peak_rss: peak_rss().unwrap_or(0) }
}

/// Standard output belongs to the launcher; if it is gone, so will this process be.
fn say(word: &Word) {
    if let Ok(mut line) = serde_json::to_string(word) {
        line.push('\n');
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }
}
