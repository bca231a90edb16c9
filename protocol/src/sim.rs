//! A virtual network and clock: whole rounds in one process, replayed from a seed.
//!
//! ```text
//! consortium(seed) → identities, manifest          Simulation::new(…) → .fault() .interfere() → run() → Report
//! ```
//!
//! The simulation drives the same [`Round`](crate::round::Round) as the node does. Control messages pass
//! through [`crate::codec`], links keep the order of their messages, everything else is shuffled by the
//! seed. When nothing is left to deliver, time jumps to the next deadline.

mod adversary;
mod bulk;
mod consortium;
mod deeds;
mod faults;
mod host;
mod monitor;
mod network;
mod oracle;
mod queue;
mod report;
mod sessions;
mod spied;
mod vectors;
mod violation;
mod weather;

pub use adversary::{Adversary, Falsehood, Liar, Lie, Place, Said, UnknownLie};
pub use consortium::{Consortium, ConsortiumError, consortium, consortium_where};
pub use faults::{Fault, Kill, What};
pub use host::{Host, SequentialHost};
pub use monitor::{Monitor, Violation};
pub use network::Simulation;
pub use oracle::{Extracted, Oracle};
pub use report::{Envelope, Report, SlotOver};
pub use spied::{Dealt, Spied};
pub use weather::Weather;
