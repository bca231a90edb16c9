//! Where rounds come from: the running daemon, or the ledger if none runs.

use std::path::Path;

use consort_node::{
    ledger::{Ledger, LedgerError, Records},
    proof::{NoProof, RoundProof},
    summary::RoundSummary,
};
use serde::Deserialize;

use super::{
    Failure,
    client::{Client, Unanswered, block_on},
};

pub(super) enum Source {
    Daemon(Client),
    Ledger(Records),
}

#[derive(Deserialize)]
struct Listed {
    rounds: Vec<RoundSummary>,
}

impl Source {
    pub(super) fn open(home: &Path) -> Result<Self, Failure> {
        let client = Client::new(home);
        let asked = block_on(async { Ok(client.get::<Listed>("/v1/rounds?limit=0").await) })?;
        match asked {
            Ok(_) => return Ok(Self::Daemon(client)),
            Err(Unanswered::NotRunning(_)) => {}
            Err(other) => return Err(other.into()),
        }
        let path = home.join("ledger.redb");
        if !path.is_file() {
            return Err(Failure::Unusable(format!("{}: no node has run on this home yet", path.display())));
        }
        let ledger = Ledger::open(&path).map_err(|error| Failure::Unusable(error.to_string()))?;
        Ok(Self::Ledger(ledger.records()))
    }

    /// The last rounds, newest first.
    pub(super) fn list(&self, limit: usize) -> Result<Vec<RoundSummary>, Failure> {
        match self {
            Self::Daemon(client) => block_on(async {
                Ok(client.get::<Listed>(&format!("/v1/rounds?limit={limit}")).await?.rounds)
            }),
            Self::Ledger(records) => {
                let latest = records.latest(limit).map_err(|error| damaged(&error))?;
                latest
                    .iter()
                    .map(|record| {
                        let roster = records.roster(record.round).map_err(|error| damaged(&error))?;
                        Ok(RoundSummary::of(record, roster.as_ref()))
                    })
                    .collect()
            }
        }
    }

    pub(super) fn round(&self, round: u64) -> Result<RoundSummary, Failure> {
        match self {
            Self::Daemon(client) => block_on(async { Ok(client.get(&format!("/v1/rounds/{round}")).await?) }),
            Self::Ledger(records) => {
                let record = records.round(round).map_err(|error| damaged(&error))?;
                let record = record.ok_or_else(|| Failure::Failed(NoProof::Unknown(round).to_string()))?;
                let roster = records.roster(round).map_err(|error| damaged(&error))?;
                Ok(RoundSummary::of(&record, roster.as_ref()))
            }
        }
    }

    pub(super) fn proof(&self, round: u64) -> Result<RoundProof, Failure> {
        match self {
            Self::Daemon(client) => {
                let path = format!("/v1/rounds/{round}/proof");
                let bytes = block_on(async { Ok(client.bytes(&path).await?) })?;
                RoundProof::from_bytes(&bytes).map_err(|error| Failure::Failed(error.to_string()))
            }
            Self::Ledger(records) => {
                RoundProof::of(records, round).map_err(|error| Failure::Failed(error.to_string()))
            }
        }
    }
}

fn damaged(error: &LedgerError) -> Failure {
    Failure::Failed(error.to_string())
}
