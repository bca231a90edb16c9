//! Starts the real binary, waits for it, and reads what it said.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Output},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

/// No run of these tests takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Runs at a time: each is a dozen processes, and some of them wait for deadlines most of the time.
const AT_ONCE: usize = 3;

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The lines on standard error that say why it failed.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
    }

    /// The one JSON document that is all of standard output.
    pub(crate) fn report(&self) -> Value {
        let Self { status, stdout, stderr } = self;
        serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{status}: {error}: {stdout:?}; {stderr}"))
    }
}

/// Runs `testnet` to its end.
pub(crate) fn testnet<A: AsRef<OsStr>>(arguments: &[A]) -> Ended {
    let _turn = Turn::take();
    let output = block_on(async {
        let output = command().args(arguments).output();
        tokio::time::timeout(PATIENCE, output).await.expect("testnet ends before the test's deadline")
    });
    let Output { status, stdout, stderr } = output.unwrap();
    Ended { status, stdout: String::from_utf8(stdout).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
}

/// The report of a run that must succeed; words are separated by spaces.
pub(crate) fn report(arguments: &str) -> Value {
    let words: Vec<&str> = arguments.split_whitespace().chain(["--json"]).collect();
    let ended = testnet(&words);
    assert_eq!((ended.code(), ended.errors()), (Some(0), vec![]), "{arguments}: {}", ended.stderr);
    ended.report()
}

/// The strings of a list.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The binary, not started yet; it dies with its handle.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) fn block_on<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

/// The right to run processes now.
pub(crate) struct Turn(());

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

impl Turn {
    pub(crate) fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        *FREE.wait_while(running, |running| *running >= AT_ONCE).unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREE.notify_one();
    }
}
