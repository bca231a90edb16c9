//! How each lie ends: one liar among honest members, and nothing else goes wrong but what the lie needs.

#[path = "../storm/setting.rs"]
mod setting;
mod split_attack;
mod split_view;
mod table;

use std::collections::BTreeSet;

use consort_protocol::{
    evidence::Crime,
    fault::FaultKind,
    ids::MemberId,
    io::JournalEntry,
    manifest::Policy,
    phase::Phase,
    report::Outcome,
    sim::{Adversary, Fault, Lie, Place, Report, SequentialHost, Simulation},
};

use setting::Setting;
use table::{End, TABLE};

const MEMBERS: usize = 7;
const SEEDS: u64 = 2;

struct Played {
    setting: Setting,
    liar: MemberId,
    report: Report,
}

fn play(lie: Lie, seed: u64) -> Played {
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
    let report = simulation.run();
    Played { setting, liar, report }
}

impl Played {
    fn end(&self) -> End {
        let Some(survivors) = self.report.survivors() else { return End::Void };
        let outcomes = self.report.outcomes.values();
        let slots = outcomes.filter_map(|outcome| match outcome {
            Outcome::Completed { published, .. } => Some(published.certificate.slot),
            Outcome::Aborted(_) => None,
        });
        let attempts = self.report.journals.values().flatten().filter_map(|entry| match entry {
            JournalEntry::RosterAccepted { attempt, .. } => Some(*attempt),
            _ => None,
        });
        let stayed = slots.max() == Some(0) && attempts.max() == Some(0);
        if stayed { End::Result(survivors.len()) } else { End::Failover(survivors.len()) }
    }

    /// What honest members have refused from the liar.
    fn refused(&self) -> BTreeSet<String> {
        let faults =
            self.report.faults.iter().filter(|(by, fault)| *by != self.liar && fault.who == self.liar);
        faults.map(|(_, fault)| name(&fault.kind)).collect()
    }

    /// What was proved by honest members; of whom is the monitor's business.
    fn proved(&self) -> BTreeSet<Crime> {
        let manifest = &self.setting.consortium.manifest;
        let by_honest = self.report.evidence.iter().filter(|(by, _)| *by != self.liar);
        by_honest.map(|(_, evidence)| evidence.verify(manifest).unwrap().crime).collect()
    }
}

fn name(kind: &FaultKind) -> String {
    let debug = format!("{kind:?}");
    debug.chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// Checks one lie against its line of the table; gives what is wrong.
fn judge(lie: Lie) -> Vec<String> {
    let Some((_, ends, refused, proved)) = TABLE.iter().find(|(of, ..)| *of == lie) else {
        return vec![format!("{lie}: the table does not say how it ends")];
    };
    let mut wrong = Vec::new();
    let (mut all_refused, mut all_proved) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let played = play(lie, seed);
        for violation in &played.report.violations {
            wrong.push(format!("{lie}, seed {seed}: {violation}"));
        }
        let end = played.end();
        if !ends.contains(&end) {
            wrong.push(format!("{lie}, seed {seed}: ends as {end:?}, not {ends:?}"));
        }
        all_refused.extend(played.refused());
        all_proved.extend(played.proved());
    }
    let expected: BTreeSet<String> = refused.iter().map(ToString::to_string).collect();
    // a member that is late for everything is told so, whatever else it does
    all_refused.remove("Session");
    if all_refused != expected {
        wrong.push(format!("{lie}: refused as {all_refused:?}, not {expected:?}"));
    }
    let named = proved.iter().copied().collect();
    if proved.is_empty() != all_proved.is_empty() || all_proved.is_disjoint(&named) && !proved.is_empty() {
        wrong.push(format!("{lie}: proved as {all_proved:?}, not {proved:?}"));
    }
    wrong
}

#[test]
fn each_lie_ends_as_the_table_says() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let half = |part: usize| {
            move || Lie::ALL.iter().skip(part).step_by(2).flat_map(|lie| judge(*lie)).collect::<Vec<_>>()
        };
        let parts = [half(0), half(1)].map(|part| scope.spawn(part));
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_lie_has_one_line() {
    let lines: Vec<Lie> = TABLE.iter().map(|(lie, ..)| *lie).collect();
    assert_eq!(lines, Lie::ALL);
}
