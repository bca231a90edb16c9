//! What can go wrong on the network.

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, PeerId};

use crate::limits;

/// Why the network could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Called outside a runtime.
    #[error("the network needs a running tokio runtime")]
    NoRuntime,
    /// The identity is not on the list of members.
    #[error(
        "this node is {0}, which is not a member of the consortium: check the identity file and the manifest"
    )]
    NotAMember(PeerId),
    /// A member's id is not a key.
    #[error("member {member} of the manifest is not an ed25519 public key: {reason}")]
    BadMember {
        /// Which.
        member: MemberId,
        /// What is wrong with it.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which.
        address: Multiaddr,
        /// What the transport said: in use, no such interface, unknown protocol.
        reason: String,
    },
    /// A part of the transport or of gossip refused its settings.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No link to that member stands.
    #[error("{0} is not connected")]
    NotConnected(MemberId),
    /// The member does not read; its queue is full, or stayed so for [`limits::SEND_PATIENCE`].
    #[error("{0} does not read what is sent to it, and its queue is full")]
    QueueFull(MemberId),
    /// Larger than any control frame may be.
    #[error(
        "a frame of {found} bytes, but at most {} may be sent: use a bulk stream",
        limits::MAX_FRAME_BYTES
    )]
    TooLarge {
        /// Length found.
        found: usize,
    },
}

/// Why a bulk stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No link to that member stands.
    #[error("{0} is not connected")]
    NotConnected(MemberId),
    /// The member takes no further bulk stream from us now: retry when one of ours has ended.
    #[error("{0} takes no further bulk stream from this node now: retry when an open one has ended")]
    Busy(MemberId),
    /// The stream could not be opened within [`limits::OPEN_TIMEOUT`].
    #[error("no bulk stream to {member}: {reason}")]
    Failed {
        /// To whom.
        member: MemberId,
        /// The last thing that went wrong.
        reason: String,
    },
}
