use proptest::prelude::*;

use super::*;

fn set(members: impl IntoIterator<Item = u8>) -> Vec<MemberId> {
    members.into_iter().map(|member| MemberId([member; 32])).collect()
}

fn near(differ: usize, needed: usize) -> Result<(), Refusal> {
    Err(Refusal::Near { differ, needed })
}

#[test]
fn sets_are_equal_or_far_apart_on_both_sides() {
    let guard = Guard::new(2, [set(0..10)]);
    let check = |members: Vec<MemberId>| guard.check(members, 2);
    assert_eq!(check(set(0..10)), Ok(()));
    assert_eq!(check(set((0..10).rev())), Ok(()), "whatever the order");
    for missing in 1..4 {
        assert_eq!(check(set(missing..10)), near(missing.into(), 4));
        assert_eq!(check(set(0..10 + missing)), near(missing.into(), 4));
    }
    assert_eq!(check(set(4..10)), Ok(()));
    assert_eq!(check(set(0..14)), Ok(()));
    // far on one side does not make up for near on the other
    assert_eq!(check(set(4..11)), near(1, 4));
    assert_eq!(check(set(1..20)), near(1, 4));
    assert_eq!(check(set(4..14)), Ok(()));
}

#[test]
fn the_margin_is_at_least_two() {
    for margin in 0..3 {
        assert_eq!(Guard::new(margin, [set(0..8)]).check(set(2..8), 1), near(2, 3));
    }
    assert_eq!(Guard::new(2, [set(0..8)]).check(set(3..8), 1), Ok(()));
    assert_eq!(Guard::new(3, [set(0..8)]).check(set(3..8), 1), near(3, 4));
}

#[test]
fn every_earlier_set_counts_and_equal_ones_once() {
    let mut guard = Guard::default();
    assert!(guard.reveal(set(0..8)));
    assert!(!guard.reveal(set((0..8).rev())), "it is known already");
    assert!(guard.reveal(set(20..28)));
    assert_eq!(guard.check(set(0..7), 1), near(1, 3));
    assert_eq!(guard.check(set(20..27), 1), near(1, 3));
}

#[test]
fn when_no_more_can_be_kept_others_are_refused_and_none_is_forgotten() {
    let many = |number: usize| {
        let id = |at: u8| {
            MemberId(
                [[number as u8, (number >> 8) as u8, at], [at; 3]].concat().repeat(6)[..32]
                    .try_into()
                    .unwrap(),
            )
        };
        (0..4).map(id).collect::<Vec<_>>()
    };
    let mut guard = Guard::default();
    for number in 0..MAX_COHORTS {
        assert_eq!(guard.check(many(number), 1), Ok(()));
        assert!(guard.reveal(many(number)));
    }
    assert_eq!(guard.check(many(MAX_COHORTS), 1), Err(Refusal::Full));
    assert!(!guard.reveal(many(MAX_COHORTS)));
    assert_eq!(guard.check(many(0), 1), Ok(()), "one that is kept may be summed again");
    let mut almost = many(0);
    almost.pop();
    assert_eq!(guard.check(almost, 1), near(1, 3));
}

#[test]
fn whoever_chooses_takes_all_or_an_earlier_set() {
    let all = |members: Vec<MemberId>| members.into_iter().collect::<BTreeSet<_>>();
    let guard = Guard::new(2, [set(0..7)]);
    assert_eq!(guard.choose(&all(set(0..7)), 5, 2), Ok(all(set(0..7))));
    assert_eq!(guard.choose(&all(set(0..8)), 5, 2), Ok(all(set(0..7))), "the newcomer is left out");
    assert_eq!(guard.choose(&all(set(0..8)), 8, 2), Err(Refusal::Near { differ: 1, needed: 4 }));
    assert_eq!(guard.choose(&all(set(0..6)), 5, 2), Err(Refusal::Near { differ: 1, needed: 4 }));
    assert_eq!(guard.choose(&all(set(0..12)), 5, 2), Ok(all(set(0..12))));
}

proptest! {
    /// Whatever passes leaves, in the difference of the two sums, at least m members beyond any c.
    #[test]
    fn what_passes_mixes_m_honest_inputs_on_each_side(
        earlier in prop::collection::btree_set(0..24u8, 3..20),
        later in prop::collection::btree_set(0..24u8, 3..20),
        corrupt in 1..6usize,
        margin in 2..5u16,
    ) {
        let guard = Guard::new(margin, [set(earlier.clone())]);
        let passes = guard.check(set(later.clone()), corrupt).is_ok();
        let sides = [earlier.difference(&later).count(), later.difference(&earlier).count()];
        let mixed = sides.iter().all(|side| *side == 0 || *side >= corrupt + usize::from(margin));
        prop_assert_eq!(passes, mixed);
    }
}
