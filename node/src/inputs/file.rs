//! The file of one input: written as it comes, read back whole or not at all.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek as _, Write},
    path::Path,
};

use consort_protocol::{array::Array, codec, encoding::MAX_LEAVES, hash::Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::{
    node::{Reduce, Submission},
    npy::{self, NpyError},
};

/// Ending of files that are not complete.
pub(super) const PART: &str = "part";

/// Length of the digest at the end.
const DIGEST_BYTES: u64 = 32;

/// The longest header: a label of 256 bytes and a few numbers.
const MAX_HEADER_BYTES: u64 = 1 << 10;

/// What is asked for with the arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) reduce: Reduce,
    pub(crate) label: Option<String>,
    pub(crate) query: Digest,
    pub(crate) clip: Option<f64>,
}

impl Parameters {
    pub(crate) fn submission(self, leaves: Vec<Array>) -> Submission {
        let Self { reduce, label, query, clip } = self;
        Submission { leaves, reduce, label, query, clip }
    }
}

/// Why a file is no input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputFileError {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// What was sent is not what can be summed.
    #[error("{}{error}", if *at == 0 { String::new() } else { format!("array {} of the body: ", at + 1) })]
    Npy {
        /// Which array, counted from 0.
        at: usize,
        error: NpyError,
    },
}

/// An input that is being received. It vanishes unless it is kept.
pub(crate) struct Draft {
    file: BufWriter<NamedTempFile>,
    hash: Sha256,
}

impl Draft {
    pub(super) fn begin(folder: &Path, parameters: &Parameters) -> io::Result<Self> {
        let file = tempfile::Builder::new().suffix(&format!(".{PART}")).tempfile_in(folder)?;
        let header = codec::encode(parameters).map_err(io::Error::other)?;
        let length = u32::try_from(header.len()).map_err(io::Error::other)?;
        let mut draft = Self { file: BufWriter::new(file), hash: Sha256::new() };
        draft.write(&length.to_le_bytes())?;
        draft.write(&header)?;
        Ok(draft)
    }

    /// Appends to the arrays.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    /// Ends the file and reads it back: what is not an input is noticed before anybody waits for it.
    pub(crate) fn finish(mut self) -> Result<(Self, Parameters, Vec<Array>), InputFileError> {
        let digest = self.hash.finalize_reset();
        self.file.write_all(&digest)?;
        self.file.flush()?;
        let (parameters, arrays) = read(self.file.get_mut().as_file_mut())?;
        Ok((self, parameters, arrays))
    }

    /// Gives it its name, once it is on disk.
    pub(super) fn persist(self, path: &Path) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Reads an input's file. Memory is taken for no more than the file has.
pub(crate) fn read(file: &mut File) -> Result<(Parameters, Vec<Array>), InputFileError> {
    let length = file.metadata()?.len();
    file.rewind()?;
    let content = length.checked_sub(DIGEST_BYTES).ok_or(InputFileError::Damaged("it is too short"))?;
    let mut reader = Hashing { inner: (&mut *file).take(content), hash: Sha256::new() };
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    let header = u64::from(u32::from_le_bytes(bytes));
    if header > MAX_HEADER_BYTES {
        return Err(InputFileError::Damaged("its header is too long"));
    }
    let mut bytes = Vec::new();
    (&mut reader).take(header).read_to_end(&mut bytes)?;
    let parameters = codec::decode(&bytes).map_err(|_| InputFileError::Damaged("its header is none"))?;
    let arrays = content.saturating_sub(4 + header);
    let arrays = npy::read_sequence(&mut reader, arrays, arrays, MAX_LEAVES)
        .map_err(|(at, error)| InputFileError::Npy { at, error })?;
    let found = reader.hash.finalize();
    let mut written = [0; DIGEST_BYTES as usize];
    file.read_exact(&mut written)?;
    if found.as_slice() != written {
        return Err(InputFileError::Damaged("its digest is another"));
    }
    Ok((parameters, arrays))
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
