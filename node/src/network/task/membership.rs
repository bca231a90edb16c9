//! Members come and go while the node runs.

use std::time::Instant;

use super::{Task, setup::peer_ids, without_peer};
use crate::network::gate;

impl Task {
    /// The gate closes the connections of those who are no members any more, and lets in those who are new.
    pub(super) fn on_members(&mut self) {
        let mut members = self.members.borrow_and_update().clone();
        let mut peers = match peer_ids(&members) {
            Ok(peers) => peers,
            Err(error) => return tracing::error!(%error, "members stay as they are"),
        };
        members.remove(&self.local);
        peers.remove(&self.local);
        let now = Instant::now();
        let behaviour = self.swarm.behaviour_mut();
        *behaviour.limits.limits_mut() = gate::connection_limits(peers.len() + 1);
        let (gone, stay): (Vec<_>, Vec<_>) =
            self.peers.iter().partition(|(member, _)| !peers.contains_key(*member));
        for (_, peer) in &gone {
            behaviour.allowed.disallow_peer(**peer);
        }
        let cut_off = self.cut_off.borrow();
        for (member, peer) in &peers {
            if !cut_off.contains(member) && !stay.iter().any(|(known, _)| *known == member) {
                behaviour.allowed.allow_peer(*peer);
                tracing::info!(peer = %member, "admitted");
            }
        }
        drop(cut_off);
        let gone: Vec<_> = gone.into_iter().map(|(member, _)| *member).collect();
        for member in gone {
            tracing::info!(peer = %member, "removed");
            self.unlink(&member);
            self.connections.remove(&member);
        }
        self.judge.set_members(peers.keys().copied().chain([self.local]));
        let fixed = members.into_iter();
        self.book.set_members(
            fixed.map(|(member, addresses)| (member, addresses.into_iter().map(without_peer).collect())),
        );
        self.dialer.set_members(&peers, now);
        self.announcer.set_members(peers.len() + 1);
        self.announcer.changed(now);
        self.peers = peers;
    }
}
