//! A disk that is full before a round, or in the middle of one: from some moment on the process may not write files any
//! further, as `ulimit -f` does it.

use std::{fs, path::Path, pin::Pin, sync::Arc};

use consort_node::{
    Node,
    consortium::{self, Draft},
    events::{NodeEvent, Observer, Role},
};
use consort_protocol::{array::Values, election, phase::Phase};
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::{process::Command, sync::watch};

use super::{
    api::{command, failure, http, json, write},
    consortium::{Consortium, address, connected_to, within},
    membership::{IN_FORCE, WAITS, at_epoch, next},
    process::Daemon,
    rounds::{ints, members, stop},
};

/// Holds a member as its masked vector would leave in round 0, until it is released.
struct Hold(watch::Receiver<bool>);

impl Observer for Hold {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let NodeEvent::Phase { role: Role::Member, phase: Phase::MaskedInput, round: 0, .. } = event {
                let _ = self.0.clone().wait_for(|released| *released).await;
            }
        })
    }
}

/// Lets a process write files up to so many bytes, or as it likes.
async fn limit_files(process: i32, bytes: Option<u64>) {
    let bytes = bytes.map_or("resource.RLIM_INFINITY".to_owned(), |bytes| bytes.to_string());
    let set = format!(
        "import resource; resource.prlimit({process}, resource.RLIMIT_FSIZE, ({bytes}, resource.RLIM_INFINITY))"
    );
    let python = std::env::var("CONSORT_PYTHON").unwrap_or_else(|_| "python3".into());
    assert!(within(Command::new(python).args(["-c", &set]).status()).await.unwrap().success());
}

/// The daemon that it happens to, and the others, which stand still before their vectors leave.
async fn scene(consortium: &Consortium, index: usize) -> (Daemon, Vec<Node>, watch::Sender<bool>) {
    let daemon = Daemon::start_without_signal_for_files(&consortium.home(index), &consortium.file()).await;
    let (release, released) = watch::channel(false);
    let mut others = Vec::new();
    for other in (0..4).filter(|other| *other != index) {
        let hold = Arc::new(Hold(released.clone()));
        others.push(consortium.watched(other, vec![daemon.address.parse().unwrap()], hold));
    }
    for node in &others {
        connected_to(node, 3).await;
    }
    (daemon, others, release)
}

/// All hand in, and all are in the sum.
async fn round_of_all(consortium: &Consortium, home: &Path, input: &Path, others: &[Node]) {
    let mut submit = command("submit", home);
    let submit = json(submit.arg(input));
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let ((code, said), submitted) = within(async { tokio::join!(submit, submitted) }).await;
    assert_eq!(code, Some(0), "{said}");
    for result in submitted {
        assert_eq!(members(consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
}

async fn ends_in_words(daemon: Daemon) {
    let (code, last) = daemon.ends().await;
    assert_eq!(code, Some(1), "{last}");
    for words in ["ledger.redb", "free the disk and start the node again"] {
        assert!(last.contains(words), "{words:?} is not in: {last}");
    }
}

/// The state of its one input, with the reason.
async fn state_of_input(home: &Path) -> String {
    let files: Vec<_> =
        fs::read_dir(home.join("inputs")).unwrap().map(|file| file.unwrap().file_name()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let (id, _) = file.to_str().unwrap().split_once('.').unwrap();
    http::unix(home, &format!("GET /v1/inputs/{id}"), b"").await.2
}

async fn full_in_the_middle_of_a_round(aggregates: bool) {
    let consortium = Consortium::found(4);
    let order = election::order(&consortium.manifest(), 0);
    let index = consortium.index(if aggregates { &order[0] } else { &order[3] });
    let (home, input) = (consortium.home(index), consortium.path("input.npy"));
    let (mut daemon, others, release) = scene(&consortium, index).await;
    write(&input, Values::I64(vec![7]));
    let mut submit = command("submit", &home);
    let submit = failure(submit.arg(&input));
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let fills = async {
        while daemon.logs("phase").await["phase"] != "masked-input" {}
        limit_files(daemon.id(), Some(1)).await;
        release.send_replace(true);
        let said = daemon.logs("this node cannot do its part in the round").await;
        assert!(said["detail"].is_string() && said["round"] == 0, "{said}");
        ends_in_words(daemon).await;
    };
    let ((code, said), submitted, ()) = within(async { tokio::join!(submit, submitted, fills) }).await;
    assert!(code == Some(1) && said.contains("the daemon stopped"), "{said}");
    for result in submitted {
        assert!(result.unwrap().survivors.len() >= 3);
    }
    // there is room again
    let known = address(&others[0]).await.to_string();
    let mut daemon = Daemon::start(&home, &consortium.file(), &[&known]).await;
    let state = state_of_input(&home).await;
    assert!(state.contains("may be known within one sum"), "{state}");
    for _ in 0..3 {
        daemon.logs("connected").await;
    }
    round_of_all(&consortium, &home, &input, &others).await;
    stop(others).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_round_the_others_finish_without_that_member() {
    full_in_the_middle_of_a_round(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_round_the_others_finish_without_that_aggregator() {
    full_in_the_middle_of_a_round(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_of_which_nothing_has_left_waits_for_a_disk_with_room() {
    let consortium = Consortium::found(4);
    let index = consortium.index(election::order(&consortium.manifest(), 0).last().unwrap());
    let (home, input) = (consortium.home(index), consortium.path("input.npy"));
    let (daemon, others, release) = scene(&consortium, index).await;
    release.send_replace(true);
    write(&input, Values::I64(vec![7]));
    let (status, _, answer) = http::unix(&home, "POST /v1/inputs", &fs::read(&input).unwrap()).await;
    assert_eq!(status, 202, "{answer}");
    limit_files(daemon.id(), Some(1)).await;
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let (submitted, ()) = within(async { tokio::join!(submitted, ends_in_words(daemon)) }).await;
    for result in submitted {
        assert_eq!(result.unwrap().survivors.len(), 3);
    }
    let known = address(&others[0]).await.to_string();
    let daemon = Daemon::start(&home, &consortium.file(), &[&known]).await;
    let state = state_of_input(&home).await;
    assert!(state.contains("\"waiting\""), "{state}");
    for node in &others {
        connected_to(node, 3).await;
    }
    for result in within(join_all(others.iter().map(|node| node.submit(ints(&[1]))))).await {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    stop(others).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}

/// A next epoch that there is no room for is in force all the same, as it is at the others, and nothing is lost of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_there_is_no_room_for_is_written_later() {
    let consortium = Consortium::found(4);
    let home = consortium.home(0);
    let (mut daemon, others, release) = scene(&consortium, 0).await;
    release.send_replace(true);
    let change = |by: &[usize]| next(&consortium, &others[0], by, |body| body.policy.gather_ms = 4_000);
    let (half, whole) = (change(&[1, 2]), change(&[1, 2, 3]));
    within(others[0].adopt(vec![half.clone()])).await.unwrap();
    daemon.logs(WAITS).await;
    let proposals = || fs::read_dir(home.join("proposals")).unwrap().map(|file| file.unwrap().path());
    let epoch_on_disk = || consortium::load(&home.join("consortium.toml")).unwrap().manifest().epoch();
    let proposal = proposals().next().unwrap();

    limit_files(daemon.id(), Some(1)).await;
    within(others[0].adopt(vec![whole])).await.unwrap();
    let said = daemon.logs_beginning("the new epoch is not on disk: free the disk").await;
    assert!(
        said["level"] == "ERROR" && said["error"].as_str().unwrap().contains("consortium.toml"),
        "{said}"
    );
    assert_eq!(daemon.logs(IN_FORCE).await["epoch"], 1);
    assert_eq!((epoch_on_disk(), proposals().collect()), (0, vec![proposal.clone()]));
    let kept = Draft::read(&proposal).unwrap().last;
    assert_eq!(kept.signatures.len(), half.signatures.len());

    limit_files(daemon.id(), None).await;
    assert_eq!(daemon.logs("the new epoch is on disk now").await["epoch"], 1);
    assert_eq!((epoch_on_disk(), proposals().count()), (1, 0));
    at_epoch(&others, 1).await;
    stop(others).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}
