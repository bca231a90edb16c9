//! Direct streams: opened with a welcome, served without ever making the swarm wait.
//!
//! libp2p-stream drops an inbound stream without a word when the accepting side is behind, and opening one
//! may never return. So the accepting side answers every stream with one byte, the opening side waits for
//! it, tries again where it does not come, and gives up after [`limits::OPEN_TIMEOUT`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Instant,
};

use consort_protocol::ids::MemberId;
use futures::{Future, StreamExt as _};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use super::{BulkStream, Event, Queued, Traffic, control, link::Note};
use crate::{
    identity,
    limits::{self, TokenBucket},
};

/// Small frames, one stream for each direction of a pair, as long as the pair is connected.
pub(super) const CONTROL: StreamProtocol = StreamProtocol::new("/consort/1/control");
/// Vectors and results, a stream for each.
pub(super) const BULK: StreamProtocol = StreamProtocol::new("/consort/1/bulk");

/// Answer to a stream that is served.
const WELCOME: u8 = 1;
/// Answer to a stream for which there is no room now.
const BUSY: u8 = 2;

pub(super) type Duplex = Compat<Stream>;

/// Why a stream did not open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// The other side serves no more of them now.
    Busy,
    /// The last thing that went wrong.
    Failed(String),
}

/// Opens a stream that the other side has welcomed.
pub(super) async fn open(
    mut control: Control,
    peer: PeerId,
    protocol: StreamProtocol,
) -> Result<Duplex, Unopened> {
    let mut last = format!("no answer within {} s", limits::OPEN_TIMEOUT.as_secs());
    let attempts = async {
        loop {
            match attempt(&mut control, peer, protocol.clone()).await {
                Err(Unopened::Failed(reason)) => last = reason,
                outcome => return outcome,
            }
            tokio::time::sleep(limits::REOPEN_PAUSE).await;
        }
    };
    let outcome = timeout(limits::OPEN_TIMEOUT, attempts).await;
    outcome.unwrap_or(Err(Unopened::Failed(last)))
}

async fn attempt(control: &mut Control, peer: PeerId, protocol: StreamProtocol) -> Result<Duplex, Unopened> {
    let failed = |error: &dyn std::fmt::Display| Unopened::Failed(error.to_string());
    let stream = control.open_stream(peer, protocol).await.map_err(|error| failed(&error))?;
    let mut stream = stream.compat();
    match stream.read_u8().await.map_err(|error| failed(&error))? {
        WELCOME => Ok(stream),
        BUSY => Err(Unopened::Busy),
        other => Err(Unopened::Failed(format!("answer {other}, expected a welcome"))),
    }
}

/// Where inbound streams deliver.
#[derive(Clone)]
pub(super) struct Inbox {
    pub(super) events: mpsc::Sender<Queued>,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) connected: watch::Receiver<Arc<BTreeSet<MemberId>>>,
    pub(super) traffic: Arc<Traffic>,
}

impl Inbox {
    /// Waits until the application has been told that the member is connected, so that nothing of it comes
    /// before. `false` where that does not happen in time.
    pub(super) async fn announced(&mut self, member: &MemberId) -> bool {
        let told = self.connected.wait_for(|connected| connected.contains(member));
        matches!(timeout(2 * limits::OPEN_TIMEOUT, told).await, Ok(Ok(_)))
    }
}

/// Serves control streams; a new one replaces the member's old one.
pub(super) async fn serve_control(mut incoming: IncomingStreams, inbox: Inbox) {
    let mut readers = JoinSet::new();
    let mut current: BTreeMap<MemberId, AbortHandle> = BTreeMap::new();
    let mut budgets: BTreeMap<MemberId, TokenBucket> = BTreeMap::new();
    let mut unread: BTreeMap<MemberId, Arc<Semaphore>> = BTreeMap::new();
    while let Some((member, stream)) = accept(&mut incoming, &mut readers).await {
        let now = Instant::now();
        let full = || TokenBucket::new(limits::CONTROL_STREAM_BURST, limits::CONTROL_STREAMS_PER_SECOND, now);
        if !budgets.entry(member).or_insert_with(full).take(now) {
            tracing::debug!(peer = %member, "control stream refused: too many of late");
            continue;
        }
        let places =
            unread.entry(member).or_insert_with(|| Arc::new(Semaphore::new(limits::MAX_UNREAD_FRAMES)));
        let reader = readers.spawn(read_control(member, stream, places.clone(), inbox.clone()));
        if let Some(old) = current.insert(member, reader) {
            old.abort();
        }
    }
}

/// Serves bulk streams, [`limits::MAX_BULK_PER_PEER`] of a member at a time.
pub(super) async fn serve_bulk(mut incoming: IncomingStreams, inbox: Inbox) {
    let mut greeters = JoinSet::new();
    let mut places: BTreeMap<MemberId, Arc<Semaphore>> = BTreeMap::new();
    while let Some((member, stream)) = accept(&mut incoming, &mut greeters).await {
        let place =
            places.entry(member).or_insert_with(|| Arc::new(Semaphore::new(limits::MAX_BULK_PER_PEER)));
        greeters.spawn(greet_bulk(member, stream, place.clone(), inbox.clone()));
    }
}

/// The next inbound stream; finished tasks are cleared away while waiting for it.
async fn accept(incoming: &mut IncomingStreams, tasks: &mut JoinSet<()>) -> Option<(MemberId, Duplex)> {
    loop {
        tokio::select! {
            next = incoming.next() => {
                let (peer, stream) = next?;
                // The gate lets members in only, and all of them have such ids.
                if let Ok(member) = identity::member_id(&peer) {
                    return Some((member, stream.compat()));
                }
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn read_control(member: MemberId, mut stream: Duplex, places: Arc<Semaphore>, inbox: Inbox) {
    if within(answer(&mut stream, WELCOME)).await.is_err() {
        return;
    }
    match control::read(member, stream, places, inbox).await {
        control::End::Closed => tracing::debug!(peer = %member, "control stream closed"),
        control::End::Misbehaved(reason) => tracing::warn!(peer = %member, %reason, "control stream dropped"),
    }
}

async fn greet_bulk(member: MemberId, mut stream: Duplex, places: Arc<Semaphore>, mut inbox: Inbox) {
    let Ok(place) = places.try_acquire_owned() else {
        tracing::debug!(peer = %member, limit = limits::MAX_BULK_PER_PEER, "bulk stream refused");
        // It is refused either way; the answer only says why.
        let _ = within(answer(&mut stream, BUSY)).await;
        let _ = within(stream.shutdown()).await;
        return;
    };
    if !inbox.announced(&member).await {
        return;
    }
    let Ok(slot) = inbox.events.reserve().await else { return };
    if within(answer(&mut stream, WELCOME)).await.is_ok() {
        let stream = BulkStream::inbound(stream, member, inbox.traffic.clone(), place);
        slot.send(Event::Bulk { from: member, stream }.into());
    }
}

async fn answer(stream: &mut Duplex, byte: u8) -> io::Result<()> {
    stream.write_u8(byte).await?;
    stream.flush().await
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limits::OPEN_TIMEOUT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
