use super::*;
use consort_protocol::{manifest::Policy, sim::consortium};

const TASK: Digest = [1; 32];

/// Eight members, of whom two may be corrupt, seen by the one that comes last in the order of round 0.
struct Scene {
    peers: Peers,
    others: Vec<MemberId>,
    gathering: Gathering,
}

fn scene() -> Scene {
    let manifest = consortium(8, Policy::default(), 1).unwrap().manifest;
    let mut order = election::order(&manifest, 0);
    let me = order.pop().unwrap();
    let gathering = Gathering::new(&manifest, 0);
    Scene { peers: Peers::new(manifest, me, Now::ZERO), others: order, gathering }
}

impl Scene {
    fn says(&mut self, who: usize, round: u64, waits: bool) {
        self.peers.connected(self.others[who]);
        self.peers.status(self.others[who], Status { round, waiting: waits.then_some(TASK), summary: None });
    }

    fn decide(&mut self, seconds: u64) -> Decision {
        self.gathering.decide(&self.peers, &TASK, Duration::from_secs(seconds))
    }
}

#[test]
fn where_no_aggregator_is_left_nothing_begins() {
    let mut scene = scene();
    let manifest = scene.peers.manifest.clone();
    // only members that are away may aggregate
    let away = scene.others[0];
    scene.gathering.order.retain(|id| *id == away);
    for who in 1..7 {
        scene.says(who, 0, true);
    }
    let gather = manifest.policy().gather_ms / 1000;
    assert_ne!(scene.decide(0), Decision::Start);
    assert_eq!(scene.decide(gather + 100), Decision::Wait(None));
    scene.says(0, 0, true);
    assert_eq!(scene.decide(gather + 200), Decision::Start, "it is back");
}

#[test]
fn whoever_is_left_behind_by_one_follows_it() {
    let mut scene = scene();
    // six of eight are needed: four wait with me, a fifth was sent to the next round, two say nothing
    for who in 0..4 {
        scene.says(who, 0, true);
    }
    assert_eq!(scene.decide(0), Decision::Wait(None));
    scene.says(4, 1, true);
    assert_eq!(scene.peers.round(), Some(0), "one alone is not believed");
    let patience = Duration::from_secs(15);
    assert_eq!(scene.decide(1), Decision::Wait(Some(Duration::from_secs(1) + patience)));
    assert_eq!(scene.decide(15), Decision::Wait(Some(Duration::from_secs(16))));
    assert_eq!(scene.decide(16), Decision::NextRound);
}

#[test]
fn whoever_is_ahead_stays_so_that_the_others_can_follow() {
    let mut scene = scene();
    scene.gathering = Gathering::new(&scene.peers.manifest, 1);
    for who in 0..4 {
        scene.says(who, 0, true);
    }
    // a liar beckons
    scene.says(5, u64::MAX, true);
    scene.says(6, u64::MAX, false);
    assert_eq!(scene.decide(0), Decision::Wait(None));
    assert_eq!(scene.decide(1000), Decision::Wait(None), "three or more behind: one of them is honest");
    // they have come, but for one
    for who in 0..3 {
        scene.says(who, 1, false);
    }
    assert!(matches!(scene.decide(1000), Decision::Wait(Some(_))));
    assert_eq!(scene.decide(1015), Decision::NextRound);
}

#[test]
fn a_round_that_can_start_is_not_given_up() {
    let mut scene = scene();
    for who in 0..5 {
        scene.says(who, 0, true);
    }
    scene.says(6, 9, true);
    for seconds in [0, 5, 20, 500] {
        assert_ne!(scene.decide(seconds), Decision::NextRound);
    }
}
