//! Where members may be found, and who said so.
//!
//! The member's own word (its presence) counts most, then the manifest and where it was really reached;
//! what third parties say are hints, kept in small number and never passed on. An address is never more
//! than a place to try: the handshake proves who answers.

use std::collections::{BTreeMap, VecDeque};

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, PeerId};

use super::{presence::Heard, relay};
use crate::limits;

/// What is known of every other member.
pub(super) struct AddressBook {
    entries: BTreeMap<MemberId, Entry>,
}

#[derive(Default)]
struct Entry {
    fixed: Vec<Multiaddr>,
    own: Vec<Multiaddr>,
    proven: Option<Multiaddr>,
    hints: VecDeque<Multiaddr>,
    /// Incarnation and counter of the presence known.
    heard: Option<(u64, u64)>,
    status: Option<Vec<u8>>,
}

/// What was new in a presence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// There is somewhere new to dial.
    pub(super) addresses: bool,
    /// The application status, where it changed.
    pub(super) status: Option<Vec<u8>>,
}

/// How a presence came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// From the member itself, over its own connection.
    Direct,
    /// Signed by the member, passed on by anybody, perhaps again and late.
    Gossip {
        /// Whether the member itself is connected.
        connected: bool,
    },
}

impl AddressBook {
    pub(super) fn new(members: impl IntoIterator<Item = (MemberId, Vec<Multiaddr>)>) -> Self {
        let entry = |(member, fixed)| (member, Entry { fixed, ..Entry::default() });
        Self { entries: members.into_iter().map(entry).collect() }
    }

    /// Knows these members and nobody else from now on, with these addresses from the manifest.
    pub(super) fn set_members(&mut self, members: impl IntoIterator<Item = (MemberId, Vec<Multiaddr>)>) {
        let mut known = std::mem::take(&mut self.entries);
        let entry = |(member, fixed)| {
            let entry = known.remove(&member).unwrap_or_default();
            (member, Entry { fixed, ..entry })
        };
        self.entries = members.into_iter().map(entry).collect();
    }

    /// An address that the operator gave.
    pub(super) fn add_fixed(&mut self, member: &MemberId, address: Multiaddr) {
        if let Some(entry) = self.entries.get_mut(member)
            && !entry.fixed.contains(&address)
        {
            entry.fixed.push(address);
        }
    }

    /// Takes a presence in. Within an incarnation the counter decides. Another incarnation is believed from
    /// the member itself, and from gossip only while the member is not connected: an old message that
    /// somebody repeats then does no harm beyond the next announcement.
    pub(super) fn hear(&mut self, member: &MemberId, heard: Heard, route: Route) -> News {
        let Some(entry) = self.entries.get_mut(member) else { return News::default() };
        let fresh = match entry.heard {
            Some((incarnation, counter)) if incarnation == heard.incarnation => heard.counter > counter,
            Some(_) => route != Route::Gossip { connected: true },
            None => true,
        };
        if !fresh {
            return News::default();
        }
        entry.heard = Some((heard.incarnation, heard.counter));
        let addresses = heard.addresses.iter().any(|address| !entry.own.contains(address));
        entry.own = heard.addresses;
        let changed = entry.status.as_ref() != Some(&heard.status);
        let status = changed.then(|| heard.status.clone());
        entry.status = Some(heard.status);
        News { addresses, status }
    }

    /// Takes in what a third party says; returns whether there is somewhere new to dial.
    pub(super) fn hint(&mut self, member: &MemberId, addresses: Vec<Multiaddr>) -> bool {
        let Some(entry) = self.entries.get_mut(member) else { return false };
        let mut new = false;
        for address in addresses {
            if entry.all().any(|known| *known == address) {
                continue;
            }
            if entry.hints.len() == limits::MAX_HINTS {
                entry.hints.pop_front();
            }
            entry.hints.push_back(address);
            new = true;
        }
        new
    }

    /// The member was reached there, directly.
    pub(super) fn reached(&mut self, member: &MemberId, address: Multiaddr) {
        if let Some(entry) = self.entries.get_mut(member) {
            entry.proven = Some(address);
        }
    }

    /// The member is gone: its next status is news again.
    pub(super) fn lost(&mut self, member: &MemberId) {
        if let Some(entry) = self.entries.get_mut(member) {
            entry.status = None;
        }
    }

    /// Whether there is anywhere to dial without a relay.
    pub(super) fn knows_direct(&self, member: &MemberId) -> bool {
        self.all(member).any(|address| !relay::is_circuit(address))
    }

    /// Where to dial without a relay, the most credible first.
    pub(super) fn direct(&self, member: &MemberId) -> Vec<Multiaddr> {
        let mut addresses = Vec::new();
        for address in self.all(member).filter(|address| !relay::is_circuit(address)) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses.truncate(limits::MAX_ADDRESSES);
        addresses
    }

    /// The relays that are said to lead to a member, the most credible first.
    pub(super) fn relays(&self, member: &MemberId) -> impl Iterator<Item = PeerId> {
        self.all(member).filter_map(relay::relay_of)
    }

    fn all(&self, member: &MemberId) -> impl Iterator<Item = &Multiaddr> {
        self.entries.get(member).into_iter().flat_map(Entry::all)
    }

    /// What is worth keeping for the next start: all but hints.
    pub(super) fn known(&self) -> BTreeMap<MemberId, Vec<Multiaddr>> {
        let known = self.entries.iter().map(|(member, entry)| (*member, entry.known()));
        known.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }

    /// What is worth telling a newcomer: all but hints.
    pub(super) fn known_to(&self, newcomer: &MemberId) -> Vec<(MemberId, Vec<String>)> {
        let others = self.entries.iter().filter(|(member, _)| *member != newcomer);
        let told = others.map(|(member, entry)| (*member, entry.told()));
        told.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }
}

impl Entry {
    fn credible(&self) -> impl Iterator<Item = &Multiaddr> {
        self.own.iter().chain(&self.proven).chain(&self.fixed)
    }

    fn all(&self) -> impl Iterator<Item = &Multiaddr> {
        self.credible().chain(&self.hints)
    }

    fn known(&self) -> Vec<Multiaddr> {
        let mut known = Vec::new();
        for address in self.credible() {
            if !known.contains(address) {
                known.push(address.clone());
            }
        }
        known.truncate(limits::MAX_ADDRESSES);
        known
    }

    fn told(&self) -> Vec<String> {
        let known = self.known().into_iter().map(|address| address.to_string());
        known.filter(|text| text.len() <= limits::MAX_ADDRESS_BYTES).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: MemberId = MemberId([1; 32]);
    const OTHER: MemberId = MemberId([2; 32]);
    const GOSSIP: Route = Route::Gossip { connected: false };
    const GOSSIP_WHILE_CONNECTED: Route = Route::Gossip { connected: true };

    fn book() -> AddressBook {
        AddressBook::new([(WHO, vec![]), (OTHER, vec![])])
    }

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn heard(port: u16, incarnation: u64, counter: u64) -> Heard {
        Heard { addresses: vec![at(port)], status: vec![], incarnation, counter }
    }

    #[test]
    fn the_counter_decides_within_an_incarnation() {
        let mut book = book();
        assert!(book.hear(&WHO, heard(1, 9, 5), GOSSIP).addresses);
        for route in [GOSSIP, GOSSIP_WHILE_CONNECTED, Route::Direct] {
            assert_eq!(book.hear(&WHO, heard(2, 9, 5), route), News::default(), "{route:?}");
            assert_eq!(book.hear(&WHO, heard(2, 9, 4), route), News::default(), "{route:?}");
        }
        assert!(book.hear(&WHO, heard(3, 9, 6), GOSSIP_WHILE_CONNECTED).addresses);
        assert_eq!(book.direct(&WHO), [at(3)]);
    }

    #[test]
    fn a_restarted_member_is_believed_and_an_old_message_is_not_while_it_is_connected() {
        let mut book = book();
        book.hear(&WHO, heard(1, 9, 500), GOSSIP);
        assert!(book.hear(&WHO, heard(2, 4, 1), Route::Direct).addresses);
        assert_eq!(book.hear(&WHO, heard(1, 9, 501), GOSSIP_WHILE_CONNECTED), News::default());
        assert_eq!(book.direct(&WHO), [at(2)]);
        assert!(book.hear(&WHO, heard(3, 7, 1), GOSSIP).addresses, "restarted elsewhere, not yet connected");
    }

    #[test]
    fn hints_are_few_and_never_passed_on() {
        let mut book = book();
        assert!(book.hint(&WHO, (0..100).map(at).collect()));
        assert_eq!(book.direct(&WHO).len(), limits::MAX_HINTS);
        assert!(book.known_to(&OTHER).is_empty());
        book.reached(&WHO, at(99));
        assert_eq!(book.known_to(&OTHER), [(WHO, vec![at(99).to_string()])]);
        assert!(book.known_to(&WHO).is_empty());
    }

    #[test]
    fn a_status_is_news_when_it_changes_or_after_a_loss() {
        let mut book = book();
        let says = |status: &[u8], counter| Heard { status: status.to_vec(), ..heard(1, 9, counter) };
        assert_eq!(book.hear(&WHO, says(b"a", 1), GOSSIP).status.as_deref(), Some(&b"a"[..]));
        assert_eq!(book.hear(&WHO, says(b"a", 2), GOSSIP).status, None);
        assert_eq!(book.hear(&WHO, says(b"b", 3), GOSSIP).status.as_deref(), Some(&b"b"[..]));
        book.lost(&WHO);
        assert_eq!(book.hear(&WHO, says(b"b", 4), GOSSIP).status.as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn ways_through_relays_are_kept_apart() {
        let relay = crate::identity::NodeIdentity::from_secret(&[7; 32]).keypair().public().to_peer_id();
        let mut book = book();
        let addresses = vec![relay::through(relay)];
        assert!(book.hear(&WHO, Heard { addresses, ..heard(1, 9, 1) }, GOSSIP).addresses);
        assert!(!book.knows_direct(&WHO));
        assert_eq!(book.relays(&WHO).collect::<Vec<_>>(), [relay]);
        book.hint(&WHO, vec![at(1)]);
        assert_eq!(book.direct(&WHO), [at(1)]);
        assert_eq!(book.known_to(&OTHER), [(WHO, vec![relay::through(relay).to_string()])]);
    }

    #[test]
    fn strangers_are_not_in_the_book() {
        let mut book = book();
        let stranger = MemberId([3; 32]);
        assert!(!book.hint(&stranger, vec![at(1)]));
        assert_eq!(book.hear(&stranger, heard(1, 1, 1), Route::Direct), News::default());
        assert!(!book.knows_direct(&stranger));
    }
}
