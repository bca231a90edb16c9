//! The elements of a `.npy` file.

use std::io::{self, Read, Write};

use consort_protocol::array::{Dtype, Values};

use super::header::Header;
use super::{NpyError, read_full};

/// Large enough that system calls cost nothing, small enough for the second-level cache.
const CHUNK: usize = 1 << 18;

/// Reads the elements that the header announces, in C order. Memory for all of them is taken at once
/// only where `length_checked` says that the source was seen to be that long.
pub(super) fn read(
    reader: &mut impl Read,
    header: &Header,
    header_bytes: u64,
    length_checked: bool,
) -> Result<Values, NpyError> {
    let source = Source { header, header_bytes, length_checked };
    Ok(match header.dtype {
        Dtype::F32 => Values::F32(source.read(reader, f32::from_le_bytes, f32::from_be_bytes)?),
        Dtype::F64 => Values::F64(source.read(reader, f64::from_le_bytes, f64::from_be_bytes)?),
        Dtype::I8 => Values::I8(source.read(reader, i8::from_le_bytes, i8::from_be_bytes)?),
        Dtype::I16 => Values::I16(source.read(reader, i16::from_le_bytes, i16::from_be_bytes)?),
        Dtype::I32 => Values::I32(source.read(reader, i32::from_le_bytes, i32::from_be_bytes)?),
        Dtype::I64 => Values::I64(source.read(reader, i64::from_le_bytes, i64::from_be_bytes)?),
        Dtype::U8 => Values::U8(source.read(reader, u8::from_le_bytes, u8::from_be_bytes)?),
        Dtype::U16 => Values::U16(source.read(reader, u16::from_le_bytes, u16::from_be_bytes)?),
        Dtype::U32 => Values::U32(source.read(reader, u32::from_le_bytes, u32::from_be_bytes)?),
        Dtype::U64 => Values::U64(source.read(reader, u64::from_le_bytes, u64::from_be_bytes)?),
    })
}

/// Writes the elements, little-endian.
pub(super) fn write(writer: &mut impl Write, values: &Values) -> io::Result<()> {
    match values {
        Values::F32(values) => write_elements(writer, values, f32::to_le_bytes),
        Values::F64(values) => write_elements(writer, values, f64::to_le_bytes),
        Values::I8(values) => write_elements(writer, values, i8::to_le_bytes),
        Values::I16(values) => write_elements(writer, values, i16::to_le_bytes),
        Values::I32(values) => write_elements(writer, values, i32::to_le_bytes),
        Values::I64(values) => write_elements(writer, values, i64::to_le_bytes),
        Values::U8(values) => write_elements(writer, values, u8::to_le_bytes),
        Values::U16(values) => write_elements(writer, values, u16::to_le_bytes),
        Values::U32(values) => write_elements(writer, values, u32::to_le_bytes),
        Values::U64(values) => write_elements(writer, values, u64::to_le_bytes),
    }
}

struct Source<'a> {
    header: &'a Header,
    header_bytes: u64,
    length_checked: bool,
}

impl Source<'_> {
    fn read<const SIZE: usize, T: Copy>(
        &self,
        reader: &mut impl Read,
        from_le: impl Fn([u8; SIZE]) -> T,
        from_be: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, NpyError> {
        let values = match self.header.big_endian {
            false => self.read_elements(reader, from_le)?,
            true => self.read_elements(reader, from_be)?,
        };
        Ok(match self.header.fortran_order {
            false => values,
            true => to_c_order(values, &self.header.shape),
        })
    }

    fn read_elements<const SIZE: usize, T>(
        &self,
        reader: &mut impl Read,
        decode: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, NpyError> {
        let total = self.header.element_bytes()?;
        let too_large = || NpyError::TooLarge { found: total, limit: isize::MAX as u64 };
        let count = usize::try_from(total).map_err(|_| too_large())? / SIZE;
        let mut values = Vec::new();
        if self.length_checked {
            values.try_reserve_exact(count).map_err(|_| too_large())?;
        }
        let mut buffer = vec![0; CHUNK.min(count * SIZE)];
        while values.len() < count {
            let wanted = CHUNK.min((count - values.len()) * SIZE);
            let chunk = buffer.get_mut(..wanted).unwrap_or_default();
            let read = read_full(reader, chunk)?;
            if read < wanted {
                let found = self.header_bytes + (values.len() * SIZE + read) as u64;
                return Err(NpyError::Truncated { found, expected: self.header_bytes.saturating_add(total) });
            }
            let (elements, _) = chunk.as_chunks::<SIZE>();
            values.try_reserve(elements.len()).map_err(|_| too_large())?;
            values.extend(elements.iter().map(|bytes| decode(*bytes)));
        }
        Ok(values)
    }
}

/// Elements in Fortran order (first index fastest) of an array of this shape, in C order.
fn to_c_order<T: Copy>(values: Vec<T>, shape: &[u64]) -> Vec<T> {
    let Some((&last, outer)) = shape.split_last().filter(|(_, outer)| !outer.is_empty()) else {
        return values;
    };
    let row_stride = outer.iter().product::<u64>() as usize;
    let mut converted = Vec::with_capacity(values.len());
    let mut index = vec![0; outer.len()];
    let mut start = 0;
    while converted.len() < values.len() {
        let row = values.iter().skip(start).step_by(row_stride.max(1)).take(last as usize);
        converted.extend(row);
        start = next_row(&mut index, outer);
    }
    converted
}

/// Counts the outer index up in C order, last side fastest; the offset of its row in Fortran order.
fn next_row(index: &mut [u64], outer: &[u64]) -> usize {
    for (position, &side) in index.iter_mut().zip(outer).rev() {
        *position += 1;
        if *position < side {
            break;
        }
        *position = 0;
    }
    let mut stride = 1;
    let mut offset = 0;
    for (&position, &side) in index.iter().zip(outer) {
        offset += position * stride;
        stride *= side;
    }
    offset as usize
}

fn write_elements<const SIZE: usize, T: Copy>(
    writer: &mut impl Write,
    values: &[T],
    encode: impl Fn(T) -> [u8; SIZE],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK.min(values.len() * SIZE));
    for chunk in values.chunks(CHUNK / SIZE) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|&value| encode(value)));
        writer.write_all(&buffer)?;
    }
    Ok(())
}
