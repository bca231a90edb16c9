//! A peer made of bare libp2p parts: it opens whatever streams a test likes, and answers none.

use std::sync::{Arc, Mutex};

use consort_node::identity::NodeIdentity;
use futures::StreamExt as _;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, noise,
    swarm::{SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::{io::AsyncReadExt as _, task::JoinHandle};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use super::consortium::{Node, within};

pub(crate) const CONTROL: StreamProtocol = StreamProtocol::new("/consort/1/control");
pub(crate) const MESHSUB: StreamProtocol = StreamProtocol::new("/meshsub/1.1.0");

/// See above.
pub(crate) struct Raw {
    control: libp2p_stream::Control,
    peer: PeerId,
    _task: JoinHandle<()>,
    pub(crate) closed: Arc<Mutex<bool>>,
}

impl Raw {
    pub(crate) fn swarm(identity: &NodeIdentity) -> Swarm<libp2p_stream::Behaviour> {
        SwarmBuilder::with_existing_identity(identity.keypair())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_quic()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .build()
    }

    /// Connects to a node that lets it in.
    pub(crate) async fn connect(identity: &NodeIdentity, node: &Node) -> Self {
        let peer = consort_node::identity::peer_id(&node.network.local()).unwrap();
        let mut swarm = Self::swarm(identity);
        let mut control = swarm.behaviour().new_control();
        // A peer that takes no gossip would not be listened to either.
        let mut gossip = control.accept(MESHSUB).unwrap();
        tokio::spawn(async move {
            while let Some((_, stream)) = gossip.next().await {
                tokio::spawn(
                    async move { tokio::io::copy(&mut stream.compat(), &mut tokio::io::sink()).await },
                );
            }
        });
        let options = DialOpts::peer_id(peer).addresses(vec![node.address().await]).build();
        swarm.dial(options).unwrap();
        while !matches!(within(swarm.next()).await.unwrap(), SwarmEvent::ConnectionEstablished { .. }) {}
        let closed = Arc::new(Mutex::new(false));
        let seen = closed.clone();
        let task = tokio::spawn(async move {
            loop {
                if let SwarmEvent::ConnectionClosed { .. } = swarm.select_next_some().await {
                    *seen.lock().unwrap() = true;
                }
            }
        });
        Self { control, peer, _task: task, closed }
    }

    pub(crate) async fn open(&mut self, protocol: StreamProtocol) -> Compat<libp2p::Stream> {
        within(self.control.open_stream(self.peer, protocol)).await.unwrap().compat()
    }

    /// The streams of this protocol that the node opens.
    pub(crate) fn accept(&mut self, protocol: StreamProtocol) -> libp2p_stream::IncomingStreams {
        self.control.accept(protocol).unwrap()
    }

    /// A control stream that the node has welcomed.
    pub(crate) async fn control(&mut self) -> Compat<libp2p::Stream> {
        let mut stream = self.open(CONTROL).await;
        assert_eq!(within(stream.read_u8()).await.unwrap(), 1);
        stream
    }
}
