//! Whom to dial, and when.
//!
//! Every member that is not connected and has a known address is dialled, a few at a time, with a pause
//! that doubles and jitters. Both ends may dial at once: the one with the lower id has a head start, and
//! where two connections arise nevertheless both are kept ([`limits::MAX_CONNECTIONS_PER_PEER`]). Nobody
//! closes a connection of two, so two nodes can never close each other's in turn.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use consort_protocol::ids::MemberId;
use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts, dial_opts::PeerCondition},
};

use super::address_book::AddressBook;
use crate::limits;

/// The schedule of dials.
pub(super) struct Dialer {
    local: MemberId,
    targets: BTreeMap<MemberId, Target>,
    seeds: Vec<Seed>,
    flights: BTreeMap<ConnectionId, Flight>,
}

/// Another member.
struct Target {
    peer: PeerId,
    connected: bool,
    pause: Pause,
}

/// An address whose owner is not known yet.
struct Seed {
    address: Multiaddr,
    owner: Option<MemberId>,
    pause: Pause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flight {
    Member(MemberId),
    Seed(usize),
}

/// When something may be tried again.
struct Pause {
    failures: u32,
    until: Instant,
    in_flight: bool,
}

impl Dialer {
    pub(super) fn new(local: MemberId, others: BTreeMap<MemberId, PeerId>, now: Instant) -> Self {
        let target = |(member, peer)| {
            let until = now + head_start(&local, &member);
            (member, Target { peer, connected: false, pause: Pause::new(until) })
        };
        let targets = others.into_iter().map(target).collect();
        Self { local, targets, seeds: Vec::new(), flights: BTreeMap::new() }
    }

    /// Dials these members and nobody else from now on.
    pub(super) fn set_members(&mut self, others: &BTreeMap<MemberId, PeerId>, now: Instant) {
        self.targets.retain(|member, _| others.contains_key(member));
        for (member, peer) in others {
            let until = now + head_start(&self.local, member);
            let new = Target { peer: *peer, connected: false, pause: Pause::new(until) };
            self.targets.entry(*member).or_insert(new);
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
        }
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

    /// A dial led nowhere.
    pub(super) fn failed(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(flight) = self.flights.remove(&connection)
            && let Some(pause) = self.pause(flight)
        {
            pause.in_flight = false;
            pause.back_off(now);
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

    /// A connection stands, by our dial or theirs.
    pub(super) fn established(&mut self, connection: ConnectionId, member: &MemberId) {
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
        if let Some(target) = self.targets.get_mut(member) {
            target.connected = true;
        }
    }

    /// The last connection to a member is gone. Where it never welcomed us this counts as a failed dial, so
    /// that a member who refuses us is not called without end.
    pub(super) fn disconnected(&mut self, member: &MemberId, welcomed: bool, now: Instant) {
        let start = now + head_start(&self.local, member) + jittered(limits::DIAL_BACKOFF_MIN);
        if let Some(target) = self.targets.get_mut(member) {
            target.connected = false;
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
        let members = self
            .targets
            .iter()
            .filter(|(member, target)| !target.connected && !target.pause.in_flight && book.knows(member));
        let members = members.map(|(member, target)| (target.pause.until, Flight::Member(*member)));
        let seeds = self.seeds.iter().enumerate().filter(|(_, seed)| self.wanted(seed));
        let seeds = seeds.map(|(index, seed)| (seed.pause.until, Flight::Seed(index)));
        members.chain(seeds).min_by_key(|(until, _)| *until)
    }

    fn wanted(&self, seed: &Seed) -> bool {
        let reached = |owner: MemberId| self.targets.get(&owner).is_none_or(|target| target.connected);
        !seed.pause.in_flight && !seed.owner.is_some_and(reached)
    }

    /// Always from a new port: with a shared one, two nodes that dial each other at the same time make one
    /// TCP connection in which both are the dialler, and its handshake fails.
    fn options(&self, flight: Flight, book: &AddressBook) -> Option<DialOpts> {
        match flight {
            Flight::Member(member) => {
                let peer = self.targets.get(&member)?.peer;
                let options = DialOpts::peer_id(peer).addresses(book.addresses(&member));
                let options = options.condition(PeerCondition::DisconnectedAndNotDialing);
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
            Flight::Member(member) => self.targets.get_mut(&member).map(|target| &mut target.pause),
            Flight::Seed(index) => self.seeds.get_mut(index).map(|seed| &mut seed.pause),
        }
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
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;

    struct Scene {
        dialer: Dialer,
        book: AddressBook,
        others: Vec<MemberId>,
        now: Instant,
    }

    fn scene(count: u8, known: bool) -> Scene {
        let now = Instant::now();
        let mut ids: Vec<_> = (0..=count).map(|seed| NodeIdentity::from_secret(&[seed; 32]).id()).collect();
        ids.sort();
        let local = ids.remove(0);
        let peers = ids.iter().map(|id| (*id, crate::identity::peer_id(id).unwrap())).collect();
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let addresses = if known { vec![address] } else { vec![] };
        let book = AddressBook::new(ids.iter().map(|id| (*id, addresses.clone())));
        Scene { dialer: Dialer::new(local, peers, now), book, others: ids, now }
    }

    #[test]
    fn dials_a_handful_at_a_time_and_nobody_without_an_address() {
        assert!(scene(20, false).dialer.wake(&scene(20, false).book).is_none());
        let mut scene = scene(20, true);
        let dials = scene.dialer.due(&scene.book, scene.now);
        assert_eq!(dials.len(), limits::MAX_DIALS);
        assert!(scene.dialer.wake(&scene.book).is_none());
        assert!(scene.dialer.due(&scene.book, scene.now).is_empty());
        scene.dialer.failed(dials[0].connection_id(), scene.now);
        assert_eq!(scene.dialer.due(&scene.book, scene.now).len(), 1);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut scene = scene(1, true);
        let mut last = Duration::ZERO;
        for round in 0..40 {
            let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("one dial is due") };
            scene.dialer.failed(dial.connection_id(), scene.now);
            let next = scene.dialer.wake(&scene.book).unwrap();
            last = next - scene.now;
            assert!(
                last >= limits::DIAL_BACKOFF_MIN && last <= limits::DIAL_BACKOFF_MAX,
                "round {round}: {last:?}"
            );
            scene.now = next;
        }
        assert!(last >= limits::DIAL_BACKOFF_MAX.mul_f64(0.7));
    }

    #[test]
    fn a_member_that_refuses_us_is_not_called_without_end() {
        let mut scene = scene(1, true);
        let member = scene.others[0];
        for _ in 0..10 {
            let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("one dial is due") };
            scene.dialer.established(dial.connection_id(), &member);
            assert!(scene.dialer.wake(&scene.book).is_none(), "connected");
            scene.dialer.disconnected(&member, false, scene.now);
            scene.now = scene.dialer.wake(&scene.book).unwrap();
        }
        let before = scene.now;
        scene.dialer.disconnected(&member, false, before);
        assert!(scene.dialer.wake(&scene.book).unwrap() - before > limits::DIAL_BACKOFF_MAX / 2);
        scene.dialer.disconnected(&member, true, before);
        assert!(
            scene.dialer.wake(&scene.book).unwrap() - before < Duration::from_secs(2),
            "it had welcomed us"
        );
    }

    #[test]
    fn a_seed_is_dialled_until_its_owner_is_connected() {
        let mut scene = scene(1, false);
        let member = scene.others[0];
        scene.dialer.add_seed("/ip4/127.0.0.1/tcp/9".parse().unwrap(), scene.now);
        let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("the seed is due") };
        scene.dialer.established(dial.connection_id(), &member);
        assert!(scene.dialer.wake(&scene.book).is_none());
        scene.dialer.disconnected(&member, true, scene.now);
        assert!(scene.dialer.wake(&scene.book).is_some());
    }
}
