//! TCP with Noise and Yamux, QUIC, and circuits through relays with Noise and Yamux, under one swarm.

use std::net::{IpAddr, SocketAddr, TcpListener};

use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, identity::Keypair, multiaddr::Protocol, noise, quic, relay, tcp, yamux,
};

use super::{NetworkError, behaviour::Behaviour};
use crate::limits;

/// A swarm of so many members that listens nowhere yet.
pub(super) fn swarm(
    identity: Keypair,
    members: usize,
    behaviour: impl FnOnce(&Keypair, relay::client::Behaviour) -> Result<Behaviour, NetworkError>,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());
    let streams = limits::max_streams(members);
    let multiplexing = || multiplexing(streams);
    let swarm = SwarmBuilder::with_existing_identity(identity)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, multiplexing)
        .map_err(|error| setup(&error))?
        .with_quic_config(|config| quic(config, streams))
        .with_relay_client(noise::Config::new, multiplexing)
        .map_err(|error| setup(&error))?
        .with_behaviour(|identity, client| behaviour(identity, client).map_err(Into::into))
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(limits::IDLE_CONNECTION)
                .with_max_negotiating_inbound_streams(limits::MAX_NEGOTIATING_STREAMS)
        })
        .build();
    Ok(swarm)
}

/// Listens on an address, and says which one it was where that fails.
pub(super) fn listen(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Result<(), NetworkError> {
    let refused = |reason: String| NetworkError::Listen { address: address.clone(), reason };
    // libp2p listens with SO_REUSEPORT, under which a second node would share the port in silence and each
    // would get half of the connections. The standard library's listener does not, so it notices.
    if let Some(socket) = tcp_socket(&address) {
        TcpListener::bind(socket).map_err(|error| refused(error.to_string()))?;
    }
    swarm.listen_on(address.clone()).map_err(|error| refused(innermost(&error)))?;
    Ok(())
}

fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) if port != 0 => Some((ip, port).into()),
        _ => None,
    }
}

/// What the operating system said, below libp2p's wrappings.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn multiplexing(streams: usize) -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(streams);
    config
}

fn quic(mut config: quic::Config, streams: usize) -> quic::Config {
    config.max_idle_timeout = u32::try_from(limits::QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config.keep_alive_interval = limits::QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = u32::try_from(streams).unwrap_or(u32::MAX);
    config.max_stream_data = limits::QUIC_STREAM_WINDOW;
    config.max_connection_data = limits::QUIC_CONNECTION_WINDOW;
    config
}
