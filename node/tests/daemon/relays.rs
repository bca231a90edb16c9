//! Rounds among members of whom some cannot be dialled, and members that find each other again.

use consort_node::{Node, config::Reach, identity::peer_id};
use libp2p::Multiaddr;

use super::{
    consortium::{ANY_PORT, Consortium, address, connected_to, within},
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
