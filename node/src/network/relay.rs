//! Circuit relay v2: members that others can dial pass connections on to those that they cannot.
//!
//! The circuit is a stream to the relay and one from there on. The two members run their own handshake and
//! encryption through it, so the relay sees who talks to whom, when and how much, and nothing else.
//! The gate keeps strangers from relays as from everything, so reservations and circuits are for members only.
//!
//! An address through a relay is announced as `/p2p/RELAY/p2p-circuit`: whoever reads it is connected to that
//! relay or will be, and needs to believe nobody about where it is.

use std::{num::NonZeroU32, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, relay};

use crate::limits;

/// The half that passes connections on, for a consortium of so many members.
pub(super) fn server(local: PeerId, members: usize) -> relay::Behaviour {
    let twice_each = members.saturating_mul(2);
    let burst = u32::try_from(twice_each).unwrap_or(u32::MAX).saturating_add(limits::CIRCUIT_BURST);
    let limits = relay::Config {
        max_reservations: members.saturating_mul(limits::MAX_CONNECTIONS_PER_PEER as usize),
        max_reservations_per_peer: limits::MAX_CONNECTIONS_PER_PEER as usize,
        reservation_duration: limits::RESERVATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits::MAX_CIRCUITS,
        max_circuits_per_peer: twice_each,
        max_circuit_duration: limits::CIRCUIT_DURATION,
        max_circuit_bytes: limits::CIRCUIT_BYTES,
        circuit_src_rate_limiters: Vec::new(),
    };
    // by member and not by address: several members may share one
    let limits = limits
        .reservation_rate_per_peer(at_least_one(limits::RESERVATION_BURST), limits::RESERVATION_INTERVAL)
        .circuit_src_per_peer(at_least_one(burst), Duration::from_secs(1));
    let mut server = relay::Behaviour::new(local, limits);
    server.set_status(Some(relay::Status::Enable));
    server
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// Whether a peer that speaks these protocols relays.
pub(super) fn offered(protocols: &[libp2p::StreamProtocol]) -> bool {
    protocols.contains(&relay::HOP_PROTOCOL_NAME)
}

/// Whether an address leads through a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay that an address leads through.
pub(super) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut last = None;
    for part in address {
        match part {
            Protocol::P2pCircuit => return last,
            Protocol::P2p(peer) => last = Some(peer),
            _ => {}
        }
    }
    None
}

/// How a member announces that a relay leads to it.
pub(super) fn through(relay: PeerId) -> Multiaddr {
    Multiaddr::empty().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

/// The same in full, with where the relay is.
pub(super) fn circuit(relay: PeerId, at: &Multiaddr) -> Multiaddr {
    let mut address = at.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;

    fn peer(seed: u8) -> PeerId {
        NodeIdentity::from_secret(&[seed; 32]).keypair().public().to_peer_id()
    }

    #[test]
    fn the_relay_is_found_in_short_and_full_addresses() {
        let at: Multiaddr = "/ip4/192.0.2.7/tcp/4040".parse().unwrap();
        for address in
            [through(peer(1)), circuit(peer(1), &at), circuit(peer(1), &at).with(Protocol::P2p(peer(2)))]
        {
            assert!(is_circuit(&address), "{address}");
            assert_eq!(relay_of(&address), Some(peer(1)), "{address}");
        }
        for direct in [at.clone(), at.with(Protocol::P2p(peer(1)))] {
            assert!(!is_circuit(&direct));
            assert_eq!(relay_of(&direct), None, "{direct}");
        }
        assert_eq!(relay_of(&"/p2p-circuit".parse().unwrap()), None);
    }

    #[test]
    fn a_full_address_names_the_relay_once() {
        let at: Multiaddr = format!("/ip4/192.0.2.7/tcp/4040/p2p/{}", peer(1)).parse().unwrap();
        assert_eq!(circuit(peer(1), &at).to_string(), format!("{at}/p2p-circuit"));
    }
}
