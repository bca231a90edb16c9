//! The Consort node: carries out over libp2p what [`consort_protocol`] says.
//!
//! ```text
//!   Node::submit ─► round::driver ◄─► network (one swarm task)       ledger: what must not be forgotten
//!                      │   ▲
//!                      ▼   │ effects and inputs
//!              Member, Aggregator (consort-protocol)
//! ```

#![forbid(unsafe_code)]

pub mod addresses;
pub mod api;
pub mod card;
mod checked;
mod clock;
pub mod config;
pub mod consent;
pub mod consortium;
pub mod events;
pub mod exhibits;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
pub mod home;
pub mod identity;
mod inputs;
pub mod ledger;
pub mod limits;
pub mod manual;
mod membership;
pub mod network;
mod node;
pub mod npy;
pub mod proof;
pub mod proposals;
mod round;
pub mod signed;
pub mod summary;
mod unmet;

pub use handle::Handle;
pub use node::{AdoptError, Node, NodeOptions, Reduce, StartError, Submission, SubmitError};
pub use round::RoundResult;
