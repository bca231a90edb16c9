//! Inputs that wait: through a restart, and beside others that wait with something else.

use std::fs;

use consort_node::npy;
use consort_protocol::array::Values;
use futures::future::join_all;
use nix::sys::signal::Signal;

use super::{
    super::{
        consortium::{Consortium, within},
        process::Daemon,
    },
    command, daemons, http, json, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_waits_survives_a_killed_daemon() {
    let consortium = Consortium::found(4);
    let file = consortium.path("input.npy");
    write(&file, Values::I64(vec![7, -1]));
    let first = Daemon::start(&consortium.home(0), &consortium.file(), &[]).await;
    let (status, _, answer) =
        http::unix(&consortium.home(0), "POST /v1/inputs", &fs::read(&file).unwrap()).await;
    assert_eq!(status, 202, "{answer}");
    let id: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = id["input_id"].as_str().unwrap().to_owned();
    assert_eq!(first.end(Signal::SIGKILL).await, None);

    // the dead daemon's socket is still there
    let _daemons = daemons(&consortium, 4).await;
    let (_, status) = json(&mut command("status", &consortium.home(0))).await;
    assert_eq!((&status["input"]["state"], &status["input"]["input_id"]), (&"waiting".into(), &id.into()));
    let others = (1..4).map(|index| {
        let mut submit = command("submit", &consortium.home(index));
        submit.arg(&file).arg("--out").arg(consortium.path(&format!("sum-{index}.npy")));
        async move { json(&mut submit).await }
    });
    for (code, said) in join_all(others).await {
        assert!(code == Some(0) && said["survivors"].as_array().unwrap().len() == 4, "{said}");
    }
    let sum = npy::read_file(&consortium.path("sum-1.npy"), 1 << 20).unwrap();
    assert!(*sum.values() == Values::I64(vec![28, -4]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_alone_is_told_what_the_others_wait_with() {
    let consortium = Consortium::found(4);
    let _daemons = daemons(&consortium, 4).await;
    let (mine, theirs) = (consortium.path("mine.npy"), consortium.path("theirs.npy"));
    write(&mine, Values::I64(vec![1, 2]));
    write(&theirs, Values::I64(vec![1, 2, 3]));
    for (index, file, query) in [(0, &mine, ""), (1, &theirs, "?label=ward"), (2, &theirs, "?label=ward")] {
        let line = format!("POST /v1/inputs{query}");
        let (status, _, answer) = http::unix(&consortium.home(index), &line, &fs::read(file).unwrap()).await;
        assert_eq!(status, 202, "{answer}");
    }
    let others = within(async {
        loop {
            let (_, status) = json(&mut command("status", &consortium.home(0))).await;
            assert_eq!(status["input"]["state"], "waiting");
            let others = status["input"]["others"].clone();
            if others[0]["members"].as_array().is_some_and(|members| members.len() == 2) {
                return others;
            }
        }
    });
    let others = others.await;
    let mut members: Vec<&str> =
        others[0]["members"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    members.sort_unstable();
    assert_eq!(members, ["member-1", "member-2"]);
    assert_eq!(
        others[0]["differs"],
        serde_json::json!(["label: theirs \"ward\", here none", "arrays: theirs 1 of [3], here 1 of [2]"])
    );
    let output = within(command("status", &consortium.home(0)).output()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("wait with something else (label: theirs \"ward\", here none"), "{said}");
}
