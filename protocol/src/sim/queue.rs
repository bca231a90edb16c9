//! Messages in flight: each link keeps its order, everything else is up to chance.

use std::collections::{BTreeMap, VecDeque};

use chacha20::{ChaCha20Rng, rand_core::Rng as _};

use crate::{ids::MemberId, io::Now};

/// Sender and receiver.
type Link = (MemberId, MemberId);

/// Encoded messages on their way. Each step takes logarithmic time, however many there are.
#[derive(Default)]
pub(super) struct Queue {
    /// What is in flight on each link, oldest first.
    links: BTreeMap<Link, VecDeque<Vec<u8>>>,
    /// The link of every message in flight, in no order that matters.
    tickets: Vec<Link>,
    /// Links that stand still, and until when.
    late: BTreeMap<Link, Now>,
}

impl Queue {
    pub(super) fn push(&mut self, from: MemberId, to: MemberId, message: Vec<u8>) {
        if !self.late.contains_key(&(from, to)) {
            self.tickets.push((from, to));
        }
        self.links.entry((from, to)).or_default().push_back(message);
    }

    /// The oldest message of some link; a link is the likelier, the more is in flight on it.
    pub(super) fn pick(&mut self, rng: &mut ChaCha20Rng) -> Option<(MemberId, MemberId, Vec<u8>)> {
        let length = self.tickets.len().max(1) as u64;
        let chosen = (rng.next_u64() % length) as usize;
        let link = (chosen < self.tickets.len()).then(|| self.tickets.swap_remove(chosen))?;
        let waiting = self.links.get_mut(&link)?;
        let message = waiting.pop_front()?;
        if waiting.is_empty() {
            self.links.remove(&link);
        }
        Some((link.0, link.1, message))
    }

    /// Puts a message back at the head of its link, which stands still until then.
    pub(super) fn hold(&mut self, from: MemberId, to: MemberId, message: Vec<u8>, until: Now) {
        let link = (from, to);
        self.links.entry(link).or_default().push_front(message);
        self.tickets.retain(|ticket| *ticket != link);
        self.late.insert(link, until);
    }

    /// When the next link that stands still moves again.
    pub(super) fn next_release(&self) -> Option<Now> {
        self.late.values().min().copied()
    }

    /// Lets links move whose time has come.
    pub(super) fn release(&mut self, now: Now) {
        let due: Vec<Link> =
            self.late.iter().filter(|(_, until)| **until <= now).map(|(link, _)| *link).collect();
        for link in due {
            self.late.remove(&link);
            let waiting = self.links.get(&link).map_or(0, VecDeque::len);
            self.tickets.extend(std::iter::repeat_n(link, waiting));
        }
    }

    /// Everything between two members is lost.
    pub(super) fn lose(&mut self, one: MemberId, other: MemberId) {
        for link in [(one, other), (other, one)] {
            self.links.remove(&link);
            self.late.remove(&link);
            self.tickets.retain(|ticket| *ticket != link);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chacha20::rand_core::SeedableRng as _;

    use super::*;

    fn drain(seed: u64) -> Vec<(u8, u8, u8)> {
        let id = |number| MemberId([number; 32]);
        let mut queue = Queue::default();
        for message in 0..20 {
            for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 2)] {
                queue.push(id(from), id(to), vec![message]);
            }
        }
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let picked = std::iter::from_fn(|| queue.pick(&mut rng));
        picked.map(|(from, to, message)| (from.0[0], to.0[0], message[0])).collect()
    }

    #[test]
    fn everything_arrives_once_and_links_keep_their_order() {
        let picked = drain(5);
        assert_eq!(picked.len(), 80);
        for link in picked.iter().map(|(from, to, _)| (*from, *to)).collect::<BTreeSet<_>>() {
            let of_link = picked.iter().filter(|(from, to, _)| (*from, *to) == link);
            assert!(of_link.map(|(.., message)| *message).eq(0..20));
        }
    }

    #[test]
    fn the_seed_alone_decides_what_comes_between() {
        assert_eq!(drain(1), drain(1));
        assert_ne!(drain(1), drain(2));
    }
}
