//! Evidence as files: one for each culprit and crime, to be sent by mail and checked by anybody.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use consort_protocol::{
    codec,
    evidence::{Evidence, EvidenceError, Proven},
    manifest::Chain,
};

/// The largest file that is read: what a control message may hold.
const LARGEST_FILE: u64 = codec::MAX_CONTROL_BYTES as u64;

/// Ending of the files.
const ENDING: &str = "evidence";

/// The folder of a home with evidence.
pub struct Exhibits(PathBuf);

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExhibitError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is larger than any evidence.
    #[error("{}: {found} bytes, but evidence has at most {LARGEST_FILE}", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its size.
        found: u64,
    },
    /// It is damaged, or something else.
    #[error("{}: not a file of evidence: {source}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: codec::CodecError,
    },
    /// It does not hold.
    #[error("{}: proves nothing: {source}", path.display())]
    Unproven {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<EvidenceError>,
    },
}

impl Exhibits {
    /// The evidence in this folder, which is made with the first file.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Writes a file whole or not at all. Gives where it is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, proven: &Proven, evidence: &Evidence) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.0)?;
        let Proven { round, culprit, crime, .. } = proven;
        let path = self.0.join(format!("round-{round:06}-{culprit}-{crime}.{ENDING}"));
        let bytes = codec::encode(evidence).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(path)
    }

    /// All files of evidence, by name.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
        files.sort();
        Ok(files)
    }
}

/// Reads a file of evidence and checks it with nothing but the consortium's manifests.
///
/// # Errors
/// [`ExhibitError`] says why it proves nothing.
pub fn verify(path: &Path, chain: &Chain) -> Result<Proven, ExhibitError> {
    let file = |source| ExhibitError::File { path: path.into(), source };
    let found = fs::metadata(path).map_err(file)?.len();
    if found > LARGEST_FILE {
        return Err(ExhibitError::TooLarge { path: path.into(), found });
    }
    let bytes = fs::read(path).map_err(file)?;
    let evidence: Evidence =
        codec::decode(&bytes).map_err(|source| ExhibitError::Format { path: path.into(), source })?;
    // evidence of an earlier epoch stands
    let manifest = chain.by_digest(evidence.manifest()).unwrap_or(chain.manifest());
    evidence
        .verify(manifest)
        .map_err(|source| ExhibitError::Unproven { path: path.into(), source: Box::new(source) })
}
