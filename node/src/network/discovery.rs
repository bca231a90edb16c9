//! Whom to dial, and when.
//!
//! Every member that is not connected and has a known address is dialled, a few at a time, with a pause
//! that doubles and jitters. Both ends may dial at once: the one with the lower id has a head start, and
//! where two connections arise nevertheless both are kept ([`limits::MAX_CONNECTIONS_PER_PEER`]). Nobody
//! closes a connection of two, so two nodes can never close each other's in turn.
//!
//! A relay is the second choice: it is tried where there is no direct address or all of them have just failed,
//! and a direct one is tried again now and then while the relay serves.

use std::{
    collections::BTreeMap,
    num::NonZeroU8,
    time::{Duration, Instant},
};

use consort_protocol::ids::MemberId;
use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts, dial_opts::PeerCondition},
};

use super::{address_book::AddressBook, relay};
use crate::{identity, limits};

/// The schedule of dials.
pub(super) struct Dialer {
    local: MemberId,
    /// Whether others can dial this node.
    dialable: bool,
    targets: BTreeMap<MemberId, Target>,
    seeds: Vec<Seed>,
    flights: BTreeMap<ConnectionId, Flight>,
}

/// Another member.
struct Target {
    peer: PeerId,
    reached: Reached,
    /// Direct addresses have just failed.
    relay_next: bool,
    /// Until then the other end is left to dial, where a relay would be needed from here.
    relay_after: Instant,
    pause: Pause,
}

/// How a member is connected.
enum Reached {
    Not,
    Relayed,
    /// By at least one connection of its own, the first of which leads there.
    Direct(Multiaddr),
}

/// How a member is dialled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Relay,
}

/// An address whose owner is not known yet.
struct Seed {
    address: Multiaddr,
    owner: Option<MemberId>,
    pause: Pause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flight {
    Member(MemberId, Way),
    Seed(usize),
}

/// When something may be tried again.
struct Pause {
    failures: u32,
    until: Instant,
    in_flight: bool,
}

impl Dialer {
    /// `dialable` where others can dial this node.
    pub(super) fn new(
        local: MemberId,
        others: BTreeMap<MemberId, PeerId>,
        dialable: bool,
        now: Instant,
    ) -> Self {
        let target = |(member, peer)| (member, Target::new(peer, now + head_start(&local, &member)));
        let targets = others.into_iter().map(target).collect();
        Self { local, dialable, targets, seeds: Vec::new(), flights: BTreeMap::new() }
    }

    /// Dials these members and nobody else from now on.
    pub(super) fn set_members(&mut self, others: &BTreeMap<MemberId, PeerId>, now: Instant) {
        self.targets.retain(|member, _| others.contains_key(member));
        for (member, peer) in others {
            let until = now + head_start(&self.local, member);
            self.targets.entry(*member).or_insert_with(|| Target::new(*peer, until));
        }
    }

    /// An address to begin with, whoever answers there.
    pub(super) fn add_seed(&mut self, address: Multiaddr, now: Instant) {
        self.seeds.push(Seed { address, owner: None, pause: Pause::new(now) });
    }

    /// There is a new address for this member, so waiting longer makes no sense.
    pub(super) fn hasten(&mut self, member: &MemberId, now: Instant) {
        let start = now + head_start(&self.local, member) + jittered(limits::DIAL_BACKOFF_MIN / 8);
        if let Some(target) = self.targets.get_mut(member) {
            target.pause.failures = 0;
            target.pause.until = target.pause.until.min(start);
            target.relay_after = now + limits::RELAY_HEAD_START;
        }
    }

    /// Somebody answers after nobody did: the line is up again, so whoever did not answer may do so now.
    pub(super) fn hasten_all(&mut self, now: Instant) {
        let members: Vec<_> = self.targets.keys().copied().collect();
        members.iter().for_each(|member| self.hasten(member, now));
    }

    /// The dials that are due; they count as in flight from now on.
    pub(super) fn due(&mut self, book: &AddressBook, now: Instant) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        while self.flights.len() < limits::MAX_DIALS
            && let Some((until, flight)) = self.next(book)
            && until <= now
        {
            let Some(options) = self.options(flight, book) else { break };
            self.flights.insert(options.connection_id(), flight);
            if let Some(pause) = self.pause(flight) {
                pause.in_flight = true;
            }
            dials.push(options);
        }
        dials
    }

    /// When [`Dialer::due`] should be asked again; `None` until something else happens.
    pub(super) fn wake(&self, book: &AddressBook) -> Option<Instant> {
        if self.flights.len() >= limits::MAX_DIALS {
            return None;
        }
        self.next(book).map(|(until, _)| until)
    }

    /// A dial led nowhere. A relay that leads to the member is tried at once.
    pub(super) fn failed(&mut self, connection: ConnectionId, book: &AddressBook, now: Instant) {
        let Some(flight) = self.flights.remove(&connection) else { return };
        if let Some(pause) = self.pause(flight) {
            pause.in_flight = false;
            pause.back_off(now);
        }
        let Flight::Member(member, way) = flight else { return };
        let relay = way == Way::Direct && self.relays(&member, book).next().is_some();
        if let Some(target) = self.targets.get_mut(&member) {
            target.relay_next = relay;
            match target.reached {
                Reached::Not if relay => target.pause.until = now,
                Reached::Relayed => target.pause.until = now + limits::DIRECT_RETRY,
                _ => {}
            }
        }
    }

    /// A seed's address turned out to be our own or to belong to no member; it is not tried again.
    pub(super) fn drop_seed(&mut self, connection: ConnectionId) {
        if let Some(Flight::Seed(index)) = self.flights.get(&connection).copied()
            && let Some(seed) = self.seeds.get_mut(index)
        {
            seed.owner = Some(self.local);
        }
    }

    /// A connection stands, by our dial or theirs: a direct one to this address, or one through a relay.
    pub(super) fn established(
        &mut self,
        connection: ConnectionId,
        member: &MemberId,
        direct: Option<&Multiaddr>,
        now: Instant,
    ) {
        if let Some(flight) = self.flights.remove(&connection) {
            if let Some(pause) = self.pause(flight) {
                pause.in_flight = false;
            }
            if let Flight::Seed(index) = flight
                && let Some(seed) = self.seeds.get_mut(index)
            {
                seed.owner = Some(*member);
            }
        }
        let Some(target) = self.targets.get_mut(member) else { return };
        match (direct, &target.reached) {
            (_, Reached::Direct(_)) | (None, Reached::Relayed) => {}
            (Some(address), _) => target.reached = Reached::Direct(address.clone()),
            (None, Reached::Not) => {
                // Where they have just failed, direct addresses can wait; where the member was faster, not.
                let pause = if target.relay_next { limits::DIRECT_RETRY } else { limits::DIAL_BACKOFF_MIN };
                target.reached = Reached::Relayed;
                target.relay_next = false;
                target.pause.until = now + pause;
            }
        }
    }

    /// The last direct connection to a member is gone, and one through a relay is left.
    pub(super) fn relay_is_left(&mut self, member: &MemberId, now: Instant) {
        if let Some(target) = self.targets.get_mut(member) {
            target.reached = Reached::Relayed;
            target.pause = Pause { in_flight: target.pause.in_flight, ..Pause::new(now) };
            target.pause.back_off(now);
        }
    }

    /// Where a direct connection to a member leads, if there is one.
    pub(super) fn direct(&self, member: &MemberId) -> Option<&Multiaddr> {
        match &self.targets.get(member)?.reached {
            Reached::Direct(address) => Some(address),
            _ => None,
        }
    }

    /// The last connection to a member is gone. Where it never welcomed us this counts as a failed dial, so
    /// that a member who refuses us is not called without end.
    pub(super) fn disconnected(&mut self, member: &MemberId, welcomed: bool, now: Instant) {
        let start = now + head_start(&self.local, member) + jittered(limits::DIAL_BACKOFF_MIN);
        if let Some(target) = self.targets.get_mut(member) {
            target.reached = Reached::Not;
            target.relay_next = false;
            target.relay_after = now + limits::RELAY_HEAD_START;
            if welcomed {
                target.pause = Pause { in_flight: target.pause.in_flight, ..Pause::new(start) };
            } else {
                target.pause.back_off(now);
            }
        }
        for seed in self.seeds.iter_mut().filter(|seed| seed.owner == Some(*member)) {
            seed.pause.back_off(now);
        }
    }

    fn next(&self, book: &AddressBook) -> Option<(Instant, Flight)> {
        let members = self.targets.iter().filter_map(|(member, target)| {
            let way = self.way(member, target, book)?;
            let until = match way {
                Way::Relay if self.dialable && !target.relay_next => {
                    target.pause.until.max(target.relay_after)
                }
                _ => target.pause.until,
            };
            Some((until, Flight::Member(*member, way)))
        });
        let seeds = self.seeds.iter().enumerate().filter(|(_, seed)| self.wanted(seed));
        let seeds = seeds.map(|(index, seed)| (seed.pause.until, Flight::Seed(index)));
        members.chain(seeds).min_by_key(|(until, _)| *until)
    }

    /// How a member is to be dialled next, if at all.
    fn way(&self, member: &MemberId, target: &Target, book: &AddressBook) -> Option<Way> {
        if target.pause.in_flight {
            return None;
        }
        match target.reached {
            Reached::Direct(_) => None,
            Reached::Relayed => book.knows_direct(member).then_some(Way::Direct),
            Reached::Not if !target.relay_next && book.knows_direct(member) => Some(Way::Direct),
            Reached::Not if self.relays(member, book).next().is_some() => Some(Way::Relay),
            Reached::Not => book.knows_direct(member).then_some(Way::Direct),
        }
    }

    /// Addresses through relays to which this node is connected itself.
    fn relays(&self, member: &MemberId, book: &AddressBook) -> impl Iterator<Item = Multiaddr> {
        book.relays(member).filter_map(|peer| {
            let at = self.direct(&identity::member_id(&peer).ok()?)?;
            Some(relay::circuit(peer, at))
        })
    }

    fn wanted(&self, seed: &Seed) -> bool {
        let connected = |target: &Target| !matches!(target.reached, Reached::Not);
        let reached = |owner: MemberId| self.targets.get(&owner).is_none_or(connected);
        !seed.pause.in_flight && !seed.owner.is_some_and(reached)
    }

    /// Always from a new port: with a shared one, two nodes that dial each other at the same time make one
    /// TCP connection in which both are the dialler, and its handshake fails.
    fn options(&self, flight: Flight, book: &AddressBook) -> Option<DialOpts> {
        match flight {
            Flight::Member(member, way) => {
                let target = self.targets.get(&member)?;
                let addresses = match way {
                    Way::Direct => book.direct(&member),
                    // one after the other: a second circuit would only be thrown away
                    Way::Relay => self.relays(&member, book).take(limits::MAX_RESERVATIONS).collect(),
                };
                let condition = match target.reached {
                    Reached::Relayed => PeerCondition::NotDialing,
                    _ => PeerCondition::DisconnectedAndNotDialing,
                };
                let options = DialOpts::peer_id(target.peer).addresses(addresses).condition(condition);
                let options = match way {
                    Way::Direct => options,
                    Way::Relay => options.override_dial_concurrency_factor(NonZeroU8::MIN),
                };
                Some(options.allocate_new_port().build())
            }
            Flight::Seed(index) => {
                let address = self.seeds.get(index)?.address.clone();
                Some(DialOpts::unknown_peer_id().address(address).allocate_new_port().build())
            }
        }
    }

    fn pause(&mut self, flight: Flight) -> Option<&mut Pause> {
        match flight {
            Flight::Member(member, _) => self.targets.get_mut(&member).map(|target| &mut target.pause),
            Flight::Seed(index) => self.seeds.get_mut(index).map(|seed| &mut seed.pause),
        }
    }
}

impl Target {
    /// Not reached yet, and not dialled before `until`.
    fn new(peer: PeerId, until: Instant) -> Self {
        Self { peer, reached: Reached::Not, relay_next: false, relay_after: until, pause: Pause::new(until) }
    }
}

impl Pause {
    fn new(until: Instant) -> Self {
        Self { failures: 0, until, in_flight: false }
    }

    fn back_off(&mut self, now: Instant) {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let pause = limits::DIAL_BACKOFF_MIN.saturating_mul(factor).min(limits::DIAL_BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = now + pause.mul_f64(rand::random_range(0.75..=1.0)).max(limits::DIAL_BACKOFF_MIN);
    }
}

fn head_start(local: &MemberId, other: &MemberId) -> Duration {
    if local < other { Duration::ZERO } else { limits::DIAL_HEAD_START }
}

fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests;
