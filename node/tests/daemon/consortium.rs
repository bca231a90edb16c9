//! A founded consortium with a home for each member.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use consort_node::{
    Node, NodeOptions,
    config::{Limits, Reach},
    consent::Consent,
    consortium::Draft,
    events::{NoObserver, Observer},
    home::Home,
    identity::{NodeIdentity, peer_id},
};
use consort_protocol::{
    ids::MemberId,
    manifest::{Chain, Manifest, ManifestBody, MemberEntry, Policy, SignedManifest},
};
use libp2p::Multiaddr;
use tempfile::TempDir;

pub(crate) const ANY_PORT: &str = "/ip4/127.0.0.1/tcp/0";

/// Turns a hang into a failure.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), what).await.expect("finished before the test's deadline")
}

/// Members, the manifest that all of them signed, and their homes.
pub(crate) struct Consortium {
    folder: TempDir,
    pub(crate) signed: SignedManifest,
    pub(crate) identities: Vec<NodeIdentity>,
}

impl Consortium {
    pub(crate) fn found(members: u8) -> Self {
        Self::with_policy(members, Policy { gather_ms: 3_000, ..Policy::default() })
    }

    pub(crate) fn with_policy(members: u8, policy: Policy) -> Self {
        let identities: Vec<NodeIdentity> =
            (0..members).map(|index| NodeIdentity::from_secret(&[index + 1; 32])).collect();
        let member = |(index, identity): (usize, &NodeIdentity)| MemberEntry {
            id: identity.id(),
            name: format!("member-{index}"),
            addresses: Vec::new(),
            may_aggregate: true,
        };
        let mut signed = SignedManifest::new(ManifestBody {
            name: "test".into(),
            epoch: 0,
            previous: None,
            members: identities.iter().enumerate().map(member).collect(),
            policy,
        });
        for identity in &identities {
            signed.sign(&identity.signing()).unwrap();
        }
        let consortium = Self { folder: TempDir::new().unwrap(), signed, identities };
        for (index, identity) in consortium.identities.iter().enumerate() {
            let home = Home::open(&consortium.home(index)).unwrap();
            identity.save(&home.identity()).unwrap();
            fs::write(home.config(), format!("listen = [\"{ANY_PORT}\"]\n")).unwrap();
        }
        Draft::first(consortium.signed.clone()).write(&consortium.file()).unwrap();
        consortium
    }

    pub(crate) fn home(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("home-{index}"))
    }

    /// The signed manifest.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("consortium.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::new(self.signed.clone().verify().unwrap())
    }

    pub(crate) fn chain(&self) -> Chain {
        Chain::verify([self.signed.clone()]).unwrap()
    }

    pub(crate) fn id(&self, index: usize) -> MemberId {
        self.identities[index].id()
    }

    pub(crate) fn index(&self, id: &MemberId) -> usize {
        self.identities.iter().position(|identity| identity.id() == *id).unwrap()
    }

    pub(crate) fn peer(&self, index: usize) -> String {
        peer_id(&self.id(index)).unwrap().to_string()
    }

    /// A node of this process.
    pub(crate) fn node(&self, index: usize, peers: Vec<Multiaddr>) -> Node {
        self.watched(index, peers, Arc::new(NoObserver))
    }

    /// A node of this process that somebody looks at.
    pub(crate) fn watched(&self, index: usize, peers: Vec<Multiaddr>, observer: Arc<dyn Observer>) -> Node {
        Node::start(self.options(index, self.chain(), peers), observer).unwrap()
    }

    /// A node of this process with other epochs than the founders had.
    pub(crate) fn started(&self, index: usize, chain: Chain, peers: Vec<Multiaddr>) -> Node {
        Node::start(self.options(index, chain, peers), Arc::new(NoObserver)).unwrap()
    }

    /// A node of this process that is reached in another way than the rest.
    pub(crate) fn reached(&self, index: usize, listen: &[&str], reach: Reach, peers: Vec<Multiaddr>) -> Node {
        let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
        let options = NodeOptions { listen, reach, ..self.options(index, self.chain(), peers) };
        Node::start(options, Arc::new(NoObserver)).unwrap()
    }

    fn options(&self, index: usize, consortium: Chain, peers: Vec<Multiaddr>) -> NodeOptions {
        let home = Home::open(&self.home(index)).unwrap();
        NodeOptions {
            identity: NodeIdentity::load(&home.identity()).unwrap(),
            home,
            consortium,
            listen: vec![ANY_PORT.parse().unwrap()],
            reach: Reach::default(),
            limits: Limits::default(),
            consent: Consent::default(),
            peers,
        }
    }

    /// Nodes of this process for these members, until each is connected with all others. Each knows one
    /// address of the one before it.
    pub(crate) async fn nodes(&self, indices: &[usize]) -> Vec<Node> {
        self.all_watched(indices, |_| NoObserver).await
    }

    /// The same, and somebody looks at each.
    pub(crate) async fn all_watched<O: Observer + 'static>(
        &self,
        indices: &[usize],
        by: impl Fn(usize) -> O,
    ) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for &index in indices {
            let peers = match nodes.last() {
                Some(before) => vec![address(before).await],
                None => Vec::new(),
            };
            nodes.push(self.watched(index, peers, Arc::new(by(index))));
        }
        for node in &nodes {
            connected_to(node, indices.len() - 1).await;
        }
        nodes
    }
}

/// Where a node of this process listens.
pub(crate) async fn address(node: &Node) -> Multiaddr {
    let mut addresses = node.network().listen_addresses();
    within(addresses.wait_for(|addresses| !addresses.is_empty())).await.unwrap()[0].clone()
}

/// Waits until links to so many members stand.
pub(crate) async fn connected_to(node: &Node, count: usize) {
    let mut connected = node.network().connected();
    within(connected.wait_for(|connected| connected.len() == count)).await.unwrap();
}

pub(crate) fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}
