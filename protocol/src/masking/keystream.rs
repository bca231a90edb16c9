//! The mask kernel: ChaCha20 keystream (RFC 8439), expanded and added in one pass.

use chacha20::{
    ChaChaCore, KeyIvInit as _, R20,
    cipher::{
        BlockSizeUser, ParBlocks, ParBlocksSizeUser, StreamCipherBackend, StreamCipherClosure,
        StreamCipherCore as _, consts::U64, typenum::Unsigned as _,
    },
    variants::Ietf,
};
use zeroize::Zeroize as _;

use super::{MaskSeed, Sign};

const BLOCK_BYTES: usize = 64;

/// Blocks of one keystream: the counter of RFC 8439 has 32 bits and must not wrap.
const BLOCKS: u64 = 1 << 32;

/// Why a mask could not be expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// No ring of that width.
    #[error("ring elements of {0} bits, expected 1 to 64")]
    Width(u8),
    /// Elements beyond the end of the keystream, where the block counter would repeat.
    #[error("mask elements {start} to {start} + {len}, but a segment has at most {limit}: split it")]
    TooLong {
        /// First element asked for.
        start: u64,
        /// Number of elements asked for.
        len: usize,
        /// Elements that one keystream covers.
        limit: u64,
    },
}

/// Adds elements `start .. start + acc.len()` of a mask's segment to `acc`, or subtracts them.
///
/// The keystream is ChaCha20 under the seed with the segment number as 32 little-endian bits of the nonce,
/// eight zero bytes after it, and the block counter from 0. An element takes 4 of its bytes
/// for rings of up to 32 bits and 8 beyond, little-endian, at its index times that size. Arithmetic wraps
/// at 2⁶⁴; the caller reduces mod 2^bits when it packs. So every slice of a vector can be masked alone,
/// wherever it begins.
///
/// # Errors
/// [`MaskError`] where the width is not 1 to 64 bits, or the slice goes beyond the 2³² blocks of a
/// keystream (2³⁶ elements of up to 32 bits, 2³⁵ wider ones). `acc` is then untouched.
pub fn apply(
    seed: &MaskSeed,
    sign: Sign,
    segment: u16,
    bits: u8,
    start: u64,
    acc: &mut [u64],
) -> Result<(), MaskError> {
    match (bits, sign) {
        (1..=32, Sign::Add) => run::<4>(seed, segment, start, acc, u64::wrapping_add),
        (1..=32, Sign::Subtract) => run::<4>(seed, segment, start, acc, u64::wrapping_sub),
        (33..=64, Sign::Add) => run::<8>(seed, segment, start, acc, u64::wrapping_add),
        (33..=64, Sign::Subtract) => run::<8>(seed, segment, start, acc, u64::wrapping_sub),
        _ => Err(MaskError::Width(bits)),
    }
}

fn run<const WORD: usize>(
    seed: &MaskSeed,
    segment: u16,
    start: u64,
    acc: &mut [u64],
    combine: impl Fn(u64, u64) -> u64,
) -> Result<(), MaskError> {
    let per_block = (BLOCK_BYTES / WORD) as u64;
    let limit = BLOCKS * per_block;
    let too_long = MaskError::TooLong { start, len: acc.len(), limit };
    let end = start.checked_add(acc.len() as u64).ok_or(too_long)?;
    if end > limit {
        return Err(too_long);
    }
    if acc.is_empty() {
        return Ok(());
    }
    let block = u32::try_from(start / per_block).map_err(|_| too_long)?;
    let skip = (start % per_block) as usize;
    let mut nonce = [0u8; 12];
    nonce[..4].copy_from_slice(&u32::from(segment).to_le_bytes());
    let mut core = ChaChaCore::<R20, Ietf>::new((&seed.0).into(), (&nonce).into());
    core.set_block_pos(block);
    core.process_with_backend(Fold::<WORD, _> { acc, skip, combine });
    Ok(())
}

/// Folds keystream words into the accumulator while they are still in registers or the first cache, with
/// whatever vector width the cipher chose at run time.
struct Fold<'a, const WORD: usize, F> {
    acc: &'a mut [u64],
    /// Words of the first block that come before the slice.
    skip: usize,
    combine: F,
}

impl<const WORD: usize, F> BlockSizeUser for Fold<'_, WORD, F> {
    type BlockSize = U64;
}

impl<const WORD: usize, F: Fn(u64, u64) -> u64> StreamCipherClosure for Fold<'_, WORD, F> {
    #[inline(always)]
    fn call<B: StreamCipherBackend<BlockSize = U64>>(self, backend: &mut B) {
        let per_block = BLOCK_BYTES / WORD;
        let parallel = <B as ParBlocksSizeUser>::ParBlocksSize::USIZE;
        let mut blocks: ParBlocks<B> = Default::default();
        let head = if self.skip == 0 { 0 } else { (per_block - self.skip).min(self.acc.len()) };
        let (head, body) = self.acc.split_at_mut(head);
        if !head.is_empty() {
            let mut block = Default::default();
            backend.gen_ks_block(&mut block);
            fold_words::<WORD>(head, &block[self.skip * WORD..], &self.combine);
            block.as_mut_slice().zeroize();
        }
        let mut groups = body.chunks_exact_mut(per_block * parallel);
        for group in &mut groups {
            backend.gen_par_ks_blocks(&mut blocks);
            for (acc, block) in group.chunks_exact_mut(per_block).zip(&blocks) {
                fold_words::<WORD>(acc, block, &self.combine);
            }
        }
        let tail = groups.into_remainder();
        let needed = tail.len().div_ceil(per_block);
        if needed == parallel {
            backend.gen_par_ks_blocks(&mut blocks);
        } else {
            backend.gen_tail_blocks(&mut blocks[..needed]);
        }
        for (acc, block) in tail.chunks_mut(per_block).zip(&blocks) {
            fold_words::<WORD>(acc, block, &self.combine);
        }
        for block in &mut blocks {
            block.as_mut_slice().zeroize();
        }
    }
}

#[inline(always)]
fn fold_words<const WORD: usize>(acc: &mut [u64], keystream: &[u8], combine: impl Fn(u64, u64) -> u64) {
    for (acc, word) in acc.iter_mut().zip(keystream.chunks_exact(WORD)) {
        let mut wide = [0u8; 8];
        wide[..WORD].copy_from_slice(word);
        *acc = combine(*acc, u64::from_le_bytes(wide));
    }
}
