//! A relay that answers in the place of the member to whom it should lead.

use consort_node::network::NetworkConfig;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{Multiaddr, core::upgrade::InboundConnectionUpgrade as _, multiaddr::Protocol, noise, relay};

use super::{
    consortium::{Node, TCP, config, id, identity, manifest, within},
    raw::Raw,
    relays::peer,
};

/// The relay says that the circuit stands, and answers itself. It gets through the handshake, with its own key.
#[tokio::test]
async fn a_relay_that_answers_in_the_place_of_a_member_is_found_out() {
    let way = Multiaddr::empty().with(Protocol::P2p(peer(1))).with(Protocol::P2pCircuit);
    let node = Node::start_with(NetworkConfig {
        listen: vec![TCP.parse().unwrap()],
        remembered: [(id(2), vec![way])].into(),
        ..config(&identity(0), manifest(3), &[])
    });
    let mut liar = Raw::connect(&identity(1), &node).await;
    let mut asked = liar.accept(relay::HOP_PROTOCOL_NAME);
    let (_, mut circuit) = within(asked.next()).await.unwrap();
    let length = usize::from(read(&mut circuit, 1).await[0]);
    assert!(read(&mut circuit, length).await.ends_with(&peer(2).to_bytes()), "it asks for member 2");
    // type: status, status: ok
    circuit.write_all(&[4, 0x08, 2, 0x28, 100]).await.unwrap();
    // multistream-select, and the one handshake that there is
    let (version, handshake) = (b"\x13/multistream/1.0.0\n", b"\x07/noise\n");
    assert_eq!(read(&mut circuit, version.len()).await, version);
    circuit.write_all(version).await.unwrap();
    assert_eq!(read(&mut circuit, handshake.len()).await, handshake);
    circuit.write_all(handshake).await.unwrap();
    circuit.flush().await.unwrap();
    let noise = noise::Config::new(&identity(1).keypair()).unwrap();
    let (dialler, mut inside) = within(noise.upgrade_inbound(circuit, "/noise")).await.unwrap();
    assert_eq!(dialler, peer(0));
    let mut said = Vec::new();
    // it hangs up, with or without a goodbye
    let _ = within(inside.read_to_end(&mut said)).await;
    assert!(!String::from_utf8_lossy(&said).contains("consort"), "it has begun to talk");
    assert!(!node.network.connected().borrow().contains(&id(2)));
}

async fn read(stream: &mut libp2p::Stream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}
