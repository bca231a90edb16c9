//! A soak: many rounds with random faults, and what the nodes use as time goes by.

use std::{collections::BTreeSet, time::Duration};

use consort_protocol::phase::Phase;
use rand::{Rng, RngExt as _, seq::SliceRandom as _};

use crate::{
    cli::{Deed, Fault, Who},
    report::{Report, Soak},
    table::{BOLD, Cell, GREEN, Paint, RED, lay_out, size},
    workload::rng,
};

/// The first nodes are never killed by their index, so that some live long enough to be watched.
const SPARED: usize = 2;

/// Faults for so many rounds, all of which pass: three rounds of four have one or two.
pub(crate) fn faults(seed: u64, nodes: usize, rounds: u32) -> Vec<Fault> {
    let mut rng = rng("soak", &[seed]);
    let mut faults = Vec::new();
    for round in 0..rounds {
        let phase = Phase::ALL[rng.random_range(0..Phase::ALL.len())];
        let member = Who::Node(rng.random_range(SPARED.min(nodes - 1)..nodes));
        let seconds =
            |most: u64, rng: &mut dyn Rng| Duration::from_millis(rng.next_u64() % (most * 1000) + 500);
        let mut strike = |deed, who| faults.push(Fault { deed, who, phase, round });
        match rng.random_range(0..8) {
            0 => strike(Deed::Restart, member),
            1 => strike(Deed::Restart, Who::Aggregator),
            2 => {
                strike(Deed::Restart, Who::Aggregator);
                strike(Deed::Restart, member);
            }
            3 => strike(Deed::Pause(seconds(4, &mut rng)), member),
            4 => strike(Deed::Pause(seconds(6, &mut rng)), Who::Aggregator),
            5 => {
                let mut all: Vec<usize> = (0..nodes).collect();
                all.shuffle(&mut rng);
                let (one, other) = all.split_at(rng.random_range(1..nodes));
                let groups: [BTreeSet<usize>; 2] = [one, other].map(|group| group.iter().copied().collect());
                strike(Deed::Partition(groups, seconds(5, &mut rng)), Who::Aggregator);
            }
            _ => {}
        }
    }
    faults
}

/// Whether the protocol allows a round to end without an aggregate for this reason.
pub(crate) fn is_allowed(reason: &str) -> bool {
    ["the round is void", "members are left", "too few members"]
        .iter()
        .any(|allowed| reason.contains(allowed))
}

/// What a soak came to, for people.
pub(crate) fn table(report: &Report, soak: &Soak, paint: Paint) -> String {
    let rate = |bytes: f64| {
        let sign = if bytes < 0.0 { "-" } else { "" };
        format!("{sign}{} a round", size(bytes.abs() as u64))
    };
    let wrong = Cell::right(soak.wrong.to_string()).painted(if soak.wrong == 0 { GREEN } else { RED });
    let line = |name: &str, cell: Cell| vec![Cell::left(name), cell];
    let rows = [
        vec![
            Cell::left("soak").painted(BOLD),
            Cell::right(format!("{} rounds", report.rounds.len())).painted(BOLD),
        ],
        line("completed", Cell::right(soak.completed.to_string())),
        line("without a sum, as the protocol allows", Cell::right(soak.failed.to_string())),
        line("wrong sums", wrong),
        line("processes that lived long enough to tell growth", Cell::right(soak.observed.to_string())),
        line("memory, most of any process", Cell::right(rate(soak.growth.rss))),
        line("open files and sockets", Cell::right(format!("{:+.2} a round", soak.growth.handles))),
        line("disk", Cell::right(rate(soak.growth.disk))),
    ];
    let mut text = lay_out(&rows, paint);
    for round in &report.rounds {
        if let Some(reason) = &round.failed {
            text.push_str(&format!("round {}: {reason}\n", round.round));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_follow_from_the_seed_and_are_of_all_kinds() {
        let all = faults(7, 8, 200);
        assert_eq!(all, faults(7, 8, 200));
        assert_ne!(all, faults(8, 8, 200));
        let has = |what: &dyn Fn(&Fault) -> bool| assert!(all.iter().any(what));
        for who in [Who::Aggregator, Who::Node(2), Who::Node(7)] {
            has(&|fault| fault.who == who && fault.deed == Deed::Restart);
            has(&|fault| fault.who == who && matches!(fault.deed, Deed::Pause(_)));
        }
        has(&|fault| matches!(fault.deed, Deed::Partition(..)));
        for fault in &all {
            assert!(fault.round < 200);
            assert!(![Who::Node(0), Who::Node(1)].contains(&fault.who) && fault.deed != Deed::Kill);
            if let Deed::Partition([one, other], _) = &fault.deed {
                assert!(!one.is_empty() && !other.is_empty() && one.is_disjoint(other));
                assert_eq!(one.len() + other.len(), 8);
            }
        }
    }

    #[test]
    fn only_what_the_protocol_names_may_end_a_round() {
        assert!(is_allowed("the round is void: every slot was used up; nothing of the input has left"));
        assert!(is_allowed("5 members are left in share-keys, 6 are needed"));
        assert!(!is_allowed("this node failed in masked-input: no room on the disk"));
    }
}
