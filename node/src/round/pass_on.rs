//! Vectors on their way from an aggregator to a standby, one after the other.

use std::{io, sync::Arc, time::Duration};

use consort_protocol::{hash::Digest, ids::MemberId};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::network::Network;

use super::{
    bulk::{ACCEPTED, Request, patient, read_message, write_message},
    intake::Intake,
};

/// Pause before a broken transfer is resumed.
const RESUME_PAUSE: Duration = Duration::from_millis(300);

/// Passes on every vector that it is told of, until nobody tells it any more. The caller cancels it.
pub(super) async fn pass_on(
    intake: Arc<Intake>,
    to: MemberId,
    network: Network,
    mut vectors: mpsc::Receiver<(MemberId, Digest)>,
) {
    while let Some((vector, root)) = vectors.recv().await {
        loop {
            let sent = match network.open_bulk(to).await {
                Ok(stream) => send(&intake, vector, root, stream).await,
                Err(error) => Err(io::Error::other(error)),
            };
            match sent {
                Ok(()) => break,
                Err(error) => tracing::debug!(%to, %vector, %error, "vector not passed on, trying again"),
            }
            tokio::time::sleep(RESUME_PAUSE).await;
        }
    }
}

/// One try on one stream.
async fn send(
    intake: &Arc<Intake>,
    vector: MemberId,
    root: Digest,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    write_message(&mut stream, &Request::PassOn(intake.session(), vector, root)).await?;
    let first: u32 = read_message(&mut stream).await?;
    for chunk in intake.chunks_from(first) {
        let packed = intake.clone().read_chunk(vector, root, chunk).await?;
        patient(stream.write_all(&packed)).await?;
    }
    patient(stream.flush()).await?;
    let mut answer = [0];
    patient(stream.read_exact(&mut answer)).await?;
    if answer == [ACCEPTED] { Ok(()) } else { Err(io::Error::other("the standby refused the vector")) }
}
