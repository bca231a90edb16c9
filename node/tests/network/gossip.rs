//! Gossip and status reach everybody.

use std::time::Duration;

use consort_node::network::Event;

use super::consortium::{Node, QUIC, TCP, id, line};

async fn a_members_gossip_reaches_all(listen: &str) {
    let mut nodes = line(5, listen).await;
    let author = nodes.remove(2);
    // Gossip is lost where nobody listens yet, so the author repeats itself until all have heard it.
    let network = author.network.clone();
    let repeating = tokio::spawn(async move {
        loop {
            network.publish(b"a round begins".to_vec());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    for node in &mut nodes {
        let (from, bytes) = node
            .next(|event| match event {
                Event::Gossip { from, bytes } => Some((from, bytes)),
                _ => None,
            })
            .await;
        assert_eq!((from, bytes.as_slice()), (id(2), &b"a round begins"[..]));
    }
    repeating.abort();
}

#[tokio::test]
async fn a_members_gossip_reaches_all_over_tcp() {
    a_members_gossip_reaches_all(TCP).await;
}

#[tokio::test]
async fn a_members_gossip_reaches_all_over_quic() {
    a_members_gossip_reaches_all(QUIC).await;
}

async fn status_of(node: &mut Node, member: u8, expected: &[u8]) {
    node.next(|event| match event {
        Event::Status { from, bytes } if from == id(member) && bytes == expected => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_status_reaches_those_who_are_there_and_those_who_come_later() {
    let mut nodes: Vec<Node> = vec![Node::start(0, 3, TCP, &[])];
    let seed = nodes[0].address().await;
    nodes.push(Node::start(1, 3, TCP, std::slice::from_ref(&seed)));
    nodes[0].connected_to(1).await;
    nodes[0].network.set_status(b"round 7".to_vec());
    status_of(&mut nodes[1], 0, b"round 7").await;
    let mut late = Node::start(2, 3, TCP, &[seed]);
    status_of(&mut late, 0, b"round 7").await;
    nodes[0].network.set_status(b"round 8".to_vec());
    for node in [&mut nodes[1], &mut late] {
        status_of(node, 0, b"round 8").await;
    }
}
