//! Control frames: `length u32-LE ‖ kind u8 ‖ content`, where length counts kind and content.
//!
//! A length is checked before memory is taken for it. Whoever reads slowly holds the writer back through
//! the stream's window, and the writer its senders through a queue that is bounded in frames and bytes.

use std::{sync::Arc, time::Instant};

use consort_protocol::{codec, ids::MemberId};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    Event, Queued, Traffic,
    link::Note,
    presence::{Exchange, Heard, check_addresses},
    streams::Inbox,
};
use crate::limits::{self, TokenBucket};

const HEADER: usize = 4;
const APPLICATION: u8 = 0;
const EXCHANGE: u8 = 1;

/// A frame on its way out.
pub(super) struct Outgoing {
    kind: u8,
    content: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    pub(super) fn application(content: Vec<u8>) -> Self {
        Self { kind: APPLICATION, content, room: None }
    }

    pub(super) fn exchange(exchange: &Exchange) -> Result<Self, codec::CodecError> {
        Ok(Self { kind: EXCHANGE, content: codec::encode(exchange)?, room: None })
    }
}

/// The frames that wait for one peer.
#[derive(Clone)]
pub(super) struct Queue {
    frames: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
}

/// The link is gone.
#[derive(Debug)]
pub(super) struct Closed;

/// Why a frame was not queued at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unqueued {
    Full,
    Closed,
}

pub(super) fn queue() -> (Queue, mpsc::Receiver<Outgoing>) {
    let (frames, receiver) = mpsc::channel(limits::MAX_QUEUED_FRAMES);
    (Queue { frames, room: Arc::new(Semaphore::new(limits::MAX_QUEUED_BYTES)) }, receiver)
}

impl Queue {
    /// Waits for room. Cancel-safe.
    pub(super) async fn push(&self, mut frame: Outgoing) -> Result<(), Closed> {
        let bytes = u32::try_from(frame.content.len()).unwrap_or(u32::MAX);
        frame.room = Some(self.room.clone().acquire_many_owned(bytes).await.map_err(|_| Closed)?);
        self.frames.send(frame).await.map_err(|_| Closed)
    }

    /// Takes a frame if there is room.
    pub(super) fn try_push(&self, mut frame: Outgoing) -> Result<(), Unqueued> {
        let bytes = u32::try_from(frame.content.len()).unwrap_or(u32::MAX);
        frame.room = Some(self.room.clone().try_acquire_many_owned(bytes).map_err(|_| Unqueued::Full)?);
        self.frames.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unqueued::Full,
            mpsc::error::TrySendError::Closed(_) => Unqueued::Closed,
        })
    }

    /// Takes a frame if there is a place; whether it did.
    pub(super) fn offer(&self, frame: Outgoing) -> bool {
        self.frames.try_send(frame).is_ok()
    }
}

/// Writes what is queued until the queue closes (then everything has left) or the stream breaks.
pub(super) async fn write<S>(
    stream: &mut S,
    frames: &mut mpsc::Receiver<Outgoing>,
    traffic: &Traffic,
) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut batch = Vec::new();
    loop {
        let first = tokio::select! {
            frame = frames.recv() => frame,
            // After its welcome the reader says nothing, so whatever comes is the end.
            said = stream.read_u8() => return said.and(Err(std::io::ErrorKind::InvalidData.into())),
        };
        let Some(first) = first else {
            return stream.shutdown().await;
        };
        batch.clear();
        append(&mut batch, &first);
        let mut rooms = vec![first.room];
        while batch.len() < limits::WRITE_BATCH_BYTES
            && let Ok(next) = frames.try_recv()
        {
            append(&mut batch, &next);
            rooms.push(next.room);
        }
        stream.write_all(&batch).await?;
        stream.flush().await?;
        traffic.add_sent(batch.len());
        batch.shrink_to(limits::WRITE_BATCH_BYTES);
    }
}

fn append(batch: &mut Vec<u8>, frame: &Outgoing) {
    // At most a control message and its kind: see `Network::send` and `codec::encode`.
    let length = frame.content.len() as u32 + 1;
    batch.reserve(HEADER + 1 + frame.content.len());
    batch.extend_from_slice(&length.to_le_bytes());
    batch.push(frame.kind);
    batch.extend_from_slice(&frame.content);
}

/// How reading ended.
pub(super) enum End {
    Closed,
    Misbehaved(String),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Closed
    }
}

/// Reads frames until the stream ends or the peer says something that it must not. A frame of the
/// application takes one of the member's `places` until it is read.
pub(super) async fn read(
    member: MemberId,
    stream: impl AsyncRead + Unpin,
    places: Arc<Semaphore>,
    mut inbox: Inbox,
) -> End {
    let mut stream = BufReader::new(stream);
    let mut exchanges = TokenBucket::new(limits::EXCHANGE_BURST, limits::EXCHANGE_PER_SECOND, Instant::now());
    let mut announced = false;
    loop {
        let (kind, content) = match read_frame(&mut stream).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        inbox.traffic.add_received(HEADER + 1 + content.len());
        match kind {
            APPLICATION => {
                announced = announced || inbox.announced(&member).await;
                let Ok(place) = places.clone().acquire_owned().await else { return End::Closed };
                let event = Event::Frame { from: member, bytes: content };
                let frame = Queued { event, _place: Some(place) };
                if !announced || inbox.events.send(frame).await.is_err() {
                    return End::Closed;
                }
            }
            EXCHANGE if exchanges.take(Instant::now()) => {
                let Told { mine, clock, others } = match check(&member, &content) {
                    Ok(told) => told,
                    Err(reason) => return End::Misbehaved(reason),
                };
                if inbox.notes.send(Note::Told { from: member, mine, clock, others }).await.is_err() {
                    return End::Closed;
                }
            }
            EXCHANGE => return End::Misbehaved("too many exchanges".to_owned()),
            other => return End::Misbehaved(format!("frame of unknown kind {other}")),
        }
    }
}

async fn read_frame(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Result<(u8, Vec<u8>), End> {
    let length = stream.read_u32_le().await?;
    let Some(length) = content_length(length) else {
        return Err(End::Misbehaved(format!(
            "a frame of {length} bytes is announced, at most {} are allowed",
            limits::MAX_FRAME_BYTES + 1
        )));
    };
    let kind = stream.read_u8().await?;
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await?;
    Ok((kind, content))
}

fn content_length(announced: u32) -> Option<usize> {
    let length = usize::try_from(announced).ok()?.checked_sub(1)?;
    (length <= limits::MAX_FRAME_BYTES).then_some(length)
}

struct Told {
    mine: Heard,
    clock: u64,
    others: Vec<(MemberId, Vec<libp2p::Multiaddr>)>,
}

fn check(from: &MemberId, content: &[u8]) -> Result<Told, String> {
    let exchange: Exchange = codec::decode(content).map_err(|error| error.to_string())?;
    let mine = exchange.mine.check(from).map_err(|error| error.to_string())?;
    let others = exchange
        .others
        .into_iter()
        .map(|(member, addresses)| check_addresses(&member, &addresses).map(|addresses| (member, addresses)));
    let others = others.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Told { mine, clock: exchange.clock, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_bytes(bytes: &[u8]) -> Result<(u8, Vec<u8>), End> {
        read_frame(&mut BufReader::new(bytes)).await
    }

    #[tokio::test]
    async fn frames_look_as_documented() {
        let (queue, mut frames) = queue();
        queue.push(Outgoing::application(vec![0xaa, 0xbb])).await.unwrap();
        queue.push(Outgoing::application(vec![])).await.unwrap();
        drop(queue);
        let (mut near, mut far) = tokio::io::duplex(1024);
        let traffic = Traffic::default();
        write(&mut near, &mut frames, &traffic).await.unwrap();
        drop(near);
        let mut written = Vec::new();
        far.read_to_end(&mut written).await.unwrap();
        assert_eq!(written, [3, 0, 0, 0, 0, 0xaa, 0xbb, 1, 0, 0, 0, 0]);
        assert_eq!(traffic.sent.load(std::sync::atomic::Ordering::Relaxed), 12);
        let (kind, content) = read_bytes(&written).await.ok().unwrap();
        assert_eq!((kind, content), (APPLICATION, vec![0xaa, 0xbb]));
    }

    #[tokio::test]
    async fn refuses_impossible_lengths() {
        for length in [0, limits::MAX_FRAME_BYTES as u32 + 2, u32::MAX] {
            let end = read_bytes(&length.to_le_bytes()).await.err().unwrap();
            assert!(matches!(end, End::Misbehaved(_)), "{length}");
        }
        let largest = limits::MAX_FRAME_BYTES as u32 + 1;
        let end = read_bytes(&largest.to_le_bytes()).await.err().unwrap();
        assert!(matches!(end, End::Closed), "the largest frame is awaited, and the stream ends instead");
    }

    #[tokio::test]
    async fn no_frame_comes_before_its_sender_is_announced() {
        let member = MemberId([1; 32]);
        let (events, mut delivered) = mpsc::channel(1);
        let (notes, _notes) = mpsc::channel(1);
        let (announce, connected) = tokio::sync::watch::channel(Arc::default());
        let inbox = Inbox { events, notes, connected, traffic: Arc::default() };
        let frame = [3, 0, 0, 0, APPLICATION, 0xaa, 0xbb];
        let mut reading = Box::pin(read(member, &frame[..], Arc::new(Semaphore::new(1)), inbox));
        assert!(futures::poll!(&mut reading).is_pending());
        assert!(delivered.try_recv().is_err());
        announce.send_replace(Arc::new([member].into()));
        assert!(matches!(reading.await, End::Closed));
        let event = delivered.try_recv().unwrap().event;
        assert!(matches!(event, Event::Frame { from, bytes } if from == member && bytes == [0xaa, 0xbb]));
    }

    /// However much one member sends, little of it waits before what others send.
    #[tokio::test]
    async fn a_flood_of_one_member_leaves_room_for_others() {
        let (events, delivered) = mpsc::channel(limits::EVENT_QUEUE);
        let (notes, _notes) = mpsc::channel(1);
        let members = [MemberId([1; 32]), MemberId([2; 32])];
        let (_announce, connected) = tokio::sync::watch::channel(Arc::new(members.into()));
        let inbox = Inbox { events, notes, connected, traffic: Arc::default() };
        let places = || Arc::new(Semaphore::new(limits::MAX_UNREAD_FRAMES));
        let flood = [2, 0, 0, 0, APPLICATION, 0xaa].repeat(100);
        let mut flooding = Box::pin(read(members[0], &flood[..], places(), inbox.clone()));
        assert!(futures::poll!(&mut flooding).is_pending());
        let one = [2, 0, 0, 0, APPLICATION, 0xbb];
        assert!(matches!(read(members[1], &one[..], places(), inbox).await, End::Closed));
        let mut stream = super::super::EventStream(delivered);
        for _ in 0..limits::MAX_UNREAD_FRAMES {
            assert!(matches!(stream.next().await, Some(Event::Frame { from, .. }) if from == members[0]));
        }
        assert!(matches!(stream.next().await, Some(Event::Frame { from, .. }) if from == members[1]));
        let the_rest = async {
            for _ in limits::MAX_UNREAD_FRAMES..100 {
                assert!(stream.next().await.is_some(), "all of it comes in the end");
            }
        };
        assert!(matches!(tokio::join!(flooding, the_rest).0, End::Closed));
    }

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes() {
        let (queue, mut frames) = queue();
        for _ in 0..limits::MAX_QUEUED_BYTES / limits::MAX_FRAME_BYTES {
            queue.push(Outgoing::application(vec![0; limits::MAX_FRAME_BYTES])).await.unwrap();
        }
        assert_eq!(queue.try_push(Outgoing::application(vec![1])), Err(Unqueued::Full));
        let mut waiting = Box::pin(queue.push(Outgoing::application(vec![1])));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(frames.recv().await);
        waiting.await.unwrap();
        drop(frames);
        assert!(queue.push(Outgoing::application(vec![])).await.is_err());
        assert_eq!(queue.try_push(Outgoing::application(vec![])), Err(Unqueued::Closed));
    }

    #[test]
    fn refuses_exchanges_that_exceed_the_limits() {
        let member = crate::identity::NodeIdentity::from_secret(&[1; 32]).id();
        let encode = |others| {
            let mine = super::super::presence::Presence::default();
            let exchange = Exchange { mine, clock: 0, others };
            codec::encode(&exchange).unwrap()
        };
        assert!(check(&member, &encode(vec![(member, vec![])])).is_ok());
        let crowd = vec![(member, vec![]); limits::MAX_EXCHANGE_MEMBERS + 1];
        assert!(check(&member, &encode(crowd)).is_err());
        assert!(check(&member, &encode(vec![(member, vec!["nowhere".to_owned()])])).is_err());
        assert!(check(&member, &[1, 2, 3]).is_err());
    }
}
