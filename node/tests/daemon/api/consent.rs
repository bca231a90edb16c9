//! What a node does not consent to: its own policy, and the differencing guard, in daemons as people run them.

use std::{fs, path::PathBuf};

use consort_protocol::{array::Values, election};
use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{
    super::{
        consortium::{Consortium, within},
        process::Daemon,
    },
    command, daemons, failure, json, write,
};

const LABEL: [&str; 2] = ["--label", "ward counts"];

/// `consort submit` of a small vector of integers.
fn submit(consortium: &Consortium, index: usize, more: &[&str]) -> Command {
    let input = consortium.path(&format!("input-{index}.npy"));
    write(&input, Values::I64(vec![10_i64.pow(index as u32), 7]));
    let mut submit = command("submit", &consortium.home(index));
    submit.arg(input).args(more);
    submit
}

/// All of these hand in and wait for the aggregate.
async fn all_submit(consortium: &Consortium, indices: &[usize], more: &[&str]) -> Vec<(Option<i32>, Value)> {
    let submitted = indices.iter().map(|&index| {
        let mut submit = submit(consortium, index, more);
        async move { json(&mut submit).await }
    });
    join_all(submitted).await
}

/// They hand in and go on waiting while the test does something else.
fn waiting(consortium: &Consortium, indices: &[usize], more: &[&str]) -> Vec<Child> {
    indices.iter().map(|&index| submit(consortium, index, more).kill_on_drop(true).spawn().unwrap()).collect()
}

async fn started(consortium: &Consortium, indices: &[usize]) -> Vec<Daemon> {
    let mut daemons: Vec<Daemon> = Vec::new();
    for &index in indices {
        let known: Vec<String> = daemons.last().map(|daemon| daemon.address.clone()).into_iter().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        daemons.push(Daemon::start(&consortium.home(index), &consortium.file(), &known).await);
    }
    daemons
}

fn settings(consortium: &Consortium, index: usize, consent: &str) {
    let file: PathBuf = consortium.home(index).join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}[consent]\n{consent}\n")).unwrap();
}

async fn status(consortium: &Consortium, index: usize) -> Value {
    json(&mut command("status", &consortium.home(index))).await.1
}

async fn said_in_words(consortium: &Consortium, index: usize, name: &str) -> String {
    let output = within(command(name, &consortium.home(index)).output()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_outlives_a_crash_and_waits_for_the_same_members() {
    let consortium = Consortium::found(4);
    let crashed = daemons(&consortium, 4).await;
    for (code, said) in all_submit(&consortium, &[0, 1, 2, 3], &LABEL).await {
        assert_eq!((code, said["survivors"].as_array().unwrap().len()), (Some(0), 4), "{said}");
    }
    for daemon in crashed {
        daemon.end(Signal::SIGKILL).await;
    }
    // three are enough for a round, but their sum would differ from the first by one member
    let mut three = started(&consortium, &[0, 1, 2]).await;
    let submitted = waiting(&consortium, &[0, 1, 2], &LABEL);
    for daemon in &mut three {
        let line = daemon.logs("no round is begun with those who are ready").await;
        let reason = line["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("1 differ; none or at least 3 may"), "{reason}");
    }
    let status = status(&consortium, 1).await;
    assert!(status["held_back"].as_str().unwrap().contains("1 differ"), "{status}");
    assert!(said_in_words(&consortium, 1, "status").await.contains("it is held back: a sum of this label"));
    // of other data three may have a sum, once these inputs are out of the way; of this all four
    let fourth = Daemon::start(&consortium.home(3), &consortium.file(), &[three[0].address.as_str()]).await;
    let (code, said) = json(&mut submit(&consortium, 3, &LABEL)).await;
    assert_eq!((code, said["survivors"].as_array().unwrap().len()), (Some(0), 4), "{said}");
    for child in submitted {
        assert!(within(child.wait_with_output()).await.unwrap().status.success());
    }
    for daemon in three.into_iter().chain([fourth]) {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_that_has_lost_its_ledger_is_told_no_in_words() {
    let consortium = Consortium::found(4);
    let first = daemons(&consortium, 4).await;
    all_submit(&consortium, &[0, 1, 2, 3], &LABEL).await;
    for daemon in first {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
    let order = election::order(&consortium.manifest(), 1);
    let forgetful = consortium.index(&order[0]);
    let missing = consortium.index(&order[3]);
    fs::remove_file(consortium.home(forgetful).join("ledger.redb")).unwrap();
    let here: Vec<usize> = (0..4).filter(|index| *index != missing).collect();
    let mut daemons = started(&consortium, &here).await;
    let submitted = waiting(&consortium, &here, &LABEL);
    let at = here.iter().position(|index| *index == forgetful).unwrap();
    let line = daemons[at].logs("a member says no").await;
    assert!(line["reason"].as_str().unwrap().contains("1 differ; none or at least 3 may"), "{line}");
    assert_eq!(line["phase"], "consistency-check");
    for child in submitted {
        assert_eq!(within(child.wait_with_output()).await.unwrap().status.code(), Some(1), "there is a sum");
    }
    let told = status(&consortium, forgetful).await;
    let names: Vec<&str> =
        told["declined"].as_array().unwrap().iter().map(|said| said["member"].as_str().unwrap()).collect();
    for index in here.iter().filter(|index| **index != forgetful) {
        assert!(names.contains(&format!("member-{index}").as_str()), "{told}");
        let rounds = json(&mut command("rounds", &consortium.home(*index))).await.1;
        let attempts = rounds["rounds"][0]["attempts"].to_string();
        assert!(attempts.contains("\"declined\"") && attempts.contains("\"refused\""), "{attempts}");
        assert!(attempts.contains("2 of 3 members say no"), "{attempts}");
    }
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_the_settings_do_not_allow_is_refused_at_once() {
    let consortium = Consortium::found(3);
    settings(
        &consortium,
        0,
        "purposes = [{ label = \"ward counts\" }]\nreductions = [\"sum\"]\nmax_vector = 2\nmin_survivors = 3",
    );
    settings(&consortium, 1, "min_survivors = 4");
    let _daemons = started(&consortium, &[0, 1]).await;
    for (more, words) in [
        (&["--label", "beds"][..], "none of the purposes that this node allows (consent.purposes)"),
        (&["--label", "ward counts", "--mean"][..], "the mean is asked for"),
    ] {
        let (code, said) = failure(&mut submit(&consortium, 0, more)).await;
        assert!(code == Some(2) && said.contains(words), "{said}");
    }
    let (code, said) = failure(&mut submit(&consortium, 1, &LABEL)).await;
    assert!(code == Some(2) && said.contains("this node asks for 4 (consent.min_survivors)"), "{said}");
    settings(&consortium, 2, "differ_by = 1");
    let mut run = super::super::process::run(&consortium.home(2), &consortium.file());
    let (code, said) = failure(&mut run).await;
    assert!(code == Some(2) && said.contains("differ_by is 1, the least is 2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_rounds_a_day_and_the_others_do_not_wait() {
    let consortium = Consortium::found(4);
    let order = election::order(&consortium.manifest(), 1);
    // it does not aggregate in the second round, but is offered its contract
    let sparing = consortium.index(&order[3]);
    let others: Vec<usize> = (0..4).filter(|index| *index != sparing).collect();
    settings(&consortium, sparing, "rounds_per_day = 1");
    let mut daemons = daemons(&consortium, 4).await;
    for (code, said) in all_submit(&consortium, &[0, 1, 2, 3], &[]).await {
        assert_eq!(code, Some(0), "{said}");
    }
    let held_back = waiting(&consortium, &[sparing], &[]);
    daemons[sparing].logs("the input that waits is held back").await;
    for (code, said) in all_submit(&consortium, &others, &[]).await {
        assert_eq!((code, said["survivors"].as_array().unwrap().len()), (Some(0), 3), "{said}");
    }
    let words =
        "its rounds of the last 24 hours are used up, 1 are allowed on this node (consent.rounds_per_day)";
    assert_eq!(status(&consortium, sparing).await["held_back"], words);
    let aggregator = consortium.index(&order[0]);
    let told = status(&consortium, aggregator).await;
    assert_eq!(told["declined"][0]["reason"], words, "{told}");
    assert_eq!(told["declined"][0]["member"], format!("member-{sparing}"));
    drop(held_back);
    // a restart does not give it another round
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
    let _again = started(&consortium, &[sparing]).await;
    assert_eq!(status(&consortium, sparing).await["held_back"], words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_aggregate_passes_its_turn_on() {
    let consortium = Consortium::found(4);
    let order = election::order(&consortium.manifest(), 0);
    let passing = consortium.index(&order[0]);
    settings(&consortium, passing, "aggregate = false");
    let daemons = daemons(&consortium, 4).await;
    for (code, said) in all_submit(&consortium, &[0, 1, 2, 3], &[]).await {
        assert_eq!((code, said["survivors"].as_array().unwrap().len()), (Some(0), 4), "{said}");
    }
    for index in 0..4 {
        let rounds = json(&mut command("rounds", &consortium.home(index))).await.1;
        let attempts = &rounds["rounds"][0]["attempts"];
        assert_eq!(attempts[0]["outcome"], "refused", "{attempts}");
        let words = attempts[0]["detail"].as_str().unwrap();
        assert!(words.contains("it does not aggregate, by its own settings"), "{words}");
        assert_eq!(
            (&attempts[1]["outcome"], &attempts[1]["slot"]),
            (&"completed".into(), &1.into()),
            "{attempts}"
        );
    }
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
}
