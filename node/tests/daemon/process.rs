//! The real binary.

use std::{collections::VecDeque, path::Path, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::consortium::within;

/// `consort`, not started yet; it dies with its handle.
pub(crate) fn consort() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// `consort run`.
pub(crate) fn run(home: &Path, consortium: &Path) -> Command {
    let mut command = consort();
    command.args(["run", "--home"]).arg(home).arg("--consortium").arg(consortium);
    command
}

/// A daemon that is ready.
pub(crate) struct Daemon {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it has logged before it was ready: others may be faster.
    early: VecDeque<serde_json::Value>,
    /// Its peer id.
    pub(crate) peer: String,
    /// Where it listens, or what it says of listening nowhere.
    pub(crate) address: String,
}

impl Daemon {
    /// Starts it and waits for its ready line; its log is JSON.
    pub(crate) async fn start(home: &Path, consortium: &Path, peers: &[&str]) -> Self {
        let mut command = run(home, consortium);
        for peer in peers {
            command.args(["--peer", peer]);
        }
        Self::spawn(command).await
    }

    /// The same, where a file that must not grow is an error and does not end the process.
    pub(crate) async fn start_without_signal_for_files(home: &Path, consortium: &Path) -> Self {
        let run = run(home, consortium);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_consort")]);
        command.args(run.as_std().get_args()).stdin(Stdio::null()).kill_on_drop(true);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.args(["--log-format", "json"]).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut early = VecDeque::new();
        loop {
            let line = within(stderr.next_line()).await.unwrap().expect("it says that it is ready");
            if let Some(ready) = line.strip_prefix("ready ") {
                let (peer, address) = ready.split_once(" listening ").unwrap();
                let address = address.strip_prefix("on ").unwrap_or(address);
                let (peer, address) = (peer.to_owned(), address.to_owned());
                return Self { child, stderr, early, peer, address };
            }
            early.push_back(log_line(&line));
        }
    }

    /// The next log line with this message.
    pub(crate) async fn logs(&mut self, message: &str) -> serde_json::Value {
        self.finds(|said| said == message).await
    }

    /// The next log line whose message begins like this.
    pub(crate) async fn logs_beginning(&mut self, message: &str) -> serde_json::Value {
        self.finds(|said| said.starts_with(message)).await
    }

    async fn finds(&mut self, matches: impl Fn(&str) -> bool) -> serde_json::Value {
        loop {
            let line = match self.early.pop_front() {
                Some(line) => line,
                None => log_line(&within(self.stderr.next_line()).await.unwrap().expect("it runs on")),
            };
            if line["message"].as_str().is_some_and(&matches) {
                return line;
            }
        }
    }

    /// Its exit code and its last words, when it ends by itself.
    pub(crate) async fn ends(mut self) -> (Option<i32>, String) {
        let mut last = String::new();
        while let Some(line) = within(self.stderr.next_line()).await.unwrap() {
            last = line;
        }
        (within(self.child.wait()).await.unwrap().code(), last)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id().expect("it runs")).unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).unwrap();
    }

    /// Its exit code after a signal.
    pub(crate) async fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        while let Some(line) = within(self.stderr.next_line()).await.unwrap() {
            log_line(&line);
        }
        within(self.child.wait()).await.unwrap().code()
    }
}

fn log_line(line: &str) -> serde_json::Value {
    let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    assert!(json["level"].is_string() && json["timestamp"].is_string(), "{line}");
    json
}
