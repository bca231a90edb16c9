//! Inputs that wait: through a restart, and beside others that wait with something else.

use std::{fs, pin::Pin, sync::Arc};

use consort_node::{
    api::{Api, Feed},
    events::{NodeEvent, Observer, Role},
    home::Home,
    npy,
};
use consort_protocol::{array::Values, phase::Phase};
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::sync::{Notify, mpsc};

use super::{
    super::{
        consortium::{Consortium, address, connected_to, within},
        process::Daemon,
        rounds::ints,
    },
    command, daemons, http, json, write,
};

/// Hands `input.npy` to the first member's daemon and kills that. Gives the input's id.
async fn killed_with_an_input(consortium: &Consortium) -> String {
    let (home, file) = (consortium.home(0), consortium.path("input.npy"));
    write(&file, Values::I64(vec![7, -1]));
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    let (status, _, answer) = http::unix(&home, "POST /v1/inputs", &fs::read(&file).unwrap()).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(daemon.end(Signal::SIGKILL).await, None);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["input_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_waits_survives_a_killed_daemon() {
    let consortium = Consortium::found(4);
    let (file, id) = (consortium.path("input.npy"), killed_with_an_input(&consortium).await);

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
async fn an_input_that_may_have_left_is_not_handed_in_again() {
    let consortium = Consortium::found(4);
    let (home, id) = (consortium.home(0), killed_with_an_input(&consortium).await);
    // as if it had been killed in a round
    let inputs = home.join("inputs");
    fs::rename(inputs.join(format!("{id}.waiting")), inputs.join(format!("{id}.round-0"))).unwrap();
    let _again = Daemon::start(&home, &consortium.file(), &[]).await;
    let (status, _, answer) = http::unix(&home, &format!("GET /v1/inputs/{id}"), b"").await;
    let state: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &state["state"], &state["round"]), (200, &"failed".into(), &0.into()), "{answer}");
    assert!(state["reason"].as_str().unwrap().contains("may be known within one sum"), "{answer}");
    let left: Vec<_> = fs::read_dir(&inputs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [format!("{id}.outcome").as_str()]);
    let (_, status) = json(&mut command("status", &home)).await;
    assert!(status["input"].is_null(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_input_is_not_used() {
    let consortium = Consortium::found(4);
    let (home, id) = (consortium.home(0), killed_with_an_input(&consortium).await);
    let kept = home.join("inputs").join(format!("{id}.waiting"));
    let mut bytes = fs::read(&kept).unwrap();
    let last = bytes.len() - 33;
    bytes[last] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let _again = Daemon::start(&home, &consortium.file(), &[]).await;
    let (_, _, answer) = http::unix(&home, &format!("GET /v1/inputs/{id}"), b"").await;
    assert!(answer.contains("damaged") && answer.contains("hand it in again"), "{answer}");
    assert!(!kept.exists());
}

/// Holds a member as a phase begins on it.
struct Hold(Phase, mpsc::UnboundedSender<()>, Arc<Notify>);

impl Observer for Hold {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if matches!(event, NodeEvent::Phase { role: Role::Member, phase, .. } if phase == self.0) {
                self.1.send(()).unwrap();
                self.2.notified().await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_on_disk_that_an_input_may_leave_before_it_does() {
    for (phase, state) in [(Phase::ShareKeys, "waiting"), (Phase::ConsistencyCheck, "round-0")] {
        let consortium = Consortium::found(4);
        let home = Home::open(&consortium.home(0)).unwrap();
        let (sender, mut held) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let feed = Arc::new(Feed::new(Arc::new(Hold(phase, sender, go_on.clone()))));
        let first = consortium.watched(0, Vec::new(), feed.clone());
        let api = Api::start(&home, None, first.handle(), feed).await.unwrap();
        let mut others = Vec::new();
        for index in 1..4 {
            others.push(consortium.node(index, vec![address(&first).await]));
        }
        connected_to(&first, 3).await;
        let file = consortium.path("input.npy");
        write(&file, Values::I64(vec![7]));
        let body = fs::read(&file).unwrap();
        let (status, _, answer) = http::unix(home.path(), "POST /v1/inputs", &body).await;
        assert_eq!(status, 202, "{answer}");
        let results = join_all(others.iter().map(|node| node.submit(ints(&[7]))));
        let seen = async {
            held.recv().await.unwrap();
            let entries = fs::read_dir(home.inputs()).unwrap();
            let names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            go_on.notify_one();
            names
        };
        let (results, names) = within(async { tokio::join!(results, seen) }).await;
        assert!(names.len() == 1 && names[0].ends_with(state), "{phase}: {names:?}");
        assert!(results.into_iter().all(|result| result.is_ok()));
        api.stop().await;
        for node in others.into_iter().chain([first]) {
            within(node.shutdown()).await;
        }
    }
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
