//! Members that do not aggregate, by their own settings: nobody waits for them.

use core::time::Duration;

use consort_protocol::{
    ids::MemberId,
    messages::{Abort, Message},
    phase::Phase,
    report::AbortReason,
    signing::Signed,
    sim::{Envelope, Fault, Report, SequentialHost, Simulation},
};

use crate::setting::{Setting, setting};

const MEMBERS: usize = 8;

fn run(
    setting: &Setting,
    seed: u64,
    passing: &[MemberId],
    faults: impl IntoIterator<Item = Fault>,
) -> Report {
    let mut host = SequentialHost;
    let simulation = Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host);
    let simulation = simulation.passing(passing.iter().copied());
    faults.into_iter().fold(simulation, Simulation::fault).run()
}

fn refused(reason: &AbortReason) -> bool {
    reason.to_string().contains("it does not aggregate, by its own settings")
}

#[test]
fn the_next_in_order_proposes_at_once() {
    for passed in 1..7 {
        for seed in 0..4 {
            let setting = setting(MEMBERS, 11);
            let report = run(&setting, seed, &setting.terms.order()[..passed], []);
            setting.verify_sum(&report, MEMBERS);
            assert_eq!((report.violations.len(), report.faults.len()), (0, 0), "{passed} {seed}");
            assert_eq!(report.ended, Duration::ZERO, "{passed} {seed}: somebody waits");
            for over in report.slots.values() {
                assert_eq!(over.len(), passed, "{passed} {seed}");
                assert!(over.iter().all(|over| refused(&over.reason)), "{passed} {seed}: {over:?}");
            }
        }
    }
}

#[test]
fn where_nobody_aggregates_the_round_ends_at_once() {
    let setting = setting(MEMBERS, 11);
    let report = run(&setting, 1, setting.terms.order(), []);
    assert_eq!((report.survivors(), report.ended), (None, Duration::ZERO));
    assert_eq!(report.outcomes.len(), MEMBERS);
}

/// The second and third in order pass; the first dies. From the roster on a slot is given up by signed time-outs.
#[test]
fn a_session_goes_on_with_the_next_that_does() {
    for phase in Phase::ALL {
        for seed in 0..10 {
            let setting = setting(MEMBERS, 11);
            let report = run(&setting, seed, &setting.terms.order()[1..3], [Fault::kill_aggregator(phase)]);
            assert!(report.survivors().is_some(), "{phase} {seed}: {:?}", report.outcomes);
            assert_eq!((&report.violations[..], report.faults.len()), (&[][..], 0), "{phase} {seed}");
            setting.verify_sum(&report, MEMBERS - 1);
            let passed = report.slots.values().flatten().filter(|over| refused(&over.reason));
            assert!(passed.count() >= 2, "{phase} {seed}: nobody hears of it");
        }
    }
}

/// Nobody can pass the turn of somebody else.
#[test]
fn a_turn_that_another_member_passes_is_not_passed() {
    let setting = setting(MEMBERS, 11);
    let (aggregator, liar) = (setting.terms.order()[0], setting.terms.order()[1]);
    let identity = setting.consortium.identities.iter().find(|it| it.id() == liar).unwrap();
    let reason = AbortReason::Refused { phase: Phase::AdvertiseKeys, why: "so there".into() };
    let abort = Abort { contract: *setting.terms.digest(), slot: 0, phase: Phase::AdvertiseKeys, reason };
    let mine = Signed::new(abort, identity).unwrap();
    let forged = Signed::from_parts(mine.body.clone(), aggregator, mine.signature());
    let mut host = SequentialHost;
    let report = Simulation::new(setting.terms.clone(), setting.inputs(), 1, &mut host)
        .interfere(|envelope| {
            if !matches!(envelope.message, Message::Contract(_)) {
                return vec![envelope];
            }
            let say = |from: MemberId, abort: &Signed<Abort>| {
                let message = Message::Abort(Box::new(abort.clone()));
                Envelope { from, to: envelope.to, message }
            };
            vec![
                say(liar, &mine),
                say(liar, &forged),
                say(aggregator, &forged),
                say(aggregator, &mine),
                envelope,
            ]
        })
        .run();
    setting.verify_sum(&report, MEMBERS);
    assert_eq!(report.slots.values().flatten().count(), 0, "a slot was given up");
}
