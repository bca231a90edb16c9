//! Every bound of the node, with its reason.
//!
//! A peer is trusted with none of them: what exceeds a bound is refused, delayed or dropped where it
//! arrives, before memory is taken for it.

use std::time::{Duration, Instant};

/// One control frame: keys, shares and rosters fit, vectors never do.
pub const MAX_FRAME_BYTES: usize = consort_protocol::codec::MAX_CONTROL_BYTES;

/// Bytes of control frames that wait for one peer: four of the largest, so that a peer who does not
/// read costs no more than that.
pub const MAX_QUEUED_BYTES: usize = 4 * MAX_FRAME_BYTES;

/// Control frames that wait for one peer, however small they are: bounds the bookkeeping.
pub const MAX_QUEUED_FRAMES: usize = 1024;

/// How long a sender waits for room in a peer's queue. Longer than any hiccup of a live peer, shorter
/// than the deadlines of a phase.
pub const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// Small frames are gathered into writes of this size, one Noise message each.
pub const WRITE_BATCH_BYTES: usize = 64 << 10;

/// One message of the application on gossip: digests and announcements.
pub const MAX_GOSSIP_BYTES: usize = 64 << 10;

/// Room for what gossipsub adds to a message: author, key, signature, topic, our own envelope.
pub const GOSSIP_ENVELOPE_BYTES: usize = 1 << 10;

/// Gossip that waits for one peer before more is dropped; gossip is a hint, so it never queues for long.
pub const GOSSIP_QUEUE_MESSAGES: usize = 256;

/// Messages of one author that are taken at once, and how many more a second: presence and a round's
/// announcements stay far below, a flood is ignored and not passed on.
pub const GOSSIP_BURST: u32 = 64;
/// See [`GOSSIP_BURST`].
pub const GOSSIP_PER_SECOND: u32 = 16;

/// The application's status in presence: a few counters and digests.
pub const MAX_STATUS_BYTES: usize = 1 << 10;

/// Addresses in one presence: a few interfaces, two transports, two address families.
pub const MAX_ADDRESSES: usize = 16;

/// Characters of one address; the longest useful one (DNS name, QUIC, peer id) stays below.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// Members whose addresses one exchange frame names, so that it stays below [`MAX_FRAME_BYTES`].
pub const MAX_EXCHANGE_MEMBERS: usize = 200;

/// Exchange frames that one peer may send at once, and per second: ten times the largest consortium fits
/// into the burst.
pub const EXCHANGE_BURST: u32 = 64;
/// See [`EXCHANGE_BURST`].
pub const EXCHANGE_PER_SECOND: u32 = 1;

/// Addresses of one member that come from others and not from itself: hints that nobody has signed.
pub const MAX_HINTS: usize = 8;

/// Labels of which sets are guarded, at most 256 each: what this node's own owner has labelled, so no peer can fill it.
pub const MAX_GUARDED_LABELS: usize = 4096;

/// The last members that said no to something, for whoever asks.
pub const DECLINED_KEPT: usize = 16;

/// Presence is repeated this often, or slower in a large consortium: [`presence_interval`].
pub const PRESENCE_INTERVAL: Duration = Duration::from_secs(5);

/// Presence that changes is sent at once, but no more often than this.
pub const PRESENCE_SPACING: Duration = Duration::from_millis(200);

/// How often presence is repeated among so many members: all of them together send at most twenty a second.
#[must_use]
pub fn presence_interval(members: usize) -> Duration {
    let share = Duration::from_millis(50).saturating_mul(u32::try_from(members).unwrap_or(u32::MAX));
    PRESENCE_INTERVAL.max(share)
}

/// Dials in flight: a storm of handshakes times itself out, a handful at a time does not.
pub const MAX_DIALS: usize = 8;

/// First pause after a failed dial, doubled with each failure.
pub const DIAL_BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Longest pause between dials of one member: whoever was cut off for minutes is back soon after.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(15);

/// Head start of the member with the lower id when both could dial: spares most double connections.
pub const DIAL_HEAD_START: Duration = Duration::from_millis(400);

/// Head start of a member that nobody can dial when the other end can be: it makes the direct connection before
/// one through a relay arises.
pub const RELAY_HEAD_START: Duration = Duration::from_secs(2);

/// Connections per member: one, and the one that both ends open when they dial at the same time; and as many
/// through relays, so that these never keep a direct one out.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;

/// Relays at which a member reserves at the same time: if one goes, the others still lead to it.
pub const MAX_RESERVATIONS: usize = 3;

/// First pause after a relay has refused a reservation or ended it, doubled with each failure. Those it ends
/// by going away begin anew with its next connection.
pub const RESERVE_BACKOFF_MIN: Duration = Duration::from_secs(2);

/// Longest pause before a relay is asked again.
pub const RESERVE_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How long a reservation holds; the member renews it after three quarters. Both ends compare their own clocks
/// with the relay's, and with a day they may be eight hours apart.
pub const RESERVATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes through one circuit: without limit (0), because a circuit lives as long as two members are connected
/// and any total would break it in the middle of some vector. What bounds it is that only members of the
/// manifest get one, at relays whose operators offer that.
pub const CIRCUIT_BYTES: u64 = 0;

/// How long a circuit may live: a long vector over a slow line takes hours, and a connection that is replaced
/// once a day disturbs nobody.
pub const CIRCUIT_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Circuits that one relay carries: each holds two buffers of 8 KiB, so 64 MiB at most.
pub const MAX_CIRCUITS: usize = 4096;

/// Circuits that one member may ask for at once, beside two for each member, and one more each second: after a
/// relay's restart everybody asks for all of them.
pub const CIRCUIT_BURST: u32 = 64;

/// Reservations that one member may ask a relay for at once, and one more each ten seconds.
pub const RESERVATION_BURST: u32 = 32;
/// See [`RESERVATION_BURST`].
pub const RESERVATION_INTERVAL: Duration = Duration::from_secs(10);

/// How often a direct connection is tried to a member that is reached through a relay; also at once when there
/// is a new address for it.
pub const DIRECT_RETRY: Duration = Duration::from_secs(5 * 60);

/// Handshakes of incoming connections that may be under way, beside one for each member: strangers have
/// to finish a handshake before they can be refused, so this bounds what they cost.
pub const MAX_PENDING_INCOMING: u32 = 64;

/// Silence on an answering connection after which a ping has failed: a peer whose machine vanished sends no
/// reset. Generous, because a busy machine answers late. libp2p forgives the first failure, so a connection
/// counts as dead when it has been silent for 25 to 30 s.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a connection is asked whether it is alive.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A QUIC connection without a packet for so long is dead; a killed process sends none.
pub const QUIC_IDLE: Duration = Duration::from_secs(5);

/// QUIC asks for a sign of life this often, several times per [`QUIC_IDLE`].
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// QUIC bytes under way on one stream.
pub const QUIC_STREAM_WINDOW: u32 = 1 << 20;

/// QUIC bytes under way on a connection: more than all bulk streams of a peer, and circuits to sixteen
/// members that do not read, can hold back together, so that neither stalls the control stream.
pub const QUIC_CONNECTION_WINDOW: u32 = (MAX_BULK_PER_PEER as u32 + 4 + 16) * QUIC_STREAM_WINDOW;

/// Streams of one connection, both directions: control, gossip, identify, ping, bulk, with slack.
pub const MAX_STREAMS: usize = 64;

/// Streams of one connection where one end relays: beside its own, a circuit to each other member, and a
/// second one while both ends dial.
#[must_use]
pub fn max_streams(members: usize) -> usize {
    MAX_STREAMS.saturating_add(members.saturating_mul(2)).min(4096)
}

/// Streams of one connection that are being negotiated.
pub const MAX_NEGOTIATING_STREAMS: usize = 32;

/// Incoming bulk streams of one member at a time: a vector, a result, and what a broken connection left of
/// either.
pub const MAX_BULK_PER_PEER: usize = 4;

/// Control streams that one member may open at once, and per second: one lives as long as the connection.
pub const CONTROL_STREAM_BURST: u32 = 32;
/// See [`CONTROL_STREAM_BURST`].
pub const CONTROL_STREAMS_PER_SECOND: u32 = 4;

/// A stream is open, welcomed by the other side, within this time, or the attempt has failed.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause before a stream is tried again that the other side lost.
pub const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// Pause before a link is opened again that broke while the connection stands.
pub const RELINK_PAUSE: Duration = Duration::from_secs(1);

/// A connection on which nothing happens is closed after this time; control streams keep one open, so this
/// only ends doubles.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// Events that wait for the application before peers are held back.
pub const EVENT_QUEUE: usize = 256;

/// Frames of one member among those events: however fast it sends and however long each frame takes, the
/// others' never wait behind more than these.
pub const MAX_UNREAD_FRAMES: usize = 4;

/// Commands and notes that wait for the swarm task.
pub const COMMAND_QUEUE: usize = 256;

/// Gossip events that wait for the application before further ones are dropped.
pub const GOSSIP_EVENTS: usize = 256;

/// How long a shutdown waits for queued frames to leave.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// Warnings about refused strangers, or about refused gossip, at once and per second: a flood must not reach
/// the log.
pub const WARNINGS: u32 = 8;
/// See [`WARNINGS`].
pub const WARNINGS_PER_SECOND: u32 = 1;

/// Jobs of one attempt whose end the driver has not taken yet: an upload, a fetch and a sum of its own,
/// and every member's vector.
pub const MAX_JOBS: usize = 1024;

/// Commands that wait for the driver.
pub const MAX_COMMANDS: usize = 64;

/// Contracts are kept for rounds so little ahead of this node's own.
pub const ROUNDS_AHEAD: u64 = 3;

/// Connections to the local API at once: a few programs of the owner and what looks on. Others wait.
pub const MAX_API_CONNECTIONS: usize = 16;

/// How long a caller of the local API may do nothing: send no more of a request, or read no more of an answer.
pub const API_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a connection to the local API that are held at once: request lines and headers are far shorter.
pub const API_BUFFER_BYTES: usize = 64 << 10;

/// Pieces of a body that wait for the disk.
pub const API_PIECES: usize = 4;

/// Room for the headers of arrays in a body, beside their elements.
pub const API_HEADER_BYTES: u64 = 1 << 20;

/// Events that one who looks on may be behind before it misses some.
pub const API_EVENTS: usize = 256;

/// Rounds that one answer lists.
pub const MAX_LISTED_ROUNDS: usize = 1000;

/// Files of next epochs are looked at, and members brought up to date, this often: people wait for it.
pub const MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(1);

/// A node to which nobody is connected for so long says so in its log.
pub const SOLITUDE: Duration = Duration::from_secs(15);

/// It says so again after as long as this.
pub const SOLITUDE_REPEATED: Duration = Duration::from_secs(5 * 60);

/// Next epochs that one member may have its signature on, as far as they came from others: an honest one signs
/// one, and perhaps another in its stead.
pub const MAX_PROPOSALS_PER_SIGNER: usize = 2;

/// Next epochs that are kept in all, as far as they came from others, where so many members may be corrupt: theirs, and
/// those of one more. At least 64, and each has at most 1 MiB.
#[must_use]
pub fn max_proposals(corrupt: usize) -> usize {
    corrupt.saturating_add(1).saturating_mul(MAX_PROPOSALS_PER_SIGNER).max(64)
}

/// Memory for an input and its aggregate, in MiB, where the operator says nothing: the largest vector of the default
/// policy (2²⁷ elements, 2 GiB) fits, and all of it into the 4 GiB that the systemd unit allows.
pub const MEMORY_MIB: u64 = 3 << 10;

/// Disk for the vectors of one round, in MiB, while this node aggregates, where the operator says nothing: what a small
/// server has to spare, and enough for a hundred members with 2²⁵ floats each.
pub const ROUND_MIB: u64 = 16 << 10;

/// Vectors that are taken in at once, where the operator says nothing: a chunk of each is in memory, and more would
/// only share the same line.
pub const UPLOADS: u16 = 64;

/// How long a node that is told to stop works on the round that it is needed in. What is left of the 15 s in which it
/// has to end is for those who fetch the aggregate, and for the network.
pub const FINISH_PATIENCE: Duration = Duration::from_secs(8);

/// How long the local API of a node that stops goes on after its last round.
pub const API_LINGER: Duration = Duration::from_secs(2);

/// Allows a burst, then a steady rate.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that regains `per_second` of them each second.
    #[must_use]
    pub fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self { capacity: burst.into(), per_second: per_second.into(), tokens: burst.into(), filled: now }
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.capacity);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_allows_a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(3, 2, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 2);
        let much_later = start + Duration::from_secs(1000);
        assert_eq!((0..9).filter(|_| bucket.take(much_later)).count(), 3, "a bucket never overflows");
    }

    #[test]
    fn a_full_exchange_frame_fits() {
        let member = 32 + MAX_ADDRESSES * (MAX_ADDRESS_BYTES + 3) + 3;
        let own = MAX_ADDRESSES * (MAX_ADDRESS_BYTES + 3) + MAX_STATUS_BYTES + 64;
        assert!(own + MAX_EXCHANGE_MEMBERS * member <= MAX_FRAME_BYTES);
    }

    #[test]
    fn presence_slows_down_in_a_crowd() {
        assert_eq!(presence_interval(8), PRESENCE_INTERVAL);
        assert_eq!(presence_interval(1000), Duration::from_secs(50));
    }
}
