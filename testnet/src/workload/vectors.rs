//! Vectors to add up: [`random()`] ones or [`Inputs`] from a directory, with [`weights`] from a file, and the
//! [`Plain`] aggregate of them, which what the nodes publish is compared with.

mod inputs;
mod plain;
mod random;

pub(crate) use inputs::{Extent, Inputs, list, weights};
pub(crate) use plain::{Comparison, Plain, Reduction};
pub(crate) use random::random;
