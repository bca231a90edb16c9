//! Presence: where a member listens and what its application says of itself.
//!
//! It has no clock in it. A node draws an **incarnation** at random when it starts and counts its
//! announcements; within an incarnation only a higher counter replaces what is known.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use consort_protocol::{codec, ids::MemberId};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use super::relay;
use crate::{identity, limits};

/// What a member announces, as it travels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Presence {
    #[serde(deserialize_with = "codec::at_most::<{ limits::MAX_ADDRESSES }, _, _>")]
    pub(super) addresses: Vec<String>,
    #[serde(deserialize_with = "codec::at_most::<{ limits::MAX_STATUS_BYTES }, _, _>")]
    pub(super) status: Vec<u8>,
    pub(super) incarnation: u64,
    pub(super) counter: u64,
}

/// What members tell each other when a link comes up: themselves, and whom they know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) mine: Presence,
    /// What time it is, in seconds since 1970: for people ([`super::clocks`]).
    pub(super) clock: u64,
    #[serde(deserialize_with = "codec::at_most::<{ limits::MAX_EXCHANGE_MEMBERS }, _, _>")]
    pub(super) others: Vec<(MemberId, Vec<String>)>,
}

/// A presence that keeps to the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) status: Vec<u8>,
    pub(super) incarnation: u64,
    pub(super) counter: u64,
}

/// What is wrong with a presence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPresence {
    #[error("{found} addresses, at most {} are allowed", limits::MAX_ADDRESSES)]
    TooManyAddresses { found: usize },
    #[error("an address of {found} bytes, at most {} are allowed", limits::MAX_ADDRESS_BYTES)]
    LongAddress { found: usize },
    #[error("an address that is no multiaddress")]
    NoAddress,
    #[error("an address of another peer")]
    ForeignAddress,
}

impl Presence {
    pub(super) fn check(self, member: &MemberId) -> Result<Heard, BadPresence> {
        let addresses = check_addresses(member, &self.addresses)?;
        Ok(Heard { addresses, status: self.status, incarnation: self.incarnation, counter: self.counter })
    }
}

/// Parses addresses that are said to be a member's, and strips the peer id.
pub(super) fn check_addresses(
    member: &MemberId,
    addresses: &[String],
) -> Result<Vec<Multiaddr>, BadPresence> {
    if addresses.len() > limits::MAX_ADDRESSES {
        return Err(BadPresence::TooManyAddresses { found: addresses.len() });
    }
    addresses.iter().map(|address| check_address(member, address)).collect()
}

fn check_address(member: &MemberId, text: &str) -> Result<Multiaddr, BadPresence> {
    if text.len() > limits::MAX_ADDRESS_BYTES {
        return Err(BadPresence::LongAddress { found: text.len() });
    }
    let mut address: Multiaddr = text.parse().map_err(|_| BadPresence::NoAddress)?;
    match split_peer(&mut address) {
        Some(peer) if identity::member_id(&peer) != Ok(*member) => Err(BadPresence::ForeignAddress),
        _ if address.is_empty() => Err(BadPresence::NoAddress),
        _ => Ok(address),
    }
}

/// Takes the peer id off the end of an address.
pub(super) fn split_peer(address: &mut Multiaddr) -> Option<libp2p::PeerId> {
    let Some(Protocol::P2p(peer)) = address.iter().last() else { return None };
    address.pop();
    Some(peer)
}

/// What this node announces, and when.
pub(super) struct Announcer {
    incarnation: u64,
    counter: u64,
    /// Where the operator says that others find us.
    outside: Vec<Multiaddr>,
    listening: Vec<Multiaddr>,
    /// The relays that lead here.
    relays: Vec<PeerId>,
    /// Whether others can dial where they see us come from.
    forwarded: bool,
    /// The address that each member sees us come from.
    observed: BTreeMap<MemberId, IpAddr>,
    status: Vec<u8>,
    interval: Duration,
    last: Option<Instant>,
    due: Instant,
}

impl Announcer {
    /// `outside` is where others find us although nothing is bound there; `forwarded` where ports of another address
    /// outside of this machine may lead here, too.
    pub(super) fn new(members: usize, outside: Vec<Multiaddr>, forwarded: bool, now: Instant) -> Self {
        Self {
            incarnation: rand::random(),
            counter: 0,
            outside,
            listening: Vec::new(),
            relays: Vec::new(),
            forwarded,
            observed: BTreeMap::new(),
            status: Vec::new(),
            interval: limits::presence_interval(members),
            last: None,
            due: now,
        }
    }

    /// So many members there are from now on, this node included.
    pub(super) fn set_members(&mut self, members: usize) {
        self.interval = limits::presence_interval(members);
    }

    /// Addresses bound by the swarm.
    pub(super) fn listening(&self) -> &[Multiaddr] {
        &self.listening
    }

    pub(super) fn bound(&mut self, address: Multiaddr, now: Instant) {
        if !self.listening.contains(&address) {
            self.listening.push(address);
            self.changed(now);
        }
    }

    pub(super) fn unbound(&mut self, address: &Multiaddr, now: Instant) {
        self.listening.retain(|known| known != address);
        self.changed(now);
    }

    /// The relays that lead here from now on.
    pub(super) fn set_relays(&mut self, relays: Vec<PeerId>, now: Instant) {
        if self.relays != relays {
            self.relays = relays;
            self.changed(now);
        }
    }

    /// The ways through relays, as others dial them.
    pub(super) fn circuits(&self) -> impl Iterator<Item = Multiaddr> {
        self.relays.iter().copied().map(relay::through)
    }

    /// A member says from where it sees us. Through a relay it sees the relay.
    pub(super) fn observed(&mut self, by: MemberId, address: &Multiaddr, now: Instant) {
        if !self.forwarded || relay::is_circuit(address) {
            return;
        }
        let Some(ip) = ip_of(address) else { return };
        let before = self.addresses();
        self.observed.insert(by, ip);
        if self.addresses() != before {
            self.changed(now);
        }
    }

    pub(super) fn set_status(&mut self, status: Vec<u8>, now: Instant) {
        self.status = status;
        self.changed(now);
    }

    /// Somebody listens who has not heard us: announce again soon.
    pub(super) fn changed(&mut self, now: Instant) {
        let soonest = self.last.map_or(now, |last| last + limits::PRESENCE_SPACING);
        self.due = self.due.min(soonest.max(now));
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn announced(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = now + self.interval;
    }

    /// The next presence, with a counter of its own.
    pub(super) fn presence(&mut self) -> Presence {
        self.counter += 1;
        Presence {
            addresses: self.addresses().iter().map(Multiaddr::to_string).collect(),
            status: self.status.clone(),
            incarnation: self.incarnation,
            counter: self.counter,
        }
    }

    /// Where others may find us: through relays; where the operator says; what we listen on, without loopback as soon as there is
    /// more; and the same ports at an address from which two members at least see us come (port forwarding).
    fn addresses(&self) -> Vec<Multiaddr> {
        let reachable: Vec<_> = self
            .listening
            .iter()
            .filter(|address| ip_of(address).is_some_and(|ip| !ip.is_loopback()))
            .collect();
        let local = if reachable.is_empty() { self.listening.iter().collect() } else { reachable };
        let beside = self.circuits().chain(self.outside.iter().cloned());
        let mut addresses: Vec<Multiaddr> = beside.chain(local.into_iter().cloned()).collect();
        for ip in self.agreed() {
            for port in &self.listening {
                let address = with_ip(port, ip);
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses.truncate(limits::MAX_ADDRESSES);
        addresses
    }

    /// Outside addresses that two members agree on and that no interface has.
    fn agreed(&self) -> Vec<IpAddr> {
        let mut votes = BTreeMap::new();
        for ip in self.observed.values() {
            *votes.entry(*ip).or_insert(0usize) += 1;
        }
        let mine: Vec<_> = self.listening.iter().filter_map(ip_of).collect();
        let outside = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified() && !mine.contains(ip);
        votes.into_iter().filter(|(ip, count)| *count >= 2 && outside(ip)).map(|(ip, _)| ip).collect()
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The same port and protocols at another IP address.
fn with_ip(address: &Multiaddr, ip: IpAddr) -> Multiaddr {
    Multiaddr::from(ip).iter().chain(address.iter().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;

    fn member(seed: u8) -> MemberId {
        NodeIdentity::from_secret(&[seed; 32]).id()
    }

    fn texts(announcer: &mut Announcer) -> Vec<String> {
        announcer.presence().addresses
    }

    #[test]
    fn refuses_what_exceeds_the_limits() {
        let check = |addresses: Vec<String>| Presence { addresses, ..Presence::default() }.check(&member(1));
        let good = "/ip4/10.0.0.1/tcp/4040".to_owned();
        assert!(check(vec![good.clone(); limits::MAX_ADDRESSES]).is_ok());
        let many = check(vec![good; limits::MAX_ADDRESSES + 1]);
        assert_eq!(many, Err(BadPresence::TooManyAddresses { found: limits::MAX_ADDRESSES + 1 }));
        assert_eq!(check(vec!["10.0.0.1:4040".into()]), Err(BadPresence::NoAddress));
        assert_eq!(check(vec![String::new()]), Err(BadPresence::NoAddress));
        let long = format!("/dns4/{}/tcp/1", "a".repeat(limits::MAX_ADDRESS_BYTES));
        assert!(matches!(check(vec![long]), Err(BadPresence::LongAddress { .. })));
    }

    #[test]
    fn an_address_may_name_its_member_and_nobody_else() {
        let me = member(1);
        let with = |seed| format!("/ip4/10.0.0.1/tcp/4040/p2p/{}", identity::peer_id(&member(seed)).unwrap());
        let plain: Multiaddr = "/ip4/10.0.0.1/tcp/4040".parse().unwrap();
        assert_eq!(check_addresses(&me, &[with(1)]), Ok(vec![plain]));
        assert_eq!(check_addresses(&me, &[with(2)]), Err(BadPresence::ForeignAddress));
    }

    #[test]
    fn what_the_operator_says_is_announced_whatever_is_bound() {
        let now = Instant::now();
        let outside = vec!["/ip4/203.0.113.7/tcp/4040".parse().unwrap()];
        let mut announcer = Announcer::new(3, outside, false, now);
        assert_eq!(texts(&mut announcer), ["/ip4/203.0.113.7/tcp/4040"]);
        announcer.bound("/ip4/10.0.0.1/tcp/4040".parse().unwrap(), now);
        assert_eq!(texts(&mut announcer), ["/ip4/203.0.113.7/tcp/4040", "/ip4/10.0.0.1/tcp/4040"]);
    }

    #[test]
    fn loopback_is_announced_only_where_there_is_nothing_else() {
        let now = Instant::now();
        let mut announcer = Announcer::new(3, Vec::new(), true, now);
        announcer.bound("/ip4/127.0.0.1/tcp/4040".parse().unwrap(), now);
        assert_eq!(texts(&mut announcer), ["/ip4/127.0.0.1/tcp/4040"]);
        announcer.bound("/ip4/10.0.0.1/tcp/4040".parse().unwrap(), now);
        assert_eq!(texts(&mut announcer), ["/ip4/10.0.0.1/tcp/4040"]);
    }

    #[test]
    fn an_outside_address_needs_two_members_who_see_it() {
        let now = Instant::now();
        let mut announcer = Announcer::new(3, Vec::new(), true, now);
        announcer.bound("/ip4/10.0.0.1/udp/4040/quic-v1".parse().unwrap(), now);
        let seen: Multiaddr = "/ip4/203.0.113.7/udp/61234/quic-v1".parse().unwrap();
        announcer.observed(member(1), &seen, now);
        announcer.observed(member(1), &seen, now);
        assert_eq!(texts(&mut announcer).len(), 1, "one member alone could send all others anywhere");
        announcer.observed(member(2), &seen, now);
        let expected = ["/ip4/10.0.0.1/udp/4040/quic-v1", "/ip4/203.0.113.7/udp/4040/quic-v1"];
        assert_eq!(texts(&mut announcer), expected);
    }

    #[test]
    fn who_is_reached_through_relays_says_so_and_takes_no_relay_for_itself() {
        let now = Instant::now();
        let relay = identity::peer_id(&member(9)).unwrap();
        let mut announcer = Announcer::new(3, Vec::new(), true, now);
        announcer.bound("/ip4/10.0.0.1/tcp/4040".parse().unwrap(), now);
        let seen = relay::circuit(relay, &"/ip4/203.0.113.7/tcp/4040".parse().unwrap());
        announcer.observed(member(1), &seen, now);
        announcer.observed(member(2), &seen, now);
        assert_eq!(texts(&mut announcer), ["/ip4/10.0.0.1/tcp/4040"], "that is where the relay is");
        announcer.set_relays(vec![relay], now);
        let through = format!("/p2p/{relay}/p2p-circuit");
        assert_eq!(texts(&mut announcer), [through.as_str(), "/ip4/10.0.0.1/tcp/4040"]);
        let me = identity::peer_id(&member(1)).unwrap();
        let told = check_addresses(&member(1), &[through.clone(), format!("{through}/p2p/{me}")]).unwrap();
        assert_eq!(told, [relay::through(relay), relay::through(relay)]);
        announcer.set_relays(vec![], now);
        assert_eq!(texts(&mut announcer), ["/ip4/10.0.0.1/tcp/4040"]);
    }

    #[test]
    fn nobody_is_sent_to_an_outside_address_that_leads_nowhere() {
        let now = Instant::now();
        let mut announcer = Announcer::new(3, Vec::new(), false, now);
        announcer.bound("/ip4/10.0.0.1/tcp/4040".parse().unwrap(), now);
        for by in [1, 2] {
            announcer.observed(member(by), &"/ip4/203.0.113.7/tcp/61234".parse().unwrap(), now);
        }
        assert_eq!(texts(&mut announcer), ["/ip4/10.0.0.1/tcp/4040"]);
    }

    #[test]
    fn a_change_is_announced_soon_but_not_too_often() {
        let start = Instant::now();
        let mut announcer = Announcer::new(3, Vec::new(), true, start);
        announcer.announced(start);
        assert_eq!(announcer.due(), start + limits::PRESENCE_INTERVAL);
        announcer.set_status(vec![1], start);
        assert_eq!(announcer.due(), start + limits::PRESENCE_SPACING);
        let later = start + Duration::from_secs(1);
        announcer.announced(start);
        announcer.set_status(vec![2], later);
        assert_eq!(announcer.due(), later);
    }
}
