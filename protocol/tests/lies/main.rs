//! How each lie ends: one liar among honest members, and nothing else goes wrong but what the lie needs.

#[path = "../storm/setting.rs"]
mod setting;

use std::collections::BTreeSet;

use consort_protocol::{
    fault::FaultKind,
    ids::MemberId,
    manifest::Policy,
    phase::Phase,
    report::Outcome,
    sim::{Adversary, Fault, Lie, Place, Report, SequentialHost, Simulation},
};

use setting::Setting;

const MEMBERS: usize = 8;

fn play(lie: Lie, seed: u64) -> (MemberId, Report) {
    let setting = Setting::new(MEMBERS, Policy::default(), 11);
    let order = setting.order();
    let liar = match lie.place() {
        Place::Aggregator => order[0],
        Place::Successor => order[1],
        Place::Member => order[MEMBERS - 1],
    };
    let needs_failover = matches!(lie, Lie::NoTimeout | Lie::HiddenVote | Lie::InventedVote);
    let mut host = SequentialHost;
    let adversary = Adversary::new(&setting.consortium.manifest, [(setting.identity(&liar), lie)], seed);
    let mut simulation =
        Simulation::new(setting.terms.clone(), setting.inputs(), seed, &mut host).adversary(adversary);
    if needs_failover || lie.place() == Place::Successor {
        simulation = simulation.fault(Fault::kill_aggregator(Phase::Unmasking));
    }
    (liar, simulation.run())
}

fn name(kind: &FaultKind) -> String {
    let name = format!("{kind:?}");
    name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}

#[test]
fn show() {
    for lie in Lie::ALL {
        let mut seen = BTreeSet::new();
        for seed in 0..4 {
            let (liar, report) = play(*lie, seed);
            assert!(report.violations.is_empty(), "{lie} {seed}: {:?}", report.violations);
            let faults: BTreeSet<String> =
                report.faults.iter().filter(|(by, f)| f.who == liar && *by != liar).map(|(_, f)| name(&f.kind)).collect();
            let completed = report.outcomes.iter().filter(|(id, o)| **id != liar && matches!(o, Outcome::Completed { .. })).count();
            let slots: BTreeSet<_> = report.outcomes.values().filter_map(|o| match o { Outcome::Completed { published, .. } => Some(published.certificate.slot), Outcome::Aborted(_) => None }).collect();
            let attempts = report.journals.values().flatten().filter_map(|e| match e { consort_protocol::io::JournalEntry::RosterAccepted { attempt, .. } => Some(*attempt), _ => None }).max();
            let words: BTreeSet<_> = report.outcomes.values().filter_map(|o| match o { Outcome::Aborted(r) => Some(r.word()), _ => None }).collect();
            seen.insert(format!("{:?} survivors, {completed} completed, slot {slots:?} attempt {attempts:?} {words:?} faults {faults:?} at {:?}", report.survivors().map(|s| s.len()), report.ended.as_secs()));
        }
        println!("{lie} [{:?}]", lie.place());
        for s in seen { println!("     {s}"); }
    }
}
