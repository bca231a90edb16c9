//! Which faults can be meant together.
//!
//! A node that has an index is struck once in a round at most, and not after it was killed; a partition names
//! every node that may live then, and is the only one of its round.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, Who, fault::Deed};

/// Whether these faults can happen to so many nodes in so many rounds, in any order in which they are named.
pub(super) fn check(faults: &[Fault], nodes: usize, rounds: u32) -> Result<(), String> {
    for fault in faults {
        check_names(fault, nodes, rounds)?;
    }
    check_strikes(faults)?;
    let killed = killed(faults);
    let mut divided = BTreeSet::new();
    for fault in faults {
        let Deed::Partition(groups, _) = &fault.deed else { continue };
        if !divided.insert(fault.round) {
            return Err(format!(
                "{fault}: round {} is partitioned already; name one partition for each round",
                fault.round
            ));
        }
        let dead = |node: &usize| killed.get(node).is_some_and(|kill| kill.round < fault.round);
        let missing = (0..nodes).find(|node| !dead(node) && groups.iter().all(|group| !group.contains(node)));
        if let Some(node) = missing {
            return Err(format!("{fault}: node {node} is in neither group; name every node that lives then"));
        }
    }
    let all: BTreeSet<u32> = faults.iter().map(|fault| fault.round).collect();
    for round in all {
        let aggregators = |fault: &&Fault| {
            fault.who == Who::Aggregator && fault.round == round && !matches!(fault.deed, Deed::Partition(..))
        };
        let struck = faults.iter().filter(aggregators);
        if let Some(fault) = struck.clone().nth(nodes) {
            return Err(format!(
                "{fault}: with {nodes} nodes round {round} has no more than {nodes} aggregators"
            ));
        }
    }
    Ok(())
}

fn check_names(fault: &Fault, nodes: usize, rounds: u32) -> Result<(), String> {
    let named: Vec<usize> = match (&fault.deed, fault.who) {
        (Deed::Partition(groups, _), _) => groups.iter().flatten().copied().collect(),
        (_, Who::Node(node)) => vec![node],
        (_, Who::Aggregator) => Vec::new(),
    };
    if let Some(node) = named.into_iter().find(|node| *node >= nodes) {
        let last = nodes - 1;
        return Err(format!("{fault}: there is no node {node}; with {nodes} nodes they are 0 to {last}"));
    }
    if fault.round >= rounds {
        let (round, last) = (fault.round, rounds - 1);
        return Err(format!("{fault}: there is no round {round}; with {rounds} rounds they are 0 to {last}"));
    }
    Ok(())
}

fn check_strikes(faults: &[Fault]) -> Result<(), String> {
    let killed = killed(faults);
    let mut struck: BTreeMap<(usize, u32), &Fault> = BTreeMap::new();
    for fault in faults {
        let Who::Node(node) = fault.who else { continue };
        if let Some(kill) = killed.get(&node).filter(|kill| kill.round < fault.round) {
            return Err(format!("{fault}: node {node} is dead by then, after {kill}; name another node"));
        }
        if let Some(earlier) = struck.insert((node, fault.round), fault) {
            return Err(format!(
                "{fault}: node {node} is struck in round {} already, by {earlier}; name each node once in a round",
                fault.round
            ));
        }
    }
    Ok(())
}

/// The first kill of each node that is killed by its index.
fn killed(faults: &[Fault]) -> BTreeMap<usize, &Fault> {
    let mut killed: BTreeMap<usize, &Fault> = BTreeMap::new();
    for fault in faults.iter().filter(|fault| fault.deed == Deed::Kill) {
        let Who::Node(node) = fault.who else { continue };
        let first = killed.entry(node).or_insert(fault);
        if fault.round < first.round {
            *first = fault;
        }
    }
    killed
}
