//! One set in each of three slots of the coalition: without the rules of failover all three are certified, with
//! votes of all honest members.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    messages::{
        Message,
        consistency_check::{SurvivorSet, Value},
        failover::{LatestVote, NewSlot, Passage, ShownNewSlot, Timeout},
    },
    mutation::Check,
    signing::Signed,
};

use crate::{
    attack::leaks_without,
    split::{Split, left},
    world::World,
};

const MEMBERS: usize = 10;

/// How a slot is opened: time-outs, and what shows the votes in them.
type Opening = (Vec<Signed<Timeout>>, Vec<Passage>);

/// Says how a slot is opened in which this set is to be proposed.
type Open<'a> = &'a dyn Fn(&World, u32, &SurvivorSet) -> Opening;

/// A set is proposed in each of these slots, and shown to its group with all votes that there are.
fn play(slots: [u32; 3], open_with: Open<'_>) -> World {
    play_in(World::with_slots(MEMBERS, &slots).shared().masked(), slots, open_with)
}

fn play_in(mut world: World, slots: [u32; 3], open_with: Open<'_>) -> World {
    let split = Split::of(&world);
    for (at, slot) in slots.into_iter().enumerate() {
        let statements = world.statements_of(&split.sets[at]);
        if slot > 0 {
            world.give_up(slot - 1);
            let opening = open_with(&world, slot, &SurvivorSet::of(&statements));
            open(&mut world, slot, opening);
        }
        let set = world.propose(slot, &statements);
        let votes = world.votes(slot, &set);
        world.certify((slot, slot), &set, votes, &split.groups[at]);
    }
    world
}

fn open(world: &mut World, slot: u32, (timeouts, history): Opening) {
    let body = NewSlot { session: world.session().id(), slot, timeouts };
    let new_slot = world.sign(body, &world.terms.holder(slot).unwrap());
    let shown = ShownNewSlot { new_slot, mask_set: None, history, missing: Vec::new() };
    for id in world.honest_ids() {
        world.say(slot, &id, Message::NewSlot(Box::new(shown.clone())));
    }
}

/// The time-outs of all honest members, and what shows the votes that they report.
fn honest(world: &World) -> Opening {
    let shown = world.timeouts.values();
    let longest = shown.clone().map(|it| it.history.clone()).max_by_key(Vec::len).unwrap_or_default();
    (shown.map(|it| it.timeout.clone()).collect(), longest)
}

/// What a member says that has voted for nothing.
fn nothing_voted(world: &World, slot: u32) -> Timeout {
    let shown = world.timeouts.values().next().unwrap();
    Timeout { slot: slot - 1, vote: None, ..shown.timeout.body.clone() }
}

fn in_order(mut timeouts: Vec<Signed<Timeout>>) -> Vec<Signed<Timeout>> {
    timeouts.sort_by_key(|timeout| timeout.signer);
    timeouts
}

fn of(world: &World, ids: &[MemberId], slot: u32) -> Opening {
    let timeout = nothing_voted(world, slot);
    (in_order(ids.iter().map(|id| world.sign(timeout.clone(), id)).collect()), Vec::new())
}

fn in_a_row(open: Open<'_>) -> World {
    play([0, 1, 2], open)
}

#[test]
fn that_votes_for_what_is_not_allowed_any_more() {
    let attack = || in_a_row(&|world, _, _| honest(world));
    let not_allowed = |kind: &FaultKind| *kind == FaultKind::NotAllowed;
    leaks_without(&[Check::AllowedValue], attack, Some(&not_allowed), left);
}

#[test]
fn opened_without_time_outs() {
    let attack = || in_a_row(&|_, _, _| Opening::default());
    let timeouts = |kind: &FaultKind| *kind == FaultKind::Timeouts { found: 0, needed: 7 };
    leaks_without(&[Check::EnoughTimeouts], attack, Some(&timeouts), left);
}

#[test]
fn opened_with_one_time_out_many_times() {
    let attack = || in_a_row(&|world, slot, _| of(world, &[world.corrupt_ids()[0]; 7], slot));
    leaks_without(&[Check::TimeoutsDistinct], attack, Some(&|kind| *kind == FaultKind::Order), left);
}

/// The first slot passes without a vote, and its time-outs open every later one.
#[test]
fn opened_with_time_outs_of_a_lower_slot() {
    let attack = || {
        let mut world = World::with_slots(13, &[0, 1, 2, 3]).shared().masked();
        world.give_up(0);
        let first = honest(&world);
        play_in(world, [1, 2, 3], &|_, _, _| first.clone())
    };
    leaks_without(&[Check::TimeoutSlot], attack, Some(&|kind| *kind == FaultKind::Session), left);
}

#[test]
fn opened_with_time_outs_that_nobody_signed() {
    let attack = || {
        in_a_row(&|world, slot, _| {
            let any = world.sign(nothing_voted(world, slot), &world.aggregator());
            let ids = world.session().participants().iter().map(|it| it.id);
            (ids.map(|id| Signed::from_parts(any.body.clone(), id, any.signature())).collect(), Vec::new())
        })
    };
    let forged = |kind: &FaultKind| *kind == FaultKind::Signature;
    leaks_without(&[Check::TimeoutSignature], attack, Some(&forged), left);
}

#[test]
fn opened_with_time_outs_of_strangers() {
    let attack = || {
        in_a_row(&|world, slot, _| {
            let timeout = nothing_voted(world, slot);
            let strangers = (0..7).map(|number| {
                let secret = [100 + number; 32];
                Signed::new(timeout.clone(), &consort_protocol::signing::Identity::from_secret(&secret))
            });
            (in_order(strangers.map(Result::unwrap).collect()), Vec::new())
        })
    };
    let stranger = |kind: &FaultKind| matches!(kind, FaultKind::Stranger(_));
    leaks_without(&[Check::TimeoutMembers], attack, Some(&stranger), left);
}

/// The coalition lets every other slot pass, and reports that it voted in it for the set that it wants.
#[test]
fn opened_with_votes_that_were_never_cast() {
    let attack = || {
        let open = |world: &World, slot: u32, set: &SurvivorSet| {
            let vote = LatestVote { slot: slot - 1, value: Value::Survivors(set.digest()) };
            let lie = Timeout { vote: Some(vote), ..nothing_voted(world, slot) };
            let (mut timeouts, history) = honest(world);
            timeouts.push(world.sign(lie, &world.aggregator()));
            (in_order(timeouts), history)
        };
        play([0, 2, 4], &open)
    };
    leaks_without(&[Check::ReportedVotes], attack, Some(&|kind| *kind == FaultKind::Unproven), left);
}

/// They give the first two slots up, and say truly that they have not voted in them. They do so afterwards.
#[test]
fn in_which_members_vote_after_they_have_given_it_up() {
    let attack = || {
        let mut world = World::with_slots(MEMBERS, &[0, 1, 2]).shared().masked();
        let split = Split::of(&world);
        let given_up = [0, 1].map(|slot| {
            world.give_up(slot);
            honest(&world)
        });
        for ((slot, survivors), group) in (0..).zip(&split.sets).zip(&split.groups) {
            if slot > 0 {
                open(&mut world, slot, given_up[slot as usize - 1].clone());
            }
            let statements = world.statements_of(survivors);
            let set = world.propose(slot, &statements);
            let votes = world.votes(slot, &set);
            world.certify((slot, slot), &set, votes, group);
        }
        world
    };
    leaks_without(&[Check::Promise], attack, None, left);
}
