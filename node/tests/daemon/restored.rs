//! A home that is put back from a backup.

use std::{fs, path::Path};

use consort_node::ledger::Ledger;
use consort_protocol::array::Values;
use futures::future::join_all;
use nix::sys::signal::Signal;

use super::{
    api::{command, http, json, write},
    consortium::{Consortium, address, connected_to, within},
    process::Daemon,
    rounds::{ints, members, stop},
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Its input was summed after the backup was made. It is not handed in again, and the node is back in the next round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_remind_it_of_what_it_has_said_since() {
    let consortium = Consortium::found(4);
    let (home, backup, file) = (consortium.home(0), consortium.path("backup"), consortium.path("input.npy"));
    write(&file, Values::I64(vec![5]));
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    let (status, _, answer) = http::unix(&home, "POST /v1/inputs", &fs::read(&file).unwrap()).await;
    assert_eq!(status, 202, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = answer["input_id"].as_str().unwrap().to_owned();
    assert_eq!(daemon.end(Signal::SIGKILL).await, None);
    copy(&home, &backup);

    let others = consortium.nodes(&[1, 2, 3]).await;
    let known = address(&others[0]).await.to_string();
    let mut daemon = Daemon::start(&home, &consortium.file(), &[&known]).await;
    for result in within(join_all(others.iter().map(|node| node.submit(ints(&[1]))))).await {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    daemon.logs("round completed").await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));

    fs::remove_dir_all(&home).unwrap();
    copy(&backup, &home);
    for node in &others {
        connected_to(node, 2).await;
    }
    let mut daemon = Daemon::start(&home, &consortium.file(), &[&known]).await;
    let alarm = daemon.logs_beginning("ALARM: this node took part in a round").await;
    assert_eq!((&alarm["round"], &alarm["level"]), (&0.into(), &"ERROR".into()), "{alarm}");
    for node in &others {
        connected_to(node, 3).await;
    }
    // what the log says is on disk a moment later
    let ended = async {
        loop {
            let (status, _, answer) = http::unix(&home, &format!("GET /v1/inputs/{id}"), b"").await;
            assert_eq!(status, 200, "{answer}");
            if !answer.contains("\"waiting\"") {
                return answer;
            }
        }
    };
    let answer = within(ended).await;
    assert!(answer.contains("may have been summed before"), "{answer}");

    let mut submit = command("submit", &home);
    let submit = json(submit.arg(&file));
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let ((code, said), submitted) = within(async { tokio::join!(submit, submitted) }).await;
    assert_eq!((code, &said["round"]), (Some(0), &1.into()), "{said}");
    for result in submitted {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    stop(others).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}

/// Nothing is left but the key. Whoever has it says so in the ledger before it says anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_home_of_an_old_identity_hears_of_it_too_and_once() {
    let consortium = Consortium::found(4);
    let mut nodes = consortium.nodes(&[1, 2, 3, 0]).await;
    for result in within(join_all(nodes.iter().map(|node| node.submit(ints(&[1]))))).await {
        result.unwrap();
    }
    nodes.pop().unwrap().shutdown().await;
    let ledger = consortium.home(0).join("ledger.redb");
    fs::remove_file(&ledger).unwrap();
    let known = address(&nodes[0]).await.to_string();
    let mut daemon = Daemon::start(&consortium.home(0), &consortium.file(), &[&known]).await;
    daemon.logs_beginning("ALARM: this node took part in a round").await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    assert_eq!(Ledger::open(&ledger).unwrap().next_round().unwrap(), 1);
    stop(nodes).await;
}
