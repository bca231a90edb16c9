//! Inputs that are taken back: by `consort withdraw`, by a `submit` that ends, and by one that comes too late.

use std::{fs, process::Stdio};

use consort_node::{npy, summary::RoundSummary};
use consort_protocol::{array::Values, phase::Phase};
use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixListener,
    process::Child,
};

use super::{
    super::{
        consortium::{Consortium, connected_to, within},
        process::consort,
        rounds::{ints, stop},
        stopping::{Scene, scene},
    },
    command, daemons, failure, json, write,
};

fn tell(child: &Child, what: Signal) {
    kill(Pid::from_raw(child.id().unwrap() as i32), what).unwrap();
}

/// Until an input waits at this member's daemon.
async fn waits(consortium: &Consortium, index: usize) {
    within(async {
        while json(&mut command("status", &consortium.home(index))).await.1["input"]["state"] != "waiting" {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_submit_takes_its_input_back() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let _daemon = daemons(&consortium, 1).await;
    let file = consortium.path("input.npy");
    write(&file, Values::I32(vec![1, 2]));
    // where these tests run under `nohup`, so does what they start, and goes on
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
    let nohup = ignored.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']);
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    for signal in signals.into_iter().filter(|signal| *signal != Signal::SIGHUP || !nohup) {
        let child = command("submit", &home).arg(&file).stderr(Stdio::piped()).spawn().unwrap();
        waits(&consortium, 0).await;
        tell(&child, signal);
        let output = within(child.wait_with_output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(130) && said.contains("taken back"), "{signal}: {said}");
        let (_, status) = json(&mut command("status", &home)).await;
        assert!(status["input"].is_null(), "{signal}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_whose_submit_died_is_taken_back_by_a_command() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let _daemon = daemons(&consortium, 1).await;
    let file = consortium.path("input.npy");
    write(&file, Values::I32(vec![1, 2]));
    let (code, said) = failure(&mut command("withdraw", &home)).await;
    assert!(code == Some(1) && said.contains("no input is waiting"), "{said}");

    for as_json in [false, true] {
        let mut child = command("submit", &home).arg(&file).spawn().unwrap();
        waits(&consortium, 0).await;
        within(child.kill()).await.unwrap();
        let (code, said) = failure(command("submit", &home).arg(&file)).await;
        assert!(code == Some(1) && said.contains("`consort withdraw --home DIR`"), "{said}");
        let (_, status) = json(&mut command("status", &home)).await;
        let id = status["input"]["input_id"].as_str().unwrap();
        if as_json {
            let (code, said) = json(&mut command("withdraw", &home)).await;
            assert_eq!(
                (code, said["input_id"].as_str(), said["state"].as_str()),
                (Some(0), Some(id), Some("failed"))
            );
        } else {
            let output = within(command("withdraw", &home).output()).await.unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && said.contains(id) && said.contains("withdrawn"), "{said}");
        }
    }
    let (code, said) = failure(&mut command("withdraw", &consortium.home(1))).await;
    assert!(code == Some(1) && said.contains("no daemon runs"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_left_is_waited_for() {
    let Scene { consortium, daemon, index, others, release } = scene(Phase::MaskedInput).await;
    let (home, input, sum) =
        (consortium.home(index), consortium.path("input.npy"), consortium.path("sum.npy"));
    write(&input, Values::I64(vec![7]));
    let mut submit = command("submit", &home);
    let mut submit = submit.arg(&input).arg("--out").arg(&sum).stderr(Stdio::piped()).spawn().unwrap();
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let interrupts = async {
        let has_left = || {
            let mut files = fs::read_dir(home.join("inputs")).unwrap();
            files.any(|file| file.unwrap().file_name().to_str().unwrap().ends_with(".round-0"))
        };
        while !has_left() {
            tokio::task::yield_now().await;
        }
        let (code, said) = failure(&mut command("withdraw", &home)).await;
        assert!(code == Some(1) && said.contains("its masked vector may have left"), "{said}");
        tell(&submit, Signal::SIGTERM);
        let mut said = BufReader::new(submit.stderr.take().unwrap()).lines();
        let said = said.next_line().await.unwrap().unwrap_or_default();
        assert!(said.contains("waiting for the result"), "{said}");
        release.send_replace(true);
        assert_eq!(submit.wait().await.unwrap().code(), Some(0));
    };
    let (submitted, ()) = within(async { tokio::join!(submitted, interrupts) }).await;
    assert!(submitted.into_iter().all(|result| result.is_ok()) && sum.exists());
    stop(others).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}

/// `nohup` wants it to outlive the terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_that_was_to_be_ignored_is() {
    let consortium = Consortium::found(3);
    let daemons = daemons(&consortium, 1).await;
    let address: libp2p::Multiaddr = daemons[0].address.parse().unwrap();
    let others = [1, 2].map(|index| consortium.node(index, vec![address.clone()]));
    for node in &others {
        connected_to(node, 2).await;
    }
    let file = consortium.path("input.npy");
    write(&file, Values::I64(vec![7]));
    let submit = consort();
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(submit.as_std().get_program());
    shell
        .args(["submit", "--home"])
        .arg(consortium.home(0))
        .arg(&file)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let mut child = shell.spawn().unwrap();
    waits(&consortium, 0).await;
    tell(&child, Signal::SIGHUP);
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let (submitted, ended) = within(async { tokio::join!(submitted, child.wait()) }).await;
    assert!(submitted.into_iter().all(|result| result.is_ok()));
    assert_eq!(ended.unwrap().code(), Some(0));
    stop(others.into()).await;
}

/// A round takes the input between the question how it is and the order to take it back: no daemon does so when a
/// test wants it, so here a script answers.
#[tokio::test]
async fn a_timeout_that_comes_too_late_waits_for_the_aggregate() {
    let consortium = Consortium::found(3);
    let (home, input, sum) = (consortium.home(0), consortium.path("input.npy"), consortium.path("sum.npy"));
    write(&input, Values::I64(vec![7]));
    let round = RoundSummary {
        round: 0,
        outcome: "completed".into(),
        attempts: Vec::new(),
        task: None,
        roster: Vec::new(),
        survivors: Vec::new(),
        dropped: Vec::new(),
        certificate: None,
    };
    let waiting = json!({ "state": "waiting", "round": 0, "ready": 3, "needed": 3 }).to_string();
    let refused = json!({ "detail": "it is in a round already" }).to_string();
    let aggregated = json!({ "state": "aggregated", "round": 0, "included": true }).to_string();
    let answers = [
        ("POST /v1/inputs?", "202 Accepted", json!({ "input_id": "0f3c" }).to_string().into_bytes()),
        ("GET /v1/inputs/0f3c", "200 OK", waiting.into_bytes()),
        ("DELETE /v1/inputs/0f3c", "409 Conflict", refused.into_bytes()),
        (
            "GET /v1/inputs/0f3c",
            "200 OK",
            json!({ "state": "in-round", "round": 0 }).to_string().into_bytes(),
        ),
        ("GET /v1/inputs/0f3c", "200 OK", aggregated.into_bytes()),
        ("GET /v1/rounds/0", "200 OK", serde_json::to_vec(&round).unwrap()),
        ("GET /v1/rounds/0/aggregate", "200 OK", fs::read(&input).unwrap()),
    ];
    let listener = UnixListener::bind(home.join("api.sock")).unwrap();
    let script = async {
        for (line, status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, sent) = request(&mut stream).await;
            assert!(head.starts_with(line), "{head} in place of {line}");
            assert!(sent == 0 || line.starts_with("POST"));
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    };
    let mut submit = command("submit", &home);
    let submit = submit.arg(&input).args(["--timeout", "0"]).arg("--out").arg(&sum).output();
    let (output, ()) = within(async { tokio::join!(submit, script) }).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(*npy::read_file(&sum, 1 << 20).unwrap().values() == Values::I64(vec![7]));
}

/// The head of a request, and how long its body was, all of it read.
async fn request(stream: &mut tokio::net::UnixStream) -> (String, usize) {
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).await.unwrap() > 0, "{head}");
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).await.unwrap();
    (head, body.len())
}
