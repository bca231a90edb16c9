//! Two sums of the same data, of which the second is without the victim: their difference is its input.

use std::collections::{BTreeMap, BTreeSet};

use consort_protocol::{
    ids::MemberId,
    mutation::{Check, Removed},
};

use crate::world::World;

const MEMBERS: usize = 8;
const LABEL: Option<&str> = Some("ward counts");

type Known = BTreeMap<MemberId, Vec<Vec<MemberId>>>;

/// A round in which the coalition aggregates and leaves these members out of the survivors.
fn round(
    number: &mut u64,
    coalition: &[MemberId],
    label: Option<&str>,
    known: &Known,
    out: &[MemberId],
) -> World {
    let begun = loop {
        *number += 1;
        if let Some(world) = World::after(MEMBERS, *number, coalition, label, known) {
            break world;
        }
    };
    let mut world = begun.shared().masked();
    let survivors: Vec<MemberId> = world.statements.keys().filter(|id| !out.contains(id)).copied().collect();
    let set = world.propose(0, &world.statements_of(&survivors));
    let votes = world.votes(0, &set);
    world.certify((0, 0), &set, votes, &world.honest_ids());
    world
}

/// Everybody is in the first sum, the victim is not in the second.
fn play(label: Option<&str>) -> (World, World) {
    let coalition = World::new(MEMBERS).corrupt_ids();
    let mut number = 0;
    let first = round(&mut number, &coalition, label, &Known::new(), &[]);
    let second = round(&mut number, &coalition, label, &first.known, &[first.victim()]);
    (first, second)
}

/// What the difference of the two sums shows: of whom, and the plain values.
fn difference(first: &World, second: &World) -> Option<(BTreeSet<MemberId>, Vec<i64>)> {
    let ((with, one), (without, other)) = (first.sums().pop()?, second.sums().pop()?);
    let values = one.iter().zip(&other).map(|(one, other)| one - other).collect();
    Some((with.difference(&without).copied().collect(), values))
}

#[test]
fn a_second_sum_without_the_victim_shows_its_input() {
    let (first, second) = play(LABEL);
    assert_eq!(first.sums().len(), 1, "the first sum is for everybody to know");
    assert_eq!(second.sums(), [], "a second sum that differs by one member");
    assert_eq!(second.declined.len(), second.honest.len(), "all honest members say no");
    assert!(second.declined.iter().all(|words| words.contains("1 differ")), "{:?}", second.declined);

    let _out = Removed::new(&[Check::DifferencingGuard]);
    let (first, second) = play(LABEL);
    let (members, values) = difference(&first, &second).expect("two sums");
    assert_eq!(members, BTreeSet::from([first.victim()]));
    assert_eq!(values, first.plain_sum(&members), "what is computed is not the input");
}

/// That is why a label has to be given where data is the same again.
#[test]
fn without_a_label_nothing_is_guarded() {
    let (first, second) = play(None);
    let (members, values) = difference(&first, &second).expect("two sums");
    assert_eq!(values, first.plain_sum(&members));
    assert_eq!(second.declined.len(), 0);
}
