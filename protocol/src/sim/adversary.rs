//! Members and aggregators that misbehave by named lies.
//!
//! A [`Liar`] stands between one node and the network: it rewrites what the node says, and may say more of
//! its own accord when something comes in. It knows nothing of the simulation, so that a node on a real
//! network can be given the same lie. An [`Adversary`] is a coalition of liars that share all they hear and
//! sign for each other.
//!
//! The node behind a liar follows the protocol. What it would never say is made from what it has said, and
//! signed again.

mod advertise_keys;
mod coalition;
mod consistency_check;
mod failover;
mod knowledge;
mod liar;
mod lie;
mod masked_input;
mod publish;
mod share_keys;
mod speech;
mod unmasking;

pub use coalition::Adversary;
pub use liar::{Falsehood, Liar};
pub use lie::{Lie, Place, UnknownLie};

use crate::{ids::MemberId, messages::Message};

/// What a liar says, and to whom.
pub type Said = Vec<(MemberId, Message)>;
