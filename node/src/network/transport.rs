//! TCP with Noise and Yamux, and QUIC, under one swarm.

use libp2p::{Swarm, SwarmBuilder, identity::Keypair, noise, quic, tcp, yamux};

use super::{NetworkError, behaviour::Behaviour};
use crate::limits;

/// A swarm that listens nowhere yet.
pub(super) fn swarm(identity: Keypair, behaviour: Behaviour) -> Result<Swarm<Behaviour>, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());
    let swarm = SwarmBuilder::with_existing_identity(identity)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, multiplexing)
        .map_err(|error| setup(&error))?
        .with_quic_config(quic)
        .with_behaviour(|_| behaviour)
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(limits::IDLE_CONNECTION)
                .with_max_negotiating_inbound_streams(limits::MAX_NEGOTIATING_STREAMS)
        })
        .build();
    Ok(swarm)
}

fn multiplexing() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(limits::MAX_STREAMS);
    config
}

fn quic(mut config: quic::Config) -> quic::Config {
    config.max_idle_timeout = u32::try_from(limits::QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config.keep_alive_interval = limits::QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = limits::MAX_STREAMS as u32;
    config.max_stream_data = limits::QUIC_STREAM_WINDOW;
    config.max_connection_data = limits::QUIC_CONNECTION_WINDOW;
    config
}
