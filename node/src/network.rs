//! The libp2p layer: members find each other, and messages, gossip and bulk data pass between them.
//!
//! One task owns the swarm; everybody else holds a [`Network`], which is cheap to clone,
//! and one consumer reads the [`EventStream`].
//!
//! ```text
//!   application ── Network ──┬── send ───────► link of the peer ──► /consort/1/control ──► Event::Frame
//!                            ├── open_bulk ──────────────────────► /consort/1/bulk ─────► Event::Bulk
//!                            └── publish, set_status ─► swarm task ─► gossipsub ─► Event::Gossip, Event::Status
//! ```
//!
//! - **Admission** (`gate`): only members of the manifest, known by their keys, get past a handshake, and
//!   nobody else is ever dialled.
//! - **Discovery** (`discovery`): whoever knows one address of one member learns all the others.
//! - **Relays** (`relay`, `reservations`): whoever cannot be dialled is reached through members that pass
//!   connections on; a direct connection is preferred, and takes the place of one through a relay.
//! - **Links** (`link`): a member is connected once it has welcomed our control stream. Between
//!   [`Event::Connected`] and [`Event::Disconnected`] the frames that [`Network::send`] took arrive
//!   complete and in order; frames that were under way when a link broke are lost, and the event says so.
//! - **Gossip** (`gossip`): signed, validated before it is passed on, rate-limited by author. A hint:
//!   nothing that safety or progress needs may rest on it alone.
//!
//! # What is assumed of peers
//! Nothing but their keys. Lengths are checked before memory is taken, every queue is bounded
//! ([`crate::limits`]), a peer who sends faster than the application reads is held back, and a peer who
//! does not read costs its own queue. Strangers cost a handshake each; a firewall spares even that.

mod address_book;
mod behaviour;
mod bulk;
mod clocks;
mod control;
mod discovery;
mod errors;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gate;
mod gossip;
mod link;
mod outbox;
mod presence;
mod relay;
mod reservations;
mod streams;
mod task;
mod transport;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, identity::Keypair};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{config::Reach, limits};

pub use bulk::BulkStream;
use control::Outgoing;
pub use errors::{NetworkError, OpenError, SendError};

/// Members with the addresses that the manifest gives them.
pub type Members = BTreeMap<MemberId, Vec<Multiaddr>>;

/// What a node needs to know to take part in a consortium's network.
pub struct NetworkConfig {
    /// The key of this node; its public half must be among `members`.
    pub identity: Keypair,
    /// Addresses to listen on, such as `/ip4/0.0.0.0/tcp/4040` or `/ip4/127.0.0.1/udp/0/quic-v1`. With none,
    /// members that relay are asked to lead others here.
    pub listen: Vec<Multiaddr>,
    /// How others reach this node beside these.
    pub reach: Reach,
    /// Addresses to begin with, beyond the manifest's; with or without `/p2p/ID` at the end.
    pub peers: Vec<Multiaddr>,
    /// Who may connect, with the addresses that the manifest gives them.
    pub members: Members,
    /// What [`Network::known_addresses`] said when this node ran before: tried, and believed no more than hints.
    pub remembered: BTreeMap<MemberId, Vec<Multiaddr>>,
    /// The consortium's founding: names the gossip topic, so that two consortia never mix.
    pub consortium: [u8; 32],
}

/// What happens on the network, in order.
#[derive(Debug)]
pub enum Event {
    /// A link to this member stands: it has admitted us, and frames can be sent.
    Connected(MemberId),
    /// The link is gone; frames under way are lost. Frames *from* the member that had already arrived may
    /// still follow.
    Disconnected(MemberId),
    /// A control frame; never before the member's first `Connected`.
    Frame {
        /// Who sent it: the key of the connection.
        from: MemberId,
        /// What it sent.
        bytes: Vec<u8>,
    },
    /// A message of the application on gossip.
    Gossip {
        /// Who wrote and signed it, not who passed it on.
        from: MemberId,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// The application status of a member changed, or is known again after a link was lost.
    Status {
        /// Whose: from itself, or signed by it.
        from: MemberId,
        /// As the member set it; empty where it has set none.
        bytes: Vec<u8>,
    },
    /// A member opened a bulk stream to us.
    Bulk {
        /// Who opened it.
        from: MemberId,
        /// The open stream; dropping it resets it.
        stream: BulkStream,
    },
}

/// An event that waits to be read.
#[derive(Debug)]
struct Queued {
    event: Event,
    /// Given back when the event is read.
    _place: Option<OwnedSemaphorePermit>,
}

impl From<Event> for Queued {
    fn from(event: Event) -> Self {
        Self { event, _place: None }
    }
}

/// Events for the one who drives the node. When it is dropped, the network ends.
#[derive(Debug)]
pub struct EventStream(mpsc::Receiver<Queued>);

impl EventStream {
    /// The next event; `None` once the network has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await.map(|queued| queued.event)
    }
}

impl futures::Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(context).map(|queued| queued.map(|queued| queued.event))
    }
}

/// A handle to the running network.
#[derive(Clone)]
pub struct Network {
    local: MemberId,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Vec<u8>>,
    status: Arc<watch::Sender<Vec<u8>>>,
    cut_off: Arc<watch::Sender<BTreeSet<MemberId>>>,
    members: Arc<watch::Sender<Members>>,
    connected: watch::Receiver<Arc<BTreeSet<MemberId>>>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    known: watch::Receiver<BTreeMap<MemberId, Vec<Multiaddr>>>,
    streams: libp2p_stream::Control,
    stop: CancellationToken,
    /// Closed when the swarm task has ended.
    ended: mpsc::Sender<()>,
}

/// What handle, swarm task and links have in common.
#[derive(Default)]
struct Shared {
    links: Mutex<BTreeMap<MemberId, control::Queue>>,
    traffic: Arc<Traffic>,
    refused: AtomicU64,
}

/// Bytes in both directions since the start.
#[derive(Debug, Default)]
struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

/// Starts the network on the current tokio runtime.
///
/// # Errors
/// [`NetworkError`] names the address that cannot be listened on, or what else is wrong with `config`.
pub fn start(config: NetworkConfig) -> Result<(Network, EventStream), NetworkError> {
    task::start(config)
}

impl Network {
    /// This node.
    #[must_use]
    pub fn local(&self) -> MemberId {
        self.local
    }

    /// Queues one frame of at most [`limits::MAX_FRAME_BYTES`] for a member, behind those before it.
    ///
    /// Waits for room up to [`limits::SEND_PATIENCE`]. `Ok` means queued: it arrives unless
    /// [`Event::Disconnected`] follows. Cancel-safe: a cancelled call has sent nothing.
    ///
    /// # Errors
    /// [`SendError`] says whether the member is away, does not read, or the frame is too large.
    pub async fn send(&self, to: MemberId, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > limits::MAX_FRAME_BYTES {
            return Err(SendError::TooLarge { found: frame.len() });
        }
        let queue = self.shared.queue(&to).ok_or(SendError::NotConnected(to))?;
        let queued = queue.push(Outgoing::application(frame));
        match tokio::time::timeout(limits::SEND_PATIENCE, queued).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(control::Closed)) => Err(SendError::NotConnected(to)),
            Err(_) => Err(SendError::QueueFull(to)),
        }
    }

    /// Like [`Network::send`], but never waits: where the member's queue is full, the frame is not taken.
    ///
    /// # Errors
    /// [`SendError`] says whether the member is away, does not read, or the frame is too large.
    pub fn try_send(&self, to: MemberId, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > limits::MAX_FRAME_BYTES {
            return Err(SendError::TooLarge { found: frame.len() });
        }
        let queue = self.shared.queue(&to).ok_or(SendError::NotConnected(to))?;
        queue.try_push(Outgoing::application(frame)).map_err(|full| match full {
            control::Unqueued::Full => SendError::QueueFull(to),
            control::Unqueued::Closed => SendError::NotConnected(to),
        })
    }

    /// Gossips a message of at most [`limits::MAX_GOSSIP_BYTES`] to all members, at best: it is lost where
    /// nobody listens yet, where it is too large, or where this node says too much
    /// ([`limits::GOSSIP_PER_SECOND`]); the log says which.
    pub fn publish(&self, bytes: Vec<u8>) {
        if bytes.len() > limits::MAX_GOSSIP_BYTES {
            tracing::error!(
                bytes = bytes.len(),
                limit = limits::MAX_GOSSIP_BYTES,
                "gossip too large, not sent"
            );
            return;
        }
        if self.commands.try_send(bytes).is_err() {
            tracing::warn!("gossip dropped: the swarm task is behind or has ended");
        }
    }

    /// Sets what other members see as [`Event::Status`], at most [`limits::MAX_STATUS_BYTES`]. Published
    /// at once when it changes, and repeated with presence, so that late members learn it too.
    pub fn set_status(&self, status: Vec<u8>) {
        if status.len() > limits::MAX_STATUS_BYTES {
            tracing::error!(
                bytes = status.len(),
                limit = limits::MAX_STATUS_BYTES,
                "status too large, not set"
            );
            return;
        }
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    /// Other members from now on, with the addresses that the manifest gives them. Whoever is not among them is
    /// disconnected and refused; this node stays among them whatever is said.
    pub fn set_members(&self, members: Members) {
        self.members.send_replace(members);
    }

    /// For test networks: no connection to these members, in place of those named before. Those that stand
    /// are closed, and none is made or accepted until another call leaves them out. As if a cable were cut
    /// whose both ends notice it.
    pub fn cut_off(&self, members: BTreeSet<MemberId>) {
        self.cut_off.send_replace(members);
    }

    /// Opens a bulk stream to a connected member, welcomed by its node.
    ///
    /// # Errors
    /// [`OpenError`], after at most [`limits::OPEN_TIMEOUT`].
    pub async fn open_bulk(&self, to: MemberId) -> Result<BulkStream, OpenError> {
        if !self.connected.borrow().contains(&to) {
            return Err(OpenError::NotConnected(to));
        }
        bulk::open(self.streams.clone(), to, self.shared.traffic.clone()).await
    }

    /// The members to whom a link stands now.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<Arc<BTreeSet<MemberId>>> {
        self.connected.clone()
    }

    /// The addresses this node listens on, each with `/p2p/ID`, and after them those through relays
    /// (`/p2p/RELAY/p2p-circuit/p2p/ID`); empty until the first one is bound.
    #[must_use]
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.addresses.clone()
    }

    /// Where the other members may be found, from themselves, the manifest or a connection that stood: what is
    /// worth keeping for the next start.
    #[must_use]
    pub fn known_addresses(&self) -> watch::Receiver<BTreeMap<MemberId, Vec<Multiaddr>>> {
        self.known.clone()
    }

    /// Bytes written to control and bulk streams, framing included, and gossip published by this node
    /// (once, however many copies leave).
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.shared.traffic.sent.load(Ordering::Relaxed)
    }

    /// Bytes read from control and bulk streams, framing included, and gossip received.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.shared.traffic.received.load(Ordering::Relaxed)
    }

    /// How many connections of strangers were refused.
    #[must_use]
    pub fn strangers_refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Ends the network: queued frames leave within [`limits::SHUTDOWN_PATIENCE`], connections are closed.
    /// All other handles are dead afterwards.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.ended.closed().await;
    }
}

impl Shared {
    fn queue(&self, member: &MemberId) -> Option<control::Queue> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).get(member).cloned()
    }

    fn set_queue(&self, member: MemberId, queue: Option<control::Queue>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        match queue {
            Some(queue) => links.insert(member, queue),
            None => links.remove(&member),
        };
    }

    fn clear_queues(&self) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Traffic {
    fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
