//! Who said what last: what this home remembers of this node's own words, and what this node knows of the others'.

use std::collections::{BTreeMap, BTreeSet};

use consort_protocol::{
    contract::Contract,
    ids::MemberId,
    messages::{
        advertise_keys::{Advertisement, Roster},
        reminder::Reminder,
    },
    signing::Signed,
};

/// Attempts that are remembered one by one: far more than one round has.
const PLACES: usize = 1024;

/// Which attempts this node has joined.
pub(super) struct OwnWords {
    /// All of earlier rounds count as known.
    first: u64,
    /// Round, attempt and slot of those that this process has joined.
    joined: BTreeSet<(u64, u32, u32)>,
}

impl OwnWords {
    /// Those of a home whose ledger allows no round before this one.
    pub(super) fn before(first: u64) -> Self {
        Self { first, joined: BTreeSet::new() }
    }

    pub(super) fn joined(&mut self, round: u64, attempt: u32, slot: u32) {
        self.joined.insert((round, attempt, slot));
        if self.joined.len() > PLACES
            && let Some((oldest, ..)) = self.joined.pop_first()
        {
            self.all_until(oldest);
        }
    }

    /// From now on everything up to the end of this round counts as known.
    pub(super) fn all_until(&mut self, round: u64) {
        self.first = self.first.max(round.saturating_add(1));
    }

    pub(super) fn include(&self, contract: &Contract) -> bool {
        contract.round < self.first
            || self.joined.contains(&(contract.round, contract.attempt, contract.slot))
    }
}

/// The last attempt that each member joined.
#[derive(Default)]
pub(super) struct Reminders(BTreeMap<MemberId, (Contract, Signed<Advertisement>)>);

impl Reminders {
    /// A roster that was accepted, or is part of a result.
    pub(super) fn note(&mut self, contract: &Contract, roster: &Roster) {
        for advertisement in &roster.advertisements {
            self.0.insert(advertisement.signer, (contract.clone(), advertisement.clone()));
        }
    }

    pub(super) fn of(&self, member: &MemberId) -> Option<Reminder> {
        let (contract, advertisement) = self.0.get(member)?.clone();
        Some(Reminder { contract, advertisement })
    }

    /// Forgets who is no member any more.
    pub(super) fn retain(&mut self, is_member: impl Fn(&MemberId) -> bool) {
        self.0.retain(|id, _| is_member(id));
    }
}
