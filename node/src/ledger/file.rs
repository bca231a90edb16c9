//! The open file. After a disk that was full or failed it is opened again with the next use, so that the node need not be
//! started again.

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::{LedgerError, failed};

/// Memory for pages of the file: entries are written once and read again at the next start only.
const CACHE_BYTES: usize = 1 << 20;

/// A redb file. redb refuses everything after a write that has failed, until the file is opened anew.
pub(super) struct File {
    path: PathBuf,
    /// `None` after a failure.
    database: RwLock<Option<Database>>,
}

impl File {
    /// Opens or makes the file, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { path: path.to_path_buf(), database: RwLock::new(Some(open(path)?)) })
    }

    /// Puts all that `work` writes on disk, or nothing of it.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let written = self.with(|database| {
            let write = database.begin_write().map_err(failed)?;
            let done = work(&write)?;
            write.commit().map_err(failed)?;
            Ok(done)
        });
        if matches!(written, Err(LedgerError::Database(_))) {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        written
    }

    /// What was on disk at this moment.
    pub(super) fn read(&self) -> Result<ReadTransaction, LedgerError> {
        self.with(|database| database.begin_read().map_err(failed))
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            return work(database);
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let database = match &mut *database {
            Some(database) => database,
            closed => closed.insert(open(&self.path)?),
        };
        work(database)
    }
}

fn open(path: &Path) -> Result<Database, LedgerError> {
    let name = path.display().to_string();
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    // without it a page that was altered on disk is believed, or makes the process panic
    builder.set_check_integrity_on_open(true);
    builder.create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse(name),
        other => LedgerError::Open { path: name, reason: other.to_string() },
    })
}
