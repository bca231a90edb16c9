//! An honest aggregator and one liar: without a check it publishes a sum that is wrong, or one that nobody can
//! check, or blames somebody who is honest.

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    manifest::Policy,
    messages::masked_input::{chunk_digest, vector_root},
    mutation::{Check, Removed},
    phase::Phase,
    report::Outcome,
    sim::{Adversary, Kill, Lie, Report, SequentialHost, Simulation, Violation},
};

use crate::setting::Setting;

const MEMBERS: usize = 7;
const SEEDS: [u64; 4] = [0, 1, 2, 3];

/// The liar is the honest member with the least id, so that its shares are among the first that are used.
fn liar(setting: &Setting) -> MemberId {
    let members = setting.consortium.manifest.members().iter().map(|it| it.id);
    members.into_iter().find(|id| *id != setting.order()[0]).unwrap()
}

fn play(lie: Lie, vanishes: bool, seed: u64) -> (Setting, Report) {
    play_under(Policy::default(), lie, vanishes, seed)
}

fn play_under(policy: Policy, lie: Lie, vanishes: bool, seed: u64) -> (Setting, Report) {
    let setting = Setting::new(MEMBERS, policy, 11);
    let liar = liar(&setting);
    let adversary = Adversary::new(&setting.consortium.manifest, [(setting.identity(&liar), lie)], seed);
    let mut host = SequentialHost;
    let mut simulation =
        Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host).adversary(adversary);
    if vanishes {
        simulation = simulation.fault(Kill { member: liar, phase: Phase::MaskedInput });
    }
    let report = simulation.run();
    (setting, report)
}

/// Whether honest members have stored a sum that is not that of its survivors.
fn wrong_sum(report: &Report) -> bool {
    report.violations.iter().any(|violation| matches!(violation, Violation::WrongSum { .. }))
}

#[track_caller]
fn refused(report: &Report, kind: &FaultKind) {
    let kinds: Vec<_> = report.faults.iter().map(|(_, fault)| fault.kind.clone()).collect();
    assert!(kinds.contains(kind), "refused is {kinds:?}");
}

/// With all checks no sum of these seeds is wrong, and the liar is refused where it comes to that; without these,
/// honest members store a wrong sum in some. In others the noise is out of range, and they are alarmed.
#[track_caller]
fn sums_are_wrong_without(checks: &[Check], lie: Lie, vanishes: bool, kind: &FaultKind) {
    let mut kinds = Vec::new();
    for seed in SEEDS {
        let (_, report) = play(lie, vanishes, seed);
        assert_eq!(report.violations, []);
        assert!(report.survivors().is_some(), "there is no result");
        kinds.extend(report.faults.into_iter().map(|(_, fault)| fault.kind));
    }
    assert!(kinds.contains(kind), "refused is {kinds:?}");
    let _out = Removed::new(checks);
    assert!(SEEDS.into_iter().any(|seed| wrong_sum(&play(lie, vanishes, seed).1)), "every sum is right");
}

/// It deals another secret than the one it masks with, and vanishes: its masks stay in the sum. Where members
/// still compare the secrets that come with the sum, they refuse it, and blame the aggregator.
#[test]
fn shares_of_another_secret_spoil_the_sum() {
    let both = [Check::AdvertisedSecret, Check::ReconstructedSecret];
    sums_are_wrong_without(&both, Lie::OtherSecret, true, &FaultKind::Commitments);
    let _out = Removed::new(&both[..1]);
    somebody_honest_is_blamed(&play(Lie::OtherSecret, true, 0).1);
}

/// Whoever holds the vectors proves that the sum is false; otherwise nobody knows.
#[test]
fn a_false_sum_is_taken_by_everybody() {
    let play = || {
        let setting = Setting::new(MEMBERS, Policy::default(), 11);
        let aggregator = setting.order()[0];
        let liar = [(setting.identity(&aggregator), Lie::WrongSum)];
        let adversary = Adversary::new(&setting.consortium.manifest, liar, 1);
        let mut host = SequentialHost;
        let simulation = Simulation::new(setting.terms.clone(), setting.inputs(), 1, &mut host);
        let report = simulation.adversary(adversary).run();
        let takes = |(_, outcome): &(&MemberId, &Outcome)| matches!(outcome, Outcome::Completed { .. });
        (report.outcomes.iter().filter(takes).count(), report.evidence.len())
    };
    let (taken, proofs) = play();
    assert!(taken < MEMBERS && proofs > 0, "{taken} take it, {proofs} proofs");
    let _out = Removed::new(&[Check::CheckedSum]);
    assert_eq!(play(), (MEMBERS, 0));
}

#[test]
fn wrong_shares_in_a_reveal_spoil_the_sum() {
    sums_are_wrong_without(&[Check::ReconstructedSecret], Lie::WrongReveal, false, &FaultKind::Share);
}

/// Shares of two kinds do not fit each other, and those of the honest members are taken for the wrong ones.
#[test]
fn the_wrong_kind_of_share_is_blamed_on_the_others() {
    let (_, report) = play(Lie::WrongKind, false, 0);
    assert_eq!(report.violations, []);
    refused(&report, &FaultKind::RevealKind);
    let _out = Removed::new(&[Check::RevealedKind]);
    somebody_honest_is_blamed(&play(Lie::WrongKind, false, 0).1);
}

#[track_caller]
fn somebody_honest_is_blamed(report: &Report) {
    let framed = |violation: &Violation| matches!(violation, Violation::Framed { .. });
    assert!(report.violations.iter().any(framed), "nobody honest is blamed: {:?}", report.violations);
    assert!(!wrong_sum(report), "a secret that does not match is used");
}

/// Whoever takes wrong shares in reveals them later, and is named for it.
#[test]
fn wrong_shares_are_blamed_on_their_receivers() {
    let (_, report) = play(Lie::WrongShares, false, 0);
    assert_eq!(report.violations, []);
    refused(&report, &FaultKind::Share);
    let _out = Removed::new(&[Check::DealtShares]);
    somebody_honest_is_blamed(&play(Lie::WrongShares, false, 0).1);
}

/// The certificate is to say which vectors are in the sum. Standbys would not sign for this one.
#[test]
fn a_certificate_names_a_vector_that_nobody_sent() {
    let no_standbys = || Policy { standby_bytes: 0, ..Policy::default() };
    let named = |report: &Report, liar: &MemberId| {
        let published = report.outcomes.values().find_map(|outcome| match outcome {
            Outcome::Completed { published, .. } => Some(published.clone()),
            Outcome::Aborted(_) => None,
        });
        published.expect("there is a result").certificate.survivors.root_of(liar).copied()
    };
    let (setting, report) = play_under(no_standbys(), Lie::WrongRoot, false, 0);
    refused(&report, &FaultKind::Root);
    assert_eq!(named(&report, &liar(&setting)), None);

    let _out = Removed::new(&[Check::VectorRoot]);
    let (setting, report) = play_under(no_standbys(), Lie::WrongRoot, false, 0);
    let liar = liar(&setting);
    let chunks = setting.terms.layout().chunks().zip(&report.vectors[&liar]);
    let sent = vector_root(&chunks.map(|(at, chunk)| chunk_digest(&at, chunk)).collect::<Vec<_>>());
    assert!(named(&report, &liar).is_some_and(|root| root != sent));
}
