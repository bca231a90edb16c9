//! What is said on a bulk stream before and after the vector: who wants what, from which chunk on, and
//! whether it arrived.
//!
//! The opener writes one request. An upload is answered with the first chunk that is wanted; then chunks
//! follow bare, each exactly as long as the layout says, and one byte comes back when all are checked. A
//! fetch is answered with one byte and the chunks. Data flows one way only, so neither side ever waits to
//! write while the other waits to write.

use std::{io, time::Duration};

use consort_protocol::{
    codec,
    hash::Digest,
    ids::{MemberId, SessionId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A request is a few dozen bytes.
const MAX_REQUEST_BYTES: usize = 1024;

/// No byte for so long, and a bulk stream is given up; an upload can be resumed.
const STALL: Duration = Duration::from_secs(10);

/// Answer to a fetch, and to a finished upload.
pub(super) const ACCEPTED: u8 = 1;

/// What the opener of a bulk stream wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// To upload its masked vector of this session, which has this root if it was made before.
    Upload(SessionId, Option<Digest>),
    /// To pass on a member's vector of this session, which has this root: to a standby, or to an aggregator that took
    /// over.
    PassOn(SessionId, MemberId, Digest),
    /// To fetch the sum with this root.
    Fetch(Digest),
}

pub(super) async fn write_message<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    let bytes = codec::encode(message).map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    patient(stream.write_all(&[&length.to_le_bytes(), bytes.as_slice()].concat())).await?;
    patient(stream.flush()).await
}

pub(super) async fn read_message<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let mut length = [0; 2];
    patient(stream.read_exact(&mut length)).await?;
    let length = usize::from(u16::from_le_bytes(length));
    if length > MAX_REQUEST_BYTES {
        return Err(io::Error::other(format!("a request of {length} bytes, at most {MAX_REQUEST_BYTES}")));
    }
    let mut bytes = vec![0; length];
    patient(stream.read_exact(&mut bytes)).await?;
    codec::decode(&bytes).map_err(io::Error::other)
}

/// Fails where nothing moves for [`STALL`].
pub(super) async fn patient<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(STALL, operation)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the stream stalled")))
}

/// Runs work that touches whole chunks off the async runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Whether the fault is this machine's disk: no stream fails in these ways.
pub(super) fn is_of_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem)
}
