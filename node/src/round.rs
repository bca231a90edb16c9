//! Rounds on a running node.
//!
//! ```text
//!  submit ─► schedule ── enough inputs wait ──► driver ── consort_protocol::round::Round
//!                                                                    │ effects
//!             upload (member) ──► intake (aggregator) ──► results ──► fetch (member)
//! ```
//!
//! The [`driver`] is the only place that turns the outputs of the state machines into deeds. It runs on a
//! thread of its own, and everything that touches all elements of a vector runs on the rayon pool, so the
//! async runtime only ever moves bytes.

mod audit;
mod bulk;
pub(crate) mod driver;
mod fetch;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod intake;
mod offers;
mod pass_on;
#[cfg(test)]
mod pass_on_tests;
mod places;
mod reminders;
pub(crate) mod results;
mod running;
mod schedule;
mod senders;
mod serve;
pub(crate) mod status;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod transfer_tests;
mod upload;

pub use driver::RoundResult;
