//! The Consort node.
#![forbid(unsafe_code)]

pub mod network;
pub mod npy;
