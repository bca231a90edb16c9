//! The split view of `tests/lies/split_view.rs`, message by message, against members that reveal their shares
//! without the certificate: the coalition computes the sum of the few that are in every set.

use consort_protocol::{
    array::Values,
    mutation::{Check, Removed},
};

use crate::{attack::plain_sum, split_attack::play};

#[test]
fn without_the_votes_it_gives_the_sum_of_a_few() {
    let _out = Removed::new(&[Check::EnoughVotes]);
    let played = play();
    assert!(played.revealed > 0, "nobody reveals anything");
    let manifest = &played.setting.consortium.manifest;
    let promised = manifest.min_survivors(manifest.members().len()).unwrap() - manifest.corrupt();
    match (manifest.members().len(), played.spared.len()) {
        (30 | 100, few) => assert_eq!(few, 2),
        (_, few) => assert!(few < promised, "{few} of {promised}"),
    }
    let few = played.report.extracted.iter().find(|it| it.members == played.spared);
    let few = few.expect("the sum of the few is not computed");
    let plain = plain_sum(&played.setting, &played.spared);
    assert!(*few.sum.leaves[0].values() == Values::I64(plain), "it is another sum");
}
