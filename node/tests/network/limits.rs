//! One more than is allowed: it is refused, and what was there goes on.

use std::time::Instant;

use consort_node::{limits, network::Event};
use futures::StreamExt as _;
use libp2p::swarm::{SwarmEvent, dial_opts::DialOpts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    consortium::{Node, TCP, id, identity, line, within},
    hostile::Forged,
    raw::{CONTROL, MESHSUB, Raw},
};

#[tokio::test]
async fn a_member_has_as_many_connections_as_it_may_and_no_more() {
    let node = Node::start(0, 2, TCP, &[]);
    let mut allowed = Vec::new();
    for _ in 0..limits::MAX_CONNECTIONS_PER_PEER {
        allowed.push(Raw::connect(&identity(1), &node).await);
    }
    let mut one_more = Raw::swarm(&identity(1));
    let peer = consort_node::identity::peer_id(&id(0)).unwrap();
    one_more.dial(DialOpts::peer_id(peer).addresses(vec![node.address().await]).build()).unwrap();
    loop {
        match within(one_more.next()).await.unwrap() {
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => break,
            _ => {}
        }
    }
    let _welcomed = allowed[0].control().await;
    assert!(allowed.iter().all(|connection| !*connection.closed.lock().unwrap()));
}

/// Streams are opened one after the other; the bucket refills by less than is asked for.
#[tokio::test]
async fn control_streams_are_opened_at_a_bounded_rate() {
    let node = Node::start(0, 2, TCP, &[]);
    let mut raw = Raw::connect(&identity(1), &node).await;
    let (started, asked) = (Instant::now(), 40 * limits::CONTROL_STREAM_BURST);
    let mut welcomed = 0;
    for _ in 0..asked {
        let mut stream = raw.open(CONTROL).await;
        welcomed += u32::from(matches!(within(stream.read_u8()).await, Ok(1)));
    }
    let refilled = limits::CONTROL_STREAMS_PER_SECOND * (started.elapsed().as_secs() as u32 + 1);
    assert!(welcomed <= limits::CONTROL_STREAM_BURST + refilled, "{welcomed} of {asked}");
    assert!(welcomed >= limits::CONTROL_STREAM_BURST);
}

/// Each frame is well formed and allowed by itself; the others' frames come between them.
#[tokio::test]
async fn a_member_that_floods_its_control_stream_holds_up_nobody() {
    let mut nodes = line(3, TCP).await;
    let flooder = nodes[2].network.clone();
    let flood = tokio::spawn(async move {
        loop {
            if flooder.send(id(0), vec![7; 1 << 16]).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    });
    // a frame of the flood is here, so the flood is on
    let from_flooder = |event| matches!(event, Event::Frame { from, .. } if from == id(2)).then_some(());
    nodes[0].next(from_flooder).await;
    for number in 0..20u8 {
        nodes[1].network.send(id(0), vec![number]).await.unwrap();
        let (mut between, mut found) = (0, None);
        while found.is_none() {
            let (from, bytes) = nodes[0].frame().await;
            if from == id(1) {
                found = Some(bytes);
            } else {
                between += 1;
            }
        }
        assert_eq!(found, Some(vec![number]));
        // what had come before, what waits for its turn, and what came while this one was on its way
        assert!(between < 1000, "{between} frames of the flood before one of another member");
    }
    flood.abort();
}

/// Whoever speaks too much on gossip is not heard beyond its budget, and others are.
#[tokio::test]
async fn a_flood_of_gossip_is_ignored_beyond_its_authors_budget() {
    let mut node = Node::start(0, 2, TCP, &[]);
    let liar = identity(1);
    let mut raw = Raw::connect(&liar, &node).await;
    let mut stream = raw.open(MESHSUB).await;
    let (started, said) = (Instant::now(), 40 * limits::GOSSIP_BURST);
    for sequence in 0..u64::from(said) {
        let forged = Forged { from: &liar, signer: Some(&liar), text: b"again and again", sequence };
        stream.write_all(&forged.rpc()).await.unwrap();
    }
    stream.flush().await.unwrap();
    let mut heard = 0;
    let quiet = std::time::Duration::from_secs(2);
    while let Ok(event) = tokio::time::timeout(quiet, node.events.next()).await {
        heard += u32::from(matches!(event, Some(Event::Gossip { .. })));
    }
    let refilled = limits::GOSSIP_PER_SECOND * (started.elapsed().as_secs() as u32 + 1);
    assert!(heard >= 1 && heard <= limits::GOSSIP_BURST + refilled, "{heard} of {said} are heard");
}
