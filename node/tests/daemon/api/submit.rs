//! `consort submit`, and what the API says of what nobody can use.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use consort_node::npy;
use consort_protocol::array::Values;
use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    super::consortium::{Consortium, within},
    command, daemons, failure, http, json, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_submit_get_the_exact_sum() {
    let consortium = Consortium::found(4);
    let daemons = daemons(&consortium, 4).await;
    let mut events = UnixStream::connect(consortium.home(3).join("api.sock")).await.unwrap();
    events.write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    read_until(&mut events, &mut seen, "text/event-stream").await;
    for round in 0..2_u64 {
        let submitted = (0..4).map(|index| {
            let input = consortium.path(&format!("input-{index}.npy"));
            write(&input, Values::I64(vec![10_i64.pow(12) * (index as i64 + 1), -3, round as i64]));
            let mut submit = command("submit", &consortium.home(index));
            submit.arg(&input).arg("--out").arg(consortium.path(&format!("sum-{index}.npy")));
            async move { json(&mut submit).await }
        });
        for (index, (code, said)) in join_all(submitted).await.into_iter().enumerate() {
            assert_eq!((code, said["round"].as_u64()), (Some(0), Some(round)), "{said}");
            assert_eq!((said["survivors"].as_array().unwrap().len(), &said["included"]), (4, &true.into()));
            let sum = npy::read_file(&consortium.path(&format!("sum-{index}.npy")), 1 << 20).unwrap();
            assert!(*sum.values() == Values::I64(vec![10_i64.pow(13), -12, 4 * round as i64]));
            // what has served is gone, and what became of it is known
            let left: Vec<_> = fs::read_dir(consortium.home(index).join("inputs"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert!(left.iter().all(|name| name.ends_with(".outcome")), "{left:?}");
            let id = said["input_id"].as_str().unwrap();
            let line = format!("GET /v1/inputs/{id}");
            let (status, _, body) = http::unix(&consortium.home(index), &line, b"").await;
            assert!(status == 200 && body.contains("\"aggregated\""), "{body}");
        }
    }
    read_until(&mut events, &mut seen, "event: round\ndata: {\"outcome\":\"completed\"").await;
    assert!(seen.contains("event: phase\n") && seen.contains("\"phase\":\"masked-input\""), "{seen}");
    let (_, status) = json(&mut command("status", &consortium.home(2))).await;
    assert_eq!((&status["round"], &status["connected"]), (&2.into(), &3.into()), "{status}");
    assert_eq!(status["peer"], consortium.peer(2));
    let (_, peers) = json(&mut command("peers", &consortium.home(2))).await;
    let peers = peers["peers"].as_array().unwrap();
    assert!(peers.len() == 3 && peers.iter().all(|peer| peer["connected"] == true), "{peers:?}");
    let socket = fs::metadata(consortium.home(0).join("api.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
    let (code, said) = failure(&mut command("status", &consortium.home(0))).await;
    assert!(code == Some(1) && said.contains("no daemon runs on"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_no_round_can_use_are_refused_in_words() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let _daemon = daemons(&consortium, 1).await;
    let file = consortium.path("input.npy");
    let mut values = vec![1.0; 9];
    values[7] = f32::NAN;
    write(&file, Values::F32(values));
    let (code, said) = failure(command("submit", &home).arg(&file)).await;
    assert!(code == Some(2) && said.contains("input.npy: nan at index 7"), "{said}");

    write(&file, Values::F32(vec![1.0, 99.0]));
    let (code, said) = failure(command("submit", &home).arg(&file)).await;
    assert!(code == Some(2) && said.contains("index 1 is beyond the clip 16"), "{said}");
    let (code, said) = failure(command("submit", &home).arg(&file).args(["--label", &"x".repeat(300)])).await;
    assert!(code == Some(2) && said.contains("the label has 300 bytes"), "{said}");
    fs::write(&file, "not an array").unwrap();
    let (code, said) = failure(command("submit", &home).arg(&file)).await;
    assert!(code == Some(2) && said.contains("not a .npy file"), "{said}");

    let post = |query: &'static str| format!("POST /v1/inputs?{query}");
    for (query, status, words) in [
        ("weight=3&mean=true", 422, "not both"),
        ("query=abc", 422, "64 hexadecimal digits"),
        ("wieght=3", 400, "wieght"),
        ("weight=-1", 400, "weight"),
        ("", 422, "it is empty"),
    ] {
        let (found, head, body) = http::unix(&home, &post(query), b"").await;
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, &problem["status"]), (status, &status.into()), "{query}: {body}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{query}: {body}");
    }
    // refused by what it announces, before anything is read
    let stream = UnixStream::connect(home.join("api.sock")).await.unwrap();
    let (status, _, body) =
        http::ask(stream, "POST /v1/inputs", "Content-Length: 999999999999999\r\n", b"").await;
    assert!(status == 400 || (status == 413 && body.contains("max_vector")), "{status} {body}");
    for (line, status) in [
        ("GET /v1/nothing", 404),
        ("DELETE /v1/rounds", 405),
        ("GET /v1/inputs/00", 404),
        ("GET /v1/rounds/5", 404),
        ("GET /v1/rounds/x/aggregate", 404),
        ("GET /v1/rounds?limit=-1", 400),
    ] {
        let (found, head, body) = http::unix(&home, line, b"").await;
        assert_eq!(found, status, "{line}: {body}");
        assert!(head.contains("application/problem+json"), "{line}: {head}");
    }
    assert!(fs::read_dir(home.join("inputs")).unwrap().next().is_none(), "nothing of it was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_input_waits_at_a_time_and_its_owner_may_take_it_back() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let _daemon = daemons(&consortium, 1).await;
    let file = consortium.path("input.npy");
    write(&file, Values::I32(vec![1, 2]));
    let body = fs::read(&file).unwrap();
    let (status, _, answer) = http::unix(&home, "POST /v1/inputs", &body).await;
    assert_eq!(status, 202, "{answer}");
    let id: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = id["input_id"].as_str().unwrap();
    let (code, said) = failure(command("submit", &home).arg(&file)).await;
    assert!(code == Some(1) && said.contains(id) && said.contains("waiting already"), "{said}");
    let (status, _, answer) = http::unix(&home, &format!("DELETE /v1/inputs/{id}"), b"").await;
    assert!(status == 200 && answer.contains("withdrawn"), "{answer}");

    // nobody is there to sum with
    let (code, said) = failure(command("submit", &home).arg(&file).args(["--timeout", "0"])).await;
    assert!(code == Some(1) && said.contains("taken back") && said.contains("1 of at least 3"), "{said}");

    let mut submit = command("submit", &home);
    let child = submit.arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    waits(&consortium).await;
    kill(Pid::from_raw(child.id().unwrap() as i32), Signal::SIGINT).unwrap();
    let output = within(child.wait_with_output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(130) && said.contains("taken back"), "{said}");
    let left: Vec<_> =
        fs::read_dir(home.join("inputs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|ending| ending == "outcome")), "{left:?}");
}

/// Reads on until this was there.
async fn read_until(stream: &mut UnixStream, seen: &mut String, what: &str) {
    while !seen.contains(what) {
        let mut piece = [0; 4096];
        let read = within(stream.read(&mut piece)).await.unwrap();
        assert!(read > 0, "it ended before {what}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

/// Until an input waits at member 0.
async fn waits(consortium: &Consortium) {
    within(async {
        loop {
            let (_, status) = json(&mut command("status", &consortium.home(0))).await;
            if status["input"]["state"] == "waiting" {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_only_with_the_token() {
    let consortium = Consortium::found(3);
    let (home, config) = (consortium.home(0), consortium.home(0).join("config.toml"));
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let listen = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{listen}api_port = {port}\n")).unwrap();
    let _daemon = daemons(&consortium, 1).await;
    let address = format!("127.0.0.1:{port}");
    let token_file = home.join("api.token");
    let token = fs::read_to_string(&token_file).unwrap().trim().to_owned();
    assert_eq!(fs::metadata(&token_file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut other = token.clone();
    other.replace_range(..1, if token.starts_with('0') { "1" } else { "0" });
    for headers in [
        String::new(),
        format!("Authorization: Bearer {other}\r\n"),
        format!("Authorization: Bearer {}\r\n", &token[..10]),
        format!("Authorization: Basic {token}\r\n"),
        "Authorization: Bearer \r\n".into(),
    ] {
        for line in ["GET /v1/status", "GET /metrics", "GET /nothing"] {
            let (status, head, body) = http::tcp(&address, line, &headers).await;
            assert_eq!(status, 401, "{headers:?} {line}: {body}");
            assert!(head.contains("www-authenticate: bearer"), "{head}");
        }
    }
    let shown = format!("Authorization: Bearer {token}\r\n");
    let (status, _, body) = http::tcp(&address, "GET /v1/status", &shown).await;
    assert!(status == 200 && body.contains(&consortium.peer(0)), "{body}");
    let (status, _, body) = http::tcp(&address, "GET /metrics", &shown).await;
    assert!(status == 200 && body.contains("\nconsort_members 3\n"), "{body}");
}
