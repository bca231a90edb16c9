use consort_protocol::{
    manifest::Policy,
    sim::{Consortium, consortium},
};
use proptest::prelude::*;

use super::*;

const TASK: Digest = [7; 32];
const OTHER: Digest = [8; 32];
const ROUND: u64 = 5;
const GATHER: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(10);
const MILLISECOND: Duration = Duration::from_millis(1);

fn seconds(count: u64) -> Now {
    Duration::from_secs(count)
}

/// One member's view of a consortium; members are named by their place in the round's order.
struct View {
    manifest: Arc<Manifest>,
    order: Vec<MemberId>,
    peers: Peers,
    gathering: Gathering,
}

impl View {
    fn new(members: usize, me: usize) -> Self {
        Self::with(members, me, Policy::default())
    }

    fn with(members: usize, me: usize, policy: Policy) -> Self {
        let policy = Policy {
            gather_ms: GATHER.as_millis() as u64,
            deadline_ms: DEADLINE.as_millis() as u64,
            ..policy
        };
        let Consortium { manifest, .. } = consortium(members, policy, 1).unwrap();
        let order = election::order(&manifest, ROUND);
        let peers = Peers::new(manifest.clone(), order[me], Now::ZERO);
        let gathering = Gathering::new(&manifest, ROUND);
        Self { manifest, order, peers, gathering }
    }

    fn connect(&mut self, places: impl IntoIterator<Item = usize>) -> &mut Self {
        places.into_iter().for_each(|place| self.peers.connected(self.order[place]));
        self
    }

    fn says(&mut self, places: impl IntoIterator<Item = usize>, round: u64, waiting: Option<Digest>) {
        for place in places {
            self.peers.status(self.order[place], Status { round, waiting, summary: None });
        }
    }

    /// Connected, with the task of all tests.
    fn waits(&mut self, places: impl IntoIterator<Item = usize> + Clone) {
        self.connect(places.clone()).says(places, ROUND, Some(TASK));
    }

    fn loses(&mut self, place: usize, at: Now) {
        self.peers.disconnected(self.order[place], at);
    }

    fn decide(&mut self, now: Now) -> Decision {
        self.gathering.decide(&self.peers, &TASK, now)
    }
}

#[test]
fn a_round_starts_as_soon_as_all_have_an_input() {
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    view.connect([3]);
    assert_eq!(view.decide(seconds(1)), Decision::Wait(Some(seconds(1) + GATHER)));
    view.waits([3]);
    assert_eq!(view.decide(seconds(1)), Decision::Start);
}

#[test]
fn inputs_for_another_task_or_round_do_not_count() {
    for (round, waiting) in [(ROUND, Some(OTHER)), (ROUND, None), (ROUND + 1, Some(TASK)), (0, Some(TASK))] {
        let mut view = View::new(4, 0);
        view.waits([1, 2, 3]);
        view.says([3], round, waiting);
        assert_eq!(view.decide(seconds(1)), Decision::Wait(Some(seconds(1) + GATHER)), "{round} {waiting:?}");
        view.says([2], round, waiting);
        // both may be right, and then it is this member that has to follow
        let follow = (round > ROUND).then(|| seconds(1) + GATHER + DEADLINE);
        assert_eq!(view.decide(seconds(1)), Decision::Wait(follow), "2 of 4 are not enough");
    }
}

#[test]
fn the_gathering_ends_some_time_after_the_minimum_have_an_input() {
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    view.connect([3]);
    assert_eq!(view.decide(seconds(100)), Decision::Wait(Some(seconds(105))));
    assert_eq!(view.decide(seconds(105) - MILLISECOND), Decision::Wait(Some(seconds(105))));
    assert_eq!(view.decide(seconds(105)), Decision::Start);
}

#[test]
fn the_gathering_begins_anew_when_the_minimum_was_lost() {
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    view.connect([3]);
    assert_eq!(view.decide(seconds(100)), Decision::Wait(Some(seconds(105))));
    view.loses(1, seconds(103));
    assert_eq!(view.decide(seconds(104)), Decision::Wait(None));
    view.connect([1]);
    assert_eq!(view.decide(seconds(110)), Decision::Wait(Some(seconds(115))));
}

#[test]
fn below_the_minimum_nothing_ever_starts() {
    // 7 members, c = 2: at least 5 take part
    let mut view = View::new(7, 0);
    view.waits([1, 2, 3]);
    assert_eq!(view.decide(seconds(1_000_000)), Decision::Wait(None), "4, and the others long forgotten");
    view.waits([4]);
    assert_eq!(view.decide(seconds(1_000_000)), Decision::Start);
}

#[test]
fn a_member_unreachable_for_30_seconds_is_not_waited_for() {
    let mut view = View::new(4, 0);
    view.waits([1, 2, 3]);
    view.loses(3, seconds(100));
    assert_eq!(view.decide(seconds(127)), Decision::Wait(Some(seconds(130))), "forgotten before GATHER ends");
    assert_eq!(view.decide(seconds(130) - MILLISECOND), Decision::Wait(Some(seconds(130))));
    assert_eq!(view.decide(seconds(130)), Decision::Start);
    // one that was never seen counts from this node's start
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    assert_eq!(view.decide(seconds(29)), Decision::Wait(Some(seconds(30))));
    assert_eq!(view.decide(seconds(30)), Decision::Start);
}

#[test]
fn a_member_that_is_back_counts_with_what_it_last_said() {
    let mut view = View::new(4, 0);
    view.waits([1, 2, 3]);
    view.loses(3, seconds(1));
    assert_eq!(view.decide(seconds(2)), Decision::Wait(Some(seconds(2) + GATHER)));
    view.connect([3]);
    assert_eq!(view.decide(seconds(3)), Decision::Start);
    view.says([3], ROUND, None);
    view.gathering = Gathering::new(&view.manifest, ROUND);
    assert_eq!(view.decide(seconds(3)), Decision::Wait(Some(seconds(3) + GATHER)), "it has changed its mind");
}

#[test]
fn while_every_aggregator_is_away_nothing_starts() {
    let mut view = View::new(4, 3);
    let alone = view.order[0];
    view.gathering.order = vec![alone];
    view.waits([1, 2]);
    assert_eq!(view.decide(seconds(1000)), Decision::Wait(None));
    view.waits([0]);
    assert_eq!(view.decide(seconds(2000)), Decision::Start);
}

/// Of those who may aggregate only I am there.
#[test]
fn a_round_starts_when_all_others_who_may_aggregate_are_away() {
    let mut view = View::new(4, 1);
    view.waits([2, 3]);
    let (away, me) = (view.order[0], view.order[1]);
    view.gathering.order.retain(|id| *id == away || *id == me);
    assert_eq!(view.decide(seconds(1)), Decision::Wait(Some(seconds(1) + GATHER)));
    assert_eq!(view.decide(seconds(1) + GATHER), Decision::Start);
}

#[test]
fn a_proposal_begins_the_round_only_past_aggregators_that_are_away() {
    let mut view = View::new(5, 4);
    view.connect([1, 3]);
    let may = |view: &View, slot| view.gathering.may_begin_in(slot, &view.peers);
    assert!(may(&view, 0), "its own slot");
    assert!(may(&view, 1), "0 is away");
    assert!(!may(&view, 2), "1 is connected and may still propose");
    view.loses(1, seconds(1));
    assert!(may(&view, 2));
    assert!(may(&view, 3));
    view.loses(3, seconds(1));
    assert!(may(&view, 4));
    assert!(!may(&view, 5), "nobody else decides that I am away");
    assert!(!may(&view, u32::MAX));
}

#[test]
fn the_round_is_what_more_than_the_liars_say() {
    // 7 members, c = 2
    let mut view = View::new(7, 0);
    view.says([1, 2], u64::MAX, None);
    assert_eq!(view.peers.round(), None, "both of them may lie");
    view.says([3], 9, None);
    assert_eq!(view.peers.round(), Some(9));
    view.says([4, 5, 6], 12, None);
    assert_eq!(view.peers.round(), Some(12));
    view.loses(4, seconds(1));
    assert_eq!(view.peers.round(), Some(12), "what somebody said stays said");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever c of the others claim: the round is never beyond what some honest member says, and as soon
    /// as c + 1 honest ones are at a round, this node is not behind it.
    #[test]
    fn liars_push_nobody_ahead_and_hold_nobody_back(
        honest in prop::collection::vec(0u64..20, 4),
        lies in prop::collection::vec(prop_oneof![0u64..40, Just(u64::MAX)], 2),
        liars in prop::sample::subsequence((1usize..7).collect::<Vec<_>>(), 2),
    ) {
        let mut view = View::new(7, 0);
        let mut honest_left = honest.iter();
        for place in 1..7 {
            let lie = liars.iter().position(|liar| *liar == place).map(|index| lies[index]);
            let round = lie.unwrap_or_else(|| *honest_left.next().unwrap());
            view.says([place], round, None);
        }
        let round = view.peers.round().unwrap();
        let mut descending = honest;
        descending.sort_unstable_by(|left, right| right.cmp(left));
        prop_assert!(round <= descending[0]);
        prop_assert!(round >= descending[2]);
    }
}
