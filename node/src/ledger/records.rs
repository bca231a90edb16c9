//! What the ledger has recorded, read beside whoever writes it.

use std::sync::Arc;

use consort_protocol::{codec, messages::advertise_keys::Roster, signing::Signed};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::{LedgerError, ROSTERS, ROUNDS, RoundRecord, failed};

/// Reads rounds. Cheap to clone; the ledger stays locked while one of these lives.
#[derive(Clone)]
pub struct Records(Arc<Database>);

impl Records {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self(database)
    }

    /// How a round ended, if this node saw it.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn round(&self, round: u64) -> Result<Option<RoundRecord>, LedgerError> {
        let read = self.0.begin_read().map_err(failed)?;
        let rounds = read.open_table(ROUNDS).map_err(failed)?;
        let bytes = rounds.get(round).map_err(failed)?;
        bytes.map(|bytes| Ok(codec::decode(bytes.value())?)).transpose()
    }

    /// The signed roster of a round that has a result.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn roster(&self, round: u64) -> Result<Option<Signed<Roster>>, LedgerError> {
        let read = self.0.begin_read().map_err(failed)?;
        let rosters = read.open_table(ROSTERS).map_err(failed)?;
        let bytes = rosters.get(round).map_err(failed)?;
        bytes.map(|bytes| Ok(codec::decode(bytes.value())?)).transpose()
    }

    /// The last so many recorded rounds, newest first.
    ///
    /// # Errors
    /// [`LedgerError`] where the file is damaged.
    pub fn latest(&self, count: usize) -> Result<Vec<RoundRecord>, LedgerError> {
        let read = self.0.begin_read().map_err(failed)?;
        let rounds = read.open_table(ROUNDS).map_err(failed)?;
        let newest = rounds.iter().map_err(failed)?.rev().take(count);
        newest.map(|entry| Ok(codec::decode(entry.map_err(failed)?.1.value())?)).collect()
    }
}
