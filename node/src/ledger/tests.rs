use std::{fs, path::PathBuf};

use consort_protocol::ids::SessionId;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.redb")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path()).unwrap()
    }
}

fn joined(round: u64) -> JournalEntry {
    JournalEntry::Joined { round, attempt: 0, slot: 0 }
}

fn roster(round: u64, keys: &[u8]) -> JournalEntry {
    JournalEntry::RosterAccepted {
        round,
        attempt: 0,
        session: SessionId([1; 32]),
        participants: vec![MemberId([2; 32])],
        keys: keys.iter().map(|&key| [key; 32]).collect(),
    }
}

fn record(round: u64) -> RoundRecord {
    let attempt = AttemptRecord {
        attempt: 0,
        slot: 2,
        aggregator: MemberId([3; 32]),
        outcome: "aggregator-lost".into(),
        detail: Some("it went away".into()),
    };
    RoundRecord { round, attempts: vec![attempt], contract: None, published: None, threshold: 5 }
}

fn entries(ledger: &Ledger) -> Vec<JournalEntry> {
    let mut entries = Vec::new();
    ledger.replay(|entry| entries.push(entry)).unwrap();
    entries
}

fn fill(
    ledger: &Ledger,
    table: TableDefinition<'_, u64, &'static [u8]>,
    entries: impl IntoIterator<Item = (u64, Vec<u8>)>,
) {
    let written = ledger.file.write(|write| {
        let mut table = write.open_table(table).unwrap();
        for (key, value) in entries {
            table.insert(key, value.as_slice()).unwrap();
        }
        Ok(())
    });
    written.unwrap();
}

fn set_format(ledger: &Ledger, format: u64) {
    let written = ledger.file.write(|write| {
        write.open_table(META).unwrap().insert("format", format).unwrap();
        Ok(())
    });
    written.unwrap();
}

#[test]
fn a_new_ledger_begins_at_round_0() {
    let ledger = Folder::new().open();
    assert_eq!(ledger.next_round().unwrap(), 0);
    assert_eq!(ledger.round(0).unwrap(), None);
    assert_eq!(entries(&ledger), []);
}

#[test]
fn journal_and_rounds_outlive_the_process() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    ledger.journal(&joined(3)).unwrap();
    ledger.record(&record(2), None).unwrap();
    drop(ledger);
    let mut ledger = folder.open();
    ledger.journal(&JournalEntry::UploadStarted(SessionId([1; 32]))).unwrap();
    drop(ledger);
    let ledger = folder.open();
    assert_eq!(entries(&ledger), [joined(3), JournalEntry::UploadStarted(SessionId([1; 32]))]);
    assert_eq!(ledger.round(2).unwrap(), Some(record(2)));
    assert_eq!(ledger.round(3).unwrap(), None);
}

#[test]
fn a_round_that_was_joined_or_seen_to_end_is_never_joined_again() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    ledger.record(&record(6), None).unwrap();
    assert_eq!(ledger.next_round().unwrap(), 7);
    ledger.journal(&joined(8)).unwrap();
    assert_eq!(ledger.next_round().unwrap(), 9, "joined, but never seen to end");
    ledger.journal(&roster(10, &[])).unwrap();
    ledger.journal(&joined(9)).unwrap();
    drop(ledger);
    let mut ledger = folder.open();
    assert_eq!(ledger.next_round().unwrap(), 11, "the highest counts, not the last");
    ledger.journal(&joined(u64::MAX)).unwrap();
    assert_eq!(ledger.next_round().unwrap(), u64::MAX);
}

#[test]
fn keys_of_earlier_sessions_are_known_after_a_restart() {
    let folder = Folder::new();
    folder.open().journal(&roster(1, &[10, 11])).unwrap();
    folder.open().journal(&roster(2, &[12])).unwrap();
    let seen = folder.open().seen_keys().unwrap();
    for (key, known) in [(9, false), (10, true), (11, true), (12, true), (13, false)] {
        assert_eq!(seen.contains(&[key; 32]), known, "{key}");
    }
}

#[test]
fn a_second_process_on_the_same_ledger_is_refused() {
    let folder = Folder::new();
    let first = folder.open();
    let error = Ledger::open(&folder.path()).err().unwrap();
    assert!(matches!(&error, LedgerError::InUse(path) if *path == folder.path().display().to_string()));
    drop(first);
    folder.open();
}

#[test]
fn a_later_format_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let ledger = folder.open();
    set_format(&ledger, FORMAT + 1);
    drop(ledger);
    for _ in 0..2 {
        let error = Ledger::open(&folder.path()).err().unwrap();
        assert!(matches!(error, LedgerError::Format { found, .. } if found == FORMAT + 1), "{error}");
    }
}

#[test]
fn the_journal_is_bounded_and_forgets_the_oldest() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    fill(
        &ledger,
        JOURNAL,
        (0..JOURNAL_ENTRIES).map(|number| (number, codec::encode(&joined(number)).unwrap())),
    );
    ledger.next = JOURNAL_ENTRIES;
    ledger.journal(&joined(JOURNAL_ENTRIES)).unwrap();
    ledger.journal(&joined(JOURNAL_ENTRIES + 1)).unwrap();
    let entries = entries(&ledger);
    assert_eq!(entries.len() as u64, JOURNAL_ENTRIES);
    assert_eq!(entries.first(), Some(&joined(2)));
    assert_eq!(entries.last(), Some(&joined(JOURNAL_ENTRIES + 1)));
}

#[test]
fn rounds_are_bounded_and_the_oldest_are_forgotten() {
    let folder = Folder::new();
    let ledger = folder.open();
    // every other round was missed
    let rounds = (0..ROUNDS_KEPT).map(|round| (2 * round, codec::encode(&record(2 * round)).unwrap()));
    fill(&ledger, ROUNDS, rounds);
    ledger.record(&record(2 * ROUNDS_KEPT), None).unwrap();
    assert_eq!(ledger.round(0).unwrap(), None);
    assert_eq!(ledger.round(2).unwrap(), Some(record(2)));
    assert_eq!(ledger.round(2 * ROUNDS_KEPT).unwrap(), Some(record(2 * ROUNDS_KEPT)));
    assert_eq!(ledger.next_round().unwrap(), 2 * ROUNDS_KEPT + 1);
}

/// Everything in a file, or what is wrong with it.
fn read_all(path: &Path) -> Result<(Vec<JournalEntry>, Vec<RoundRecord>, u64), LedgerError> {
    let ledger = Ledger::open(path)?;
    let mut entries = Vec::new();
    ledger.replay(|entry| entries.push(entry))?;
    let rounds = (0..8).filter_map(|round| ledger.round(round).transpose()).collect::<Result<_, _>>()?;
    Ok((entries, rounds, ledger.next_round()?))
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    for round in 0..8 {
        ledger.journal(&roster(round, &[1, 2, 3])).unwrap();
        ledger.record(&record(round), None).unwrap();
    }
    drop(ledger);
    let whole = fs::read(folder.path()).unwrap();
    let broken = folder.0.path().join("broken.redb");
    let open = |bytes: &[u8]| {
        fs::write(&broken, bytes).unwrap();
        read_all(&broken)
    };
    let content = open(&whole).unwrap();
    assert_eq!((content.0.len(), content.1.len(), content.2), (8, 8, 8));
    assert!(open(b"this is no ledger").is_err());
    assert!(open(&[0; 100_000]).is_err());
    for length in [1, 100, 320, 4096, whole.len() / 2, whole.len() - 1] {
        assert!(open(&whole[..length]).is_err(), "cut to {length} of {} bytes", whole.len());
    }
    // an unused page may hold anything, and one that is used is never believed
    let mut noticed = 0;
    for start in (0..whole.len().min(1 << 18)).step_by(1 << 10) {
        let mut damaged = whole.clone();
        let end = damaged.len().min(start + 64);
        damaged[start..end].fill(0xA5);
        match open(&damaged) {
            Ok(found) => assert!(found == content, "damage at {start} changed what is read"),
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > 0);
}

#[test]
fn an_entry_of_another_kind_is_an_error() {
    let folder = Folder::new();
    let ledger = folder.open();
    fill(&ledger, JOURNAL, [(0, vec![0xFF; 3])]);
    fill(&ledger, ROUNDS, [(0, vec![0xFF; 3])]);
    assert!(matches!(ledger.next_round(), Err(LedgerError::Entry(_))));
    assert!(matches!(ledger.seen_keys().err(), Some(LedgerError::Entry(_))));
    assert!(matches!(ledger.round(0), Err(LedgerError::Entry(_))));
}

#[test]
fn after_a_failed_write_the_file_is_opened_again_with_the_next_one() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    ledger.journal(&joined(0)).unwrap();
    let records = ledger.records();
    let failed = ledger.file.write::<()>(|_| Err(LedgerError::Database("No space left on device".into())));
    assert!(failed.is_err());
    // nobody holds the file now, and nothing of what failed is in it
    drop(folder.open());
    ledger.record(&record(0), None).unwrap();
    assert!(Ledger::open(&folder.path()).is_err(), "it is locked again");
    assert_eq!((entries(&ledger), records.round(0).unwrap()), (vec![joined(0)], Some(record(0))));
}
