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
            self.peers.status(self.order[place], Status { round, waiting });
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

    /// Passes over whoever is to be passed over at this moment; how many, and what then.
    fn settle(&mut self, now: Now) -> (usize, Decision) {
        for passed in 0..100 {
            match self.decide(now) {
                Decision::PassOver(aggregator) => {
                    assert_eq!(Some(aggregator), self.gathering.aggregator());
                    self.gathering.next_slot();
                }
                decision => return (passed, decision),
            }
        }
        panic!("aggregators are passed over without end");
    }
}

#[test]
fn my_turn_comes_as_soon_as_all_have_an_input() {
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    view.connect([3]);
    assert_eq!(view.decide(seconds(1)), Decision::Wait(Some(seconds(1) + GATHER)));
    view.waits([3]);
    assert_eq!(view.decide(seconds(1)), Decision::Propose);
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
    assert_eq!(view.decide(seconds(105)), Decision::Propose);
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
    assert_eq!(view.decide(seconds(1_000_000)), Decision::Propose);
}

#[test]
fn a_member_unreachable_for_30_seconds_is_not_waited_for() {
    let mut view = View::new(4, 0);
    view.waits([1, 2, 3]);
    view.loses(3, seconds(100));
    assert_eq!(view.decide(seconds(127)), Decision::Wait(Some(seconds(130))), "forgotten before GATHER ends");
    assert_eq!(view.decide(seconds(130) - MILLISECOND), Decision::Wait(Some(seconds(130))));
    assert_eq!(view.decide(seconds(130)), Decision::Propose);
    // one that was never seen counts from this node's start
    let mut view = View::new(4, 0);
    view.waits([1, 2]);
    assert_eq!(view.decide(seconds(29)), Decision::Wait(Some(seconds(30))));
    assert_eq!(view.decide(seconds(30)), Decision::Propose);
}

#[test]
fn a_member_that_is_back_counts_with_what_it_last_said() {
    let mut view = View::new(4, 0);
    view.waits([1, 2, 3]);
    view.loses(3, seconds(1));
    assert_eq!(view.decide(seconds(2)), Decision::Wait(Some(seconds(2) + GATHER)));
    view.connect([3]);
    assert_eq!(view.decide(seconds(3)), Decision::Propose);
    view.says([3], ROUND, None);
    view.gathering = Gathering::new(&view.manifest, ROUND);
    assert_eq!(view.decide(seconds(3)), Decision::Wait(Some(seconds(3) + GATHER)), "it has changed its mind");
}

#[test]
fn an_aggregator_that_is_not_connected_is_passed_over_after_a_second() {
    let mut view = View::new(4, 1);
    view.waits([0, 2, 3]);
    view.loses(0, seconds(100));
    view.decide(seconds(95));
    assert_eq!(view.decide(seconds(101) - MILLISECOND), Decision::Wait(Some(seconds(101))));
    assert_eq!(view.decide(seconds(101)), Decision::PassOver(view.order[0]));
    view.gathering.next_slot();
    assert_eq!(view.decide(seconds(101)), Decision::Propose, "it is my turn now");
}

#[test]
fn aggregators_lost_long_ago_are_passed_over_at_once() {
    let mut view = View::new(7, 2);
    view.waits(3..7);
    assert_eq!(view.settle(seconds(1000)), (2, Decision::Propose));
    assert_eq!(view.gathering.slot, 2);
}

#[test]
fn a_connected_aggregator_keeps_its_slot_until_patience_ends() {
    let mut view = View::new(4, 3);
    view.waits([0, 1, 2]);
    let patience = seconds(100) + GATHER + DEADLINE;
    assert_eq!(view.decide(seconds(100)), Decision::Wait(Some(patience)));
    assert_eq!(view.decide(patience - MILLISECOND), Decision::Wait(Some(patience)));
    assert_eq!(view.decide(patience), Decision::PassOver(view.order[0]));
    view.gathering.next_slot();
    let second = patience + GATHER + DEADLINE;
    assert_eq!(view.decide(patience), Decision::Wait(Some(second)), "the next one has as long");
}

#[test]
fn while_every_aggregator_is_away_no_slot_passes() {
    let mut view = View::new(4, 3);
    let alone = view.order[0];
    view.gathering.order = vec![alone];
    view.waits([1, 2]);
    assert_eq!(view.settle(seconds(1000)), (0, Decision::Wait(None)));
    view.waits([0]);
    let patience = seconds(1000) + GATHER + DEADLINE;
    assert_eq!(view.settle(seconds(1000)), (0, Decision::Wait(Some(patience))));
}

/// Of those who may aggregate only I am there.
#[test]
fn my_turn_comes_when_all_others_who_may_aggregate_are_away() {
    let mut view = View::new(4, 1);
    view.waits([2, 3]);
    let (away, me) = (view.order[0], view.order[1]);
    view.gathering.order.retain(|id| *id == away || *id == me);
    assert_eq!(view.decide(seconds(1)), Decision::Wait(Some(seconds(1) + GATHER)));
    assert_eq!(view.settle(seconds(1) + GATHER), (1, Decision::Propose));
}

#[test]
fn a_later_slot_is_joined_only_past_aggregators_that_are_away() {
    let mut view = View::new(5, 4);
    view.connect([1, 3]);
    let may = |view: &View, slot| view.gathering.may_skip_to(slot, &view.peers);
    assert!(may(&view, 0), "its own slot");
    assert!(may(&view, 1), "0 is away");
    assert!(!may(&view, 2), "1 is connected and may still propose");
    view.loses(1, seconds(1));
    assert!(may(&view, 2));
    assert!(may(&view, 3));
    view.loses(3, seconds(1));
    assert!(may(&view, 4));
    assert!(!may(&view, 5), "nobody else decides that I am away");
    view.gathering.next_slot();
    assert!(!may(&view, 0), "slots never go back");
    assert!(!may(&view, u32::MAX));
}

#[test]
fn slots_go_round_the_order() {
    let mut view = View::new(4, 0);
    for slot in 0..9 {
        assert_eq!(view.gathering.slot, slot);
        assert_eq!(view.gathering.aggregator(), Some(view.order[slot as usize % 4]));
        view.gathering.next_slot();
    }
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
