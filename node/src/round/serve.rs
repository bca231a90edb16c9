//! Answers the bulk streams that others open: takes in a vector, or gives out a sum.

use std::{io, sync::Arc};

use consort_protocol::{hash::Digest, ids::MemberId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::{Request, read_message},
    intake::Intake,
    results::Results,
};

/// Does what the opener of a stream asks for. Gives the owner and the root of a vector that is now complete,
/// and nothing where a sum was asked for. Vectors of others are taken from the `aggregator` only.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    from: MemberId,
    intake: Option<Arc<Intake>>,
    ended: &CancellationToken,
    results: &Results,
    aggregator: Option<MemberId>,
) -> io::Result<Option<(MemberId, Digest)>> {
    let (session, owner, root) = match read_message(&mut stream).await? {
        Request::Upload(session, root) => (session, from, root),
        Request::Standby(session, owner) if aggregator == Some(from) => (session, owner, None),
        Request::Standby(..) => {
            return Err(io::Error::other("vectors of others are taken from the slot's aggregator only"));
        }
        Request::Fetch(root) => {
            let sum =
                results.get(&root).ok_or_else(|| io::Error::other("asked for a sum that is not here"))?;
            return sum.serve(stream).await.map(|()| None);
        }
    };
    let intake = intake
        .filter(|intake| intake.session() == session)
        .ok_or_else(|| io::Error::other("an upload for no session of mine"))?;
    let received = ended.run_until_cancelled(intake.receive(owner, from, root, stream)).await;
    let root = received.ok_or_else(|| io::Error::other("the attempt ended before the upload did"))??;
    Ok(Some((owner, root)))
}
