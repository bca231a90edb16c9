//! One attack, played with all checks and then without some.

use std::collections::BTreeSet;

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    mutation::{Check, Removed},
};

use crate::world::World;

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
