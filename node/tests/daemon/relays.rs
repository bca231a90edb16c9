//! Rounds among members of whom some cannot be dialled, and members that find each other again.

use std::fs;

use consort_node::{Node, config::Reach, identity::peer_id};
use libp2p::Multiaddr;
use nix::sys::signal::Signal;

use super::{
    api::{command, json},
    consortium::{ANY_PORT, Consortium, address, connected_to, within},
    process::Daemon,
    rounds::{ints, stop, submit, verify_sum},
};

/// Whether an aggregator or not, whoever is reached through a relay is a member like the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_behind_a_relay_take_part_in_every_role() {
    let consortium = Consortium::found(4);
    let relay = Reach { relay: true, ..Reach::default() };
    let mut nodes: Vec<Node> = Vec::new();
    nodes.push(consortium.reached(0, &[ANY_PORT], relay, Vec::new()));
    let first: Multiaddr = address(&nodes[0]).await;
    nodes.push(consortium.reached(1, &[ANY_PORT], Reach::default(), vec![first.clone()]));
    for outbound_only in [2, 3] {
        nodes.push(consortium.reached(outbound_only, &[], Reach::default(), vec![first.clone()]));
    }
    for node in &nodes {
        connected_to(node, 3).await;
    }
    // as many rounds as members: everybody aggregates once
    for round in 0..4 {
        let results = submit(&nodes, (0..4).map(|node| ints(&[10 + node, -node, round]))).await;
        for result in results {
            let sum = [46, -6, 4 * round];
            verify_sum(&consortium, &result.unwrap(), round as u64, &[0, 1, 2, 3], &sum);
        }
    }
    let through = format!("/p2p/{}/p2p-circuit", peer_id(&consortium.id(0)).unwrap());
    for node in &nodes[2..] {
        let addresses = node.network().listen_addresses().borrow().clone();
        assert!(addresses.iter().all(|address| address.to_string().starts_with(&through)), "{addresses:?}");
    }
    stop(nodes).await;
}

/// Whoever only dials out hears that it meets nobody like itself without a relay, and no more of it once there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_relay_whoever_only_dials_out_says_so() {
    let consortium = Consortium::found(3);
    let first = consortium.reached(0, &[ANY_PORT], Reach::default(), Vec::new());
    let known = address(&first).await;
    for index in [1, 2] {
        fs::write(consortium.home(index).join("config.toml"), "listen = []\n").unwrap();
    }
    let peer = known.to_string();
    let mut daemons = Vec::new();
    for index in [1, 2] {
        daemons.push(Daemon::start(&consortium.home(index), &consortium.file(), &[&peer]).await);
    }
    for daemon in &mut daemons {
        assert!(daemon.address.starts_with("nowhere: it needs a member that relays"), "{}", daemon.address);
        let said = daemon.logs_beginning("no member relays to this node").await;
        assert_eq!(
            (&said["level"], &said["connected"], &said["others"]),
            (&"WARN".into(), &1.into(), &2.into())
        );
        assert!(said["message"].as_str().unwrap().contains("`relay = true` under [reach]"), "{said}");
    }
    let of_relays = async || {
        let (_, said) = json(&mut command("doctor", &consortium.home(1))).await;
        let findings = said["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["check"] == "relay").unwrap()
    };
    let said = of_relays().await;
    assert!(said["state"] == "wrong" && said["what"].as_str().unwrap().contains("1 of 2 others"), "{said}");
    stop(vec![first]).await;

    let relay = Reach { relay: true, ..Reach::default() };
    let first = consortium.reached(0, &[&without_peer(&known)], relay, Vec::new());
    for daemon in &mut daemons {
        // the first member again, and the one that only dials out
        daemon.logs("connected").await;
        daemon.logs("connected").await;
    }
    assert_eq!(of_relays().await["state"], "fine");
    stop(vec![first]).await;
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
}

/// An address to listen on, of one to dial.
fn without_peer(address: &Multiaddr) -> String {
    let text = address.to_string();
    text.split("/p2p/").next().unwrap().to_owned()
}

/// The node that it knew is away, but not the one of which it has learned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_survive_a_restart() {
    let consortium = Consortium::found(3);
    let known = consortium.node(0, Vec::new());
    let learned = consortium.node(1, vec![address(&known).await]);
    let node = consortium.node(2, vec![address(&known).await]);
    for node in [&known, &learned, &node] {
        connected_to(node, 2).await;
    }
    let file = consortium.home(2).join("addresses.json");
    let name = peer_id(&consortium.id(1)).unwrap().to_string();
    within(async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&name)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop(vec![known, node]).await;
    let node = consortium.node(2, Vec::new());
    connected_to(&node, 1).await;
    stop(vec![node, learned]).await;
}
