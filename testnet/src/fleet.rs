//! The node processes: started, listened to, killed, stopped, and never left behind.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
};

use crate::control::{Order, Word};

/// The first argument that makes this binary a node.
pub(crate) const NODE: &str = "node-process";

/// A node process. It dies when this is dropped.
struct Running {
    child: Child,
    orders: ChildStdin,
    /// Tells its words from those of the node's earlier lives.
    life: u64,
    paused: bool,
}

/// What a process says: its node, its life, its word.
type Said = (usize, u64, Word);

/// All node processes by index.
pub(crate) struct Fleet {
    nodes: Vec<Option<Running>>,
    lives: u64,
    /// Handed to whoever listens to a node.
    said: mpsc::Sender<Said>,
    words: mpsc::Receiver<Said>,
}

impl Fleet {
    pub(crate) fn new(nodes: usize) -> Self {
        let (said, words) = mpsc::channel(1024);
        Self { nodes: (0..nodes).map(|_| None).collect(), lives: 0, said, words }
    }

    /// Starts the node with this home.
    pub(crate) fn start(&mut self, index: usize, home: &Path) -> anyhow::Result<()> {
        let binary = std::env::current_exe().context("this program's own file")?;
        let errors = std::fs::File::options().append(true).create(true).open(home.join("node.err"))?;
        let mut child = Command::new(binary)
            .arg(NODE)
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            // an interrupt at the terminal is for the launcher alone, which ends the nodes in order; and if the
            // launcher is killed, the system ends the group even where it is stopped
            .process_group(0)
            .spawn()
            .with_context(|| format!("node {index} cannot be started"))?;
        let orders = child.stdin.take().context("a node without standard input")?;
        let said = child.stdout.take().context("a node without standard output")?;
        self.lives += 1;
        let (life, words) = (self.lives, self.said.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(said).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let word = serde_json::from_str(&line).unwrap_or(Word::Broken(line));
                if words.send((index, life, word)).await.is_err() {
                    return;
                }
            }
            let _ = words.send((index, life, Word::Broken("the process ended".into()))).await;
        });
        if let Some(slot) = self.nodes.get_mut(index) {
            *slot = Some(Running { child, orders, life, paused: false });
        }
        Ok(())
    }

    /// The next thing that any node that lives says.
    pub(crate) async fn next(&mut self) -> (usize, Word) {
        loop {
            match self.words.recv().await {
                Some((from, life, word)) if self.running(from).is_some_and(|node| node.life == life) => {
                    return (from, word);
                }
                // the last words of a dead one
                Some(_) => {}
                // this side holds a sender, so the channel never ends
                None => std::future::pending().await,
            }
        }
    }

    /// Tells a node what to do.
    pub(crate) async fn order(&mut self, index: usize, order: &Order) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(index).and_then(Option::as_mut).context("the node is dead")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        node.orders.write_all(&line).await.with_context(|| format!("node {index} takes no orders"))?;
        Ok(node.orders.flush().await?)
    }

    /// Indices of the nodes that live.
    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.running(*index).is_some()).collect()
    }

    /// Whether a node stands still.
    pub(crate) fn is_paused(&self, index: usize) -> bool {
        self.running(index).is_some_and(|node| node.paused)
    }

    /// The process of a node, and which of its lives this is.
    pub(crate) fn process(&self, index: usize) -> Option<(u32, u64)> {
        self.running(index).and_then(|node| Some((node.child.id()?, node.life)))
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        if let Some(mut node) = self.nodes.get_mut(index).and_then(Option::take) {
            node.child.kill().await.with_context(|| format!("node {index} cannot be killed"))?;
        }
        Ok(())
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn pause(&mut self, index: usize, paused: bool) -> anyhow::Result<()> {
        let Some(node) = self.nodes.get_mut(index).and_then(Option::as_mut) else { return Ok(()) };
        let id = node.child.id().and_then(|id| i32::try_from(id).ok()).context("a node without a process")?;
        let signal = if paused { Signal::SIGSTOP } else { Signal::SIGCONT };
        signal::kill(Pid::from_raw(id), signal).with_context(|| format!("{signal} for node {index}"))?;
        node.paused = paused;
        Ok(())
    }

    /// Stops all nodes and waits until they are gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for index in self.alive() {
            self.kill(index).await?;
        }
        Ok(())
    }

    fn running(&self, index: usize) -> Option<&Running> {
        self.nodes.get(index).and_then(Option::as_ref)
    }
}
