//! Members to test with: each on a runtime of its own, so that one can be killed like a process.

use std::{collections::BTreeMap, future::Future, time::Duration};

use consort_node::{
    config::Reach,
    identity::NodeIdentity,
    network::{self, Event, EventStream, Network, NetworkConfig},
};
use consort_protocol::ids::MemberId;
use libp2p::Multiaddr;
use tokio::runtime::{Builder, Runtime};

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// The digest that names the consortium of all tests.
pub(crate) const CONSORTIUM: [u8; 32] = [0xc0; 32];

/// Turns a hang into a failure.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), what).await.expect("finished before the test's deadline")
}

/// The members `0..count` of a consortium; the manifest gives no addresses.
pub(crate) fn manifest(count: u8) -> BTreeMap<MemberId, Vec<Multiaddr>> {
    (0..count).map(|index| (identity(index).id(), Vec::new())).collect()
}

pub(crate) fn identity(index: u8) -> NodeIdentity {
    NodeIdentity::from_secret(&[index + 1; 32])
}

pub(crate) fn id(index: u8) -> MemberId {
    identity(index).id()
}

/// A member that listens nowhere and wants nothing special.
pub(crate) fn config(
    identity: &NodeIdentity,
    members: BTreeMap<MemberId, Vec<Multiaddr>>,
    peers: &[Multiaddr],
) -> NetworkConfig {
    NetworkConfig {
        identity: identity.keypair(),
        listen: Vec::new(),
        reach: Reach::default(),
        peers: peers.to_vec(),
        members,
        remembered: BTreeMap::new(),
        consortium: CONSORTIUM,
    }
}

/// A running member.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) events: EventStream,
    runtime: Option<Runtime>,
}

impl Node {
    /// Starts member `index` of `count`.
    pub(crate) fn start(index: u8, count: u8, listen: &str, peers: &[Multiaddr]) -> Self {
        Self::start_as(&identity(index), manifest(count), listen, peers)
    }

    pub(crate) fn start_as(
        identity: &NodeIdentity,
        members: BTreeMap<MemberId, Vec<Multiaddr>>,
        listen: &str,
        peers: &[Multiaddr],
    ) -> Self {
        let listen = vec![listen.parse().unwrap()];
        Self::start_with(NetworkConfig { listen, ..config(identity, members, peers) })
    }

    pub(crate) fn start_with(config: NetworkConfig) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let (network, events) = network::start(config).unwrap();
        drop(entered);
        Self { network, events, runtime: Some(runtime) }
    }

    /// Where this node listens, with its peer id.
    pub(crate) async fn address(&self) -> Multiaddr {
        let mut addresses = self.network.listen_addresses();
        let bound = within(addresses.wait_for(|addresses| !addresses.is_empty())).await.unwrap();
        bound[0].clone()
    }

    /// Waits until links to exactly so many members stand.
    pub(crate) async fn connected_to(&self, count: usize) {
        let mut connected = self.network.connected();
        within(connected.wait_for(|connected| connected.len() == count)).await.unwrap();
    }

    /// The next event for which `pick` gives something; the others are passed over.
    pub(crate) async fn next<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        within(found).await
    }

    /// The next control frame, with its author.
    pub(crate) async fn frame(&mut self) -> (MemberId, Vec<u8>) {
        self.next(|event| match event {
            Event::Frame { from, bytes } => Some((from, bytes)),
            _ => None,
        })
        .await
    }
}

/// As abrupt as SIGKILL: no task runs on, nobody says goodbye.
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Members `0..count`, each of whom knows the one before it, until all are connected.
pub(crate) async fn line(count: u8, listen: &str) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..count {
        let seeds = match nodes.last() {
            Some(before) => vec![before.address().await],
            None => Vec::new(),
        };
        nodes.push(Node::start(index, count, listen, &seeds));
    }
    for node in &nodes {
        node.connected_to(usize::from(count) - 1).await;
    }
    nodes
}
