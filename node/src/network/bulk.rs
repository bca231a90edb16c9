//! Bulk streams: vectors and results, as many bytes as the two ends agree on.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use consort_protocol::ids::MemberId;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};

use super::{
    OpenError, Traffic,
    streams::{self, Duplex, Unopened},
};
use crate::identity;

/// A stream of bytes to or from a member. Reading slowly holds the writer back.
///
/// Use it in one direction at a time, with an acknowledgement at the end, and never let reading one wait
/// for writing another: streams of a connection share its windows, and two ends that both only write
/// stall each other. `shutdown` ends the writing half cleanly; dropping the stream resets it.
pub struct BulkStream {
    stream: Duplex,
    member: MemberId,
    traffic: Arc<Traffic>,
    /// Held until an inbound stream is dropped: see [`crate::limits::MAX_BULK_PER_PEER`].
    _place: Option<OwnedSemaphorePermit>,
}

impl BulkStream {
    pub(super) fn inbound(
        stream: Duplex,
        member: MemberId,
        traffic: Arc<Traffic>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { stream, member, traffic, _place: Some(place) }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.member
    }
}

impl std::fmt::Debug for BulkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BulkStream({})", self.member)
    }
}

pub(super) async fn open(
    control: libp2p_stream::Control,
    member: MemberId,
    traffic: Arc<Traffic>,
) -> Result<BulkStream, OpenError> {
    let peer = identity::peer_id(&member)
        .map_err(|error| OpenError::Failed { member, reason: error.to_string() })?;
    match streams::open(control, peer, streams::BULK).await {
        Ok(stream) => Ok(BulkStream { stream, member, traffic, _place: None }),
        Err(Unopened::Busy) => Err(OpenError::Busy(member)),
        Err(Unopened::Failed(reason)) => Err(OpenError::Failed { member, reason }),
    }
}

impl AsyncRead for BulkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.traffic.add_received(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BulkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.traffic.add_sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
