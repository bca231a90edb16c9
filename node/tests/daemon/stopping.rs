//! A daemon that is told to stop while a round runs.

use std::{fs, pin::Pin, sync::Arc};

use consort_node::{
    Node,
    events::{NodeEvent, Observer, Role},
};
use consort_protocol::{array::Values, election, phase::Phase};
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::{process::Command, sync::watch};

use super::{
    api::{command, write},
    consortium::{Consortium, connected_to, within},
    process::Daemon,
    rounds::{ints, members, stop},
};

/// Holds a member as a phase begins on it, until it is released.
struct Hold(Phase, watch::Receiver<bool>);

impl Observer for Hold {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if matches!(event, NodeEvent::Phase { role: Role::Member, phase, .. } if phase == self.0) {
                let _ = self.1.clone().wait_for(|released| *released).await;
            }
        })
    }
}

/// A daemon with an input, whose turn to aggregate does not come, in this phase of round 0; the others stand still
/// there.
pub(crate) struct Scene {
    pub(crate) consortium: Consortium,
    pub(crate) daemon: Daemon,
    pub(crate) index: usize,
    pub(crate) others: Vec<Node>,
    pub(crate) release: watch::Sender<bool>,
}

pub(crate) async fn scene(phase: Phase) -> Scene {
    let consortium = Consortium::found(4);
    let index = consortium.index(election::order(&consortium.manifest(), 0).last().unwrap());
    let home = consortium.home(index);
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    let (release, released) = watch::channel(false);
    let mut others = Vec::new();
    for other in (0..4).filter(|other| *other != index) {
        let hold = Arc::new(Hold(phase, released.clone()));
        others.push(consortium.watched(other, vec![daemon.address.parse().unwrap()], hold));
    }
    for node in &others {
        connected_to(node, 3).await;
    }
    Scene { consortium, daemon, index, others, release }
}

/// `consort submit` at that daemon, not started yet.
fn submit(consortium: &Consortium, index: usize) -> Command {
    let input = consortium.path("input.npy");
    write(&input, Values::I64(vec![7]));
    let mut submit = command("submit", &consortium.home(index));
    submit.arg(&input);
    submit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finishes_the_round_that_its_vector_is_in() {
    let Scene { consortium, mut daemon, index, others, release } = scene(Phase::MaskedInput).await;
    let sum = consortium.path("sum.npy");
    let submit = submit(&consortium, index).arg("--out").arg(&sum).spawn().unwrap().wait_with_output();
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let stops = async {
        while daemon.logs("phase").await["phase"] != "masked-input" {}
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.logs("finishing this round before stopping").await["round"], 0);
        release.send_replace(true);
    };
    let (submit, submitted, ()) = within(async { tokio::join!(submit, submitted, stops) }).await;
    for result in submitted {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    // whoever waited has the aggregate, and the ledger the result
    assert!(submit.unwrap().status.success() && sum.exists());
    let (code, last) = daemon.ends().await;
    assert_eq!(code, Some(0), "{last}");
    let kept = within(command("rounds", &consortium.home(index)).arg("--json").output()).await.unwrap();
    let kept = String::from_utf8(kept.stdout).unwrap();
    assert!(kept.contains("\"completed\""), "{kept}");
    stop(others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_leaves_a_round_that_has_nothing_of_its_input_and_keeps_that() {
    let Scene { consortium, mut daemon, index, others, release } = scene(Phase::ShareKeys).await;
    let submit = submit(&consortium, index).kill_on_drop(true).spawn().unwrap();
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let stops = async {
        while daemon.logs("phase").await["phase"] != "share-keys" {}
        daemon.signal(Signal::SIGTERM);
        daemon.logs("leaving this round, in which nothing of the input has left").await;
        let (code, last) = daemon.ends().await;
        assert_eq!(code, Some(0), "{last}");
        release.send_replace(true);
    };
    let (submitted, ()) = within(async { tokio::join!(submitted, stops) }).await;
    for result in submitted {
        let result = result.unwrap();
        let expected: Vec<usize> = (0..4).filter(|other| *other != index).collect();
        assert_eq!(members(&consortium, &result.survivors), expected);
    }
    let inputs = fs::read_dir(consortium.home(index).join("inputs")).unwrap();
    let inputs: Vec<String> = inputs.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(matches!(inputs.as_slice(), [one] if one.ends_with(".waiting")), "{inputs:?}");
    drop(submit);
    stop(others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_twice_it_leaves_whatever_runs() {
    let Scene { consortium, mut daemon, index, others, release } = scene(Phase::MaskedInput).await;
    let submit = submit(&consortium, index).kill_on_drop(true).spawn().unwrap();
    let submitted = join_all(others.iter().map(|node| node.submit(ints(&[1]))));
    let stops = async {
        while daemon.logs("phase").await["phase"] != "masked-input" {}
        daemon.signal(Signal::SIGINT);
        daemon.logs("finishing this round before stopping").await;
        daemon.signal(Signal::SIGINT);
        daemon.logs("told twice: leaving the round as it is").await;
        let (code, last) = daemon.ends().await;
        assert_eq!(code, Some(0), "{last}");
        release.send_replace(true);
    };
    let (submitted, ()) = within(async { tokio::join!(submitted, stops) }).await;
    assert!(submitted.into_iter().all(|result| result.is_ok()));
    drop(submit);
    stop(others).await;
}
