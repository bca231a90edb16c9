//! Members that nobody can dial, and the members that lead to them.

use consort_node::{
    config::Reach,
    identity::NodeIdentity,
    network::{Event, NetworkConfig},
};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise, relay,
    swarm::{SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::consortium::{Node, QUIC, TCP, config, id, identity, manifest, within};

const RELAY: Reach = Reach { announce: Vec::new(), relay: true, through_relay: false, mdns: false };

fn relaying(index: u8, count: u8, listen: &str) -> Node {
    let listen = vec![listen.parse().unwrap()];
    Node::start_with(NetworkConfig { listen, reach: RELAY, ..config(&identity(index), manifest(count), &[]) })
}

fn outbound_only(index: u8, count: u8, peers: &[Multiaddr]) -> Node {
    Node::start_with(config(&identity(index), manifest(count), peers))
}

pub(crate) fn peer(index: u8) -> PeerId {
    consort_node::identity::peer_id(&id(index)).unwrap()
}

/// Waits until a node is reached through a relay.
async fn led_to(node: &Node, relay: u8) {
    let mut addresses = node.network.listen_addresses();
    let wanted = format!("/p2p/{}/p2p-circuit", peer(relay));
    let stands =
        |addresses: &Vec<Multiaddr>| addresses.iter().any(|address| address.to_string().contains(&wanted));
    within(addresses.wait_for(stands)).await.unwrap();
}

async fn frame_from(node: &mut Node, from: u8) -> Vec<u8> {
    node.next(|event| match event {
        Event::Frame { from: author, bytes } if author == id(from) => Some(bytes),
        _ => None,
    })
    .await
}

async fn members_that_nobody_can_dial_talk_through_a_relay(listen: &str) {
    const BYTES: usize = 16 << 20;
    let relay = relaying(0, 3, listen);
    let peers = [relay.address().await];
    let (near, mut far) = (outbound_only(1, 3, &peers), outbound_only(2, 3, &peers));
    for node in [&relay, &near, &far] {
        node.connected_to(2).await;
    }
    led_to(&near, 0).await;
    led_to(&far, 0).await;
    near.network.send(id(2), b"through".to_vec()).await.unwrap();
    assert_eq!(frame_from(&mut far, 1).await, b"through");
    far.network.send(id(1), b"and back".to_vec()).await.unwrap();

    // far more than the 128 KiB after which a relay with libp2p's own limits hangs up
    let network = near.network.clone();
    let writer = tokio::spawn(async move {
        let mut stream = network.open_bulk(id(2)).await.unwrap();
        stream.write_all(&vec![7; BYTES]).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_u8().await.unwrap()
    });
    let mut stream = far
        .next(|event| match event {
            Event::Bulk { from, stream } if from == id(1) => Some(stream),
            _ => None,
        })
        .await;
    let mut received = Vec::new();
    within(stream.read_to_end(&mut received)).await.unwrap();
    assert!(received.len() == BYTES && received.iter().all(|byte| *byte == 7));
    stream.write_u8(9).await.unwrap();
    assert_eq!(within(writer).await.unwrap(), 9);
    assert!(relay.network.bytes_received() < 1 << 20, "the relay passes on what it does not read");
}

#[tokio::test]
async fn members_that_nobody_can_dial_talk_through_a_relay_over_tcp() {
    members_that_nobody_can_dial_talk_through_a_relay(TCP).await;
}

#[tokio::test]
async fn members_that_nobody_can_dial_talk_through_a_relay_over_quic() {
    members_that_nobody_can_dial_talk_through_a_relay(QUIC).await;
}

#[tokio::test]
async fn when_a_relay_goes_another_one_leads_on_and_the_first_is_asked_again_when_it_is_back() {
    let first = relaying(0, 4, TCP);
    let second = relaying(1, 4, TCP);
    let (at_first, at_second) = (first.address().await, second.address().await);
    let peers = [at_first.clone(), at_second];
    let mut nodes = [outbound_only(2, 4, &peers), outbound_only(3, 4, &peers)];
    for node in &nodes {
        node.connected_to(3).await;
        led_to(node, 0).await;
        led_to(node, 1).await;
    }
    drop(first);
    for node in &mut nodes {
        node.next(|event| matches!(event, Event::Disconnected(member) if member == id(0)).then_some(()))
            .await;
    }
    for node in &nodes {
        node.connected_to(2).await;
    }
    nodes[0].network.send(id(3), b"by the other one".to_vec()).await.unwrap();
    assert_eq!(frame_from(&mut nodes[1], 2).await, b"by the other one");

    let mut listen = at_first;
    assert!(matches!(listen.pop(), Some(Protocol::P2p(_))));
    let _back = relaying(0, 4, &listen.to_string());
    for node in &nodes {
        node.connected_to(3).await;
        led_to(node, 0).await;
    }
}

/// A peer made of bare libp2p parts that speaks to relays.
fn bare(identity: &NodeIdentity) -> Swarm<relay::client::Behaviour> {
    SwarmBuilder::with_existing_identity(identity.keypair())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_, client| client)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(60)))
        .build()
}

/// Asks a node for a reservation; whether it gives one.
async fn reservation(identity: &NodeIdentity, at: &Multiaddr) -> bool {
    let mut swarm = bare(identity);
    swarm.listen_on(at.clone().with(Protocol::P2pCircuit)).unwrap();
    loop {
        match within(swarm.next()).await.unwrap() {
            SwarmEvent::NewListenAddr { .. } => return true,
            SwarmEvent::ListenerClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return false,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_stranger_gets_no_reservation() {
    let relay = relaying(0, 3, TCP);
    let at = relay.address().await;
    assert!(!reservation(&identity(200), &at).await);
    within(async {
        while relay.network.strangers_refused() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(reservation(&identity(1), &at).await, "a member gets one");
}

#[tokio::test]
async fn who_does_not_offer_to_relay_does_not() {
    let node = Node::start(0, 3, TCP, &[]);
    assert!(!reservation(&identity(1), &node.address().await).await);
}

#[tokio::test]
async fn a_stranger_gets_no_circuit_and_a_member_does() {
    let relay = relaying(0, 3, TCP);
    let at = relay.address().await;
    let node = outbound_only(1, 3, std::slice::from_ref(&at));
    led_to(&node, 0).await;
    for (caller, welcome) in [(200, false), (2, true)] {
        let mut swarm = bare(&identity(caller));
        let circuit = at.clone().with(Protocol::P2pCircuit);
        swarm.dial(DialOpts::peer_id(peer(1)).addresses(vec![circuit]).build()).unwrap();
        let reached = loop {
            match within(swarm.next()).await.unwrap() {
                SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer(1) => break true,
                SwarmEvent::OutgoingConnectionError { peer_id, .. } if peer_id == Some(peer(1)) => {
                    break false;
                }
                _ => {}
            }
        };
        assert_eq!(reached, welcome, "{caller}");
    }
}

#[tokio::test]
async fn a_direct_connection_takes_the_place_of_one_through_a_relay() {
    let relay = relaying(0, 3, TCP);
    let at = relay.address().await;
    let reach = Reach { through_relay: true, ..Reach::default() };
    let listen = vec![TCP.parse().unwrap()];
    let node = Node::start_with(NetworkConfig {
        listen,
        reach,
        ..config(&identity(1), manifest(3), std::slice::from_ref(&at))
    });
    led_to(&node, 0).await;
    let mut swarm = bare(&identity(2));
    let circuit = at.with(Protocol::P2pCircuit);
    swarm.dial(DialOpts::peer_id(peer(1)).addresses(vec![circuit]).build()).unwrap();
    let mut connections = Vec::new();
    let closed = loop {
        match within(swarm.next()).await.unwrap() {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if peer_id == peer(1) => {
                connections.push(endpoint.is_relayed());
                if endpoint.is_relayed() {
                    // its first address: those of its own come before those through relays
                    let direct = DialOpts::peer_id(peer(1)).addresses(vec![node.address().await]);
                    let always = libp2p::swarm::dial_opts::PeerCondition::Always;
                    swarm.dial(direct.condition(always).build()).unwrap();
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, num_established, .. } if peer_id == peer(1) => {
                break (endpoint.is_relayed(), num_established);
            }
            _ => {}
        }
    };
    assert_eq!((connections, closed), (vec![true, false], (true, 1)));
}
