//! Anything may happen to any message: whatever does, the result is right or there is none.

use consort_protocol::{codec, messages::Message, sim::Envelope};
use proptest::prelude::*;

use crate::monitor::{Scene, bytes};

#[derive(Clone, Debug)]
enum Mischief {
    Drop,
    Duplicate,
    /// Comes after this many other messages.
    Delay(usize),
    /// Says another member.
    Sender(usize),
    /// Goes to another member.
    Receiver(usize),
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
}

fn mischief() -> impl Strategy<Value = Mischief> {
    prop_oneof![
        Just(Mischief::Drop),
        Just(Mischief::Duplicate),
        (1usize..60).prop_map(Mischief::Delay),
        (0usize..8).prop_map(Mischief::Sender),
        (0usize..8).prop_map(Mischief::Receiver),
        (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Mischief::Flip { at, bit }),
    ]
}

/// Applies each piece of mischief to the message with its number.
struct Meddler<'a> {
    scene: &'a Scene,
    plan: Vec<(usize, Mischief)>,
    /// Which kinds of message it may touch.
    kinds: u32,
    seen: usize,
    delayed: Vec<(usize, Envelope)>,
}

impl Meddler<'_> {
    fn meddle(&mut self, envelope: Envelope) -> Vec<Envelope> {
        self.seen += 1;
        let seen = self.seen;
        let (due, later) = std::mem::take(&mut self.delayed).into_iter().partition(|(at, _)| *at <= seen);
        self.delayed = later;
        let mut said: Vec<Envelope> = Vec::new();
        let planned =
            self.plan.iter().find(|(number, _)| *number == seen).map(|(_, mischief)| mischief.clone());
        let touched = self.kinds >> bytes(&envelope.message)[1] & 1 == 1;
        match planned.filter(|_| touched) {
            None => said.push(envelope),
            Some(mischief) => self.apply(mischief, envelope, &mut said),
        }
        said.extend(due.into_iter().map(|(_, envelope): (usize, Envelope)| envelope));
        said
    }

    fn apply(&mut self, mischief: Mischief, mut envelope: Envelope, said: &mut Vec<Envelope>) {
        let id = |number: usize| {
            self.scene.consortium.identities[number % self.scene.consortium.identities.len()].id()
        };
        match mischief {
            Mischief::Drop => {}
            Mischief::Duplicate => said.extend([envelope.clone(), envelope]),
            Mischief::Delay(by) => self.delayed.push((self.seen + by, envelope)),
            Mischief::Sender(number) => {
                envelope.from = id(number);
                said.push(envelope);
            }
            Mischief::Receiver(number) => {
                envelope.to = id(number);
                said.push(envelope);
            }
            Mischief::Flip { at, bit } => {
                let mut changed = bytes(&envelope.message);
                let at = at.index(changed.len());
                changed[at] ^= 1 << bit;
                // what does not decode never reaches a machine
                if let Ok(message) = codec::decode::<Message>(&changed) {
                    said.push(Envelope { message, ..envelope });
                }
            }
        }
    }
}

fn run(members: usize, seed: u64, plan: Vec<(usize, Mischief)>, kinds: u32) {
    let scene = Scene::new(members, 3, 0);
    let mut meddler = Meddler { scene: &scene, plan, kinds, seen: 0, delayed: Vec::new() };
    // the invariants are checked there
    scene.play(seed, |envelope| meddler.meddle(envelope));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_little_mischief(
        members in 3usize..8,
        seed: u64,
        plan in prop::collection::vec((1usize..130, mischief()), 1..6),
    ) {
        run(members, seed, plan, u32::MAX);
    }

    #[test]
    fn a_lot_of_mischief(
        members in 3usize..8,
        seed: u64,
        plan in prop::collection::vec((1usize..130, mischief()), 20..100),
    ) {
        run(members, seed, plan, u32::MAX);
    }

    /// All of it hits one kind of message, so that late phases are reached.
    #[test]
    fn mischief_with_one_kind_of_message(
        members in 4usize..8,
        seed: u64,
        kind in 0u32..24,
        plan in prop::collection::vec(mischief(), 150),
    ) {
        run(members, seed, (1..).zip(plan).collect(), 1 << kind);
    }
}
