//! The ledger: what a node must not forget, and the rounds it has seen, in one redb file.
//!
//! redb locks the file, so a second daemon on the same home is refused. Every write is on disk when the
//! call returns.

mod file;
mod records;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use consort_protocol::{
    codec,
    contract::Contract,
    evidence::Evidence,
    ids::MemberId,
    io::JournalEntry,
    messages::{advertise_keys::Roster, publish::Published},
    roster::SeenKeys,
    signing::Signed,
};
use redb::{ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use file::File;
pub use records::Records;

const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const ROUNDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rounds");
/// The roster of each round that has a result, without which its certificate proves nothing.
const ROSTERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rosters");
const EVIDENCE: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("evidence");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Format of this file; a later one is refused.
const FORMAT: u64 = 1;

/// Rounds that are kept: years of a daily round, and less than a gigabyte where a hundred members vote. So the
/// file cannot grow without end.
const ROUNDS_KEPT: u64 = 1 << 14;

/// Journal entries that are kept: hundreds of rounds more than any message in flight can refer to.
const JOURNAL_ENTRIES: u64 = 8192;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it open.
    #[error("{0} is in use: another node runs on this home")]
    InUse(String),
    /// Written by a later version.
    #[error(
        "{path} has format {found}, this version reads up to {FORMAT}: a newer consort wrote it; use that one"
    )]
    Format {
        /// Where.
        path: String,
        /// Format found.
        found: u64,
    },
    /// It cannot be opened, or is damaged.
    #[error("{path}: {reason}")]
    Open {
        /// Where.
        path: String,
        /// What the database said.
        reason: String,
    },
    /// The database failed.
    #[error("ledger: {0}")]
    Database(String),
    /// An entry cannot be encoded or decoded.
    #[error("ledger entry: {0}")]
    Entry(#[from] codec::CodecError),
}

/// One aggregator's try at a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The attempt.
    pub attempt: u32,
    /// The slot within the round.
    pub slot: u32,
    /// Who aggregated, or should have.
    pub aggregator: MemberId,
    /// `completed`, or a plain word for what went wrong.
    pub outcome: String,
    /// What went wrong, in words.
    pub detail: Option<String>,
}

/// A round as this node saw it end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round.
    pub round: u64,
    /// Tries in order; the last one completed if `published` is there.
    pub attempts: Vec<AttemptRecord>,
    /// The accepted contract of the last try.
    pub contract: Option<Contract>,
    /// The result with its certificate.
    pub published: Option<Published>,
    /// Votes that the certificate needed.
    pub threshold: u32,
}

/// The open ledger of a home.
pub struct Ledger {
    file: Arc<File>,
    next: u64,
}

impl Ledger {
    /// Opens or makes the ledger.
    ///
    /// # Errors
    /// [`LedgerError`]: in use, of a later format, or damaged.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = File::open(path)?;
        let next = file.write(|write| {
            upgrade(write, path)?;
            let journal = write.open_table(JOURNAL).map_err(failed)?;
            write.open_table(ROUNDS).map_err(failed)?;
            write.open_table(ROSTERS).map_err(failed)?;
            write.open_table(EVIDENCE).map_err(failed)?;
            Ok(journal.last().map_err(failed)?.map_or(0, |(key, _)| key.value().saturating_add(1)))
        })?;
        Ok(Self { file: Arc::new(file), next })
    }

    /// What is recorded, for whoever reads beside the one who writes. The file stays locked while it lives.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::new(self.file.clone())
    }

    /// Puts an entry on disk before anything that follows from it leaves the process.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk; then nothing may follow.
    pub fn journal(&mut self, entry: &JournalEntry) -> Result<(), LedgerError> {
        let bytes = codec::encode(entry)?;
        self.file.write(|write| {
            let mut journal = write.open_table(JOURNAL).map_err(failed)?;
            journal.insert(self.next, bytes.as_slice()).map_err(failed)?;
            if let Some(oldest) = self.next.checked_sub(JOURNAL_ENTRIES) {
                journal.remove(oldest).map_err(failed)?;
            }
            Ok(())
        })?;
        self.next += 1;
        Ok(())
    }

    /// Stores how a round ended, and the roster that its certificate refers to; forgets the oldest.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk.
    pub fn record(&self, record: &RoundRecord, roster: Option<&Signed<Roster>>) -> Result<(), LedgerError> {
        let bytes = codec::encode(record)?;
        let roster = roster.map(codec::encode).transpose()?;
        self.file.write(|write| {
            let mut rounds = write.open_table(ROUNDS).map_err(failed)?;
            let mut rosters = write.open_table(ROSTERS).map_err(failed)?;
            rounds.insert(record.round, bytes.as_slice()).map_err(failed)?;
            if let Some(roster) = roster {
                rosters.insert(record.round, roster.as_slice()).map_err(failed)?;
            }
            while rounds.len().map_err(failed)? > ROUNDS_KEPT {
                let oldest = rounds.pop_first().map_err(failed)?.map(|(round, _)| round.value());
                if let Some(oldest) = oldest {
                    rosters.remove(oldest).map_err(failed)?;
                }
            }
            Ok(())
        })
    }

    /// Keeps what convicts a member; the first record of each stays, so there are no more than members.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk.
    pub fn convict(&self, culprit: &MemberId, evidence: &Evidence) -> Result<(), LedgerError> {
        let bytes = codec::encode(evidence)?;
        self.file.write(|write| {
            let mut table = write.open_table(EVIDENCE).map_err(failed)?;
            if table.get(&culprit.0).map_err(failed)?.is_none() {
                table.insert(&culprit.0, bytes.as_slice()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// One record for each member that was convicted.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn evidence(&self) -> Result<Vec<Evidence>, LedgerError> {
        let read = self.file.read()?;
        let table = read.open_table(EVIDENCE).map_err(failed)?;
        let records = table.iter().map_err(failed)?;
        records.map(|entry| Ok(codec::decode(entry.map_err(failed)?.1.value())?)).collect()
    }

    /// How a round ended, if this node saw it.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn round(&self, round: u64) -> Result<Option<RoundRecord>, LedgerError> {
        self.records().round(round)
    }

    /// Results of the last so many recorded rounds, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn recent(&self, count: usize) -> Result<Vec<Published>, LedgerError> {
        let read = self.file.read()?;
        let rounds = read.open_table(ROUNDS).map_err(failed)?;
        let mut recent = Vec::new();
        for entry in rounds.iter().map_err(failed)?.rev().take(count) {
            let (_, bytes) = entry.map_err(failed)?;
            recent.extend(codec::decode::<RoundRecord>(bytes.value())?.published);
        }
        recent.reverse();
        Ok(recent)
    }

    /// The first round that this node may still take part in: later than any that it joined or recorded.
    /// The secrets of a round that it had joined are gone with the process that made them.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn next_round(&self) -> Result<u64, LedgerError> {
        let read = self.file.read()?;
        let rounds = read.open_table(ROUNDS).map_err(failed)?;
        let mut next = rounds.last().map_err(failed)?.map_or(0, |(round, _)| round.value().saturating_add(1));
        self.replay(|entry| {
            if let JournalEntry::Joined { round, .. } | JournalEntry::RosterAccepted { round, .. } = entry {
                next = next.max(round.saturating_add(1));
            }
        })?;
        Ok(next)
    }

    /// Keys of all sessions that are still in the journal.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn seen_keys(&self) -> Result<SeenKeys, LedgerError> {
        let mut seen = SeenKeys::default();
        self.replay(|entry| {
            if let JournalEntry::RosterAccepted { keys, .. } = entry {
                seen.extend(keys);
            }
        })?;
        Ok(seen)
    }

    fn replay(&self, mut each: impl FnMut(JournalEntry)) -> Result<(), LedgerError> {
        let read = self.file.read()?;
        let journal = read.open_table(JOURNAL).map_err(failed)?;
        for entry in journal.iter().map_err(failed)? {
            let (_, bytes) = entry.map_err(failed)?;
            each(codec::decode(bytes.value())?);
        }
        Ok(())
    }
}

/// Brings a file to the format of this version, within the transaction in which it is opened: a file is of one
/// format or of the other, whatever ends the process.
fn upgrade(write: &WriteTransaction, path: &Path) -> Result<(), LedgerError> {
    let mut meta = write.open_table(META).map_err(failed)?;
    let found = meta.get("format").map_err(failed)?.map(|value| value.value());
    if let Some(found) = found.filter(|found| *found > FORMAT) {
        return Err(LedgerError::Format { path: path.display().to_string(), found });
    }
    if found != Some(FORMAT) {
        meta.insert("format", FORMAT).map_err(failed)?;
    }
    Ok(())
}

fn failed(error: impl ToString) -> LedgerError {
    LedgerError::Database(error.to_string())
}
