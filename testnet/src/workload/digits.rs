//! Federated learning on the handwritten digits of `testnet/data/`.
//!
//! - [`Digits`] are the images; [`Split`] deals them: a test part, and a shard for each node, uneven and of
//!   few digits, as real owners have them.
//! - [`Model`] is softmax regression; [`train_local`] is what a node does in a round, and its update is
//!   what it submits, with the number of its images as weight.
//! - [`federated_plain`], [`train_central`] and [`train_alone`] are what the shared model is held against.
//!
//! All functions are pure: the same arguments give the same bits on one machine. (Across machines the
//! standard library's `exp` and `ln` may differ in the last bit.)

mod data;
mod federated;
mod model;

pub(crate) use data::{Digits, Shard, Split};
pub(crate) use federated::{federated_plain, train_alone, train_central, train_local};
pub(crate) use model::{Model, PARAMETERS, accuracy};
