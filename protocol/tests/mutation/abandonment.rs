//! A fresh attempt without the abandonment certificate: the aggregator has one sum already, and gets a second one
//! without the victim.

use std::{cell::RefCell, collections::BTreeSet};

use consort_protocol::{
    array::Values,
    fault::FaultKind,
    ids::MemberId,
    manifest::Policy,
    messages::{
        Message,
        failover::{Abandonment, SessionProof},
    },
    mutation::{Check, Removed},
    sim::{Adversary, Envelope, Lie, Report, SequentialHost, Simulation},
};

use crate::{attack::plain_sum, setting::Setting};

const MEMBERS: usize = 7;

struct Played {
    setting: Setting,
    victim: MemberId,
    report: Report,
}

/// The first aggregator keeps the result for itself and declares the attempt abandoned, without any votes. The
/// second one belongs to it, and loses the victim's vector.
fn play() -> Played {
    let setting = Setting::new(MEMBERS, Policy { standby_bytes: 0, ..Policy::default() }, 5);
    let coalition = &setting.order()[..2];
    let aggregator = coalition[0];
    let members: Vec<MemberId> = setting.consortium.manifest.members().iter().map(|it| it.id).collect();
    let victim = *members.iter().find(|id| !coalition.contains(id)).unwrap();
    let threshold = setting.consortium.manifest.threshold(MEMBERS).unwrap().get();

    let (rosters, revealed) = (RefCell::new(Vec::new()), RefCell::new(BTreeSet::new()));
    let interfere = |envelope: Envelope| {
        let first = rosters.borrow().len() < 2;
        match &envelope.message {
            Message::Roster(roster) if !rosters.borrow().contains(&**roster) => {
                rosters.borrow_mut().push((**roster).clone());
            }
            Message::Published(_) if first => return Vec::new(),
            Message::MaskedInput(_) if !first && envelope.from == victim => return Vec::new(),
            Message::Reveal(_) if first => {
                let is_new = revealed.borrow_mut().insert(envelope.from);
                if is_new && revealed.borrow().len() == threshold {
                    let session = SessionProof { attempt: 0, slot: 0, roster: rosters.borrow()[0].clone() };
                    let abandonment = Abandonment { session, slot: 1, votes: Vec::new() };
                    let say = |to: &MemberId| {
                        let message = Message::Abandonment(Box::new(abandonment.clone()));
                        Envelope { from: aggregator, to: *to, message }
                    };
                    return [envelope.clone()].into_iter().chain(members.iter().map(say)).collect();
                }
            }
            _ => {}
        }
        vec![envelope]
    };
    let mut host = SequentialHost;
    let liars = coalition.iter().map(|id| (setting.identity(id), Lie::NoAcknowledgement));
    let report = Simulation::new(setting.terms.clone(), setting.inputs(), 1, &mut host)
        .adversary(Adversary::new(&setting.consortium.manifest, liars, 1))
        .interfere(interfere)
        .run();
    Played { setting, victim, report }
}

/// The sums of honest inputs that the coalition has computed, each with its members.
fn sums(report: &Report) -> Vec<(BTreeSet<MemberId>, Vec<i64>)> {
    let values = |values: &Values| match values {
        Values::I64(values) => values.clone(),
        _ => panic!("inputs are integers"),
    };
    let sums = report.extracted.iter().map(|it| (it.members.clone(), values(it.sum.leaves[0].values())));
    sums.collect()
}

#[test]
fn two_sums_differ_by_the_victims_input() {
    let played = play();
    assert_eq!(sums(&played.report).len(), 1, "two sums with all checks in place");
    let refused = played.report.faults.iter().map(|(_, fault)| &fault.kind);
    let votes = FaultKind::Votes { valid: 0, needed: 5 };
    assert!(refused.into_iter().any(|kind| *kind == votes), "the abandonment is not refused");

    for check in [Check::AbandonmentCertificate, Check::EnoughVotes] {
        let _out = Removed::new(&[check]);
        let Played { setting, victim, report } = play();
        let sums = sums(&report);
        let with = sums.iter().find(|(members, _)| members.contains(&victim)).expect("the first sum");
        let without = sums.iter().find(|(members, _)| !members.contains(&victim)).expect("the second sum");
        let others = with.0.iter().filter(|id| **id != victim);
        assert!(others.eq(without.0.iter()), "they differ by more");
        let difference: Vec<i64> = with.1.iter().zip(&without.1).map(|(with, other)| with - other).collect();
        assert_eq!(difference, plain_sum(&setting, [&victim]), "it is not the victim's input");
    }
}
