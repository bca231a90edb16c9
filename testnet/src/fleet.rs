//! The node processes: started, listened to, killed, and never left behind.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
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
}

/// All node processes by index.
pub(crate) struct Fleet {
    nodes: Vec<Option<Running>>,
    /// Handed to whoever listens to a node.
    said: mpsc::Sender<(usize, Word)>,
    words: mpsc::Receiver<(usize, Word)>,
}

impl Fleet {
    pub(crate) fn new(nodes: usize) -> Self {
        let (said, words) = mpsc::channel(1024);
        Self { nodes: (0..nodes).map(|_| None).collect(), said, words }
    }

    /// Starts the node with this home.
    pub(crate) fn start(&mut self, index: usize, home: &Path) -> anyhow::Result<()> {
        let binary = std::env::current_exe().context("this program's own file")?;
        let errors = std::fs::File::create(home.join("node.err"))?;
        let mut child = Command::new(binary)
            .arg(NODE)
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            // an interrupt at the terminal is for the launcher alone, which ends the nodes in order
            .process_group(0)
            .spawn()
            .with_context(|| format!("node {index} cannot be started"))?;
        let orders = child.stdin.take().context("a node without standard input")?;
        let said = child.stdout.take().context("a node without standard output")?;
        let words = self.said.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(said).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let word = serde_json::from_str(&line).unwrap_or(Word::Broken(line));
                if words.send((index, word)).await.is_err() {
                    return;
                }
            }
            let _ = words.send((index, Word::Broken("the process ended".into()))).await;
        });
        if let Some(slot) = self.nodes.get_mut(index) {
            *slot = Some(Running { child, orders });
        }
        Ok(())
    }

    /// The next thing that any node says.
    pub(crate) async fn next(&mut self) -> (usize, Word) {
        match self.words.recv().await {
            Some(word) => word,
            // this side holds a sender, so the channel never ends
            None => std::future::pending().await,
        }
    }

    /// Tells a node what to do.
    pub(crate) async fn order(&mut self, index: usize, order: &Order) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(index).and_then(Option::as_mut).context("the node is dead")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        node.orders.write_all(&line).await?;
        Ok(node.orders.flush().await?)
    }

    /// Indices of the nodes that live.
    pub(crate) fn alive(&self) -> Vec<usize> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_some()).map(|(index, _)| index).collect()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        if let Some(mut node) = self.nodes.get_mut(index).and_then(Option::take) {
            node.child.kill().await.with_context(|| format!("node {index} cannot be killed"))?;
        }
        Ok(())
    }

    /// Stops all nodes and waits until they are gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for index in self.alive() {
            self.kill(index).await?;
        }
        Ok(())
    }
}
