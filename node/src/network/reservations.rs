//! At which relays this node reserves, so that others reach it through them.
//!
//! A reservation is a listener of the swarm that lives on one connection to the relay. It ends with that
//! connection, and when the relay refuses to renew it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, core::transport::ListenerId};

use crate::limits;

/// The relays that offer themselves, and what became of asking them.
pub(super) struct Reservations {
    wanted: bool,
    /// All that are open, of relays that are gone too.
    listeners: Vec<ListenerId>,
    relays: BTreeMap<MemberId, Relay>,
}

/// A member that is connected directly and relays.
struct Relay {
    address: Multiaddr,
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be asked from then on.
    Idle(Instant),
    /// Asked; no answer yet.
    Asked(ListenerId),
    /// Others reach this node through it.
    Stands(ListenerId),
}

impl State {
    fn listener(self) -> Option<ListenerId> {
        match self {
            Self::Idle(_) => None,
            Self::Asked(listener) | Self::Stands(listener) => Some(listener),
        }
    }
}

impl Reservations {
    /// Whether this node asks relays at all.
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, listeners: Vec::new(), relays: BTreeMap::new() }
    }

    /// A member that relays is connected, at this address.
    pub(super) fn offered(&mut self, member: MemberId, address: Multiaddr, now: Instant) {
        if self.wanted {
            self.relays.entry(member).or_insert(Relay { address, state: State::Idle(now), failures: 0 });
        }
    }

    /// A member is not connected directly any more, or does not relay any more.
    pub(super) fn gone(&mut self, member: &MemberId) {
        self.relays.remove(member);
    }

    /// A relay to ask now, and where it is.
    pub(super) fn due(&self, now: Instant) -> Option<(MemberId, Multiaddr)> {
        let (until, member, address) = self.next()?;
        (until <= now).then(|| (*member, address.clone()))
    }

    /// When [`Self::due`] should be asked again; `None` until something else happens.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.next().map(|(until, ..)| until)
    }

    /// A relay is asked.
    pub(super) fn asked(&mut self, member: &MemberId, listener: ListenerId) {
        self.listeners.push(listener);
        if let Some(relay) = self.relays.get_mut(member) {
            relay.state = State::Asked(listener);
        }
    }

    /// A relay could not even be asked.
    pub(super) fn unasked(&mut self, member: &MemberId, now: Instant) {
        if let Some(relay) = self.relays.get_mut(member) {
            relay.back_off(now);
        }
    }

    /// A reservation stands; gives whose.
    pub(super) fn stands(&mut self, listener: ListenerId) -> Option<MemberId> {
        let (member, relay) = self.find(listener)?;
        relay.state = State::Stands(listener);
        relay.failures = 0;
        Some(member)
    }

    /// A listener of the swarm is closed. Whether it was a reservation, which was refused then or is over.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) -> bool {
        if let Some((_, relay)) = self.find(listener) {
            relay.back_off(now);
        }
        let before = self.listeners.len();
        self.listeners.retain(|open| *open != listener);
        self.listeners.len() < before
    }

    /// The relays through which this node is reached.
    pub(super) fn standing(&self) -> impl Iterator<Item = &MemberId> {
        let stands = |relay: &Relay| matches!(relay.state, State::Stands(_));
        self.relays.iter().filter(move |(_, relay)| stands(relay)).map(|(member, _)| member)
    }

    fn find(&mut self, listener: ListenerId) -> Option<(MemberId, &mut Relay)> {
        let mut relays = self.relays.iter_mut();
        let found = relays.find(|(_, relay)| relay.state.listener() == Some(listener));
        found.map(|(member, relay)| (*member, relay))
    }

    fn next(&self) -> Option<(Instant, &MemberId, &Multiaddr)> {
        let under_way = self.relays.values().filter(|relay| relay.state.listener().is_some()).count();
        if under_way >= limits::MAX_RESERVATIONS {
            return None;
        }
        let idle = self.relays.iter().filter_map(|(member, relay)| match relay.state {
            State::Idle(until) => Some((until, member, &relay.address)),
            _ => None,
        });
        idle.min_by_key(|(until, ..)| *until)
    }
}

impl Relay {
    fn back_off(&mut self, now: Instant) {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let pause: Duration =
            limits::RESERVE_BACKOFF_MIN.saturating_mul(factor).min(limits::RESERVE_BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Idle(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(seed: u8) -> MemberId {
        MemberId([seed; 32])
    }

    fn offered(count: u8, now: Instant) -> Reservations {
        let mut reservations = Reservations::new(true);
        for seed in 0..count {
            reservations.offered(member(seed), "/ip4/192.0.2.7/tcp/1".parse().unwrap(), now);
        }
        reservations
    }

    fn ask(reservations: &mut Reservations, now: Instant) -> Option<(MemberId, ListenerId)> {
        let (member, _) = reservations.due(now)?;
        let listener = ListenerId::next();
        reservations.asked(&member, listener);
        Some((member, listener))
    }

    #[test]
    fn whoever_can_be_dialled_asks_nobody() {
        let now = Instant::now();
        let mut reservations = Reservations::new(false);
        reservations.offered(member(1), "/ip4/192.0.2.7/tcp/1".parse().unwrap(), now);
        assert!(reservations.due(now).is_none() && reservations.wake().is_none());
    }

    #[test]
    fn a_few_relays_are_asked_and_another_takes_the_place_of_one_that_goes() {
        let now = Instant::now();
        let mut reservations = offered(limits::MAX_RESERVATIONS as u8 + 1, now);
        let mut asked = Vec::new();
        while let Some(one) = ask(&mut reservations, now) {
            asked.push(one);
        }
        assert_eq!(asked.len(), limits::MAX_RESERVATIONS);
        for (relay, listener) in &asked {
            assert_eq!(reservations.stands(*listener), Some(*relay));
        }
        assert_eq!(reservations.standing().count(), limits::MAX_RESERVATIONS);
        assert!(reservations.due(now).is_none());
        reservations.gone(&asked[0].0);
        assert_eq!(reservations.standing().count(), limits::MAX_RESERVATIONS - 1);
        let (other, _) = ask(&mut reservations, now).unwrap();
        assert!(asked.iter().all(|(relay, _)| *relay != other));
        assert_eq!(reservations.stands(ListenerId::next()), None, "a listener of ours");
        assert!(!reservations.closed(ListenerId::next(), now), "a listener of ours");
        assert!(reservations.closed(asked[0].1, now), "of a relay that is gone");
    }

    #[test]
    fn a_relay_that_refuses_is_asked_again_ever_more_slowly() {
        let mut now = Instant::now();
        let mut reservations = offered(1, now);
        let mut pause = Duration::ZERO;
        for _ in 0..40 {
            let (_, listener) = ask(&mut reservations, now).expect("it is due");
            assert!(reservations.closed(listener, now));
            let next = reservations.wake().unwrap();
            assert!(next - now >= pause && next - now <= limits::RESERVE_BACKOFF_MAX);
            assert!(reservations.due(now).is_none());
            pause = next - now;
            now = next;
        }
        assert_eq!(pause, limits::RESERVE_BACKOFF_MAX);
        let (relay, listener) = ask(&mut reservations, now).unwrap();
        reservations.stands(listener);
        assert!(reservations.closed(listener, now));
        assert_eq!(reservations.wake().unwrap() - now, limits::RESERVE_BACKOFF_MIN, "it had stood");
        reservations.unasked(&relay, now);
        assert!(reservations.wake().unwrap() - now > limits::RESERVE_BACKOFF_MIN);
    }
}
