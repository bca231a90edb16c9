//! Vectors of numbers as elements of a ring, and back.
//!
//! Masks hide a number only if it lives in a finite ring, so every member turns its arrays into
//! integers mod 2^b, the masked integers are summed mod 2^b, and the sum is turned back into arrays.
//!
//! ```text
//! VectorSpec ── layout(members) ──► Layout ── chunk(i) ──► Chunk          agreed in the round contract
//!                                     │
//! Input ── ValidInput::new ───────────┤  checked once: shapes, dtypes, nan, clip, bound, weight
//!            encode(chunk) ──► words ─┤  masked, then packing::pack: b bits an element
//!                                     │
//!         sum of words mod 2^b ───────┴──► Decoder::push ... finish ──► Aggregate
//! ```
//!
//! - **Integers** are summed exactly. **Floats** become multiples of a step 2^s over \[−clip, clip\].
//! - The **budget check** is [`VectorSpec::layout`]: b is the least number of bits in which no sum of
//!   all members can wrap, and a contract that needs more than 64 is refused before any key is made.
//! - A **weighted mean** carries the weight as one more masked element, ahead of the arrays, so that
//!   nobody learns more than the total weight.
//! - In memory a ring element is a `u64` under wrapping arithmetic; bits above b mean nothing until
//!   [`packing`] drops them.
//! - A [`Chunk`] knows its range of elements, so parts of a vector can be summed one by one.
//!
//! # Error bound
//!
//! Let n members survive, with values x_i, weights w_i, total weight W, and q_i = round(x_i / step).
//! The division is by a power of two and exact, so |x_i − step·q_i| ≤ step/2 for each value that was
//! not clipped. The sum of the q_i is exact. Therefore, before the result is rounded to its dtype,
//!
//! - sum: |Σ x_i − step·Σ q_i| ≤ n·step/2;
//! - mean: the same divided by n, step/2;
//! - weighted mean: Σ w_i·|x_i − step·q_i| / W ≤ step/2.
//!
//! Each result is then rounded **once**, from the exact rational number to its dtype, which adds at
//! most half a unit in the last place of the largest result of its array. Sums of integers have no
//! error; means of integers only that rounding. Clipped values are outside of the bound, which is why
//! [`ValidInput::clipped`] counts them.
//!
//! # Security
//!
//! A member can lie about its own values, but not beyond the ring: the decoder checks that every sum
//! is one that honest members can have, and what is not raises [`DecodeError::OutOfRange`]. Such a
//! check needs the gap between the honest range and 2^b, so it catches gross lies and wrong masks,
//! not a value that is merely false.
//!
//! Inputs are never printed: neither [`Input`] nor [`ValidInput`] has `Debug`, and errors name the
//! place of a value, not the value. They are not wiped on drop: copies in the owner's files and the
//! page cache are out of reach, so wiping this one would only look like a promise. The secrets that
//! protect them on the wire are wiped, by their own types.

mod decode;
mod input;
mod layout;
pub mod packing;
mod rounding;
mod spec;

pub use decode::{Aggregate, DecodeError, Decoder};
pub use input::{Input, InputError, ValidInput};
pub use layout::{CHUNK_ELEMENTS, Chunk, Layout, Segment};
pub use spec::{
    Beyond, DEFAULT_CLIP, DEFAULT_MAX_WEIGHT, DEFAULT_STEP_LOG2, Encoding, Leaf, MAX_LEAVES, MAX_RANK,
    MAX_STEP_LOG2, Part, Reduction, SpecError, VectorSpec,
};

#[cfg(test)]
mod tests;
