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

/// Does what the opener of a stream asks for. Gives the root of a vector that is now complete, and nothing
/// where a sum was asked for.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    from: MemberId,
    intake: Option<Arc<Intake>>,
    ended: &CancellationToken,
    results: &Results,
) -> io::Result<Option<Digest>> {
    match read_message(&mut stream).await? {
        Request::Upload(session) => {
            let intake = intake
                .filter(|intake| intake.session() == session)
                .ok_or_else(|| io::Error::other("an upload for no session of mine"))?;
            let received = ended.run_until_cancelled(intake.receive(from, stream)).await;
            received.ok_or_else(|| io::Error::other("the attempt ended before the upload did"))?.map(Some)
        }
        Request::Fetch(root) => {
            let sum =
                results.get(&root).ok_or_else(|| io::Error::other("asked for a sum that is not here"))?;
            sum.serve(stream).await.map(|()| None)
        }
    }
}
