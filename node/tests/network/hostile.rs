//! Peers that do not play by the rules, made of bare libp2p parts.

use consort_node::{
    identity::NodeIdentity,
    network::{Event, OpenError},
};
use futures::StreamExt as _;
use libp2p::{Multiaddr, swarm::SwarmEvent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    consortium::{CONSORTIUM, Node, QUIC, TCP, id, identity, line, within},
    raw::{MESHSUB, Raw},
};

async fn a_stranger_is_refused_and_members_go_on(listen: &str) {
    let mut nodes = line(2, listen).await;
    let stranger = identity(200);
    let name = stranger.id();
    let address: Multiaddr = nodes[0].address().await;
    for attempt in 1..=3 {
        let mut swarm = Raw::swarm(&stranger);
        swarm.dial(address.clone()).unwrap();
        loop {
            match within(swarm.next()).await.unwrap() {
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => break,
                _ => {}
            }
        }
        // The count belongs to a task that nothing else here waits for.
        within(async {
            while nodes[0].network.strangers_refused() < attempt {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    nodes[1].network.send(id(0), b"still here".to_vec()).await.unwrap();
    let frame = nodes[0].next(|event| match event {
        Event::Frame { from, bytes } if from == id(1) => Some(bytes),
        Event::Connected(member) | Event::Disconnected(member) if member == id(1) => None,
        Event::Status { from, .. } if from == id(1) => None,
        other => panic!("{name} got through: {other:?}"),
    });
    assert_eq!(frame.await, b"still here");
    assert_eq!(nodes[0].network.open_bulk(name).await.err(), Some(OpenError::NotConnected(name)));
}

#[tokio::test]
async fn a_stranger_is_refused_and_members_go_on_over_tcp() {
    a_stranger_is_refused_and_members_go_on(TCP).await;
}

#[tokio::test]
async fn a_stranger_is_refused_and_members_go_on_over_quic() {
    a_stranger_is_refused_and_members_go_on(QUIC).await;
}

/// A node whose manifest names people who do not know it: it calls, is refused, and believes nothing else.
#[tokio::test]
async fn who_is_not_admitted_never_believes_itself_connected() {
    let nodes = line(2, TCP).await;
    let mut members = super::consortium::manifest(2);
    members.insert(id(200), vec![]);
    let outside = Node::start_as(&identity(200), members, TCP, &[nodes[0].address().await]);
    within(async {
        while nodes[0].network.strangers_refused() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(outside.network.connected().borrow().is_empty());
    assert!(!outside.network.connected().has_changed().unwrap(), "it was told of a connection");
}

#[tokio::test]
async fn a_declared_length_is_refused_before_anything_follows() {
    let node = Node::start(0, 2, TCP, &[]);
    let mut raw = Raw::connect(&identity(1), &node).await;
    for header in [u32::MAX, (1 << 20) + 2, 0] {
        let mut stream = raw.control().await;
        stream.write_u32_le(header).await.unwrap();
        stream.flush().await.unwrap();
        // A node that took memory for the frame would wait here for its bytes, and so would this test.
        assert!(within(stream.read_u8()).await.is_err(), "length {header}");
    }
    let mut stream = raw.control().await;
    stream.write_all(&[2, 0, 0, 0, 99, 0]).await.unwrap();
    stream.flush().await.unwrap();
    assert!(within(stream.read_u8()).await.is_err(), "a frame of unknown kind");
    assert!(!*raw.closed.lock().unwrap(), "the connection itself goes on");
}

#[tokio::test]
async fn a_new_control_stream_replaces_the_old_one() {
    let node = Node::start(0, 2, TCP, &[]);
    let mut raw = Raw::connect(&identity(1), &node).await;
    let mut old = raw.control().await;
    let _new = raw.control().await;
    assert!(within(old.read_u8()).await.is_err());
}

/// What a test says on gossip, byte by byte, so that it can lie in any field.
pub(crate) struct Forged<'a> {
    pub(crate) from: &'a NodeIdentity,
    pub(crate) signer: Option<&'a NodeIdentity>,
    pub(crate) text: &'a [u8],
    pub(crate) sequence: u64,
}

impl Forged<'_> {
    /// A length-prefixed gossipsub RPC that publishes this message (specification: pubsub, "Message").
    pub(crate) fn rpc(&self) -> Vec<u8> {
        // Version 1, variant 1 (application), length, text.
        let content = [&[1, 1, u8::try_from(self.text.len()).unwrap()], self.text].concat();
        let topic = format!("consort/v1/{}", hex::encode(CONSORTIUM));
        let mut message = Vec::new();
        field(&mut message, 1, &self.from.keypair().public().to_peer_id().to_bytes());
        field(&mut message, 2, &content);
        field(&mut message, 3, &self.sequence.to_be_bytes());
        field(&mut message, 4, topic.as_bytes());
        if let Some(signer) = self.signer {
            let signed = [b"libp2p-pubsub:", message.as_slice()].concat();
            field(&mut message, 5, &signer.keypair().sign(&signed).unwrap());
        }
        let mut rpc = Vec::new();
        field(&mut rpc, 2, &message);
        let mut framed = varint(rpc.len());
        framed.extend(rpc);
        framed
    }
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    out.extend(varint(bytes.len()));
    out.extend(bytes);
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[tokio::test]
async fn forged_gossip_is_neither_believed_nor_passed_on() {
    let mut nodes: Vec<Node> = vec![Node::start(0, 3, TCP, &[])];
    let seed = nodes[0].address().await;
    nodes.push(Node::start(1, 3, TCP, &[seed]));
    nodes[0].connected_to(1).await;

    let (liar, victim, stranger) = (identity(2), identity(1), identity(200));
    let mut raw = Raw::connect(&liar, &nodes[0]).await;
    let mut stream = raw.open(MESHSUB).await;
    let say = |from, signer, text, sequence| Forged { from, signer, text, sequence }.rpc();
    let lies = [
        say(&stranger, Some(&stranger), b"a stranger, well signed", 1),
        say(&victim, None, b"a member, not signed", 2),
        say(&victim, Some(&liar), b"a member, signed by another", 3),
    ];
    // They are read in order, so once the true message has come the lies have been judged.
    for (bytes, sequence) in lies.into_iter().zip(10u64..) {
        stream.write_all(&bytes).await.unwrap();
        stream.write_all(&say(&liar, Some(&liar), b"true", sequence)).await.unwrap();
    }
    stream.flush().await.unwrap();
    let heard = |event| match event {
        Event::Gossip { from, bytes } => Some((from, bytes)),
        _ => None,
    };
    for _ in 0..3 {
        assert_eq!(nodes[0].next(heard).await, (id(2), b"true".to_vec()));
    }
    // Node 1 hears of it only through node 0, once the two are in each other's mesh.
    let mut sequence = 100;
    let passed_on = loop {
        stream.write_all(&say(&liar, Some(&liar), b"true", sequence)).await.unwrap();
        stream.flush().await.unwrap();
        sequence += 1;
        assert_eq!(nodes[0].next(heard).await, (id(2), b"true".to_vec()));
        let next = nodes[1].events.next();
        match tokio::time::timeout(std::time::Duration::from_millis(200), next).await {
            Ok(event) => {
                if let Some(found) = heard(event.unwrap()) {
                    break found;
                }
            }
            Err(_) => assert!(sequence < 700, "nothing was passed on"),
        }
    };
    assert_eq!(passed_on, (id(2), b"true".to_vec()));
}
