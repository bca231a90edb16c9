//! Next epochs as files of a home: where a running node and its operator exchange them.
//!
//! The node writes each proposal that it hears of, with the signatures that it has. The operator reads it, signs
//! it in place (`consort consortium sign`), and the node, which looks at the folder, passes the signature on.
//! `consort consortium adopt` puts a file there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::consortium::{ConsortiumError, Draft};

/// Ending of the files.
const ENDING: &str = "toml";

/// A folder of proposals.
pub struct Proposals {
    folder: PathBuf,
    /// Time and size of each file when it was last read.
    seen: BTreeMap<PathBuf, (SystemTime, u64)>,
}

impl Proposals {
    /// The proposals in this folder, which is made with the first file.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, seen: BTreeMap::new() }
    }

    /// Where a proposal belongs.
    ///
    /// # Errors
    /// [`ConsortiumError`] where it is too large to have a name.
    pub fn path(&self, draft: &Draft) -> Result<PathBuf, ConsortiumError> {
        let digest = draft.last.digest().map_err(|source| draft.error(&self.folder, source))?;
        let name = format!("epoch-{}-{}.{ENDING}", draft.last.body.epoch, hex::encode(&digest[..8]));
        Ok(self.folder.join(name))
    }

    /// Writes a proposal, with the signatures of the file that is there already. Gives where it is.
    ///
    /// # Errors
    /// [`ConsortiumError`] where it cannot be written.
    pub fn keep(&self, draft: &Draft) -> Result<PathBuf, ConsortiumError> {
        let path = self.path(draft)?;
        fs::create_dir_all(&self.folder)
            .map_err(|source| ConsortiumError::File { path: self.folder.display().to_string(), source })?;
        let mut draft = draft.clone();
        if let Ok(there) = Draft::read(&path)
            && there.last.body == draft.last.body
            && there.tally().is_ok()
        {
            let mine = draft.last.signatures.len();
            draft.last.signatures.extend(there.last.signatures.clone());
            if draft.last.signatures.len() == there.last.signatures.len() && mine > 0 {
                return Ok(path);
            }
        }
        draft.write(&path)?;
        Ok(path)
    }

    /// Files that are new or have changed since the last call.
    pub(crate) fn changed(&mut self) -> Vec<(PathBuf, Result<Draft, ConsortiumError>)> {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "proposals cannot be read");
                return Vec::new();
            }
        };
        self.seen.retain(|path, _| files.contains_key(path));
        let mut changed = Vec::new();
        for (path, stamp) in files {
            if self.seen.insert(path.clone(), stamp) != Some(stamp) {
                let read = Draft::read(&path);
                changed.push((path, read));
            }
        }
        changed
    }

    /// Removes what is for this epoch or an earlier one.
    pub(crate) fn clear_through(&mut self, epoch: u64) {
        let files = self.files().unwrap_or_default();
        for path in files.keys().filter(|path| epoch_of(path).is_some_and(|found| found <= epoch)) {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(file = %path.display(), %error, "proposal not removed");
            }
        }
    }

    fn files(&self) -> io::Result<BTreeMap<PathBuf, (SystemTime, u64)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = entry?.path();
            if epoch_of(&path).is_some()
                && let Ok(metadata) = fs::metadata(&path)
            {
                files.insert(path, (metadata.modified()?, metadata.len()));
            }
        }
        Ok(files)
    }
}

/// The epoch in a file's name.
fn epoch_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    name.strip_prefix("epoch-")?.split('-').next()?.parse().ok()
}
