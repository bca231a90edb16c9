//! The ledger: what a node must not forget, and the rounds it has seen, in one redb file.
//!
//! redb locks the file, so a second daemon on the same home is refused. Every write is on disk when the
//! call returns.

mod consents;
mod records;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

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
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    StorageError, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

pub use records::Records;

const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const ROUNDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rounds");
/// The roster of each round that has a result, without which its certificate proves nothing.
const ROSTERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rosters");
const EVIDENCE: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("evidence");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Format of this file; a later one is refused, an earlier one is brought up to it ([`upgrade`]).
const FORMAT: u64 = 3;

/// Rounds that are kept: years of a daily round, and less than a gigabyte where a hundred members vote. So the
/// file cannot grow without end.
const ROUNDS_KEPT: u64 = 1 << 14;

/// Journal entries that are kept: hundreds of rounds more than any message in flight can refer to.
const JOURNAL_ENTRIES: u64 = 8192;

/// Memory for pages of the file: entries are written once and read again at the next start only.
const CACHE_BYTES: usize = 1 << 20;

/// What to do with a damaged ledger.
pub const REMEDY: &str = "move it away, keep it, and start: see docs/operate.md, \"A home from an old copy\"";

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it open.
    #[error("{0} is in use: another node runs on this home")]
    InUse(String),
    /// Written by a later version, or by none.
    #[error(
        "{path} has format {found}, this version reads 1 to {FORMAT}: use the consort that wrote it, or a newer one; the file is as it was"
    )]
    Format {
        /// Where.
        path: String,
        /// Format found.
        found: u64,
    },
    /// It is damaged, or was never a ledger.
    #[error("{path} is damaged: {reason}; {REMEDY}")]
    Damaged {
        /// Where.
        path: String,
        /// What the database said.
        reason: String,
    },
    /// It cannot be opened.
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
    database: Arc<Database>,
    next: u64,
    /// Why it takes no more.
    broken: OnceLock<String>,
}

impl Ledger {
    /// Opens or makes the ledger.
    ///
    /// # Errors
    /// [`LedgerError`]: in use, of a later format, or damaged.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let name = path.display().to_string();
        let is_empty = || fs::metadata(path).is_ok_and(|found| found.len() == 0);
        // the library would begin a new one in it
        if is_empty() {
            return Err(LedgerError::Damaged { path: name, reason: "it is empty".into() });
        }
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        // without it a page that was altered on disk is believed, or makes the process panic
        builder.set_check_integrity_on_open(true);
        let database = builder.create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse(name.clone()),
            other if is_damage(&other) => {
                LedgerError::Damaged { path: name.clone(), reason: other.to_string() }
            }
            other => {
                // no room for a new one: the next start makes it
                if is_empty() {
                    let _ = fs::remove_file(path);
                }
                LedgerError::Open { path: name.clone(), reason: other.to_string() }
            }
        })?;
        let write = database.begin_write().map_err(failed)?;
        upgrade(&write, name)?;
        let next = {
            let journal = write.open_table(JOURNAL).map_err(failed)?;
            write.open_table(ROUNDS).map_err(failed)?;
            write.open_table(ROSTERS).map_err(failed)?;
            write.open_table(EVIDENCE).map_err(failed)?;
            consents::open(&write)?;
            journal.last().map_err(failed)?.map_or(0, |(key, _)| key.value().saturating_add(1))
        };
        write.commit().map_err(failed)?;
        Ok(Self { database: Arc::new(database), next, broken: OnceLock::new() })
    }

    /// What is recorded, for whoever reads beside the one who writes. The file stays locked while it lives.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::new(self.database.clone())
    }

    /// Why nothing can be written any more, if it is so: once the disk has failed, the file has to be opened anew.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    fn note<T>(&self, written: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(LedgerError::Database(reason)) = &written {
            self.broken.get_or_init(|| reason.clone());
        }
        written
    }

    /// Puts an entry on disk before anything that follows from it leaves the process.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk; then nothing may follow.
    pub fn journal(&mut self, entry: &JournalEntry) -> Result<(), LedgerError> {
        self.note(self.append(entry))?;
        self.next += 1;
        Ok(())
    }

    fn append(&self, entry: &JournalEntry) -> Result<(), LedgerError> {
        let bytes = codec::encode(entry)?;
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut journal = write.open_table(JOURNAL).map_err(failed)?;
            journal.insert(self.next, bytes.as_slice()).map_err(failed)?;
            if let Some(oldest) = self.next.checked_sub(JOURNAL_ENTRIES) {
                journal.remove(oldest).map_err(failed)?;
            }
        }
        consents::note(&write, entry)?;
        write.commit().map_err(failed)
    }

    /// Stores how a round ended, and the roster that its certificate refers to; forgets the oldest.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk.
    pub fn record(&self, record: &RoundRecord, roster: Option<&Signed<Roster>>) -> Result<(), LedgerError> {
        self.note(self.store(record, roster))
    }

    fn store(&self, record: &RoundRecord, roster: Option<&Signed<Roster>>) -> Result<(), LedgerError> {
        let bytes = codec::encode(record)?;
        let roster = roster.map(codec::encode).transpose()?;
        let write = self.database.begin_write().map_err(failed)?;
        {
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
        }
        write.commit().map_err(failed)
    }

    /// Keeps what convicts a member; the first record of each stays, so there are no more than members.
    ///
    /// # Errors
    /// [`LedgerError`] where it is not on disk.
    pub fn convict(&self, culprit: &MemberId, evidence: &Evidence) -> Result<(), LedgerError> {
        self.note(self.keep(culprit, evidence))
    }

    fn keep(&self, culprit: &MemberId, evidence: &Evidence) -> Result<(), LedgerError> {
        let bytes = codec::encode(evidence)?;
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(EVIDENCE).map_err(failed)?;
            if table.get(&culprit.0).map_err(failed)?.is_none() {
                table.insert(&culprit.0, bytes.as_slice()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// One record for each member that was convicted.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn evidence(&self) -> Result<Vec<Evidence>, LedgerError> {
        let read = self.database.begin_read().map_err(failed)?;
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
        let read = self.database.begin_read().map_err(failed)?;
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
        let read = self.database.begin_read().map_err(failed)?;
        let rounds = read.open_table(ROUNDS).map_err(failed)?;
        let mut next = rounds.last().map_err(failed)?.map_or(0, |(round, _)| round.value().saturating_add(1));
        self.replay(|entry| {
            if let JournalEntry::Joined { round, .. } | JournalEntry::RosterAccepted { round, .. } = entry {
                next = next.max(round.saturating_add(1));
            }
        })?;
        Ok(next)
    }

    /// Every set whose sum may be known, with the label of its data.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn cohorts(&self) -> Result<Vec<(String, Vec<MemberId>)>, LedgerError> {
        consents::cohorts(&self.database)
    }

    /// Rounds of the last 24 hours in which this node accepted a roster, with the time in seconds since 1970.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn spent(&self) -> Result<Vec<(u64, u64)>, LedgerError> {
        consents::spent(&self.database)
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
        let read = self.database.begin_read().map_err(failed)?;
        let journal = read.open_table(JOURNAL).map_err(failed)?;
        for entry in journal.iter().map_err(failed)? {
            let (_, bytes) = entry.map_err(failed)?;
            each(codec::decode(bytes.value())?);
        }
        Ok(())
    }
}

/// Brings a file to the format of this version, in the transaction that opens it: whatever ends the process, it has the
/// one format or the other.
///
/// - 1 → 2: there are sets whose sums may be known ([`consents`]). A version that knows nothing of these would not
///   guard them, so it must not open the file any more.
/// - 2 → 3: survivors name their mask set, and votes are for both. Results and evidence with survivors that do not
///   cannot be verified any more, and go; that a node took part in a round stays in the journal.
fn upgrade(write: &WriteTransaction, path: String) -> Result<(), LedgerError> {
    let is_new = write.list_tables().map_err(failed)?.next().is_none();
    let mut meta = write.open_table(META).map_err(failed)?;
    let found = meta.get("format").map_err(failed)?.map(|value| value.value());
    match found {
        Some(FORMAT) => return Ok(()),
        Some(from @ 1..FORMAT) => {
            let mut rounds = write.open_table(ROUNDS).map_err(failed)?;
            rounds.retain(|_, bytes| codec::decode::<RoundRecord>(bytes).is_ok()).map_err(failed)?;
            let mut evidence = write.open_table(EVIDENCE).map_err(failed)?;
            evidence.retain(|_, bytes| codec::decode::<Evidence>(bytes).is_ok()).map_err(failed)?;
            tracing::info!(path, from, to = FORMAT, "ledger upgraded");
        }
        Some(found) => return Err(LedgerError::Format { path, found }),
        None if is_new => {}
        // somebody else's database
        None => return Err(LedgerError::Format { path, found: 0 }),
    }
    meta.insert("format", FORMAT).map_err(failed)?;
    Ok(())
}

/// Whether it is the content of the file that is wrong, not the way to it.
fn is_damage(error: &DatabaseError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), InvalidData | UnexpectedEof)
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::RepairAborted => true,
        _ => false,
    }
}

fn failed(error: impl ToString) -> LedgerError {
    LedgerError::Database(error.to_string())
}
