//! The header of a `.npy` file: a Python dictionary of three known keys, read without a Python parser.

use std::io::Read;

use consort_protocol::array::Dtype;

use super::{NpyError, read_full};

const MAGIC: &[u8] = b"\x93NUMPY";
const ZIP_MAGIC: &[u8] = b"PK";
/// numpy itself loads no header above 10,000 bytes; a plain array needs less than 2,000.
const MAX_HEADER: usize = 1 << 16;
/// numpy's `NPY_MAXDIMS`.
const MAX_DIMENSIONS: usize = 64;
/// Bytes before the elements are a multiple of this, so that they can be mapped into memory.
const ALIGNMENT: usize = 64;

/// numpy's names, without the byte order.
const CODES: [(Dtype, &str); 10] = [
    (Dtype::F32, "f4"),
    (Dtype::F64, "f8"),
    (Dtype::I8, "i1"),
    (Dtype::I16, "i2"),
    (Dtype::I32, "i4"),
    (Dtype::I64, "i8"),
    (Dtype::U8, "u1"),
    (Dtype::U16, "u2"),
    (Dtype::U32, "u4"),
    (Dtype::U64, "u8"),
];

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Reads up to the first element; also returns the number of bytes before it.
    pub(super) fn read(reader: &mut impl Read) -> Result<(Self, u64), NpyError> {
        let mut start = [0; 8];
        let read = read_full(reader, &mut start)?;
        let &[.., major, minor] = &start;
        check_magic(start.get(..read).unwrap_or_default())?;

        let mut length = [0; 4];
        let length_bytes = match (major, minor) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            _ => return Err(NpyError::Version { major, minor }),
        };
        let read = read_full(reader, length.get_mut(..length_bytes).unwrap_or_default())?;
        let before_text = (start.len() + length_bytes) as u64;
        if read < length_bytes {
            return Err(NpyError::Truncated { found: (start.len() + read) as u64, expected: before_text });
        }
        let text_bytes = u32::from_le_bytes(length);
        let text_length = usize::try_from(text_bytes)
            .ok()
            .filter(|&length| length <= MAX_HEADER)
            .ok_or(NpyError::HeaderTooLong { found: text_bytes.into(), limit: MAX_HEADER })?;

        let mut text = vec![0; text_length];
        let read = read_full(reader, &mut text)?;
        let expected = before_text + text_length as u64;
        if read < text_length {
            return Err(NpyError::Truncated { found: before_text + read as u64, expected });
        }
        Ok((parse(&text)?, expected))
    }

    /// Size of all elements in bytes.
    pub(super) fn element_bytes(&self) -> Result<u64, NpyError> {
        self.shape
            .iter()
            .try_fold(size(self.dtype), |product, &side| product.checked_mul(side))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| NpyError::Shape { shape: describe_shape(&self.shape) })
    }
}

/// Size of an element in bytes.
pub(super) fn size(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::I8 | Dtype::U8 => 1,
        Dtype::I16 | Dtype::U16 => 2,
        Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
        Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
    }
}

/// The shape as Python writes it, shortened where there are more sides than a message can hold.
pub(super) fn describe_shape(shape: &[u64]) -> String {
    const SHOWN: usize = 8;
    let mut sides: Vec<String> = shape.iter().take(SHOWN).map(u64::to_string).collect();
    if shape.len() > SHOWN {
        sides.push(format!("... {} sides", shape.len()));
    }
    match sides.as_slice() {
        [side] => format!("({side},)"),
        _ => format!("({})", sides.join(", ")),
    }
}

/// A whole version 1.0 preamble, from the magic string to the last byte before the elements.
pub(super) fn format(dtype: Dtype, shape: &[u64]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    let tuple = match sides.as_slice() {
        [side] => format!("({side},)"),
        _ => format!("({})", sides.join(", ")),
    };
    let order = if size(dtype) == 1 { '|' } else { '<' };
    let code: String = CODES.iter().filter(|&&(known, _)| known == dtype).map(|&(_, code)| code).collect();
    let mut text = format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': {tuple}, }}");
    let before_text = MAGIC.len() + 4;
    let used = before_text + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', used.next_multiple_of(ALIGNMENT) - used));
    text.push('\n');

    let (version, length) = match u16::try_from(text.len()) {
        Ok(length) => ([1, 0], length.to_le_bytes().to_vec()),
        Err(_) => ([2, 0], (text.len() as u32).to_le_bytes().to_vec()),
    };
    [MAGIC, &version, &length, text.as_bytes()].concat()
}

fn check_magic(start: &[u8]) -> Result<(), NpyError> {
    if start.is_empty() {
        return Err(NpyError::Empty);
    }
    if start.starts_with(ZIP_MAGIC) {
        return Err(NpyError::Zip);
    }
    if start.len() < MAGIC.len() && MAGIC.starts_with(start) {
        return Err(NpyError::Truncated { found: start.len() as u64, expected: 8 });
    }
    if !start.starts_with(MAGIC) {
        return Err(NpyError::Foreign);
    }
    if start.len() < 8 {
        return Err(NpyError::Truncated { found: start.len() as u64, expected: 8 });
    }
    Ok(())
}

fn parse(text: &[u8]) -> Result<Header, NpyError> {
    let mut cursor = Cursor { rest: text };
    let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
    cursor.expect(b'{')?;
    while !cursor.take(b'}') {
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let repeated = match key {
            b"descr" => dtype.replace(cursor.dtype()?).is_some(),
            b"fortran_order" => fortran_order.replace(cursor.boolean()?).is_some(),
            b"shape" => shape.replace(cursor.shape()?).is_some(),
            _ => return Err(damaged(format!("unknown key '{}'", quote(key)))),
        };
        if repeated {
            return Err(damaged(format!("key '{}' appears twice", quote(key))));
        }
        if !cursor.take(b',') && cursor.peek() != Some(b'}') {
            return Err(damaged("a ',' or '}' is missing"));
        }
    }
    if cursor.peek().is_some() {
        return Err(damaged("something follows the dictionary"));
    }
    let missing = |key: &str| damaged(format!("key '{key}' is missing"));
    let (dtype, big_endian) = dtype.ok_or_else(|| missing("descr"))?;
    let fortran_order = fortran_order.ok_or_else(|| missing("fortran_order"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    Ok(Header { dtype, big_endian, fortran_order, shape })
}

/// Walks over the header's text, skipping white space before each token.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.skip(1);
        }
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NpyError> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(damaged(format!("'{}' expected", wanted as char)))
    }

    fn string(&mut self) -> Result<&'a [u8], NpyError> {
        let delimiter = self
            .peek()
            .filter(|byte| matches!(byte, b'\'' | b'"'))
            .ok_or_else(|| damaged("a quoted string expected"))?;
        self.skip(1);
        let end = self
            .rest
            .iter()
            .position(|&byte| byte == delimiter)
            .ok_or_else(|| damaged("a string has no end"))?;
        let (string, _) = self.rest.split_at(end);
        self.skip(end + 1);
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(damaged("'fortran_order' is neither True nor False"))
    }

    fn dtype(&mut self) -> Result<(Dtype, bool), NpyError> {
        if matches!(self.peek(), Some(b'[' | b'(')) {
            return Err(NpyError::Dtype {
                found: "records of named fields (a structured dtype)".into(),
                remedy: "save each field as an array of its own, e.g. numpy.save(file, a['field'])",
            });
        }
        dtype(self.string()?)
    }

    fn shape(&mut self) -> Result<Vec<u64>, NpyError> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.take(b')') {
            if shape.len() == MAX_DIMENSIONS {
                return Err(damaged(format!("'shape' has more than {MAX_DIMENSIONS} sides")));
            }
            shape.push(self.side()?);
            if !self.take(b',') && self.peek() != Some(b')') {
                return Err(damaged("'shape' is not a tuple of whole numbers"));
            }
        }
        Ok(shape)
    }

    fn side(&mut self) -> Result<u64, NpyError> {
        self.peek();
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, _) = self.rest.split_at(digits);
        if number.is_empty() {
            return Err(damaged("'shape' is not a tuple of whole numbers"));
        }
        self.skip(digits);
        // Python 2 wrote long integers as 3L
        if self.rest.first() == Some(&b'L') {
            self.skip(1);
        }
        let number = String::from_utf8_lossy(number);
        number.parse().map_err(|_| NpyError::Shape { shape: format!("({}, ...)", quote(number.as_bytes())) })
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// Element type and whether it is big-endian.
fn dtype(descr: &[u8]) -> Result<(Dtype, bool), NpyError> {
    let (order, kind) = descr.split_first().ok_or_else(|| damaged("'descr' is empty"))?;
    let dtype = CODES.iter().find(|(_, code)| code.as_bytes() == kind).map(|&(dtype, _)| dtype);
    match (dtype, order) {
        (Some(dtype), b'<') => Ok((dtype, false)),
        (Some(dtype), b'>') => Ok((dtype, true)),
        (Some(dtype @ (Dtype::I8 | Dtype::U8)), b'|') => Ok((dtype, false)),
        _ => Err(unusable_dtype(descr, kind)),
    }
}

fn unusable_dtype(descr: &[u8], kind: &[u8]) -> NpyError {
    let (what, remedy) = match kind {
        [b'O', ..] => (
            "pickled Python objects",
            "save a plain numeric array, e.g. numpy.save(file, a.astype(numpy.float64))",
        ),
        [b'b', ..] => ("booleans", "save a.astype(numpy.uint8), and the sum counts the true ones"),
        [b'c', ..] => ("complex numbers", "save a.real and a.imag, e.g. numpy.stack([a.real, a.imag])"),
        b"f2" => ("half-precision floats", "save a.astype(numpy.float32)"),
        [b'f', ..] => ("extended-precision floats", "save a.astype(numpy.float64)"),
        [b'U' | b'S' | b'a' | b'T', ..] => ("text", "save numbers: only they can be added"),
        [b'M' | b'm', ..] => ("dates or durations", "save a.astype(numpy.int64)"),
        [b'V', ..] => ("raw bytes or records", "save a plain numeric array, one for each field"),
        _ => ("of an unknown type", "save float32, float64 or an integer type of 8 to 64 bits"),
    };
    NpyError::Dtype { found: format!("{what} (dtype '{}')", quote(descr)), remedy }
}

fn damaged(what: impl Into<String>) -> NpyError {
    NpyError::Header(what.into())
}

/// Bytes of a stranger, made fit for one line of a message.
fn quote(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut text = bytes.get(..SHOWN.min(bytes.len())).unwrap_or_default().escape_ascii().to_string();
    if bytes.len() > SHOWN {
        text.push_str("...");
    }
    text
}
