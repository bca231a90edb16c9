//! Members come and go, and rules change, while nodes run.

use std::{fs, path::PathBuf, pin::Pin, sync::Arc};

use consort_node::{
    AdoptError, Node, SubmitError, consortium,
    events::{NodeEvent, Observer, Role},
    npy,
};
use consort_protocol::{
    array::Values,
    election,
    manifest::{ManifestBody, ManifestError, MemberEntry, Policy, SignedManifest},
    phase::Phase,
};
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::{
    api::write,
    consortium::{Consortium, address, connected_to, within},
    founding::Office,
    process::Daemon,
    rounds::{ints, verify_sum},
};

pub(crate) const WAITS: &str =
    "a next epoch waits for signatures: see the folder `proposals` of this node's home";
pub(crate) const IN_FORCE: &str = "a new epoch is in force";

/// The one proposal in a home, where the log says that it is.
async fn proposal(office: &Office, home: &str, daemon: &mut Daemon) -> PathBuf {
    let said = daemon.logs_beginning("a proposal of a next epoch").await;
    let mut files = fs::read_dir(office.path(home).join("proposals")).unwrap();
    let file = files.next().expect("a proposal is there").unwrap().path();
    assert_eq!(said["file"].as_str(), file.to_str());
    daemon.logs(WAITS).await;
    file
}

/// All of these hand in the same numbers, and get so many times as much.
async fn round(office: &Office, number: u64, homes: &[&str]) {
    write(&office.path("input.npy"), Values::I64(vec![7, -1]));
    let submitted = homes.iter().map(|home| async move {
        let said =
            office.run(&format!("submit input.npy --home {home} --out {home}-{number}.npy --json")).await;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (said["round"].as_u64(), said["included"].as_bool()),
            (Some(number), Some(true)),
            "{said}"
        );
        let sum = npy::read_file(&office.path(&format!("{home}-{number}.npy")), 1 << 20).unwrap();
        let many = homes.len() as i64;
        assert!(*sum.values() == Values::I64(vec![7 * many, -many]), "round {number} at {home}");
    });
    join_all(submitted).await;
}

/// Real processes, and nothing but commands: a fourth member joins by the signatures of three and takes part, a
/// forged card gets nobody in, then one of the four is removed by the other three and is out.
#[tokio::test]
async fn one_joins_and_one_is_removed_while_daemons_run() {
    let office = Office::new();
    office.found(&["a", "b", "c"]).await;
    office.init(&["d", "e"]).await;
    let file = office.path("consortium.toml");
    let mut a = Daemon::start(&office.path("a"), &file, &[]).await;
    let mut b = Daemon::start(&office.path("b"), &file, &[&a.address]).await;
    let mut c = Daemon::start(&office.path("c"), &file, &[&a.address]).await;
    for daemon in [&mut a, &mut b, &mut c] {
        daemon.logs("connected").await;
        daemon.logs("connected").await;
    }
    round(&office, 0, &["a", "b", "c"]).await;

    // a card of somebody who has not got its key
    let card = |name: &str| fs::read_to_string(office.path(&format!("{name}.card"))).unwrap();
    let peer_of = |card: &str| card.lines().find(|line| line.starts_with("peer: ")).unwrap().to_owned();
    let (mine, forged) = (card("d"), card("e"));
    fs::write(office.path("forged.card"), forged.replace(&peer_of(&forged), &peer_of(&mine))).unwrap();
    let add_forged = "consortium add consortium.toml --member forged.card --out next.toml";
    office.refused(2, add_forged, &["forged.card"]).await;
    assert!(!office.path("next.toml").exists());
    office.run("consortium add consortium.toml --member d.card --out next.toml").await;
    office.refused(2, "consortium adopt next.toml --home a", &["nobody has signed it"]).await;
    office.run("consortium sign next.toml --home a").await;
    office.run("consortium adopt next.toml --home a").await;
    // the others find it in their homes, and sign it there
    for (home, daemon) in [("b", &mut b), ("c", &mut c)] {
        let path = proposal(&office, home, daemon).await;
        let said: serde_json::Value =
            serde_json::from_str(&office.run(&format!("status --home {home} --json")).await).unwrap();
        let [told] = said["proposals"].as_array().unwrap().as_slice() else { panic!("{said}") };
        assert_eq!(
            (&told["epoch"], &told["needed"], &told["signed_by_me"]),
            (&1.into(), &3.into(), &false.into())
        );
        assert!(told["signatures"].as_u64() >= Some(1) && told["file"].as_str() == path.to_str(), "{told}");
        // word for word as `status` shows them
        let said = office.run(&format!("status --home {home}")).await;
        let shown: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  consort ")).collect();
        let [show, sign] = shown.as_slice() else { panic!("{said}") };
        assert!(said.contains("of 3 signatures, not this node's"), "{said}");
        assert!(office.run(show).await.contains("new: d"), "{show}");
        let signed = office.run("status --home a").await;
        assert!(signed.contains("this node's among them") && !signed.contains("consortium sign"), "{signed}");
        office.run(sign).await;
    }
    for daemon in [&mut a, &mut b, &mut c] {
        assert_eq!(daemon.logs(IN_FORCE).await["epoch"], 1);
        daemon.logs("admitted").await;
    }
    assert!(!office.run("status --home b").await.contains("is proposed"));
    let adopted = consortium::load(&office.path("c/consortium.toml")).unwrap();
    assert_eq!((adopted.manifest().epoch(), adopted.manifest().members().len()), (1, 4));
    let mut d = Daemon::start(&office.path("d"), &office.path("a/consortium.toml"), &[&a.address]).await;
    for _ in 0..3 {
        d.logs("connected").await;
    }
    round(&office, 1, &["a", "b", "c", "d"]).await;
    // of a round of the epoch before
    office.run("rounds 0 --home a --out again.npy").await;
    assert_eq!(fs::read(office.path("again.npy")).unwrap(), fs::read(office.path("a-0.npy")).unwrap());

    office.run("consortium remove a/consortium.toml --member b --out third.toml").await;
    for name in ["a", "c", "d"] {
        office.run(&format!("consortium sign third.toml --home {name}")).await;
    }
    office.run("consortium adopt third.toml --home d").await;
    for daemon in [&mut a, &mut c, &mut d] {
        assert_eq!(daemon.logs(IN_FORCE).await["epoch"], 2);
        daemon.logs("removed").await;
    }
    round(&office, 2, &["a", "c", "d"]).await;
    let (code, last) = b.ends().await;
    assert_eq!(code, Some(1), "{last}");
    assert!(last.contains("removed from the consortium in epoch 2"), "{last}");
    office.refused(2, "run --home b", &["not a member of wards in epoch 2"]).await;

    // with a copy of what was once in force it is a stranger
    fs::remove_file(office.path("b/consortium.toml")).unwrap();
    let b = Daemon::start(&office.path("b"), &file, &[&a.address]).await;
    assert_eq!(a.logs("connection refused").await["stranger"], b.peer);
    for daemon in [a, b, c, d] {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
}

/// A change of the next epoch, signed by these members.
pub(crate) fn next(
    consortium: &Consortium,
    node: &Node,
    by: &[usize],
    change: impl FnOnce(&mut ManifestBody),
) -> SignedManifest {
    let manifest = node.consortium().borrow().manifest().clone();
    let mut body = manifest.body().clone();
    (body.epoch, body.previous) = (body.epoch + 1, Some(*manifest.digest()));
    change(&mut body);
    let mut signed = SignedManifest::new(body);
    by.iter().for_each(|index| signed.sign(&consortium.identities[*index].signing()).unwrap());
    signed
}

pub(crate) async fn at_epoch(nodes: &[Node], epoch: u64) {
    for node in nodes {
        let mut chain = node.consortium();
        within(chain.wait_for(|chain| chain.manifest().epoch() == epoch)).await.unwrap();
    }
}

async fn sum(consortium: &Consortium, nodes: &[Node], round: u64) {
    let who: Vec<usize> = (0..nodes.len()).collect();
    let results = within(join_all(nodes.iter().map(|node| node.submit(ints(&[7]))))).await;
    for result in results {
        verify_sum(consortium, &result.unwrap(), round, &who, &[7 * nodes.len() as i64]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_go_on_across_epochs() {
    let mut consortium = Consortium::found(5);
    // the fifth is no founder here
    let mut four = consortium.signed.body.clone();
    let fifth = consortium.id(4);
    let entry: MemberEntry = four.members.iter().find(|member| member.id == fifth).unwrap().clone();
    four.members.retain(|member| member.id != fifth);
    let mut four = SignedManifest::new(four);
    (0..4).for_each(|index| four.sign(&consortium.identities[index].signing()).unwrap());
    consortium.signed = four;
    let mut nodes = consortium.nodes(&[0, 1, 2, 3]).await;
    sum(&consortium, &nodes, 0).await;

    // two signatures reach one node, the third another one: they add up
    let add = |body: &mut ManifestBody| body.members.push(entry.clone());
    let half = next(&consortium, &nodes[0], &[0, 1], add);
    let rest = next(&consortium, &nodes[0], &[3], add);
    let tally = within(nodes[0].adopt(vec![half])).await.unwrap().expect("it is new");
    assert!(!tally.is_complete());
    within(nodes[3].adopt(vec![rest.clone()])).await.unwrap();
    at_epoch(&nodes, 1).await;
    assert!(matches!(within(nodes[1].adopt(vec![rest])).await, Ok(None)), "known");

    let known = consortium::load(&consortium.home(0).join("consortium.toml")).unwrap();
    nodes.push(consortium.started(4, known, vec![address(&nodes[0]).await]));
    for node in &nodes {
        connected_to(node, 4).await;
    }
    sum(&consortium, &nodes, 1).await;

    // an input waits while the rules change; it is checked again, and meets those that come after
    let waiting = nodes[0].submit(ints(&[7]));
    let rules = next(&consortium, &nodes[1], &[0, 1, 2, 4], |body| body.policy.integer_bound = Some(1_000));
    let others = async {
        within(nodes[2].adopt(vec![rules])).await.unwrap();
        at_epoch(&nodes, 2).await;
        join_all(nodes[1..].iter().map(|node| node.submit(ints(&[7])))).await
    };
    let (first, others) = within(async { tokio::join!(waiting, others) }).await;
    for result in others.into_iter().chain([first]) {
        verify_sum(&consortium, &result.unwrap(), 2, &[0, 1, 2, 3, 4], &[35]);
    }
    // what no longer fits is given back with the reason
    let waiting = nodes[0].submit(ints(&[700]));
    let rules = next(&consortium, &nodes[1], &[0, 1, 2, 4], |body| body.policy.integer_bound = Some(10));
    let (refused, _) = within(async { tokio::join!(waiting, nodes[2].adopt(vec![rules])) }).await;
    let Err(SubmitError::Failed(reason)) = refused else { panic!("the rules forbid it") };
    assert!(reason.contains("rules have changed") && reason.contains("bound 10"), "{reason}");

    // what contradicts the epoch in force raises an alarm and changes nothing
    let fork = next_of(&consortium, &nodes[0]);
    let refused = within(nodes[0].adopt(vec![fork])).await;
    assert!(matches!(refused, Err(AdoptError::Manifest(ManifestError::Fork { epoch: 3, .. }))));
    assert_eq!(fs::read_dir(consortium.home(0).join("forks")).unwrap().count(), 1);
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
}

/// Another manifest of the epoch in force, signed by everybody.
fn next_of(consortium: &Consortium, node: &Node) -> SignedManifest {
    let mut body = node.consortium().borrow().manifest().body().clone();
    body.policy.clip = 1.0;
    let mut signed = SignedManifest::new(body);
    consortium.identities.iter().for_each(|identity| signed.sign(&identity.signing()).unwrap());
    signed
}

/// Holds a member as its masked vector would leave, until it is released; says when it does.
struct Hold {
    holds: watch::Sender<bool>,
    released: watch::Receiver<bool>,
}

impl Observer for Hold {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let NodeEvent::Phase { role: Role::Member, phase: Phase::MaskedInput, round: 0, .. } = event {
                self.holds.send_replace(true);
                let _ = self.released.clone().wait_for(|released| *released).await;
            }
        })
    }
}

/// A round ends under the epoch under which it began, however early the next one is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_waits_for_the_end_of_the_round() {
    // nobody gives up on the member that is held
    let patient = Policy { gather_ms: 60_000, deadline_ms: 600_000, ..Policy::default() };
    let consortium = Consortium::with_policy(4, patient);
    let held = consortium.index(election::order(&consortium.manifest(), 0).last().unwrap());
    let (holds, mut is_held) = watch::channel(false);
    let (release, released) = watch::channel(false);
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..4 {
        let known = match nodes.first() {
            Some(first) => vec![address(first).await],
            None => Vec::new(),
        };
        let hold = Hold { holds: holds.clone(), released: released.clone() };
        nodes.push(match index == held {
            true => consortium.watched(index, known, Arc::new(hold)),
            false => consortium.node(index, known),
        });
    }
    for node in &nodes {
        connected_to(node, 3).await;
    }
    let submitted = join_all(nodes.iter().map(|node| node.submit(ints(&[7]))));
    let changes = async {
        is_held.wait_for(|held| *held).await.unwrap();
        let free: Vec<&Node> = (0..4).filter(|index| *index != held).map(|index| &nodes[index]).collect();
        let rules = next(&consortium, free[0], &[0, 1, 2, 3], |body| body.policy.integer_bound = Some(1_000));
        for node in free {
            // what a node is asked for comes after what it does of itself about the command before
            let _ = node.adopt(vec![rules.clone()]).await.unwrap();
            assert!(matches!(node.adopt(vec![rules.clone()]).await, Ok(None)), "known");
            assert_eq!(node.consortium().borrow().manifest().epoch(), 0, "the round runs still");
        }
        release.send_replace(true);
    };
    let (results, ()) = within(async { tokio::join!(submitted, changes) }).await;
    for result in results {
        verify_sum(&consortium, &result.unwrap(), 0, &[0, 1, 2, 3], &[28]);
    }
    at_epoch(&nodes, 1).await;
    sum(&consortium, &nodes, 1).await;
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
}
