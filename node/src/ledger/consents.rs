//! What consent rests on: sets whose sums may be known, and when rounds had a roster. Neither is forgotten with the
//! journal.

use consort_protocol::{codec, hash::digest, ids::MemberId, io::JournalEntry};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{LedgerError, failed};
use crate::{clock, consent::spent};

/// A label with a set of members, by the hash of both, so that equal ones are kept once. The protocol keeps at most 256 of
/// a label, and the driver bounds the labels.
const COHORTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("cohorts");
/// Round and the time of its roster, in seconds since 1970; of the last day.
const SPENT: TableDefinition<'_, u64, u64> = TableDefinition::new("spent");

pub(super) fn open(write: &WriteTransaction) -> Result<(), LedgerError> {
    write.open_table(COHORTS).map_err(failed)?;
    write.open_table(SPENT).map_err(failed)?;
    Ok(())
}

/// Notes what a journal entry means for later rounds, in the transaction that puts it on disk.
pub(super) fn note(write: &WriteTransaction, entry: &JournalEntry) -> Result<(), LedgerError> {
    match entry {
        JournalEntry::Cohort { label, members } => {
            let bytes = codec::encode(&(label, members))?;
            let mut cohorts = write.open_table(COHORTS).map_err(failed)?;
            cohorts.insert(&digest("cohort", &[&bytes]), bytes.as_slice()).map_err(failed)?;
        }
        JournalEntry::RosterAccepted { round, .. } => {
            let now = clock::now();
            let mut table = write.open_table(SPENT).map_err(failed)?;
            table.retain(|_, at| spent::counts(at, now)).map_err(failed)?;
            if table.get(round).map_err(failed)?.is_none() {
                table.insert(round, now).map_err(failed)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Every set with its label.
pub(super) fn cohorts(database: &Database) -> Result<Vec<(String, Vec<MemberId>)>, LedgerError> {
    let read = database.begin_read().map_err(failed)?;
    let table = read.open_table(COHORTS).map_err(failed)?;
    let entries = table.iter().map_err(failed)?;
    entries.map(|entry| Ok(codec::decode(entry.map_err(failed)?.1.value())?)).collect()
}

/// Rounds of the last day, with the times of their rosters.
pub(super) fn spent(database: &Database) -> Result<Vec<(u64, u64)>, LedgerError> {
    let read = database.begin_read().map_err(failed)?;
    let table = read.open_table(SPENT).map_err(failed)?;
    let entries = table.iter().map_err(failed)?;
    let pair = |entry: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, u64>), _>| {
        entry.map(|(round, at)| (round.value(), at.value())).map_err(failed)
    };
    entries.map(pair).collect()
}
