//! Inputs on disk: one that waits survives a restart of the node, and is removed once it has served.
//!
//! ```text
//!   ID.waiting   ──►  ID.round-N  ──►  ID.outcome
//!   nothing left      its masked       what became of it,
//!   this machine      vector may       without its data
//!                     have left
//! ```
//!
//! Files are 0600 in a folder that is 0700, and each step is one rename on a synced folder, so a crash leaves a file
//! as it was before or after. The name says what may be done with an input after a restart: one that waits goes on
//! waiting; of one that was in a round, the ledger knows how that ended, and nobody else hands it in again. Where all
//! attempts of the round were abandoned by vote, nothing of it was used, and it waits again.
//!
//! A file is the length of its header (4 bytes, little-endian), the header, the `.npy` arrays as they came, and
//! SHA-256 of all that.

pub(crate) mod desk;
mod file;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use rand::TryRng as _;
use serde::{Deserialize, Serialize};

pub(crate) use file::{Draft, InputFileError, Parameters, read};

/// What became of so many inputs is kept, for whoever asks late.
const OUTCOMES_KEPT: usize = 32;

const WAITING: &str = "waiting";
const ROUND: &str = "round-";
const OUTCOME: &str = "outcome";

/// Names an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InputId([u8; 16]);

impl InputId {
    /// A new name, which nobody can guess.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for InputId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ())?;
        // one spelling each
        (Self(bytes).to_string() == text).then_some(Self(bytes)).ok_or(())
    }
}

/// How it ended for an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Whether there is an aggregate.
    pub(crate) aggregated: bool,
    /// The round that took it.
    pub(crate) round: Option<u64>,
    /// Whether the input is in the sum.
    pub(crate) included: Option<bool>,
    /// Why there is none, or why the input is not in it.
    pub(crate) reason: Option<String>,
}

impl Ended {
    pub(crate) fn failed(round: Option<u64>, reason: impl Into<String>) -> Self {
        Self { aggregated: false, round, included: None, reason: Some(reason.into()) }
    }

    pub(crate) fn aggregated(round: u64, included: bool) -> Self {
        let reason = (!included).then(|| {
            "it came too late for this round, and nothing of it was used; hand it in again".to_owned()
        });
        Self { aggregated: true, round: Some(round), included: Some(included), reason }
    }
}

/// A waiting input's file, moved along as the input is used.
pub(crate) struct Kept {
    folder: PathBuf,
    id: InputId,
    round: Option<u64>,
    /// Whether an earlier process took it in.
    found: bool,
}

impl Kept {
    /// Whether it was in the home when this process began.
    pub(crate) fn was_found(&self) -> bool {
        self.found
    }

    pub(crate) fn id(&self) -> InputId {
        self.id
    }

    /// To be on disk before anything of the input leaves this machine.
    pub(crate) fn mark_sent(&mut self, round: u64) -> io::Result<()> {
        if self.round == Some(round) {
            return Ok(());
        }
        let from = self.path();
        self.round = Some(round);
        fs::rename(from, self.path())?;
        sync(&self.folder)
    }

    /// It was proved that no sum has the input: it waits as before.
    pub(crate) fn mark_unused(&mut self) -> io::Result<()> {
        if self.round.is_none() {
            return Ok(());
        }
        let from = self.path();
        let waiting = Self { folder: self.folder.clone(), id: self.id, round: None, found: self.found };
        fs::rename(from, waiting.path())?;
        self.round = None;
        sync(&self.folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        let state = self.round.map_or(WAITING.into(), |round| format!("{ROUND}{round}"));
        self.folder.join(format!("{}.{state}", self.id))
    }
}

/// What an earlier process left.
pub(crate) enum Found {
    /// It waited, and may go on waiting.
    Waiting(Kept),
    /// Its masked vector may have left in this round.
    Sent(InputId, u64),
}

/// The folder of a home with inputs.
pub(crate) struct Store(PathBuf);

impl Store {
    /// The folder, which is made (0700) if it does not exist; what was received in part is removed.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&folder)?;
        let store = Self(folder);
        for path in store.files()? {
            if path.extension().is_some_and(|ending| ending == file::PART) {
                fs::remove_file(path)?;
            }
        }
        Ok(store)
    }

    /// Begins to take in an input.
    pub(crate) fn begin(&self, parameters: &Parameters) -> io::Result<Draft> {
        Draft::begin(&self.0, parameters)
    }

    /// Puts an input that was taken in where it survives a restart.
    pub(crate) fn keep(&self, draft: Draft, id: InputId) -> io::Result<Kept> {
        let kept = Kept { folder: self.0.clone(), id, round: None, found: false };
        draft.persist(&kept.path())?;
        sync(&self.0)?;
        Ok(kept)
    }

    /// Inputs whose end nobody has seen, oldest name first.
    pub(crate) fn found(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for path in self.files()? {
            let Some((id, state)) = parse(&path) else { continue };
            if self.outcome_file(id).exists() {
                continue;
            }
            match state.strip_prefix(ROUND).and_then(|round| round.parse().ok()) {
                Some(round) => found.push(Found::Sent(id, round)),
                None if state == WAITING => {
                    found.push(Found::Waiting(Kept { folder: self.0.clone(), id, round: None, found: true }));
                }
                None => {}
            }
        }
        Ok(found)
    }

    /// What became of inputs, the latest last. What is left of their data is removed.
    pub(crate) fn outcomes(&self) -> io::Result<Vec<(InputId, Ended)>> {
        let mut outcomes = Vec::new();
        for path in self.files()? {
            let Some((id, OUTCOME)) = parse(&path) else { continue };
            let written = fs::metadata(&path)?.modified()?;
            // one that is damaged is only a memory
            let Ok(ended) = serde_json::from_slice(&fs::read(&path)?) else { continue };
            outcomes.push((written, id, ended));
            self.remove_data(id)?;
        }
        outcomes.sort_by_key(|(written, id, _)| (*written, *id));
        Ok(outcomes.into_iter().map(|(_, id, ended)| (id, ended)).collect())
    }

    /// Writes down what became of an input, and removes its data, whether or not the former could be done.
    pub(crate) fn end(&self, id: InputId, ended: &Ended) -> io::Result<()> {
        let written = self.write_outcome(id, ended);
        self.remove_data(id)?;
        written
    }

    /// Forgets what became of an input.
    pub(crate) fn forget(&self, id: InputId) -> io::Result<()> {
        fs::remove_file(self.outcome_file(id))
    }

    fn write_outcome(&self, id: InputId, ended: &Ended) -> io::Result<()> {
        let mut file = tempfile::Builder::new().suffix(&format!(".{}", file::PART)).tempfile_in(&self.0)?;
        serde_json::to_writer(&mut file, ended)?;
        file.as_file().sync_all()?;
        file.persist(self.outcome_file(id))?;
        sync(&self.0)
    }

    fn remove_data(&self, id: InputId) -> io::Result<()> {
        for path in self.files()? {
            if parse(&path).is_some_and(|(of, state)| of == id && state != OUTCOME) {
                fs::remove_file(path)?;
            }
        }
        sync(&self.0)
    }

    fn outcome_file(&self, id: InputId) -> PathBuf {
        self.0.join(format!("{id}.{OUTCOME}"))
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.0)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.sort();
        Ok(files)
    }
}

/// Whose file it is, and the rest of its name.
fn parse(path: &Path) -> Option<(InputId, &str)> {
    let (id, state) = path.file_name()?.to_str()?.split_once('.')?;
    Some((id.parse().ok()?, state))
}

/// A rename is on disk once its folder is.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
