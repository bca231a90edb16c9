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

/// Checks that bytes are the packed form of some `elements` elements, without unpacking them: the length, and
/// zeros after the last element. Every such chunk unpacks.
///
/// # Errors
/// [`PackingError`] says what is wrong with them.
pub fn check(bytes: &[u8], elements: usize, bits: u8) -> Result<(), PackingError> {
    let expected = packed_len(elements, bits);
    if bytes.len() != expected {
        return Err(PackingError::Length { found: bytes.len(), expected });
    }
    let used = elements % 8 * usize::from(bits) % 8;
    let padding = bytes.last().filter(|_| used > 0).map_or(0, |last| last >> used);
    if padding == 0 { Ok(()) } else { Err(PackingError::Padding) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PackingError, check, pack, packed_len, unpack};

    fn packed(words: &[u64], bits: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(words, bits, &mut bytes);
        bytes
    }

    /// Bit after bit, as the module's documentation says it.
    fn naive(words: &[u64], bits: u8) -> Vec<u8> {
        let bits = usize::from(bits);
        let mut bytes = vec![0; (words.len() * bits).div_ceil(8)];
        for (i, word) in words.iter().enumerate() {
            for j in 0..bits {
                let k = i * bits + j;
                bytes[k / 8] |= ((word >> j & 1) as u8) << (k % 8);
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_passes_the_check_is_what_unpacks(
            bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..40),
            elements in 0usize..40,
            bits in 1u8..=64,
        ) {
            let mut out = vec![0; elements];
            prop_assert_eq!(check(&bytes, elements, bits), unpack(&bytes, bits, &mut out));
        }
    }

    #[test]
    fn the_check_sees_each_bit_of_padding() {
        // 3 elements of 5 bits fill 15 of 16 bits
        assert_eq!(check(&[0xff, 0x7f], 3, 5), Ok(()));
        assert_eq!(check(&[0xff, 0x80], 3, 5), Err(PackingError::Padding));
        // 8 elements of 5 bits fill whole bytes
        assert_eq!(check(&[0xff; 5], 8, 5), Ok(()));
    }

    #[test]
    fn three_elements_of_five_bits_by_hand() {
        // 00001, 10010, 11111 from the last to the first bit: 0_11111_10 010_00001
        assert_eq!(packed(&[1, 0b10010, 0b11111], 5), [0x41, 0x7e]);
        // −1 and 2^12 + 3 mod 2^12
        assert_eq!(packed(&[u64::MAX, (1 << 12) + 3], 12), [0xff, 0x3f, 0x00]);
        assert_eq!(packed(&[0x0102_0304_0506_0708], 64), [8, 7, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn every_width_and_length_agrees_with_bit_by_bit_packing() {
        for bits in 1..=64 {
            for len in 0..70u64 {
                let words: Vec<u64> = (1..=len).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
                let bytes = packed(&words, bits);
                assert_eq!(bytes, naive(&words, bits), "{len} elements of {bits} bits");
                assert_eq!(bytes.len(), packed_len(words.len(), bits));
                let mut back = vec![0; words.len()];
                unpack(&bytes, bits, &mut back).unwrap();
                let reduced: Vec<u64> = words.iter().map(|word| word << (64 - bits) >> (64 - bits)).collect();
                assert_eq!(back, reduced, "{len} elements of {bits} bits");
            }
        }
    }

    #[test]
    fn packing_appends() {
        let mut bytes = vec![9];
        pack(&[7], 3, &mut bytes);
        assert_eq!(bytes, [9, 7]);
    }

    #[test]
    fn another_length_is_refused() {
        let mut words = [0; 3];
        for found in [0, 1, 3] {
            let refusal = PackingError::Length { found, expected: 2 };
            assert_eq!(unpack(&vec![0; found], 5, &mut words), Err(refusal));
        }
    }

    #[test]
    fn every_padding_bit_is_refused() {
        for bits in 1..=64 {
            for len in 1..=17 {
                let used = len * usize::from(bits);
                for k in used..used.next_multiple_of(8) {
                    let mut bytes = vec![0; packed_len(len, bits)];
                    bytes[k / 8] |= 1 << (k % 8);
                    assert_eq!(unpack(&bytes, bits, &mut vec![0; len]), Err(PackingError::Padding));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_the_only_encoding(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            bits in 1u8..=64,
            len in 0usize..90,
        ) {
            let mut words = vec![0; len];
            let fits = unpack(&bytes, bits, &mut words);
            prop_assert_eq!(bytes.len() != packed_len(len, bits), matches!(fits, Err(PackingError::Length { .. })));
            // the longest run of elements that these bytes can be
            let mut words = vec![0; bytes.len() * 8 / usize::from(bits)];
            if unpack(&bytes, bits, &mut words).is_ok() {
                prop_assert_eq!(packed(&words, bits), bytes);
            }
        }
    }
}
