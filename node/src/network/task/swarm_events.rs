//! What the swarm says, and what follows from it.

use std::{num::NonZeroU32, time::Duration, time::Instant};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    gossipsub::{self, MessageAcceptance},
    identify, mdns, ping,
    swarm::{ConnectionId, DialError, ListenError, SwarmEvent},
};

use super::{
    super::{address_book::Route, behaviour::BehaviourEvent, gossip::Said},
    Connection, Task, without_peer,
};
use crate::identity;

impl Task {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id, connection_id, endpoint, num_established, ..
            } => {
                self.on_established(&peer_id, connection_id, &endpoint, num_established);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                self.on_closed(
                    &peer_id,
                    connection_id,
                    num_established,
                    cause.map(|cause| cause.to_string()),
                );
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_error(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { peer_id, send_back_addr, error, .. } => {
                self.on_incoming_error(peer_id, &send_back_addr, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_bound(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_unbound(&[address]),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.on_listener_closed(listener_id, &addresses, reason.err());
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                if let Ok(member) = identity::member_id(&peer_id) {
                    self.announcer.observed(member, &info.observed_addr, Instant::now());
                    self.on_protocols(member, &info.protocols);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_found_nearby(found),
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(ping::Failure::Timeout) }) => {
                tracing::warn!(peer = %self.short(&peer), "no answer, connection closed");
                self.swarm.close_connection(connection);
            }
            _ => {}
        }
    }

    fn on_established(
        &mut self,
        peer: &PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        established: NonZeroU32,
    ) {
        let Ok(member) = identity::member_id(peer) else { return };
        let (address, relayed) = (endpoint.get_remote_address(), endpoint.is_relayed());
        self.dialer.established(connection, &member, (!relayed).then_some(address), Instant::now());
        let open = self.connections.entry(member).or_default();
        open.push(Connection { id: connection, relayed });
        if let (ConnectedPoint::Dialer { address, .. }, false) = (endpoint, relayed) {
            self.book.reached(&member, without_peer(address.clone()));
            self.publish_known();
        }
        tracing::debug!(peer = %member, %address, relayed, established, "connection");
        if established.get() == 1 {
            self.link(member, false, Duration::ZERO);
        } else {
            self.prefer_direct(&member);
        }
    }

    fn on_closed(&mut self, peer: &PeerId, connection: ConnectionId, remaining: u32, cause: Option<String>) {
        let Ok(member) = identity::member_id(peer) else { return };
        tracing::debug!(peer = %member, remaining, ?cause, "connection closed");
        if let Some(open) = self.connections.get_mut(&member) {
            open.retain(|other| other.id != connection);
            if open.iter().all(|other| other.relayed) {
                self.reservations.gone(&member);
                self.announce_relays();
                if remaining > 0 && self.dialer.direct(&member).is_some() {
                    self.dialer.relay_is_left(&member, Instant::now());
                }
            }
        }
        if remaining == 0 {
            let welcomed = self.unlink(&member);
            self.dialer.disconnected(&member, welcomed, Instant::now());
        }
    }

    fn on_dial_error(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        tracing::debug!(peer = ?peer.map(|peer| self.short(&peer)), %error, "dial failed");
        if let DialError::LocalPeerId { .. } = error {
            self.dialer.drop_seed(connection);
        }
        self.dialer.failed(connection, &self.book, Instant::now());
    }

    /// A peer whose key is known by now and who is no member was refused for that.
    fn on_incoming_error(&mut self, peer: Option<PeerId>, address: &Multiaddr, error: &ListenError) {
        let member = peer.and_then(|peer| identity::member_id(&peer).ok());
        let known = member.is_some_and(|member| self.peers.contains_key(&member) || member == self.local);
        match peer {
            Some(peer) if !known => self.strangers.refused(&peer, address),
            _ => tracing::debug!(?member, %address, %error, "incoming connection failed"),
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let acceptance = self.on_message(&propagation_source, &message);
                self.swarm.behaviour_mut().gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            // Somebody listens now who did not hear our last announcement.
            gossipsub::Event::Subscribed { .. } => self.announcer.changed(Instant::now()),
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %self.short(&peer_id), "gossip to this peer is slow");
            }
            _ => {}
        }
    }

    fn on_message(&mut self, via: &PeerId, message: &gossipsub::Message) -> MessageAcceptance {
        self.shared.traffic.add_received(message.data.len());
        let (author, said) = match self.judge.judge(message, Instant::now()) {
            Ok(judged) => judged,
            Err(refusal) => {
                if self.judge.worth_a_warning(Instant::now()) {
                    tracing::warn!(via = %self.short(via), author = ?message.source, %refusal, "gossip refused");
                }
                return refusal.acceptance();
            }
        };
        match said {
            Said::Presence(heard) => {
                let connected = self.links.contains_key(&author);
                self.hear(author, heard, Route::Gossip { connected });
            }
            Said::Application(bytes) => {
                if !self.outbox.gossip(author, bytes) {
                    tracing::warn!(peer = %author, "gossip dropped: the application is behind");
                    return MessageAcceptance::Ignore;
                }
            }
        }
        MessageAcceptance::Accept
    }

    /// A peer as logs name it.
    fn short(&self, peer: &PeerId) -> String {
        identity::member_id(peer).map_or_else(|_| peer.to_string(), |member| member.to_string())
    }
}
