//! A member that floods everybody, and strangers at the door: the others complete their rounds.

use std::collections::BTreeMap;

use consort_node::{
    config::Reach,
    identity::NodeIdentity,
    network::{self, Network, NetworkConfig},
};
use consort_protocol::{codec, hash::Digest, messages::Message};
use futures::{StreamExt as _, future::join_all};
use libp2p::{Multiaddr, SwarmBuilder, noise, swarm::SwarmEvent, tcp, yamux};
use tokio::{io::AsyncWriteExt as _, task::JoinSet};

use super::{
    consortium::{ANY_PORT, Consortium, address, connected_to, within},
    rounds::{ints, members},
};

/// As much as it can, without a pause: frames that mean nothing, messages of no session, bulk streams
/// that never end.
fn flood(network: &Network, victims: &[consort_protocol::ids::MemberId], jobs: &mut JoinSet<()>) {
    for victim in victims.iter().copied() {
        let nonsense = network.clone();
        jobs.spawn(async move {
            let message = Message::Alive(Digest::default());
            let frames = [vec![0xff; 1 << 19], codec::encode(&message).unwrap_or_default(), vec![1, 99]];
            for frame in frames.iter().cycle() {
                if nonsense.send(victim, frame.clone()).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        });
        for _ in 0..8 {
            let bulk = network.clone();
            jobs.spawn(async move {
                loop {
                    if let Ok(mut stream) = bulk.open_bulk(victim).await {
                        // a request whose rest never comes
                        let _ = stream.write_all(&[0, 1, 1]).await;
                        std::future::pending::<()>().await;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
    }
    let gossip = network.clone();
    jobs.spawn(async move {
        loop {
            gossip.publish(vec![7; 1 << 15]);
            tokio::task::yield_now().await;
        }
    });
}

/// Somebody who is no member knocks again and again.
async fn knock(address: Multiaddr, seed: u8) {
    loop {
        let stranger = NodeIdentity::from_secret(&[seed; 32]);
        let swarm = SwarmBuilder::with_existing_identity(stranger.keypair())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .map(|builder| builder.with_behaviour(|_| libp2p_stream::Behaviour::new()));
        let Ok(Ok(builder)) = swarm else { return };
        let mut swarm = builder.build();
        let _ = swarm.dial(address.clone());
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => break,
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_under_a_flood_complete_their_rounds() {
    let consortium = Consortium::found(5);
    let nodes = consortium.nodes(&[0, 1, 2, 3]).await;
    let everybody = consortium.identities.iter().map(|identity| (identity.id(), Vec::new()));
    let (flooder, mut events) = network::start(NetworkConfig {
        identity: consortium.identities[4].keypair(),
        listen: vec![ANY_PORT.parse().unwrap()],
        reach: Reach::default(),
        remembered: BTreeMap::new(),
        peers: vec![address(&nodes[0]).await],
        members: everybody.collect::<BTreeMap<_, _>>(),
        consortium: *consortium.manifest().digest(),
    })
    .unwrap();
    let mut jobs = JoinSet::new();
    jobs.spawn(async move { while events.next().await.is_some() {} });
    for node in &nodes {
        connected_to(node, 4).await;
    }
    let victims: Vec<_> = (0..4).map(|index| consortium.id(index)).collect();
    flood(&flooder, &victims, &mut jobs);
    for (node, seed) in nodes.iter().zip(100..) {
        jobs.spawn(knock(address(node).await, seed));
    }
    for round in 0..2 {
        let inputs =
            nodes.iter().enumerate().map(|(who, node)| node.submit(ints(&[10_i64.pow(who as u32), round])));
        for result in within(join_all(inputs)).await {
            let result = result.unwrap();
            assert_eq!(members(&consortium, &result.survivors), [0, 1, 2, 3]);
            let sum = consort_protocol::array::Values::I64(vec![1111, 4 * round]);
            assert!(*result.aggregate.leaves[0].values() == sum);
        }
    }
    jobs.abort_all();
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
}
