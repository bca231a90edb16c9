//! The split view does not succeed: no certificate forms, and its author is convicted. What it would gain
//! without the certificate is in `tests/mutation/split_view.rs`.

use std::collections::BTreeSet;

use consort_protocol::evidence::Crime;

use crate::split_attack::play;

#[test]
fn no_certificate_forms_and_the_aggregator_is_convicted() {
    let played = play();
    let report = &played.report;
    assert_eq!(report.violations, []);
    assert_eq!(played.revealed, 0, "somebody reveals shares");
    assert!(report.survivors().is_none());
    let computed: Vec<_> = report.extracted.iter().map(|it| &it.members).collect();
    assert!(computed.is_empty(), "a sum of {computed:?} is computed; it was to be {:?}", played.spared);
    let proven: BTreeSet<_> = report
        .evidence
        .iter()
        .map(|(_, evidence)| evidence.verify(&played.setting.consortium.manifest).unwrap())
        .map(|proven| (proven.culprit, proven.crime))
        .collect();
    assert!(proven.contains(&(played.setting.order()[0], Crime::TwoProposals)), "{proven:?}");
}
