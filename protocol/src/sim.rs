//! A virtual network and clock: whole attempts in one process, replayed from a seed.
//!
//! ```text
//! consortium(seed) → identities, manifest          Simulation::new(…) → .kill() .interfere() → run() → Report
//! ```
//!
//! The simulation drives the same [`Member`](crate::member::Member) and
//! [`Aggregator`](crate::aggregator::Aggregator) as the node does. Control messages pass
//! through [`crate::codec`], links keep the order of their messages, everything else is shuffled by the
//! seed. When nothing is left to deliver, time jumps to the next deadline.

mod consortium;
mod host;
mod network;
mod queue;

pub use consortium::{Consortium, ConsortiumError, consortium};
pub use host::{Host, Role, SequentialHost};
pub use network::{Envelope, Kill, Report, Simulation};
