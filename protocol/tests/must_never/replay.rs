//! Everything that was said in an earlier session is said again in the next one, and nothing follows.

use consort_protocol::{ids::MemberId, sim::Envelope};

use crate::monitor::{Scene, bytes};

#[test]
fn of_a_whole_earlier_attempt() {
    for (round, attempt) in [(3, 1), (4, 0)] {
        let earlier = Scene::new(5, 3, 0).play(1, |envelope| vec![envelope]).sent;
        let scene = Scene::new(5, round, attempt);
        let quiet = scene.play(2, |envelope| vec![envelope]);
        let mut spoken = 0usize;
        let replayed = scene.play(2, |envelope| {
            // everything again at a few places, and a few everywhere
            let all = spoken.is_multiple_of(17);
            let from = spoken * 5;
            spoken += 1;
            let old = earlier.iter().cycle().skip(from % earlier.len());
            let mut said: Vec<Envelope> = old.take(if all { earlier.len() } else { 5 }).cloned().collect();
            said.push(envelope);
            said
        });
        assert_eq!(replayed.survivors().len(), 5);
        assert_eq!(replayed.report.outcomes.len(), quiet.report.outcomes.len());
        assert_eq!(replayed.report.aggregates.len(), 5, "round {round}, attempt {attempt}");
        assert!(!replayed.report.faults.is_empty());
        // as many messages as without, of the same kinds: nobody answered an old one
        let kinds = |sent: &[Envelope]| {
            let mut kinds: Vec<(MemberId, MemberId, u8)> =
                sent.iter().map(|it| (it.from, it.to, bytes(&it.message)[1])).collect();
            kinds.sort_unstable();
            kinds
        };
        assert_eq!(kinds(&replayed.sent), kinds(&quiet.sent), "round {round}, attempt {attempt}");
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
