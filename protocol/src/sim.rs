//! A virtual network and clock: whole rounds in one process, replayed from a seed.
//!
//! ```text
//! consortium(seed) → identities, manifest          Simulation::new(…) → .fault() .interfere() → run() → Report
//! ```
//!
//! The simulation drives the same [`Round`](crate::round::Round) as the node does. Control messages pass
//! through [`crate::codec`], links keep the order of their messages, everything else is shuffled by the
//! seed. When nothing is left to deliver, time jumps to the next deadline.

mod bulk;
mod consortium;
mod faults;
mod host;
mod network;
mod queue;

pub use consortium::{Consortium, ConsortiumError, consortium};
pub use faults::{Fault, Kill, What};
pub use host::{Host, SequentialHost};
pub use network::{Envelope, Report, Simulation, SlotOver};
