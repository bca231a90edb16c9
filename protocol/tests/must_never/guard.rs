//! Have part in a sum that differs from an earlier one of the same data by a few members.

use consort_protocol::{
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{Message, advertise_keys::Decline, consistency_check::SurvivorSet},
    phase::Phase,
    signing::Signed,
};

use crate::world::{World, faults, sent};

const LABEL: Option<&str> = Some("ward counts");

/// Of eight members, of whom two may be corrupt, all were in an earlier sum.
fn after_a_sum_of_all(label: Option<&str>) -> World {
    World::guarded(8, 2, label, |everybody| vec![everybody.to_vec()]).shared().masked()
}

fn without(world: &World, count: usize) -> Vec<MemberId> {
    world.everybody().into_iter().skip(count).collect()
}

fn propose(world: &mut World, survivors: &[MemberId]) -> Vec<Output> {
    let proposal = world.decree(world.proposal_body(survivors));
    world.tell(Message::Proposal(Box::new(proposal)))
}

fn cohorts(out: &[Output]) -> Vec<&Vec<MemberId>> {
    let cohort = |output| match output {
        &Output::Journal(JournalEntry::Cohort { ref label, ref members }) => {
            assert_eq!(Some(label.as_str()), LABEL);
            Some(members)
        }
        _ => None,
    };
    out.iter().filter_map(cohort).collect()
}

/// It says no to the aggregator, in words and signed, and nothing else leaves.
#[track_caller]
fn declined(world: &World, out: &[Output], phase: Phase) -> Signed<Decline> {
    assert_eq!(faults(out), [], "to say no blames nobody");
    let words: Vec<_> = out
        .iter()
        .filter_map(|output| match output {
            Output::Declined { who, phase, reason } => Some((*who, *phase, reason.clone())),
            _ => None,
        })
        .collect();
    let said = sent(out);
    let [(to, Message::Decline(decline))] = &said[..] else { panic!("{} messages leave", said.len()) };
    assert_eq!(*to, world.aggregator());
    decline.verify().unwrap();
    assert_eq!(words, [(world.victim(), phase, decline.body.reason.clone())]);
    assert!(decline.body.reason.contains("1 differ; none or at least 4 may"), "{}", decline.body.reason);
    (**decline).clone()
}

#[test]
fn a_set_that_differs_by_one_gets_no_vote() {
    let mut world = after_a_sum_of_all(LABEL);
    let survivors = without(&world, 1);
    let out = propose(&mut world, &survivors);
    declined(&world, &out, Phase::ConsistencyCheck);
    assert_eq!(cohorts(&out).len(), 0, "what is refused does not count as known");
    assert!(!out.iter().any(|output| matches!(output, Output::Journal(JournalEntry::Voted(..)))));
    // asked again, it says the same
    let out = propose(&mut world, &survivors);
    declined(&world, &out, Phase::ConsistencyCheck);
}

#[test]
fn the_same_set_again_gets_a_vote_and_so_does_new_data() {
    for (label, count) in [(LABEL, 0), (None, 1)] {
        let mut world = after_a_sum_of_all(label);
        let survivors = without(&world, count);
        let said = sent(&propose(&mut world, &survivors));
        assert!(matches!(said[..], [(_, Message::Vote(_))]), "{label:?}");
    }
}

/// With c = 2 and m = 2 an earlier set of four of the eight is far enough from all of them, one of five is not.
#[test]
fn a_set_that_differs_by_c_plus_m_gets_a_vote_and_by_one_fewer_none() {
    for (earlier, votes) in [(4, true), (5, false)] {
        let mut world =
            World::guarded(8, 2, LABEL, |everybody| vec![everybody[..earlier].to_vec()]).shared().masked();
        let survivors = world.everybody();
        let out = propose(&mut world, &survivors);
        let said = sent(&out);
        assert_eq!(matches!(said[..], [(_, Message::Vote(_))]), votes, "after a sum of {earlier}");
        let noted: &[&Vec<MemberId>] = if votes { &[&survivors] } else { &[] };
        assert_eq!(cohorts(&out), noted, "after a sum of {earlier}");
    }
}

#[test]
fn what_it_votes_for_is_on_disk_before_the_vote_leaves() {
    let mut world = World::guarded(8, 2, LABEL, |_| Vec::new()).shared().masked();
    let survivors = without(&world, 1);
    let out = propose(&mut world, &survivors);
    assert_eq!(cohorts(&out), [&survivors]);
    let at = |wanted: &dyn Fn(&Output) -> bool| out.iter().position(wanted).unwrap();
    let noted = at(&|output| matches!(output, Output::Journal(JournalEntry::Cohort { .. })));
    let voted = at(&|output| matches!(output, Output::Send(..)));
    assert!(noted < voted);
}

/// Votes of others make a certificate; they can have the sum, but not with my help.
#[test]
fn a_certified_set_that_differs_by_one_gets_no_share_and_counts_as_known() {
    let mut world = after_a_sum_of_all(LABEL);
    let survivors = without(&world, 1);
    let set: SurvivorSet = world.survivors(&survivors);
    let certificate = world.certificate(set, &world.everybody());
    let out = world.tell(Message::Certificate(Box::new(certificate.clone())));
    declined(&world, &out, Phase::Unmasking);
    assert_eq!(cohorts(&out), [&survivors]);
    // with all votes and the earlier set alone it reveals
    let mut world = after_a_sum_of_all(LABEL);
    let everybody = world.everybody();
    let certificate = world.certificate(world.survivors(&everybody), &everybody);
    let said = sent(&world.tell(Message::Certificate(Box::new(certificate))));
    assert!(matches!(said[..], [(_, Message::Reveal(_))]));
}
