//! A fresh attempt of a round that has a roster begins with the abandonment certificate, and with nothing less: an
//! input in two sessions could be in two sums.

use std::{collections::BTreeMap, sync::Arc};

use consort_protocol::{
    contract::Terms,
    fault::FaultKind,
    ids::MemberId,
    io::{Input, JournalEntry, Now, Output},
    messages::{
        Message,
        consistency_check::{Value, Vote},
        failover::Abandonment,
    },
    report::{AbortReason, Outcome},
    roster::{SeenKeys, Session},
    round::{Deeds, Round, RoundSetup},
    signing::{Signed, sign_body},
};

use crate::world::{World, refused};

/// A node that has accepted a roster of the first attempt; everybody else is played by the test.
struct Bound {
    world: World,
    round: Round,
    session: Session,
    me: MemberId,
}

fn messages(deeds: &Deeds) -> Vec<(MemberId, &Message)> {
    deeds
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Send(to, message) => Some((*to, &**message)),
            _ => None,
        })
        .collect()
}

impl Bound {
    fn new() -> Self {
        Self::with_roster_from(0)
    }

    /// The holder of this slot is the first to send the roster.
    fn with_roster_from(slot: u32) -> Self {
        let mut world = World::new(8, 7);
        let me = world.victim();
        let setup = RoundSetup {
            identity: world.consortium.identities.iter().find(|it| it.id() == me).unwrap().clone(),
            manifest: world.consortium.manifest.clone(),
            number: world.terms.contract().round,
            task: world.terms.contract().task.clone(),
            seen: Arc::default(),
            guard: Arc::default(),
            aggregates: true,
            away: BTreeMap::new(),
            excluded: Default::default(),
        };
        let (mut round, _) = Round::begin(setup, Now::ZERO, &mut world.rng);
        let (aggregator, from) = (world.aggregator(), world.terms.holder(slot).unwrap());
        assert_ne!(from, me);
        let mut hear = |world: &mut World, from, message| {
            round.handle(Input::Message(from, Box::new(message)), Now::ZERO, &mut world.rng)
        };
        let contract = world.terms.sign(world.identity(&aggregator)).unwrap();
        let deeds = hear(&mut world, aggregator, Message::Contract(Box::new(contract)));
        let [(_, Message::Advertise(mine))] = messages(&deeds)[..] else { panic!("it joins") };
        world.advertisements.insert(me, (**mine).clone());
        let roster = world.decree(world.roster_body());
        // one that the aggregator has not signed costs nobody anything, least of all the aggregator
        let wrong = world.signature(world.mask_set_like(), &aggregator);
        let forged = Signed::from_parts(roster.body.clone(), aggregator, wrong);
        if slot != 0 {
            assert!(hear(&mut world, from, Message::Roster(Box::new(forged))).is_empty());
        }
        let deeds = hear(&mut world, from, Message::Roster(Box::new(roster.clone())));
        let dealt = |(_, message): &(MemberId, &Message)| matches!(message, Message::Shares(_));
        assert_eq!(messages(&deeds).into_iter().filter(dealt).count(), 7, "it deals its shares");
        assert_eq!(messages(&deeds).len(), 7);
        let session = Session::new(world.terms.clone(), &roster, &SeenKeys::default()).unwrap();
        assert!(round.is_bound());
        Self { world, round, session, me }
    }

    fn hear(&mut self, from: MemberId, message: Message) -> Deeds {
        self.round.handle(Input::Message(from, Box::new(message)), Now::ZERO, &mut self.world.rng)
    }

    /// The aggregator of a slot proposes the second attempt in it.
    fn second(&mut self, slot: u32) -> Deeds {
        let contract = self.world.terms.contract();
        let terms = Terms::new(
            self.world.consortium.manifest.clone(),
            contract.round,
            1,
            slot,
            contract.task.clone(),
        );
        let terms = terms.unwrap();
        let contract = terms.sign(self.world.identity(&terms.aggregator())).unwrap();
        self.hear(terms.aggregator(), Message::Contract(Box::new(contract)))
    }

    /// Votes of so many others to abandon the first attempt in slot 1, each cast in some slot.
    fn abandonment(&self, votes: usize, cast_in: impl Fn(usize) -> u32) -> Abandonment {
        let mut others: Vec<MemberId> = self.session.participants().iter().map(|it| it.id).collect();
        others.retain(|id| *id != self.me);
        let vote = |(at, id): (usize, &MemberId)| {
            let body = Vote { session: self.session.id(), slot: cast_in(at), value: Value::Abandon };
            (*id, sign_body(&body, self.world.identity(id)).unwrap())
        };
        let votes = others.iter().take(votes).enumerate().map(vote).collect();
        Abandonment { session: self.session.proof(), slot: 1, votes }
    }
}

/// The roster may come from whoever aggregates next before its author is heard: a node that still has its keys
/// takes part, and gives nothing up.
#[test]
fn a_roster_that_overtakes_its_author() {
    let bound = Bound::with_roster_from(1);
    assert_eq!(bound.round.place(), (0, 0));
}

/// No key, no share and no vector of the second attempt leaves the node, nor a note of it.
#[track_caller]
fn stays(bound: &Bound, deeds: &Deeds) {
    assert_eq!(bound.round.place(), (0, 0));
    assert!(messages(deeds).is_empty());
    assert!(!deeds.iter().any(|(_, output)| matches!(output, Output::Journal(_) | Output::Upload(..))));
}

#[test]
fn without_the_abandonment_of_the_one_before() {
    for slot in [0, 1] {
        let mut bound = Bound::new();
        let deeds = bound.second(slot);
        stays(&bound, &deeds);
    }
}

#[test]
fn with_one_that_proves_nothing() {
    let forged = |bound: &Bound| {
        let mut it = bound.abandonment(6, |_| 1);
        it.votes[0].1 = it.votes[1].1;
        it
    };
    let elsewhere = |bound: &Bound| {
        let mut it = bound.abandonment(6, |_| 1);
        let mut roster = it.session.roster.body.clone();
        roster.advertisements.pop();
        it.session.roster = bound.world.decree(roster);
        it
    };
    let wrong: [&dyn Fn(&Bound) -> Abandonment; 5] = [
        &|bound| bound.abandonment(5, |_| 1),
        &|bound| bound.abandonment(6, |at| u32::from(at > 2)),
        &|bound| Abandonment { slot: 0, ..bound.abandonment(6, |_| 1) },
        &forged,
        &elsewhere,
    ];
    for (which, wrong) in wrong.into_iter().enumerate() {
        // by somebody who has no slot yet, so that it costs the aggregator nothing
        let mut bound = Bound::new();
        let from = bound.world.terms.holder(2).unwrap();
        let abandonment = wrong(&bound);
        let deeds = bound.hear(from, Message::Abandonment(Box::new(abandonment)));
        stays(&bound, &deeds);
        let faults = deeds.iter().filter(|(_, output)| matches!(output, Output::Fault(_))).count();
        // of a session that is not its own it can say nothing
        assert_eq!(faults, usize::from(which != 4));
        let deeds = bound.second(1);
        stays(&bound, &deeds);
    }
}

/// With it, the node joins, with fresh keys.
#[test]
fn with_the_certificate() {
    for offered_first in [true, false] {
        let mut bound = Bound::new();
        let before = bound.world.advertisements[&bound.me].clone();
        let from = bound.world.terms.holder(2).unwrap();
        if offered_first {
            bound.second(1);
        }
        let abandonment = bound.abandonment(6, |_| 1);
        let mut deeds = bound.hear(from, Message::Abandonment(Box::new(abandonment)));
        if !offered_first {
            deeds = bound.second(1);
        }
        assert_eq!(bound.round.place(), (1, 1));
        let joined: Vec<&Signed<_>> = messages(&deeds)
            .into_iter()
            .filter_map(|(_, message)| match message {
                Message::Advertise(it) => Some(&**it),
                _ => None,
            })
            .collect();
        let [again] = joined[..] else { panic!("it joins once") };
        assert_ne!(again.body.mask_key.to_bytes(), before.body.mask_key.to_bytes());
        assert_ne!(again.body.sealing_key, before.body.sealing_key);
        let noted = |(_, output): &(_, Output)| {
            matches!(output, Output::Journal(JournalEntry::Joined { attempt: 1, slot: 1, .. }))
        };
        assert!(deeds.iter().any(noted));
    }
}

fn voted_to_abandon(world: &World, votes: &[(MemberId, u32)]) -> Message {
    let (slot, session) = (1, world.session().id());
    let vote = |slot| Vote { session, slot, value: Value::Abandon };
    let votes = votes.iter().map(|(id, slot)| (*id, world.signature(&vote(*slot), id))).collect();
    Message::Abandonment(Box::new(Abandonment { session: world.session().proof(), slot, votes }))
}

/// Votes of one slot only, of a threshold of the roster.
#[test]
fn an_abandonment_that_is_none() {
    let all = |world: &World| -> Vec<(MemberId, u32)> {
        world.everybody()[..6].iter().map(|id| (*id, 1)).collect()
    };
    let votes = FaultKind::Votes { valid: 5, needed: 6 };
    type Change<'a> = &'a dyn Fn(&mut Vec<(MemberId, u32)>);
    let wrong: [(Change<'_>, FaultKind); 3] = [
        (&|cast| cast.truncate(5), votes.clone()),
        (&|cast| cast[4].1 = 0, votes),
        (&|cast| cast[5] = cast[4], FaultKind::Order),
    ];
    for (change, kind) in wrong {
        let mut world = World::new(8, 2).shared().masked();
        let mut cast = all(&world);
        change(&mut cast);
        let message = voted_to_abandon(&world, &cast);
        let out = world.tell(message);
        assert!(!out.iter().any(|output| matches!(output, Output::Finished(_))), "it is abandoned");
        refused(&out, kind);
    }
    let mut world = World::new(8, 2).shared().masked();
    let message = voted_to_abandon(&world, &all(&world));
    let out = world.tell(message);
    let [Output::Finished(Outcome::Aborted(AbortReason::Abandoned { slot: 1, .. }))] = &out[..] else {
        panic!("it is not abandoned")
    };
}
