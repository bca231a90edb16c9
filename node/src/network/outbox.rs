//! Events of the swarm task that wait for the application.
//!
//! The swarm must never wait for the application, so they queue here, and the queue cannot grow: of a
//! member's comings and goings at most the last two matter, of its statuses the last, and gossip is dropped
//! when there is too much of it.

use std::collections::{BTreeMap, VecDeque};

use consort_protocol::ids::MemberId;

use super::Event;
use crate::limits;

#[derive(Default)]
pub(super) struct Outbox {
    links: VecDeque<(MemberId, bool)>,
    statuses: BTreeMap<MemberId, Vec<u8>>,
    gossip: VecDeque<(MemberId, Vec<u8>)>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.statuses.is_empty() && self.gossip.is_empty()
    }

    pub(super) fn connected(&mut self, member: MemberId) {
        self.links.push_back((member, true));
    }

    /// A connection of which the application has not heard yet is as if it had never been.
    pub(super) fn disconnected(&mut self, member: MemberId) {
        match self.links.iter().position(|link| *link == (member, true)) {
            Some(untold) => drop(self.links.remove(untold)),
            None => self.links.push_back((member, false)),
        }
    }

    pub(super) fn status(&mut self, member: MemberId, status: Vec<u8>) {
        self.statuses.insert(member, status);
    }

    /// Whether there was room.
    pub(super) fn gossip(&mut self, member: MemberId, bytes: Vec<u8>) -> bool {
        let room = self.gossip.len() < limits::GOSSIP_EVENTS;
        if room {
            self.gossip.push_back((member, bytes));
        }
        room
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        if let Some((member, up)) = self.links.pop_front() {
            return Some(if up { Event::Connected(member) } else { Event::Disconnected(member) });
        }
        if let Some((from, bytes)) = self.statuses.pop_first() {
            return Some(Event::Status { from, bytes });
        }
        self.gossip.pop_front().map(|(from, bytes)| Event::Gossip { from, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: MemberId = MemberId([1; 32]);

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop()).map(|event| format!("{event:?}")).collect()
    }

    #[test]
    fn a_flapping_member_costs_two_entries() {
        let mut outbox = Outbox::default();
        outbox.connected(WHO);
        assert!(matches!(outbox.pop(), Some(Event::Connected(WHO))));
        for _ in 0..1000 {
            outbox.disconnected(WHO);
            outbox.connected(WHO);
        }
        // The application believes in the first connection, so it must hear that this one is gone.
        assert_eq!(drain(&mut outbox), ["Disconnected(01010101)", "Connected(01010101)"]);
    }

    #[test]
    fn an_untold_connection_is_never_told() {
        let mut outbox = Outbox::default();
        outbox.connected(WHO);
        outbox.disconnected(WHO);
        assert!(outbox.is_empty());
    }

    #[test]
    fn only_the_last_status_waits_and_gossip_is_bounded() {
        let mut outbox = Outbox::default();
        outbox.status(WHO, vec![1]);
        outbox.status(WHO, vec![2]);
        let taken = (0..10_000).filter(|_| outbox.gossip(WHO, vec![])).count();
        assert_eq!(taken, limits::GOSSIP_EVENTS);
        assert!(matches!(outbox.pop(), Some(Event::Status { bytes, .. }) if bytes == [2]));
        assert_eq!(drain(&mut outbox).len(), limits::GOSSIP_EVENTS);
    }
}
