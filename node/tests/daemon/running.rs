//! Daemons that run: they find each other, admit no stranger, and stop when told.

use std::collections::{BTreeMap, BTreeSet};

use consort_node::{
    config::Reach,
    identity::NodeIdentity,
    network::{self, NetworkConfig},
};
use nix::sys::signal::Signal;

use super::{
    consortium::{ANY_PORT, Consortium, address, connected_to, within},
    process::Daemon,
};

#[tokio::test]
async fn whoever_knows_one_address_of_one_member_finds_all() {
    let consortium = Consortium::found(4);
    let file = consortium.file();
    let mut daemons: Vec<Daemon> = Vec::new();
    for index in 0..3 {
        let known: Vec<String> = daemons.last().map(|daemon| daemon.address.clone()).into_iter().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let daemon = Daemon::start(&consortium.home(index), &file, &known).await;
        assert_eq!(daemon.peer, consortium.peer(index));
        assert!(daemon.address.ends_with(&format!("/p2p/{}", daemon.peer)), "{}", daemon.address);
        daemons.push(daemon);
    }
    let node = consortium.node(3, vec![daemons[0].address.parse().unwrap()]);
    connected_to(&node, 3).await;
    for (index, daemon) in daemons.iter_mut().enumerate() {
        let mut met = BTreeSet::new();
        while met.len() < 3 {
            met.insert(daemon.logs("connected").await["peer"].as_str().unwrap().to_owned());
        }
        let others = (0..4).filter(|other| *other != index).map(|other| consortium.id(other).to_string());
        assert_eq!(met, others.collect());
    }
    assert!(address(&node).await.to_string().contains("127.0.0.1"));
    node.shutdown().await;
    for (daemon, signal) in daemons.into_iter().zip([Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM]) {
        assert_eq!(daemon.end(signal).await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn strangers_are_refused() {
    let consortium = Consortium::found(3);
    let mut daemon = Daemon::start(&consortium.home(0), &consortium.file(), &[]).await;
    let stranger = NodeIdentity::from_secret(&[99; 32]);
    let (network, _events) = network::start(NetworkConfig {
        identity: stranger.keypair(),
        listen: vec![ANY_PORT.parse().unwrap()],
        reach: Reach::default(),
        remembered: BTreeMap::new(),
        peers: vec![daemon.address.parse().unwrap()],
        // it thinks itself a member, and names the consortium rightly
        members: BTreeMap::from([(stranger.id(), vec![]), (consortium.id(0), vec![])]),
        consortium: *consortium.manifest().digest(),
    })
    .unwrap();
    let refusal = daemon.logs("connection refused").await;
    assert_eq!(refusal["stranger"], stranger.keypair().public().to_peer_id().to_string());
    assert_eq!(refusal["level"], "WARN");
    assert!(network.connected().borrow().is_empty());
    within(network.shutdown()).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}
