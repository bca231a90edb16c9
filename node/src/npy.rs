//! The door for `.npy` files: numpy's format for one array, read and written.
//!
//! A file is a magic string, a version (1.0, 2.0 or 3.0), a header that is a Python dictionary with the
//! keys `descr`, `fortran_order` and `shape`, and then the elements. Read are the ten dtypes that can be
//! aggregated, in either byte order; Fortran order is turned into C order. Everything else, above all
//! pickled Python objects, is refused in words. Format: numpy's `numpy/lib/_format_impl.py`.
//!
//! # Security
//! Files and request bodies come from anyone. The header is at most 64 KiB and read by a parser without
//! recursion. Nothing is allocated by what a header claims: where the length of the source is known it
//! must match the shape exactly first, and otherwise memory grows only with the bytes that really came.
//! NaN and infinities pass; the encoding refuses them, naming the index.

mod data;
mod header;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use consort_protocol::array::Array;

use header::Header;

/// Why something is not an array that can be aggregated. Each text is one line; the caller names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum NpyError {
    #[error("cannot be read: {0}; check that it exists and that you may read it")]
    Io(#[source] io::Error),
    #[error("it is a directory; name a .npy file inside it")]
    Directory,
    #[error("it is empty (0 bytes); write it again with numpy.save")]
    Empty,
    #[error(
        "it is a zip archive, as numpy.savez writes; save each array in a .npy of its own with numpy.save"
    )]
    Zip,
    #[error("it is not a .npy file (it does not begin with numpy's magic string); write it with numpy.save")]
    Foreign,
    #[error(".npy version {major}.{minor} is unknown, only 1.0, 2.0 and 3.0 are; write it with numpy.save")]
    Version { major: u8, minor: u8 },
    #[error(
        "its header of {found} bytes is longer than the {limit} that any plain array needs; write it with numpy.save"
    )]
    HeaderTooLong { found: u64, limit: usize },
    #[error("its header is damaged: {0}; write it again with numpy.save")]
    Header(String),
    #[error("its elements are {found}; {remedy}")]
    Dtype { found: String, remedy: &'static str },
    #[error("its shape {shape} has more elements than memory can hold; the header is damaged or not numpy's")]
    Shape { shape: String },
    #[error("its {found} bytes of elements are over the limit of {limit}; split the array")]
    TooLarge { found: u64, limit: u64 },
    #[error("it is truncated: {found} bytes, but its header announces {expected}; copy or write it again")]
    Truncated { found: u64, expected: u64 },
    #[error(
        "{found} bytes, but its header announces {expected}: something follows the array; write it again with numpy.save"
    )]
    Trailing { found: u64, expected: u64 },
    #[error("more than {most} arrays; join some of them")]
    TooMany { most: usize },
    #[error("more follows after the {expected} bytes that its header announces; send one array only")]
    Unexpected { expected: u64 },
}

/// Reads the array in a file. `limit` is the largest size of its elements in bytes.
///
/// # Errors
/// [`NpyError`], for a file that is not one plain numeric array within the limit, or cannot be read.
pub fn read_file(path: &Path, limit: u64) -> Result<Array, NpyError> {
    let file = File::open(path).map_err(NpyError::Io)?;
    let meta = file.metadata().map_err(NpyError::Io)?;
    if meta.is_dir() {
        return Err(NpyError::Directory);
    }
    read(file, meta.is_file().then_some(meta.len()), limit)
}

/// Reads an array from a stream. `length` is the number of bytes that the stream will give where that is
/// known (a file's size, a `Content-Length`), `limit` the largest size of the elements in bytes.
/// The stream must end where the array does. Reads are large: no buffering is needed.
///
/// # Errors
/// [`NpyError`], for a stream that is not one plain numeric array within the limit, or fails.
pub fn read(mut reader: impl Read, length: Option<u64>, limit: u64) -> Result<Array, NpyError> {
    let (header, header_bytes) = Header::read(&mut reader)?;
    let expected = bytes_of(&header, header_bytes, length, limit)?;
    if let Some(found) = length.filter(|found| *found > expected) {
        return Err(NpyError::Trailing { found, expected });
    }
    let array = array(&mut reader, header, header_bytes, length.is_some())?;
    let mut probe = [0];
    if read_full(&mut reader, &mut probe)? > 0 {
        return Err(NpyError::Unexpected { expected });
    }
    Ok(array)
}

/// Reads arrays that follow each other, as several `numpy.save` to one open file write them. `length` is the
/// number of bytes that the stream gives, `limit` the largest size of all elements in bytes, `most` the largest
/// number of arrays.
///
/// # Errors
/// The number of the array, counted from 0, and what is wrong with it.
pub fn read_sequence(
    mut reader: impl Read,
    length: u64,
    limit: u64,
    most: usize,
) -> Result<Vec<Array>, (usize, NpyError)> {
    let mut arrays = Vec::new();
    let mut rest = length;
    while rest > 0 || arrays.is_empty() {
        let at = |error| (arrays.len(), error);
        if arrays.len() == most {
            return Err(at(NpyError::TooMany { most }));
        }
        let (header, header_bytes) = Header::read(&mut reader).map_err(at)?;
        let bytes = bytes_of(&header, header_bytes, Some(rest), limit).map_err(at)?;
        let array = array(&mut reader, header, header_bytes, true).map_err(at)?;
        rest = rest.saturating_sub(bytes);
        arrays.push(array);
    }
    Ok(arrays)
}

/// Bytes of the whole array, header included, which must be there where it is known how many follow.
fn bytes_of(header: &Header, header_bytes: u64, length: Option<u64>, limit: u64) -> Result<u64, NpyError> {
    let element_bytes = header.element_bytes()?;
    if element_bytes > limit {
        return Err(NpyError::TooLarge { found: element_bytes, limit });
    }
    let expected = header_bytes.saturating_add(element_bytes);
    match length {
        Some(found) if found < expected => Err(NpyError::Truncated { found, expected }),
        _ => Ok(expected),
    }
}

fn array(
    reader: &mut impl Read,
    header: Header,
    header_bytes: u64,
    length_checked: bool,
) -> Result<Array, NpyError> {
    let values = data::read(reader, &header, header_bytes, length_checked)?;
    let shape = header::describe_shape(&header.shape);
    Array::new(header.shape, values).ok_or(NpyError::Shape { shape })
}

/// Writes an array as numpy would: version 1.0, little-endian, C order. Writes are large: no buffering is
/// needed.
///
/// # Errors
/// Those of the writer.
pub fn write(array: &Array, mut writer: impl Write) -> io::Result<()> {
    writer.write_all(&header::format(array.dtype(), array.shape()))?;
    data::write(&mut writer, array.values())?;
    writer.flush()
}

/// Fills the buffer as far as the reader lasts; the number of bytes read.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, NpyError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(NpyError::Io(error)),
        }
    }
    Ok(filled)
}
