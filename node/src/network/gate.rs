//! Admission: only members, and of each only so many connections.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    allow_block_list::{self, AllowedPeers},
    connection_limits::ConnectionLimits,
};

use super::Shared;
use crate::limits::{self, TokenBucket};

/// Refuses everybody else, in both directions.
pub(super) fn allow_list(
    members: impl IntoIterator<Item = PeerId>,
) -> allow_block_list::Behaviour<AllowedPeers> {
    let mut behaviour = allow_block_list::Behaviour::default();
    for member in members {
        behaviour.allow_peer(member);
    }
    behaviour
}

/// Bounds what members and strangers can hold open.
pub(super) fn connection_limits(members: usize) -> ConnectionLimits {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let established = members.saturating_mul(limits::MAX_CONNECTIONS_PER_PEER);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::MAX_PENDING_INCOMING.saturating_add(members)))
        .with_max_pending_outgoing(Some(2 * limits::MAX_DIALS as u32))
        .with_max_established_per_peer(Some(limits::MAX_CONNECTIONS_PER_PEER))
        .with_max_established(Some(established))
}

/// Counts refused strangers, and names the first of them in the log.
pub(super) struct Strangers {
    shared: Arc<Shared>,
    warnings: TokenBucket,
}

impl Strangers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            warnings: TokenBucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND, Instant::now()),
        }
    }

    pub(super) fn refused(&mut self, peer: &PeerId, address: &Multiaddr) {
        let total = self.shared.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.warnings.take(Instant::now()) {
            tracing::warn!(stranger = %peer, %address, total, "connection refused");
        }
    }
}
