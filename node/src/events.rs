//! What a node reports while it runs, for logs, the testnet and whoever else looks on.

use std::{collections::BTreeMap, future::Future, pin::Pin};

pub use consort_protocol::io::Role;
use consort_protocol::{
    evidence::Proven,
    fault::PeerFault,
    ids::MemberId,
    manifest::{ManifestError, Tally},
    phase::Phase,
};

use crate::ledger::AttemptRecord;

/// Something happened.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// The node listens, at these addresses.
    Listening(Vec<String>),
    /// So many members of the consortium are connected, this node not counted.
    Peers(usize),
    /// A phase begins on this node. Its work begins once the observer has returned.
    Phase {
        /// The round.
        round: u64,
        /// The attempt.
        attempt: u32,
        /// The slot.
        slot: u32,
        /// The part this node plays.
        role: Role,
        /// The phase.
        phase: Phase,
    },
    /// As aggregator: so many of the expected vectors are here.
    Received {
        /// The round.
        round: u64,
        /// Vectors that are complete.
        vectors: usize,
        /// Vectors expected.
        expected: usize,
    },
    /// As aggregator: the attempt is over for everybody, with what each phase took, in milliseconds.
    Aggregated {
        /// The round.
        round: u64,
        /// Wall time of each phase.
        phases_ms: BTreeMap<Phase, f64>,
    },
    /// A peer did something that it may not do.
    Fault(PeerFault),
    /// Somebody said no to a round or to its survivors, by a rule of its own.
    Declined {
        /// The round.
        round: u64,
        /// Who; perhaps this node.
        who: MemberId,
        /// The phase.
        phase: Phase,
        /// Why, in words.
        reason: String,
    },
    /// A member was proved to have broken the protocol.
    Convicted(Proven),
    /// A next epoch waits for signatures.
    Proposed {
        /// Its epoch.
        epoch: u64,
        /// How far the signatures have come.
        tally: Tally,
    },
    /// Rounds run under the manifest of another epoch from now on.
    Epoch(u64),
    /// This node is not a member any more; it takes part in nothing further.
    Removed {
        /// The first epoch without it.
        epoch: u64,
    },
    /// This node took part in a round that its home does not remember: the home is an old copy.
    Restored {
        /// The last round that it is known to have taken part in.
        round: u64,
    },
    /// Two different manifests of one epoch are signed by enough members.
    Forked(ManifestError),
    /// A round is over on this node.
    RoundOver {
        /// The round.
        round: u64,
        /// Tries in order.
        attempts: Vec<AttemptRecord>,
        /// Roster of the last one.
        roster: Vec<MemberId>,
    },
}

/// Looks on. The node waits for each call to return before it goes on.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Does not look.
pub struct NoObserver;

impl Observer for NoObserver {
    fn notify(&self, _event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}
