//! What every connection speaks.

use std::collections::BTreeMap;

use consort_protocol::ids::MemberId;
use libp2p::{
    PeerId, allow_block_list, connection_limits, identify,
    identity::Keypair,
    mdns, ping,
    relay::{self as circuit_relay, client},
    swarm::behaviour::toggle::Toggle,
};

use super::{NetworkError, gate, gossip, relay};
use crate::{config::Reach, limits};

/// The parts of the swarm. The gate comes first: whom it denies, nobody else ever sees.
#[derive(libp2p::swarm::NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) gossip: gossip::Gossipsub,
    pub(super) streams: libp2p_stream::Behaviour,
    pub(super) relay_client: client::Behaviour,
    pub(super) relay_server: Toggle<circuit_relay::Behaviour>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(super) fn new(
        identity: &Keypair,
        members: &BTreeMap<MemberId, PeerId>,
        topic: &gossip::Topic,
        reach: &Reach,
        relay_client: client::Behaviour,
    ) -> Result<Self, NetworkError> {
        // Presence tells addresses to members only, so identify keeps quiet about them, and remembers
        // none: dialling is the business of discovery alone.
        let identify = identify::Config::new("consort/1".to_owned(), identity.public())
            .with_agent_version(concat!("consort/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_hide_listen_addrs(true)
            .with_cache_size(0);
        let ping =
            ping::Config::new().with_interval(limits::PING_INTERVAL).with_timeout(limits::PING_TIMEOUT);
        let local = identity.public().to_peer_id();
        let relay_server = reach.relay.then(|| relay::server(local, members.len()));
        let mdns = reach.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), local));
        let mdns =
            mdns.transpose().map_err(|error| NetworkError::Setup(format!("multicast DNS: {error}")))?;
        Ok(Self {
            allowed: gate::allow_list(members.values().copied()),
            limits: connection_limits::Behaviour::new(gate::connection_limits(members.len())),
            ping: ping::Behaviour::new(ping),
            identify: identify::Behaviour::new(identify),
            gossip: gossip::behaviour(identity, topic)?,
            streams: libp2p_stream::Behaviour::new(),
            relay_client,
            relay_server: relay_server.into(),
            mdns: mdns.into(),
        })
    }
}
