//! Secure aggregation without a server: the protocol, free of I/O.

#![forbid(unsafe_code)]

pub mod array;
pub mod codec;
pub mod encoding;
pub mod hash;
pub mod ids;
pub mod masking;
pub mod sharing;
pub mod signing;
