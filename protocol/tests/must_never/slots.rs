//! When an aggregator is given up: a promise is kept, a slot opens only with a threshold of time-outs that hide
//! nothing, and only what may have been certified before may be voted for in it.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    io::{Input, JournalEntry, Now, Output},
    messages::{
        Message,
        consistency_check::{Proposal, Proposed, Value},
        failover::{LatestVote, NewSlot, Passage, ShownNewSlot, Timeout},
    },
    phase::Phase,
    report::{AbortReason, Outcome},
    signing::Signed,
};

use crate::world::{World, faults, gave_up, ignored, refused, sent, stranger};

type Timeouts = Vec<Signed<Timeout>>;

fn masked() -> World {
    World::new(8, 2).shared().masked()
}

/// An honest member that follows others: its own turn comes late.
fn follower(world: &World) -> MemberId {
    let mut late = (4..8).map(|slot| holder(world, slot));
    late.find(|id| world.honest.contains_key(id)).unwrap()
}

fn tell(world: &mut World, from: MemberId, message: Message) -> Vec<Output> {
    let follower = follower(world);
    world.say(from, &follower, message)
}

/// All have voted for everybody in the first slot.
fn voted() -> World {
    let world = masked();
    let everybody = world.everybody();
    world.voted(&everybody)
}

fn holder(world: &World, slot: u32) -> MemberId {
    world.terms.holder(slot).unwrap()
}

/// Time-outs of the first six members, which are a threshold: they report this vote.
fn timeouts(world: &World, slot: u32, vote: Option<LatestVote>) -> Timeouts {
    let mask_set = world.mask_set.as_ref().map(Signed::digest);
    let body = Timeout { session: world.session().id(), slot, mask_set, vote };
    world.everybody()[..6].iter().map(|id| world.sign(body.clone(), id)).collect()
}

fn open(world: &mut World, slot: u32, timeouts: Timeouts, history: Vec<Passage>) -> Vec<Output> {
    let session = world.session().id();
    let opener = holder(world, slot);
    let new_slot = world.sign(NewSlot { session, slot, timeouts }, &opener);
    show(world, new_slot, history)
}

fn show(world: &mut World, new_slot: Signed<NewSlot>, history: Vec<Passage>) -> Vec<Output> {
    let from = holder(world, new_slot.body.slot);
    let mask_set = world.mask_set.clone();
    let shown = ShownNewSlot { new_slot, mask_set, history, missing: Vec::new() };
    tell(world, from, Message::NewSlot(Box::new(shown)))
}

fn propose(world: &mut World, body: Proposal) -> Vec<Output> {
    let from = holder(world, body.slot);
    let proposal = world.sign(body, &from);
    tell(world, from, Message::Proposal(Box::new(proposal)))
}

/// The proposal of everybody in the first slot, as history, and the vote for it.
fn first_vote(world: &World) -> (Vec<Passage>, LatestVote) {
    let proposal = world.decree(world.proposal_body(&world.everybody()));
    let vote = LatestVote { slot: 0, value: proposal.body.value.value() };
    (vec![Passage { new_slot: None, proposal }], vote)
}

#[track_caller]
fn followed(out: &[Output], into: u32) {
    assert_eq!(faults(out), []);
    let entered =
        |output: &Output| matches!(output, Output::Journal(JournalEntry::Followed(_, slot)) if *slot == into);
    assert!(out.iter().any(entered), "it does not follow into slot {into}");
}

#[track_caller]
fn votes(out: &[Output]) -> Value {
    assert_eq!(faults(out), []);
    let [(_, Message::Vote(vote))] = &sent(out)[..] else { panic!("it does not vote") };
    vote.body.value
}

fn abandon(world: &World, slot: u32) -> Proposal {
    Proposal { session: world.session().id(), slot, value: Proposed::Abandon }
}

/// The victim waits for the aggregator in vain.
fn waits_in_vain(world: &mut World) -> Vec<Output> {
    let (victim, long) = (follower(world), world.terms.silence());
    world.honest.get_mut(&victim).unwrap().handle(Input::Tick, long, &mut world.rng)
}

#[test]
fn a_vote_after_the_promise() {
    let mut world = masked();
    let shown = gave_up(&waits_in_vain(&mut world));
    assert_eq!((shown.timeout.body.slot, shown.timeout.body.vote), (0, None));
    let body = world.proposal_body(&world.everybody());
    ignored(&propose(&mut world, body));
    let body = abandon(&world, 0);
    ignored(&propose(&mut world, body));
}

/// It reports its vote, and shows what it was for.
#[test]
fn a_vote_before_the_promise_is_reported() {
    let mut world = voted();
    let shown = gave_up(&waits_in_vain(&mut world));
    let (history, vote) = first_vote(&world);
    assert_eq!((shown.timeout.body.vote, shown.history), (Some(vote), history));
}

#[test]
fn a_vote_below_a_slot_that_it_has_followed_into() {
    let mut world = masked();
    let shown = timeouts(&world, 1, None);
    followed(&open(&mut world, 2, shown, Vec::new()), 2);
    for slot in [0, 1] {
        let body = world.proposal_in(slot, &world.everybody());
        // its holder may not know better
        ignored(&propose(&mut world, body.clone()));
        let (from, proposal) = (holder(&world, 2), world.sign(body, &holder(&world, slot)));
        let out = tell(&mut world, from, Message::Proposal(Box::new(proposal)));
        refused(&out, FaultKind::Session);
    }
    let earlier = timeouts(&world, 0, None);
    ignored(&open(&mut world, 1, earlier, Vec::new()));
}

/// Slots that were given up unseen do not open any more.
#[test]
fn a_new_slot_that_was_given_up() {
    let mut world = masked();
    gave_up(&waits_in_vain(&mut world));
    let (session, victim) = (world.session().id(), follower(&world));
    let mask_set = world.mask_set.as_ref().map(Signed::digest);
    let body = Timeout { session, slot: 1, mask_set, vote: None };
    let mut out = Vec::new();
    for id in world.without(&[victim]).into_iter().take(3) {
        let timeout = world.sign(body.clone(), &id);
        out = world.say(id, &victim, Message::TimedOut(Box::new(timeout)));
    }
    assert_eq!(gave_up(&out).timeout.body.slot, 1);
    let shown = timeouts(&world, 0, None);
    ignored(&open(&mut world, 1, shown, Vec::new()));
    let shown = timeouts(&world, 1, None);
    followed(&open(&mut world, 2, shown, Vec::new()), 2);
}

#[test]
fn a_second_new_slot_of_one_slot() {
    let mut world = masked();
    let shown = timeouts(&world, 0, None);
    followed(&open(&mut world, 1, shown.clone(), Vec::new()), 1);
    ignored(&open(&mut world, 1, shown.clone(), Vec::new()));
    let (history, vote) = first_vote(&world);
    let other = timeouts(&world, 0, Some(vote));
    refused(&open(&mut world, 1, other, history), FaultKind::Equivocation);
    // the first one holds: everything may be proposed
    let smaller = world.proposal_in(1, &world.everybody()[1..]);
    votes(&propose(&mut world, smaller));
}

/// Opens the next slot with time-outs that are not in order.
fn offer(change: impl FnOnce(&World, &mut Timeouts)) -> Vec<Output> {
    let mut world = masked();
    let mut shown = timeouts(&world, 0, None);
    change(&world, &mut shown);
    open(&mut world, 1, shown, Vec::new())
}

#[test]
fn a_new_slot_with_a_threshold_of_time_outs_begins() {
    followed(&offer(|_, _| {}), 1);
}

#[test]
fn with_one_time_out_too_few() {
    refused(&offer(|_, shown| shown.truncate(5)), FaultKind::Timeouts { found: 5, needed: 6 });
    refused(&offer(|_, shown| shown.clear()), FaultKind::Timeouts { found: 0, needed: 6 });
}

#[test]
fn with_a_signer_twice() {
    refused(&offer(|_, shown| shown[5] = shown[4].clone()), FaultKind::Order);
    refused(&offer(|_, shown| shown.swap(0, 1)), FaultKind::Order);
}

#[test]
fn with_the_time_out_of_a_stranger() {
    let out = offer(|_, shown| {
        shown[5] = crate::world::sign(shown[5].body.clone(), &stranger());
        shown.sort_by_key(|timeout| timeout.signer);
    });
    refused(&out, FaultKind::Stranger(stranger().id()));
}

#[test]
fn with_time_outs_of_another_slot_or_session() {
    let restate = |world: &World, shown: &mut Timeouts, change: &dyn Fn(&mut Timeout)| {
        let mut body = shown[0].body.clone();
        change(&mut body);
        shown[0] = world.sign(body, &shown[0].signer);
    };
    refused(&offer(|world, shown| restate(world, shown, &|body| body.slot = 1)), FaultKind::Session);
    let out = offer(|world, shown| restate(world, shown, &|body| body.session.0[0] ^= 1));
    refused(&out, FaultKind::Session);
}

/// A vote cannot be taken out of the time-out that reports it, nor shown without what it was for.
#[test]
fn with_a_vote_hidden_or_not_shown() {
    let mut world = masked();
    let (history, vote) = first_vote(&world);
    let mut hidden = timeouts(&world, 0, Some(vote));
    let (signer, signature) = (hidden[3].signer, hidden[3].signature());
    let body = Timeout { vote: None, ..hidden[3].body.clone() };
    hidden[3] = Signed::from_parts(body, signer, signature);
    refused(&open(&mut world, 1, hidden, history.clone()), FaultKind::Signature);

    // what has been shown before need not be shown again, so somebody who has not seen it is asked
    let mut world = masked();
    let reported = timeouts(&world, 0, Some(vote));
    refused(&open(&mut world, 1, reported, Vec::new()), FaultKind::Unproven);
    // one that nobody can have cast
    let later = timeouts(&world, 0, Some(LatestVote { slot: 1, ..vote }));
    refused(&open(&mut world, 1, later, history), FaultKind::Unproven);
}

/// A vote in a later slot is shown with what had opened that one, and it must have been allowed there.
#[test]
fn with_a_vote_whose_own_slot_is_not_in_order() {
    let mut world = masked();
    let (history, first) = first_vote(&world);
    let smaller = world.proposal_in(1, &world.everybody()[1..]);
    let vote = LatestVote { slot: 1, value: smaller.value.value() };
    let proposal = world.sign(smaller, &holder(&world, 1));
    let opener = |shown: Timeouts| {
        let body = NewSlot { session: world.session().id(), slot: 1, timeouts: shown };
        world.sign(body, &holder(&world, 1))
    };
    let free = opener(timeouts(&world, 0, None));
    let bound = opener(timeouts(&world, 0, Some(first)));
    let few = opener(timeouts(&world, 0, None)[..5].to_vec());
    let passage = |new_slot| Passage { new_slot, proposal: proposal.clone() };
    let cases = [
        (vec![passage(None)], FaultKind::Unproven),
        (vec![passage(Some(few))], FaultKind::Timeouts { found: 5, needed: 6 }),
        (vec![passage(Some(bound.clone()))], FaultKind::Unproven),
        ([history, vec![passage(Some(bound))]].concat(), FaultKind::NotAllowed),
    ];
    let reported = timeouts(&world, 1, Some(vote));
    for (history, kind) in cases {
        refused(&open(&mut world, 2, reported.clone(), history), kind);
    }
    // it is proven, but nobody who promised no more than this had cast it
    let above = timeouts(&world, 0, Some(vote));
    refused(&open(&mut world, 1, above, vec![passage(Some(free.clone()))]), FaultKind::Unproven);
    followed(&open(&mut world, 2, reported, vec![passage(Some(free))]), 2);
}

#[test]
fn by_somebody_else_or_for_a_slot_that_does_not_exist() {
    let mut world = masked();
    let session = world.session().id();
    let (expected, signer) = (holder(&world, 1), holder(&world, 2));
    let body = NewSlot { session, slot: 1, timeouts: timeouts(&world, 0, None) };
    let by_other = world.sign(body.clone(), &signer);
    refused(&show(&mut world, by_other, Vec::new()), FaultKind::Author { signer, expected });
    let wrong = world.signature(world.mask_set_like(), &expected);
    let forged = Signed::from_parts(body.clone(), expected, wrong);
    refused(&show(&mut world, forged, Vec::new()), FaultKind::Signature);
    // 3 turns for each of 8
    let beyond = world.sign(NewSlot { slot: 24, ..body }, &expected);
    let shown = ShownNewSlot { new_slot: beyond, mask_set: None, history: Vec::new(), missing: Vec::new() };
    let out = tell(&mut world, expected, Message::NewSlot(Box::new(shown)));
    refused(&out, FaultKind::Session);
}

/// A set that may have been certified is the only one that is voted for after.
#[test]
fn resuming_with_another_set() {
    let resumed = || {
        let mut world = voted();
        let (history, vote) = first_vote(&world);
        let mut reported = timeouts(&world, 0, None);
        // one report is enough: it may be the only honest one of those that count
        reported[2] = timeouts(&world, 0, Some(vote))[2].clone();
        followed(&open(&mut world, 1, reported, history), 1);
        (world, vote)
    };
    let (mut world, _) = resumed();
    let smaller = world.proposal_in(1, &world.everybody()[1..]);
    refused(&propose(&mut world, smaller), FaultKind::NotAllowed);
    let (mut world, _) = resumed();
    let body = abandon(&world, 1);
    refused(&propose(&mut world, body), FaultKind::NotAllowed);
    let (mut world, vote) = resumed();
    let same = world.proposal_in(1, &world.everybody());
    assert_eq!(votes(&propose(&mut world, same)), vote.value);
}

/// Two values of one slot: its aggregator has signed both, and nothing that follows is safe. The member says
/// nothing more.
fn void() -> World {
    let mut world = voted();
    let (mut history, vote) = first_vote(&world);
    let smaller = world.decree(world.proposal_body(&world.everybody()[1..]));
    let other = LatestVote { slot: 0, value: smaller.body.value.value() };
    history.push(Passage { new_slot: None, proposal: smaller });
    let mut reported = timeouts(&world, 0, Some(vote));
    reported[1] = timeouts(&world, 0, Some(other))[1].clone();
    ignored(&open(&mut world, 1, reported, history));
    world
}

#[test]
fn two_values_of_one_slot_end_the_round() {
    let mut world = void();
    for slot in [0, 1] {
        let body = world.proposal_in(slot, &world.everybody());
        ignored(&propose(&mut world, body));
    }
    let victim = follower(&world);
    let late = world.terms.deadline(Phase::Unmasking) + world.terms.deadline(Phase::Publish);
    let out = world.honest.get_mut(&victim).unwrap().handle(Input::Tick, late, &mut world.rng);
    let [Output::Finished(Outcome::Aborted(AbortReason::Void { .. }))] = &out[..] else {
        panic!("it goes on")
    };
}

/// c of them may lie; one more is believed.
#[test]
fn the_time_outs_of_so_many_that_all_may_lie() {
    let mut world = masked();
    let victim = follower(&world);
    let body = timeouts(&world, 0, None)[0].body.clone();
    let others = world.without(&[victim]);
    let mut heard = |from: &MemberId, by: &MemberId, slot: u32| {
        let timeout = world.sign(Timeout { slot, ..body.clone() }, by);
        world.say(*from, &victim, Message::TimedOut(Box::new(timeout)))
    };
    for _ in 0..2 {
        ignored(&heard(&others[0], &others[0], 0));
        ignored(&heard(&others[1], &others[1], 23));
    }
    let author = FaultKind::Author { signer: others[3], expected: others[2] };
    refused(&heard(&others[2], &others[3], 0), author);
    assert_eq!(gave_up(&heard(&others[2], &others[2], 5)).timeout.body.slot, 0);
}

/// A result is a result, whatever slot has begun since.
#[test]
fn a_result_of_a_lower_slot_outranks_what_came_after() {
    let certified =
        |world: &World| world.certificate(world.survivors(&world.everybody()), &world.everybody());
    let fetched = |world: &mut World| {
        let published = world.published(certified(world));
        let from = world.honest_ids()[1];
        let out = tell(world, from, Message::Published(Box::new(published)));
        assert_eq!(faults(&out), []);
        assert!(out.iter().any(|output| matches!(output, Output::Fetch(_))), "it does not take the result");
    };
    let mut world = voted();
    gave_up(&waits_in_vain(&mut world));
    fetched(&mut world);
    let mut world = masked();
    let shown = timeouts(&world, 2, None);
    followed(&open(&mut world, 3, shown, Vec::new()), 3);
    fetched(&mut world);
    // nor does it matter that nothing else could follow
    fetched(&mut void());
}

/// Nothing of this reads a clock: however late it is, a proposal that is in order gets its vote.
#[test]
fn time_alone_changes_no_rule() {
    let mut world = masked();
    let (aggregator, victim) = (world.aggregator(), follower(&world));
    let proposal = world.decree(world.proposal_body(&world.everybody()));
    let input = Input::Message(aggregator, Box::new(Message::Proposal(Box::new(proposal))));
    let late = world.terms.silence() * 1000 + Now::from_millis(1);
    votes(&world.honest.get_mut(&victim).unwrap().handle(input, late, &mut world.rng));
}
