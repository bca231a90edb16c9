//! Someone's own arrays: one `.npy` for each node, and a weight for each.

use std::path::{Path, PathBuf};
use std::{fs, io};

use consort_node::npy::{self, NpyError};
use consort_protocol::array::{Array, Dtype, Values};

/// The least number of nodes.
const MIN_NODES: usize = 3;

/// Why files cannot be the inputs of a run. Each text is one line that names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum InputError {
    #[error("{path}: cannot be read: {error}; name a directory of .npy files, one for each node")]
    Directory { path: String, error: io::Error },
    #[error("{path}: {found} .npy files, but at least 3 are needed, one for each node; add the missing ones")]
    TooFew { path: String, found: usize },
    #[error("{path}: {error}")]
    File { path: String, error: NpyError },
    #[error("{path}: {found}, but {first} is {expected}; make all inputs alike")]
    Unlike { path: String, found: String, first: String, expected: String },
    #[error("{path}: it has no elements (shape {shape}), so there is nothing to add up; save at least one")]
    NoElements { path: String, shape: String },
    #[error("{path}: {value} at index {index}; replace it by a number or leave this input out")]
    NotFinite { path: String, value: &'static str, index: String },
    #[error("{path}: {found}, but weights are whole numbers; save weights.astype(numpy.int64)")]
    WeightType { path: String, found: &'static str },
    #[error(
        "{path}: shape {found}, but {nodes} nodes need shape ({nodes},), one weight for each in the order of the inputs; save them so"
    )]
    WeightCount { path: String, found: String, nodes: usize },
    #[error(
        "{path}: negative weight {value} at index {index}; weights are 0 or more, e.g. numbers of examples"
    )]
    NegativeWeight { path: String, value: i128, index: usize },
    #[error(
        "{path}: all weights are 0, so no weighted mean exists; give at least one node a positive weight"
    )]
    NoWeight { path: String },
}

/// The inputs of all nodes: alike in shape and dtype, with at least one element, all finite.
pub(crate) struct Inputs {
    arrays: Vec<Array>,
}

impl Inputs {
    /// Reads the files of [`list`], one for each node. `limit` is the largest size of the elements of one
    /// in bytes.
    ///
    /// # Errors
    /// [`InputError`], naming the first file that cannot be used.
    pub(crate) fn read(files: &[PathBuf], limit: u64) -> Result<Self, InputError> {
        let mut arrays: Vec<Array> = Vec::with_capacity(files.len());
        for file in files {
            let path = show(file);
            let array = npy::read_file(file, limit)
                .map_err(|error| InputError::File { path: path.clone(), error })?;
            if let (Some(first), Some(first_file)) = (arrays.first(), files.first())
                && (first.dtype(), first.shape()) != (array.dtype(), array.shape())
            {
                let (found, expected) = (kind(&array), kind(first));
                return Err(InputError::Unlike { path, found, first: show(first_file), expected });
            }
            if array.values().is_empty() {
                return Err(InputError::NoElements { path, shape: shape(array.shape()) });
            }
            if let Some((index, value)) = first_not_finite(array.values()) {
                return Err(InputError::NotFinite { path, value, index: position(index, array.shape()) });
            }
            arrays.push(array);
        }
        Ok(Self { arrays })
    }

    /// The arrays in the order of the nodes.
    pub(crate) fn arrays(&self) -> &[Array] {
        &self.arrays
    }
}

/// The `.npy` files of a directory by name, byte by byte (`a10.npy` comes before `a2.npy`); hidden files
/// are left out, as are others.
///
/// # Errors
/// [`InputError`], where the directory cannot be read or has fewer than three.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>, InputError> {
    let unreadable = |error| InputError::Directory { path: show(directory), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.ends_with(b".npy") && !name.starts_with(b".") {
            files.push(entry.path());
        }
    }
    if files.len() < MIN_NODES {
        return Err(InputError::TooFew { path: show(directory), found: files.len() });
    }
    files.sort();
    Ok(files)
}

/// The weights in a file: one non-negative whole number for each node, not all of them 0.
///
/// # Errors
/// [`InputError`], for anything else.
pub(crate) fn weights(file: &Path, nodes: usize) -> Result<Vec<u64>, InputError> {
    /// Far above any number of nodes.
    const LIMIT: u64 = 1 << 20;
    let path = show(file);
    let array =
        npy::read_file(file, LIMIT).map_err(|error| InputError::File { path: path.clone(), error })?;
    let values: Vec<i128> = match array.values() {
        Values::F32(_) | Values::F64(_) => {
            return Err(InputError::WeightType { path, found: dtype(array.dtype()) });
        }
        Values::I8(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I16(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I32(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I64(values) => values.iter().map(|&value| value.into()).collect(),
        Values::U8(values) => values.iter().map(|&value| value.into()).collect(),
        Values::U16(values) => values.iter().map(|&value| value.into()).collect(),
        Values::U32(values) => values.iter().map(|&value| value.into()).collect(),
        Values::U64(values) => values.iter().map(|&value| value.into()).collect(),
    };
    if array.shape() != [nodes as u64] {
        return Err(InputError::WeightCount { path, found: shape(array.shape()), nodes });
    }
    let mut weights = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let negative = |_| InputError::NegativeWeight { path: path.clone(), value, index };
        weights.push(u64::try_from(value).map_err(negative)?);
    }
    if weights.iter().all(|&weight| weight == 0) {
        return Err(InputError::NoWeight { path });
    }
    Ok(weights)
}

/// The largest absolute value of some inputs, from which a run takes its clip or integer bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Extent {
    /// Of floats.
    Float(f64),
    /// Of integers, signed or not.
    Integer(u64),
}

impl Extent {
    /// The largest absolute value in an array; 0 where it is empty. NaN counts as nothing.
    pub(crate) fn of(values: &Values) -> Self {
        match values {
            Values::F32(values) => {
                Self::Float(values.iter().fold(0.0f32, |most, x| most.max(x.abs())).into())
            }
            Values::F64(values) => Self::Float(values.iter().fold(0.0, |most, x| most.max(x.abs()))),
            Values::I8(values) => Self::Integer(most(values.iter().map(|x| x.unsigned_abs()))),
            Values::I16(values) => Self::Integer(most(values.iter().map(|x| x.unsigned_abs()))),
            Values::I32(values) => Self::Integer(most(values.iter().map(|x| x.unsigned_abs()))),
            Values::I64(values) => Self::Integer(most(values.iter().map(|x| x.unsigned_abs()))),
            Values::U8(values) => Self::Integer(most(values.iter().copied())),
            Values::U16(values) => Self::Integer(most(values.iter().copied())),
            Values::U32(values) => Self::Integer(most(values.iter().copied())),
            Values::U64(values) => Self::Integer(most(values.iter().copied())),
        }
    }

    /// The larger of two extents of the same kind of number.
    pub(crate) fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => Self::Float(left.max(right)),
            (Self::Integer(left), Self::Integer(right)) => Self::Integer(left.max(right)),
            (Self::Float(float), Self::Integer(integer)) | (Self::Integer(integer), Self::Float(float)) => {
                Self::Float(float.max(integer as f64))
            }
        }
    }
}

fn most<T: Ord + Into<u64>>(values: impl Iterator<Item = T>) -> u64 {
    values.max().map_or(0, Into::into)
}

fn first_not_finite(values: &Values) -> Option<(usize, &'static str)> {
    let (index, value) = match values {
        Values::F32(values) => {
            let index = values.iter().position(|value| !value.is_finite())?;
            (index, f64::from(*values.get(index)?))
        }
        Values::F64(values) => {
            let index = values.iter().position(|value| !value.is_finite())?;
            (index, *values.get(index)?)
        }
        _ => return None,
    };
    let name = match value {
        nan if nan.is_nan() => "nan",
        negative if negative < 0.0 => "-inf",
        _ => "inf",
    };
    Some((index, name))
}

/// The index of an element in C order, as numpy's user writes it.
fn position(flat: usize, sides: &[u64]) -> String {
    if sides.len() < 2 {
        return flat.to_string();
    }
    let mut rest = flat as u64;
    let mut index = vec![0; sides.len()];
    for (place, &side) in index.iter_mut().zip(sides).rev() {
        *place = rest % side.max(1);
        rest /= side.max(1);
    }
    shape(&index)
}

fn kind(array: &Array) -> String {
    format!("{} of shape {}", dtype(array.dtype()), shape(array.shape()))
}

/// numpy's name.
fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "float32",
        Dtype::F64 => "float64",
        Dtype::I8 => "int8",
        Dtype::I16 => "int16",
        Dtype::I32 => "int32",
        Dtype::I64 => "int64",
        Dtype::U8 => "uint8",
        Dtype::U16 => "uint16",
        Dtype::U32 => "uint32",
        Dtype::U64 => "uint64",
    }
}

fn shape(sides: &[u64]) -> String {
    match sides {
        [side] => format!("({side},)"),
        _ => format!("({})", sides.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// A path on one line, whatever is in it.
fn show(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

#[cfg(test)]
mod tests;
