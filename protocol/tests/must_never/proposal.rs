//! A member votes once, and only for survivors whose signed roots it has seen.

use consort_protocol::{
    fault::FaultKind,
    io::{Input, JournalEntry, Output, Work},
    messages::{
        Message,
        consistency_check::{Proposal, Proposed, SurvivorSet},
        masked_input::MaskedInput,
    },
    report::{AbortReason, Outcome},
    signing::Signed,
};

use crate::world::{World, faults, ignored, refused, root_of, sent, stranger};

fn masked() -> World {
    World::new(8, 2).shared().masked()
}

fn offer(change: impl FnOnce(&World, &mut Proposal)) -> Vec<Output> {
    let mut world = masked();
    let mut body = world.proposal_body(&world.everybody());
    change(&world, &mut body);
    // whatever the set is, the standbys hold it
    let receipts = world.standbys(0, &SurvivorSet::of(statements(&mut body)));
    if let Proposed::Survivors { standbys, .. } = &mut body.value {
        *standbys = receipts;
    }
    let proposal = world.decree(body);
    world.tell(Message::Proposal(Box::new(proposal)))
}

fn restate(world: &World, change: impl FnOnce(&mut MaskedInput)) -> Signed<MaskedInput> {
    let victim = world.victim();
    let mut body = world.statements[&victim].body.clone();
    change(&mut body);
    world.sign(body, &victim)
}

fn statements(body: &mut Proposal) -> &mut Vec<Signed<MaskedInput>> {
    match &mut body.value {
        Proposed::Survivors { statements, .. } => statements,
        Proposed::Abandon => panic!("it is for a sum"),
    }
}

fn mine<'a>(world: &World, body: &'a mut Proposal) -> &'a mut Signed<MaskedInput> {
    statements(body).iter_mut().find(|statement| statement.signer == world.victim()).unwrap()
}

#[test]
fn an_honest_one_gets_one_vote_that_is_on_disk_before_it_is_sent() {
    let out = offer(|_, _| {});
    assert_eq!(faults(&out), []);
    let at = |wanted: &dyn Fn(&Output) -> bool| out.iter().position(wanted).unwrap();
    let journalled = at(&|output| matches!(output, Output::Journal(JournalEntry::Voted(..))));
    let voted =
        at(&|output| matches!(output, Output::Send(_, message) if matches!(**message, Message::Vote(_))));
    assert!(journalled < voted);
    assert_eq!(sent(&out).len(), 1);
}

#[test]
fn a_set_without_me_gets_a_vote_too() {
    let out = offer(|world, body| {
        let victim = world.victim();
        statements(body).retain(|statement| statement.signer != victim);
    });
    assert_eq!((faults(&out).len(), sent(&out).len()), (0, 1));
}

#[test]
fn below_the_minimum() {
    let out = offer(|_, body| statements(body).truncate(5));
    refused(&out, FaultKind::TooFew { found: 5, needed: 6 });
}

#[test]
fn with_me_under_another_root() {
    // with the victim's signature on it, which only an accident or a stolen key can produce
    let out = offer(|world, body| *mine(world, body) = restate(world, |statement| statement.root = [1; 32]));
    refused(&out, FaultKind::Altered);
}

#[test]
fn with_me_before_i_have_sent_anything() {
    let ready = masked();
    let mut world = World::new(8, 2).shared();
    let mask_set = world.decree(world.mask_set_body());
    world.tell(Message::MaskSet(Box::new(mask_set)));
    let proposal = ready.decree(ready.proposal_body(&ready.everybody()));
    refused(&world.tell(Message::Proposal(Box::new(proposal))), FaultKind::Altered);
}

#[test]
fn with_a_survivor_twice_or_out_of_order() {
    refused(
        &offer(|_, body| {
            let first = statements(body)[0].clone();
            statements(body).insert(0, first)
        }),
        FaultKind::Order,
    );
    refused(&offer(|_, body| statements(body).swap(3, 4)), FaultKind::Order);
}

#[test]
fn with_the_forged_signature_of_a_survivor() {
    let out = offer(|world, body| {
        let other = world.honest_ids()[1];
        let at = statements(body).iter().position(|statement| statement.signer == other).unwrap();
        statements(body)[at].body.root = [1; 32];
    });
    refused(&out, FaultKind::Signature);
}

#[test]
fn with_a_stranger() {
    let id = stranger().id();
    let out = offer(|world, body| {
        let statement = world.statements[&world.victim()].body.clone();
        statements(body).push(crate::world::sign(statement, &stranger()));
        statements(body).sort_by_key(|statement| statement.signer);
    });
    refused(&out, FaultKind::Stranger(id));
}

/// On the roster, but its masks are in nobody's vector.
#[test]
fn with_somebody_outside_of_the_mask_set() {
    let mut world = World::new(8, 2).shared();
    let outside = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    world.commitments.remove(&outside);
    let mut world = world.masked();
    let proposal = world.decree(world.proposal_body(&world.everybody()));
    refused(&world.tell(Message::Proposal(Box::new(proposal))), FaultKind::Stranger(outside));
}

#[test]
fn with_a_statement_of_another_session_or_mask_set() {
    let session = offer(|world, body| *mine(world, body) = restate(world, |it| it.session.0[0] ^= 1));
    refused(&session, FaultKind::Session);
    let mask_set = offer(|world, body| *mine(world, body) = restate(world, |it| it.mask_set[0] ^= 1));
    refused(&mask_set, FaultKind::Session);
}

#[test]
fn of_another_session_or_slot() {
    refused(&offer(|_, body| body.session.0[0] ^= 1), FaultKind::Session);
    refused(&offer(|_, body| body.slot = 1), FaultKind::Session);
}

#[test]
fn from_somebody_who_is_not_the_aggregator() {
    let mut world = masked();
    let (aggregator, victim) = (world.aggregator(), world.victim());
    let other = world.puppet_ids().into_iter().find(|id| *id != aggregator).unwrap();
    let proposal = world.sign(world.proposal_body(&world.everybody()), &other);
    let author = FaultKind::Author { signer: other, expected: aggregator };
    refused(&world.say(other, &victim, Message::Proposal(Box::new(proposal.clone()))), author.clone());
    refused(&world.tell(Message::Proposal(Box::new(proposal))), author);
}

#[test]
fn with_a_forged_signature() {
    let mut world = masked();
    let wrong = world.signature(world.mask_set_like(), &world.aggregator());
    let proposal = Signed::from_parts(world.proposal_body(&world.everybody()), world.aggregator(), wrong);
    refused(&world.tell(Message::Proposal(Box::new(proposal))), FaultKind::Signature);
}

#[test]
fn a_second_one_gets_no_second_vote() {
    let mut world = masked();
    let first = world.decree(world.proposal_body(&world.everybody()));
    assert_eq!(sent(&world.tell(Message::Proposal(Box::new(first.clone())))).len(), 1);
    ignored(&world.tell(Message::Proposal(Box::new(first))));
    let second = world.decree(world.proposal_body(&world.everybody()[..7]));
    refused(&world.tell(Message::Proposal(Box::new(second))), FaultKind::Equivocation);
}

#[test]
fn a_second_vector_is_not_stated() {
    let mut world = masked();
    let victim = world.victim();
    let uploaded = |world: &World, root| Input::Done(Work::Uploaded(world.aggregator(), root));
    // the same vector once more, for an aggregator that may not have heard
    let again = uploaded(&world, root_of(&victim));
    let said = sent(&world.input(&victim, again));
    let [(_, Message::MaskedInput(repeated))] = &said[..] else { panic!("it says the same again") };
    assert_eq!(**repeated, world.statements[&victim]);
    // another one: whatever happened, this member has no part in the session any more
    let other = uploaded(&world, [1; 32]);
    let out = world.input(&victim, other);
    let [Output::Finished(Outcome::Aborted(AbortReason::Local { .. }))] = &out[..] else {
        panic!("it goes on with another vector")
    };
}
