//! Secure aggregation without a server: the protocol, free of I/O.

#![forbid(unsafe_code)]

#[cfg(all(feature = "mutations", not(debug_assertions)))]
compile_error!("a release build makes all checks: build it without the feature `mutations`");

pub mod aggregator;
pub mod array;
pub mod bulk;
pub mod certificate;
pub mod codec;
pub mod contract;
pub mod election;
pub mod encoding;
pub mod evidence;
pub mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod graph;
pub mod guard;
pub mod hash;
pub mod ids;
pub mod io;
pub mod manifest;
pub mod masking;
pub mod member;
pub mod messages;
#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;
pub mod opening;
pub mod phase;
pub mod report;
pub mod roster;
pub mod round;
mod seat;
pub mod sharing;
pub mod signing;
#[cfg(feature = "sim")]
pub mod sim;
pub mod slots;
