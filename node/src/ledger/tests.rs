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
    let write = ledger.database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
    write.commit().unwrap();
    drop(ledger);
    for _ in 0..2 {
        let error = Ledger::open(&folder.path()).err().unwrap();
        assert!(matches!(error, LedgerError::Format { found, .. } if found == FORMAT + 1), "{error}");
        assert!(error.to_string().contains("has format 4, this version reads 1 to 3"), "{error}");
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(folder.open());
    std::fs::remove_file(folder.path()).unwrap();
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let database = redb::Database::create(folder.path()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(OTHER).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = Ledger::open(&folder.path()).err().unwrap();
        assert!(matches!(error, LedgerError::Format { found: 0, .. }), "{error}");
    }
}

/// What the first version wrote, table by table.
#[test]
fn an_earlier_format_is_upgraded_in_place_and_keeps_what_can_be_read() {
    let folder = Folder::new();
    let database = Database::create(folder.path()).unwrap();
    let write = database.begin_write().unwrap();
    let entry = |entry: &JournalEntry| codec::encode(entry).unwrap();
    write.open_table(META).unwrap().insert("format", 1).unwrap();
    write.open_table(JOURNAL).unwrap().insert(7, entry(&joined(4)).as_slice()).unwrap();
    write.open_table(ROUNDS).unwrap().insert(3, codec::encode(&record(3)).unwrap().as_slice()).unwrap();
    write.open_table(ROSTERS).unwrap();
    // whose survivors name no mask set
    write.open_table(ROUNDS).unwrap().insert(2, &[2; 40][..]).unwrap();
    write.open_table(EVIDENCE).unwrap().insert(&[1; 32], &[2; 40][..]).unwrap();
    write.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let mut ledger = folder.open();
        assert_eq!((entries(&ledger)[0].clone(), ledger.round(3).unwrap()), (joined(4), Some(record(3))));
        assert_eq!((ledger.next_round().unwrap(), ledger.spent().unwrap()), (5, vec![]));
        assert!(ledger.round(2).unwrap().is_none() && ledger.evidence().unwrap().is_empty());
        ledger.journal(&JournalEntry::UploadStarted(SessionId([1; 32]))).unwrap();
    }
    assert_eq!(entries(&folder.open()).len(), 3, "entries go on where they had ended");
    let database = Database::open(folder.path()).unwrap();
    let format = database.begin_read().unwrap().open_table(META).unwrap().get("format").unwrap();
    assert_eq!(format.unwrap().value(), FORMAT);
}

#[test]
fn the_journal_is_bounded_and_forgets_the_oldest() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    let write = ledger.database.begin_write().unwrap();
    {
        let mut journal = write.open_table(JOURNAL).unwrap();
        for number in 0..JOURNAL_ENTRIES {
            journal.insert(number, codec::encode(&joined(number)).unwrap().as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
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
    let write = ledger.database.begin_write().unwrap();
    {
        let mut rounds = write.open_table(ROUNDS).unwrap();
        for round in 0..ROUNDS_KEPT {
            // every other round was missed
            rounds.insert(2 * round, codec::encode(&record(2 * round)).unwrap().as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
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
    for length in [0, 1, 100, 320, 4096, whole.len() / 2, whole.len() - 1] {
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
    let write = ledger.database.begin_write().unwrap();
    write.open_table(JOURNAL).unwrap().insert(0, [0xFF; 3].as_slice()).unwrap();
    write.open_table(ROUNDS).unwrap().insert(0, [0xFF; 3].as_slice()).unwrap();
    write.commit().unwrap();
    assert!(matches!(ledger.next_round(), Err(LedgerError::Entry(_))));
    assert!(matches!(ledger.seen_keys().err(), Some(LedgerError::Entry(_))));
    assert!(matches!(ledger.round(0), Err(LedgerError::Entry(_))));
}

#[test]
fn sets_whose_sums_may_be_known_are_kept_once_and_outlive_the_journal() {
    let folder = Folder::new();
    let cohort = |label: &str, members: &[u8]| JournalEntry::Cohort {
        label: label.into(),
        members: members.iter().map(|member| MemberId([*member; 32])).collect(),
    };
    let noted = [cohort("a", &[1, 2, 3]), cohort("a", &[1, 2]), cohort("b", &[1, 2, 3])];
    {
        let mut ledger = folder.open();
        for entry in noted.iter().chain(&noted) {
            ledger.journal(entry).unwrap();
        }
        // the journal forgets
        ledger.next = JOURNAL_ENTRIES + 100;
        for round in 0..200 {
            ledger.journal(&joined(round)).unwrap();
        }
    }
    let found: Vec<JournalEntry> = folder
        .open()
        .cohorts()
        .unwrap()
        .into_iter()
        .map(|(label, members)| JournalEntry::Cohort { label, members })
        .collect();
    assert_eq!(found.len(), 3);
    assert!(noted.iter().all(|entry| found.contains(entry)), "{found:?}");
}

#[test]
fn a_round_of_the_last_day_counts_from_its_first_roster() {
    let folder = Folder::new();
    let before = crate::clock::now();
    {
        let mut ledger = folder.open();
        for entry in [joined(1), roster(1, &[1]), roster(1, &[2]), joined(2), roster(3, &[3])] {
            ledger.journal(&entry).unwrap();
        }
    }
    let spent = folder.open().spent().unwrap();
    assert_eq!(spent.iter().map(|(round, _)| *round).collect::<Vec<_>>(), [1, 3], "those with a roster");
    assert!(spent.iter().all(|(_, at)| *at >= before));
}
