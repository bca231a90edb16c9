//! Where others find this node: what it listens on, which relays lead to it, and who is near.

use std::time::Instant;

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, PeerId, StreamProtocol, core::transport::ListenerId};

use super::{super::relay, Task, without_peer};
use crate::identity;

impl Task {
    /// Asks relays to lead others here, where this node wants that and a relay is due.
    pub(super) fn reserve(&mut self) {
        let now = Instant::now();
        while let Some((member, at)) = self.reservations.due(now) {
            let Some(peer) = self.peers.get(&member) else { return self.reservations.gone(&member) };
            match self.swarm.listen_on(relay::circuit(*peer, &at)) {
                Ok(listener) => self.reservations.asked(&member, listener),
                Err(error) => {
                    tracing::debug!(relay = %member, %error, "cannot ask the relay");
                    self.reservations.unasked(&member, now);
                }
            }
        }
    }

    pub(super) fn on_bound(&mut self, listener: ListenerId, address: Multiaddr) {
        if relay::is_circuit(&address) {
            if let Some(relay) = self.reservations.stands(listener) {
                tracing::debug!(%relay, "reservation");
                self.announce_relays();
            }
            return;
        }
        tracing::info!(%address, "listening");
        self.announcer.bound(address, Instant::now());
        self.vouch();
        self.publish_addresses();
    }

    pub(super) fn on_unbound(&mut self, addresses: &[Multiaddr]) {
        for address in addresses {
            tracing::info!(%address, "no longer listening");
            self.announcer.unbound(address, Instant::now());
            self.swarm.remove_external_address(address);
        }
        self.vouch();
        self.publish_addresses();
    }

    pub(super) fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        addresses: &[Multiaddr],
        reason: Option<std::io::Error>,
    ) {
        if self.reservations.closed(listener, Instant::now()) {
            tracing::debug!(?reason, "no reservation");
            self.announce_relays();
        } else {
            tracing::error!(?addresses, ?reason, "listener closed");
            self.on_unbound(addresses);
        }
    }

    /// Members learn which relays lead here.
    pub(super) fn announce_relays(&mut self) {
        let peers = self.reservations.standing().filter_map(|member| self.peers.get(member));
        let peers: Vec<PeerId> = peers.copied().collect();
        let before: Vec<_> = self.announcer.circuits().collect();
        self.announcer.set_relays(peers, Instant::now());
        let after: Vec<_> = self.announcer.circuits().collect();
        if before != after {
            tracing::info!(relays = ?after, "reached through relays");
            self.publish_addresses();
        }
    }

    /// A relay must name an address of its own with each reservation, or libp2p refuses it. Nobody reads it,
    /// see [`relay::through`].
    fn vouch(&mut self) {
        if self.relays
            && self.swarm.external_addresses().next().is_none()
            && let Some(address) = self.announcer.listening().first()
        {
            self.swarm.add_external_address(address.clone());
        }
    }

    /// A member says what it speaks; those that relay are worth asking.
    pub(super) fn on_protocols(&mut self, member: MemberId, protocols: &[StreamProtocol]) {
        if relay::offered(protocols)
            && let Some(at) = self.dialer.direct(&member)
        {
            self.reservations.offered(member, at.clone(), Instant::now());
        }
    }

    /// A direct connection takes the place of those through relays. Both ends may do so: neither closes the
    /// direct one, so one is always left.
    pub(super) fn prefer_direct(&mut self, member: &MemberId) {
        let Some(open) = self.connections.get(member) else { return };
        if open.iter().all(|connection| connection.relayed) {
            return;
        }
        for connection in open.iter().filter(|connection| connection.relayed) {
            tracing::info!(peer = %member, "reached without a relay now");
            self.swarm.close_connection(connection.id);
        }
    }

    /// Nodes on the local network. What they say is a place to try: the handshake proves who answers.
    pub(super) fn on_found_nearby(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        for (peer, address) in found {
            let Ok(member) = identity::member_id(&peer) else { continue };
            if self.book.hint(&member, vec![without_peer(address)]) {
                self.dialer.hasten(&member, Instant::now());
            }
        }
    }
}
