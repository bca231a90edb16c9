//! What a member says, and may say when it refuses something.

use std::collections::BTreeSet;

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::Proposal,
        failover::{LatestVote, ShownTimeout},
    },
    report::Outcome,
    signing::Signed,
};

pub(crate) fn sent(out: &[Output]) -> Vec<(MemberId, Message)> {
    let send = |output: &Output| match output {
        Output::Send(to, message) => Some((*to, (**message).clone())),
        _ => None,
    };
    out.iter().filter_map(send).collect()
}

pub(crate) fn faults(out: &[Output]) -> Vec<FaultKind> {
    let fault = |output: &Output| match output {
        Output::Fault(fault) => Some(fault.kind.clone()),
        _ => None,
    };
    out.iter().filter_map(fault).collect()
}

/// The fault is named, and nothing leaves the member that helps whoever is to blame: no vector, no vote, no
/// share, no receipt. At most it gives up, and only on the one that it blames: before the roster the attempt,
/// after it the slot, with nothing said but that (see [`gave_up`]).
#[track_caller]
pub(crate) fn refused(out: &[Output], kind: FaultKind) {
    // what can be proved is proved first
    let proofs = out.iter().take_while(|output| matches!(output, Output::Evidence(_))).count();
    let [Output::Fault(fault), rest @ ..] = &out[proofs..] else {
        panic!("no fault is named first: {:?}", faults(out))
    };
    assert_eq!(fault.kind, kind);
    // of two statements the first holds, and what belongs elsewhere may only be late
    let harmless = matches!(kind, FaultKind::Session | FaultKind::Unexpected | FaultKind::Equivocation);
    match rest {
        [] => {}
        _ if harmless => panic!("it gives up where it can go on"),
        [Output::Finished(Outcome::Aborted(_))] => {}
        [Output::SlotOver { aggregator, .. }, ..] => {
            assert_eq!(*aggregator, fault.who, "the slot of somebody else is given up");
            gave_up(rest);
        }
        _ => panic!("something leaves a member that refuses"),
    }
}

/// What a member says that gives up its slot, and nothing else: it notes its promise, tells everybody else on
/// the roster once (with the roster itself, where somebody may not have it), and shows the next aggregator what
/// it has voted for. Gives what it shows.
#[track_caller]
pub(crate) fn gave_up(out: &[Output]) -> ShownTimeout {
    let [Output::SlotOver { slot, .. }, Output::Journal(JournalEntry::TimedOut(session, noted)), said @ ..] =
        out
    else {
        panic!("the promise is not noted before anything is said")
    };
    let mut told = sent(said);
    assert_eq!(told.len(), said.len(), "more follows than messages");
    let (next, Message::Timeout(shown)) = told.pop().expect("it tells somebody") else {
        panic!("the next aggregator is not told")
    };
    let promise = &shown.timeout;
    promise.verify().unwrap();
    assert_eq!((promise.body.session, promise.body.slot), (*session, *slot));
    assert_eq!(slot, noted);
    assert_eq!(shown.mask_set.as_ref().map(Signed::digest), promise.body.mask_set);
    let shows = shown.history.last().map(|passage| {
        let Proposal { slot, value, .. } = &passage.proposal.body;
        LatestVote { slot: *slot, value: value.value() }
    });
    assert_eq!(shows, promise.body.vote, "it shows another vote than it reports");
    let mut everybody = BTreeSet::from([promise.signer]);
    let mut shown_roster = BTreeSet::new();
    for (to, message) in &told {
        match message {
            // whoever has dealt nothing may not have it
            Message::Roster(roster) => {
                assert_eq!(roster.digest(), shown.session.roster.digest(), "another roster is shown");
                assert!(!everybody.contains(to) && shown_roster.insert(*to), "the roster comes too late");
            }
            Message::TimedOut(timeout) => {
                assert!(everybody.insert(*to), "somebody is told twice");
                assert_eq!(**timeout, *promise);
            }
            _ => panic!("something else is said"),
        }
    }
    assert!(everybody.contains(&next));
    let roster = &shown.session.roster.body.advertisements;
    assert!(everybody.into_iter().eq(roster.iter().map(|it| it.signer)), "not all on the roster are told");
    *shown
}

/// Nothing at all happens.
#[track_caller]
pub(crate) fn ignored(out: &[Output]) {
    assert!(out.is_empty(), "a repeated statement has an effect");
}
