//! Ring elements as bytes: b bits an element, no gaps.
//!
//! Element i takes bits i·b to (i+1)·b of the output, least significant bit first, where bit k is bit
//! k mod 8 of byte ⌊k/8⌋. The last byte is filled up with zeros, and unpacking insists on them, so
//! a chunk has exactly one encoding.

/// Why bytes are not a packed chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackingError {
    /// Not the number of bytes that the chunk takes.
    #[error("{found} bytes for a chunk that takes {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The bits after the last element are not all zero.
    #[error("the bits after the last element are not zero")]
    Padding,
}

/// Bytes of `elements` elements of `bits` bits.
#[must_use]
pub fn packed_len(elements: usize, bits: u8) -> usize {
    let bits = usize::from(bits);
    // split, so that the product cannot overflow where the result does not
    elements / 8 * bits + (elements % 8 * bits).div_ceil(8)
}

/// Appends `words` mod 2^`bits` to `out`: [`packed_len`] bytes.
///
/// # Panics
/// Where `bits` is not 1 to 64; those of a [`Layout`](super::Layout) always are.
pub fn pack(words: &[u64], bits: u8, out: &mut Vec<u8>) {
    assert!((1..=64).contains(&bits), "a ring of {bits} bits, expected 1 to 64");
    let from = out.len();
    out.resize(from + packed_len(words.len(), bits), 0);
    let out = &mut out[from..];
    match bits {
        64 => out.as_chunks_mut().0.iter_mut().zip(words).for_each(|(slot, word)| *slot = word.to_le_bytes()),
        32 => {
            let slots = out.as_chunks_mut().0.iter_mut();
            slots.zip(words).for_each(|(slot, &word)| *slot = (word as u32).to_le_bytes());
        }
        _ => pack_bits(words, u32::from(bits), out),
    }
}

/// Fills `out` with the elements in `bytes`; the inverse of [`pack`].
///
/// # Errors
/// [`PackingError`] where the length is not exactly [`packed_len`], or padding is not zero; `out` is
/// unspecified then.
///
/// # Panics
/// Where `bits` is not 1 to 64; those of a [`Layout`](super::Layout) always are.
pub fn unpack(bytes: &[u8], bits: u8, out: &mut [u64]) -> Result<(), PackingError> {
    assert!((1..=64).contains(&bits), "a ring of {bits} bits, expected 1 to 64");
    let expected = packed_len(out.len(), bits);
    if bytes.len() != expected {
        return Err(PackingError::Length { found: bytes.len(), expected });
    }
    match bits {
        64 => {
            out.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, slot)| *word = u64::from_le_bytes(*slot))
        }
        32 => {
            let slots = bytes.as_chunks().0;
            out.iter_mut().zip(slots).for_each(|(word, slot)| *word = u32::from_le_bytes(*slot).into());
        }
        _ => return unpack_bits(bytes, u32::from(bits), out),
    }
    Ok(())
}

/// 1 to 63 bits: elements are gathered in a word, which is written out whenever it is full.
fn pack_bits(words: &[u64], bits: u32, out: &mut [u8]) {
    let mask = (1u64 << bits) - 1;
    let (full, rest) = out.as_chunks_mut::<8>();
    let mut slots = full.iter_mut();
    let (mut gathered, mut filled) = (0u64, 0u32);
    for &word in words {
        let word = word & mask;
        gathered |= word << filled;
        filled += bits;
        if filled >= 64 {
            if let Some(slot) = slots.next() {
                *slot = gathered.to_le_bytes();
            }
            filled -= 64;
            gathered = word >> (bits - filled);
        }
    }
    // 57 to 63 bits in hand take a whole slot
    match slots.next() {
        Some(slot) => *slot = gathered.to_le_bytes(),
        None => rest.copy_from_slice(&gathered.to_le_bytes()[..rest.len()]),
    }
}

fn unpack_bits(bytes: &[u8], bits: u32, out: &mut [u64]) -> Result<(), PackingError> {
    let mask = (1u64 << bits) - 1;
    let (full, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut source = full.iter().chain(std::iter::once(&last)).map(|slot| u64::from_le_bytes(*slot));
    let (mut gathered, mut filled) = (0u64, 0u32);
    for word in out {
        if filled >= bits {
            *word = gathered & mask;
            gathered >>= bits;
            filled -= bits;
        } else {
            let next = source.next().unwrap_or(0);
            *word = (gathered | next << filled) & mask;
            gathered = next >> (bits - filled);
            filled += 64 - bits;
        }
    }
    // the length is exact, so that all that is left are the padding bits in hand and an unused `last`
    if gathered != 0 || source.any(|next| next != 0) {
        return Err(PackingError::Padding);
    }
    Ok(())
}
