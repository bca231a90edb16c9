//! Everything that was said in an earlier session is said again in the next one, and nothing follows.

use std::collections::BTreeSet;

use consort_protocol::{ids::MemberId, messages::Message, sim::Envelope};

use crate::monitor::{Scene, bytes};

/// Sender, receiver and kind of everything that was sent. Whoever speaks of another session is shown the roster
/// of this one, once by each who hears it: that much is beside what the session itself takes.
fn kinds(sent: &[Envelope]) -> Vec<(MemberId, MemberId, u8)> {
    let (mut announced, mut shown) = (BTreeSet::new(), BTreeSet::new());
    let mut kinds = Vec::new();
    for Envelope { from, to, message } in sent {
        let link = (*from, *to);
        match message {
            Message::Roster(roster) if roster.signer != *from || !announced.insert(link) => {
                assert!(shown.insert(link), "the roster is shown to somebody twice");
            }
            message => kinds.push((*from, *to, bytes(message)[1])),
        }
    }
    kinds.sort_unstable();
    kinds
}

/// Says old messages at every opportunity: all of them at a few places, and a few everywhere.
fn again(earlier: &[Envelope], spoken: &mut usize, envelope: Envelope) -> Vec<Envelope> {
    let all = spoken.is_multiple_of(17);
    let from = *spoken * 5;
    *spoken += 1;
    let old = earlier.iter().cycle().skip(from % earlier.len());
    let mut said: Vec<Envelope> = old.take(if all { earlier.len() } else { 5 }).cloned().collect();
    said.push(envelope);
    said
}

#[test]
fn of_a_whole_earlier_round() {
    let earlier = Scene::new(5, 3, 0).play(1, |envelope| vec![envelope]).sent;
    let scene = Scene::new(5, 4, 0);
    let quiet = scene.play(2, |envelope| vec![envelope]);
    let mut spoken = 0;
    let replayed = scene.play(2, |envelope| again(&earlier, &mut spoken, envelope));
    assert_eq!((replayed.survivors().len(), replayed.report.aggregates.len()), (5, 5));
    assert!(!replayed.report.faults.is_empty());
    // as many messages as without, of the same kinds: nobody answered an old one
    assert_eq!(kinds(&replayed.sent), kinds(&quiet.sent));
}

/// The mask sets of the first attempt are lost, so that it is abandoned. What was said in it is said again in
/// the second.
#[test]
fn of_an_earlier_attempt_of_the_round() {
    let scene = Scene::new(5, 3, 0);
    let second =
        |it: &Envelope| matches!(&it.message, Message::Contract(contract) if contract.body.attempt == 1);
    let lost = |it: &Envelope| matches!(it.message, Message::MaskSet(_));
    let run = |replays: bool| {
        let (mut earlier, mut spoken, mut begun) = (Vec::new(), 0, false);
        scene.play(2, |envelope| {
            begun |= second(&envelope);
            if !begun {
                earlier.push(envelope.clone());
                return if lost(&envelope) { Vec::new() } else { vec![envelope] };
            }
            if replays { again(&earlier, &mut spoken, envelope) } else { vec![envelope] }
        })
    };
    for replays in [false, true] {
        let played = run(replays);
        assert_eq!((played.survivors().len(), played.report.aggregates.len()), (5, 5));
        assert_eq!(replays, !played.report.faults.is_empty());
    }
}

/// Each message of the running session comes three times.
#[test]
fn of_the_same_attempt() {
    let scene = Scene::new(5, 3, 0);
    let played = scene.play(1, |envelope| vec![envelope.clone(), envelope.clone(), envelope]);
    assert_eq!(played.survivors().len(), 5);
    assert_eq!(played.report.aggregates.len(), 5);
}
