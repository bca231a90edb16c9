//! The Consort node.
#![forbid(unsafe_code)]

pub mod identity;
pub mod limits;
pub mod network;
pub mod npy;
