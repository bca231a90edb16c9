//! What a run leaves behind: no process, whatever happens, and nothing secret in what it keeps.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr},
    time::timeout,
};

use crate::{
    arrays::Npy,
    testnet::{PATIENCE, Turn, block_on, command, testnet},
};

#[test]
fn nothing_runs_on_after_success_or_failure() {
    let folder = TempDir::new().unwrap();
    let good = folder.path().join("good");
    let ended =
        testnet(&["--nodes", "4", "--rounds", "1", "--vector-len", "9", "--keep", good.to_str().unwrap()]);
    assert_eq!((ended.code(), processes(&good)), (Some(0), BTreeSet::new()), "{}", ended.stderr);

    let bad = folder.path().join("bad");
    // two of three die, so this round or the next has too few
    let run = format!("--nodes 3 --rounds 9 --vector-len 9 --keep {}", bad.display());
    let ended = testnet(&words(&format!("{run} --kill 0@publish --kill 1@publish")));
    assert_eq!((ended.code(), processes(&bad)), (Some(1), BTreeSet::new()), "{}", ended.stderr);
}

#[test]
fn signals_stop_the_launcher_and_all_nodes() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let _turn = Turn::take();
        block_on(async {
            let mut run = Running::start("");
            run.until_second_round().await;
            assert_eq!(processes(&run.keep).len(), NODES);
            run.signal(signal);
            let (code, said) = run.end().await;
            assert_eq!((code, processes(&run.keep)), (Some(130), BTreeSet::new()), "{signal}: {said:?}");
            let errors: Vec<_> = said.iter().filter(|line| line.starts_with("error: ")).collect();
            assert_eq!(errors, ["error: interrupted; all nodes are stopped"], "{signal}");
            let report: Value = serde_json::from_slice(&fs::read(&run.report).unwrap()).unwrap();
            assert_eq!(report["all_correct"], false, "{signal}");
            assert!(!report["rounds"].as_array().unwrap().is_empty(), "{signal}");
        });
    }
}

#[test]
fn nodes_end_when_the_launcher_is_killed() {
    verify_all_end("");
    // one that stands still reads nothing, so it does not notice by itself
    verify_all_end("--pause 1@share-keys@1:3000");
}

fn verify_all_end(flags: &str) {
    let _turn = Turn::take();
    block_on(async {
        let mut run = Running::start(flags);
        run.until_second_round().await;
        assert_eq!(processes(&run.keep).len(), NODES);
        run.signal(Signal::SIGKILL);
        run.end().await;
        let gone = async {
            while !processes(&run.keep).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("all nodes end");
    });
}

#[test]
fn json_is_all_that_is_printed_and_kept_logs_hold_no_secret() {
    /// Told apart from anything else in a log, however it may be written there.
    const MARKER: i64 = 0x5eed_5eed_0bad;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inputs")).unwrap();
    for node in 0..NODES {
        Npy::new("<i8", "(3,)", [MARKER, 0, -MARKER].map(i64::to_le_bytes))
            .save(&path("inputs").join(format!("{node}.npy")));
    }
    let arguments =
        format!("--inputs {} --keep {} --rounds 2 --json", path("inputs").display(), path("keep").display());
    let _turn = Turn::take();
    let output = block_on(async {
        // everything that can be logged is
        let run = command().args(arguments.split(' ')).env("CONSORT_LOG", "trace").output();
        timeout(PATIENCE, run).await.expect("testnet ends").unwrap()
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["all_correct"], true);
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);

    let homes = homes(&path("keep"));
    assert_eq!(homes.len(), NODES);
    let mut secrets = vec![MARKER.to_string(), format!("{MARKER:x}"), hex::encode(MARKER.to_le_bytes())];
    for home in &homes {
        let secret = fs::read_to_string(home.join("identity.key")).unwrap().trim().to_owned();
        assert_eq!(secret.len(), 64);
        secrets.push(format!("{:?}", hex::decode(&secret).unwrap()).trim_matches(['[', ']']).to_owned());
        secrets.push(secret);
    }
    for home in &homes {
        assert!(home.join("consortium.toml").exists() && home.join("ledger.redb").exists());
        let log = fs::read_to_string(home.join("node.log")).unwrap();
        assert!(log.contains("round completed"), "{}", home.display());
        let said = log + &fs::read_to_string(home.join("node.err")).unwrap();
        for secret in &secrets {
            assert!(!said.contains(secret.as_str()), "{}: {secret}", home.display());
        }
    }
}

const NODES: usize = 4;

/// A run that would go on for long.
struct Running {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    keep: PathBuf,
    report: PathBuf,
    _folder: TempDir,
}

impl Running {
    fn start(flags: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let keep = folder.path().join("keep");
        let report = folder.path().join("report.json");
        let run = format!(
            "--nodes {NODES} --rounds 100000 --vector-len 100 --keep {} --report {} {flags}",
            keep.display(),
            report.display()
        );
        let stderr = std::process::Stdio::piped();
        let stdout = std::process::Stdio::null();
        let mut child = command().args(words(&run)).stderr(stderr).stdout(stdout).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stderr, keep, report, _folder: folder }
    }

    /// Returns in the middle of a round.
    async fn until_second_round(&mut self) {
        let line = timeout(PATIENCE, self.stderr.next_line()).await.expect("a round ends");
        let line = line.unwrap().unwrap();
        assert!(line.starts_with("round 0: 4 survivors"), "{line}");
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it runs")).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Its exit code, and what it said from now on.
    async fn end(&mut self) -> (Option<i32>, Vec<String>) {
        let ended = async {
            let status = self.child.wait().await.unwrap();
            let mut said = Vec::new();
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                said.push(line);
            }
            (status.code(), said)
        };
        timeout(PATIENCE, ended).await.expect("testnet ends")
    }
}

/// The processes whose command line names something in this folder, the launcher's own apart.
fn processes(folder: &Path) -> BTreeSet<i32> {
    let folder = folder.canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    let of = |id: &i32| fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|id| {
            let line = of(id);
            let line = String::from_utf8_lossy(&line);
            line.contains(folder) && !line.contains("--keep")
        })
        .collect()
}

fn homes(keep: &Path) -> Vec<PathBuf> {
    fs::read_dir(keep).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
