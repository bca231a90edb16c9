//! `testnet run` as people and scripts use it: real processes, real sockets, real signals.
//!
//! A file for each family of scenarios. Tests wait for processes to end, never for time to pass;
//! [`testnet::PATIENCE`] only turns a hang into a failure.

mod absences;
mod aggregators;
mod arrays;
mod bad_input;
mod digits;
mod exact_sum;
mod kills;
#[cfg(feature = "lies")]
mod lies;
mod lifetimes;
mod manual;
mod testnet;
