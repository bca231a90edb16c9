//! An aggregator that dies while its roster leaves: some have it, others have begun the next slot.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chacha20::ChaCha20Rng;
use consort_protocol::{
    election,
    ids::MemberId,
    io::{Input, Now, Output},
    messages::{
        Message,
        failover::{ShownTimeout, Timeout},
    },
    round::{Deeds, Round, RoundSetup},
    signing::Signed,
};
use rand_core::SeedableRng as _;

use crate::setting::{Setting, setting};

/// Members whose messages arrive at once, and of whom nobody's clock moves.
struct World {
    rounds: BTreeMap<MemberId, Round>,
    queue: VecDeque<(MemberId, MemberId, Message)>,
    rng: ChaCha20Rng,
    /// Slots that were opened, and by whom.
    opened: Vec<(MemberId, u32)>,
}

impl World {
    /// Everybody begins; nothing has arrived yet.
    fn new(setting: &Setting) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let contract = setting.terms.contract();
        let begin = |identity: &Arc<consort_protocol::signing::Identity>| {
            let setup = RoundSetup {
                identity: identity.clone(),
                manifest: setting.consortium.manifest.clone(),
                number: contract.round,
                task: contract.task.clone(),
                seen: Arc::default(),
                guard: Arc::default(),
                aggregates: true,
                away: BTreeMap::new(),
                excluded: [].into(),
            };
            (identity.id(), Round::begin(setup, Now::ZERO, &mut rng))
        };
        let begun: Vec<_> = setting.consortium.identities.iter().map(begin).collect();
        let mut world = Self { rounds: BTreeMap::new(), queue: VecDeque::new(), rng, opened: Vec::new() };
        for (id, (round, deeds)) in begun {
            world.rounds.insert(id, round);
            world.take(id, deeds);
        }
        world
    }

    fn take(&mut self, from: MemberId, deeds: Deeds) {
        for (_, output) in deeds {
            if let Output::Send(to, message) = output {
                if let Message::NewSlot(shown) = &*message {
                    self.opened.push((from, shown.new_slot.body.slot));
                }
                self.queue.push_back((from, to, *message));
            }
        }
    }

    fn feed(&mut self, to: MemberId, input: Input) {
        let Some(round) = self.rounds.get_mut(&to) else { return };
        let deeds = round.handle(input, Now::ZERO, &mut self.rng);
        self.take(to, deeds);
    }

    /// Delivers everything but what `lost` says is lost.
    fn deliver(&mut self, lost: impl Fn(MemberId, MemberId, &Message) -> bool) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            if !lost(from, to, &message) {
                self.feed(to, Input::Message(from, Box::new(message)));
            }
        }
    }

    fn dies(&mut self, dead: MemberId) {
        self.rounds.remove(&dead);
        let others: Vec<MemberId> = self.rounds.keys().copied().collect();
        // those who look to the next slot first have begun it when the others' time-outs come
        for other in others {
            self.feed(other, Input::Lost(dead));
        }
    }
}

/// It has asked for keys in its slot, when it hears that there is a session to go on with.
#[test]
fn the_next_in_order_goes_on_with_the_session_at_once() {
    let setting = setting(8, 11);
    let order = election::order(&setting.consortium.manifest, setting.terms.contract().round);
    let [first, second] = [order[0], order[1]];
    for lucky in order[2..].iter().copied() {
        let mut world = World::new(&setting);
        world.deliver(|from, to, message| {
            from == first && to != lucky && to != first && matches!(message, Message::Roster(_))
        });
        assert!(world.rounds[&lucky].is_bound() && !world.rounds[&second].is_bound());
        world.dies(first);
        world.deliver(|_, to, _| to == first);
        assert_eq!(world.opened.first(), Some(&(second, 1)));
        assert!(world.opened.iter().all(|opened| *opened == (second, 1)), "{:?}", world.opened);
    }
}

/// A corrupt first aggregator keeps its roster until the next one's is on its way, and shows it to half of the
/// members. Whoever followed it could not follow the other.
#[test]
fn a_roster_that_comes_late_splits_nobody_off() {
    let setting = setting(8, 11);
    let order = election::order(&setting.consortium.manifest, setting.terms.contract().round);
    let [first, second] = [order[0], order[1]];
    let mut world = World::new(&setting);
    world.deliver(|from, to, message| from == first && to != first && matches!(message, Message::Roster(_)));
    let others: Vec<MemberId> = order[1..].to_vec();
    for other in &others {
        world.feed(*other, Input::Lost(first));
    }
    let on_its_way = RefCell::new(Vec::new());
    world.deliver(|from, to, message| {
        let held = from == second && to != second && matches!(message, Message::Roster(_));
        if held {
            on_its_way.borrow_mut().push((from, to, message.clone()));
        }
        held
    });
    let session = |world: &World, id: &MemberId| world.rounds[id].member()?.session().cloned();
    let hidden = session(&world, &first).unwrap();
    let identity = setting.consortium.identities.iter().find(|identity| identity.id() == first).unwrap();
    for half in others.iter().skip(1).step_by(2) {
        // of whichever slot it is the next one's turn
        let slot = order.iter().position(|id| id == half).unwrap() as u32 - 1;
        let timeout = Timeout { session: hidden.id(), slot, mask_set: None, vote: None };
        let shown = ShownTimeout {
            timeout: Signed::new(timeout, identity).unwrap(),
            session: hidden.proof(),
            mask_set: None,
            history: Vec::new(),
        };
        world.feed(*half, Input::Message(first, Box::new(Message::Timeout(Box::new(shown)))));
        let roster = Message::Roster(Box::new(hidden.roster().clone()));
        world.feed(*half, Input::Message(*half, Box::new(roster)));
    }
    world.queue.extend(on_its_way.take());
    world.deliver(|_, to, _| to == first);
    let sessions: BTreeSet<_> =
        others.iter().map(|id| session(&world, id).map(|session| session.id())).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(!sessions.contains(&None) && !sessions.contains(&Some(hidden.id())));
}

/// The second in order is not on the roster, and makes none: whoever has kept the roster aside goes on with it, the
/// next one on it first.
#[test]
fn a_roster_that_was_kept_aside_is_followed_once_the_slot_is_over() {
    let setting = setting(8, 11);
    let order = election::order(&setting.consortium.manifest, setting.terms.contract().round);
    let [first, second, third] = [order[0], order[1], order[2]];
    let mut world = World::new(&setting);
    let knows = |id: &MemberId| order[3..6].contains(id);
    world.deliver(|from, to, message| match message {
        Message::Advertise(_) => from == second && to == first,
        Message::Roster(_) => from == first && to != first && !knows(&to),
        _ => false,
    });
    // it is late with its advertisement, and the roster is made without it
    world.feed(first, Input::Lost(second));
    world.deliver(|from, to, message| {
        matches!(message, Message::Roster(_)) && from == first && to != first && !knows(&to)
    });
    assert!(order[3..6].iter().all(|id| world.rounds[id].is_bound()));
    world.rounds.remove(&first);
    // those without the roster turn to the second, and have their keys out when they hear of it
    let others: Vec<MemberId> = order[1..].iter().copied().filter(|id| !knows(id)).collect();
    for other in &others {
        world.feed(*other, Input::Lost(first));
    }
    world.deliver(|_, to, _| to == first);
    for other in order[3..6].iter().copied() {
        world.feed(other, Input::Lost(first));
    }
    world.deliver(|_, to, _| to == first);
    assert!(!world.rounds[&third].is_bound() && world.opened.is_empty());
    world.dies(second);
    world.deliver(|_, to, _| to == first || to == second);
    assert_eq!(world.opened.first(), Some(&(third, 2)), "{:?}", world.opened);
}
