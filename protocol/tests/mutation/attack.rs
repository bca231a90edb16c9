//! One attack, played with all checks and then without some.

use std::collections::BTreeSet;

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    mutation::{Check, Removed},
};

use crate::{setting::Setting, world::World};

/// With all checks the coalition learns nothing beyond the promise, and honest members refuse as expected
/// (`None` where they merely ignore it). Without these checks it computes the plain sum over `inputs`, which are
/// fewer than are promised.
#[track_caller]
pub(crate) fn leaks_without(
    checks: &[Check],
    attack: impl Fn() -> World,
    refusal: Option<&dyn Fn(&FaultKind) -> bool>,
    inputs: impl Fn(&World) -> BTreeSet<MemberId>,
) {
    let world = attack();
    assert_eq!(world.leaked(), [], "it leaks with all checks in place");
    if let Some(refusal) = refusal {
        assert!(world.refused.iter().any(refusal), "refused is {:?}", world.refused);
    }

    let _out = Removed::new(checks);
    let world = attack();
    let expected = inputs(&world);
    let leaked = world.leaked();
    let Some((_, values)) = leaked.iter().find(|(members, _)| *members == expected) else {
        panic!("nothing leaks without {checks:?}: {leaked:?}, refused is {:?}", world.refused)
    };
    assert_eq!(*values, world.plain_sum(&expected), "what is computed is not the input");
}

/// The input of the victim alone.
pub(crate) fn victim(world: &World) -> BTreeSet<MemberId> {
    BTreeSet::from([world.victim()])
}

/// The plain sum of these members' inputs.
pub(crate) fn plain_sum<'a>(setting: &Setting, members: impl IntoIterator<Item = &'a MemberId>) -> Vec<i64> {
    let members: Vec<&MemberId> = members.into_iter().collect();
    let inputs = setting.inputs().into_iter().filter(|(identity, _)| members.contains(&&identity.id()));
    let layout = setting.terms.layout();
    let chunk = layout.chunk(0).unwrap();
    let mut sum = vec![0; chunk.len as usize];
    for (_, input) in inputs {
        let mut words = vec![0; chunk.len as usize];
        input.unwrap().encode(&chunk, &mut words);
        sum.iter_mut().zip(words).for_each(|(sum, word)| *sum += word as i64);
    }
    sum
}
