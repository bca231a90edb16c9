//! A member fetches the published sum: from the aggregator, or from anyone who has it.

use std::{io, sync::Arc, time::Duration};

use consort_protocol::{
    encoding::Layout,
    hash::Digest,
    ids::MemberId,
    messages::masked_input::{chunk_digest, vector_root},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::network::Network;

use super::{
    bulk::{ACCEPTED, Request, blocking, is_of_disk, patient, write_message},
    results::{Results, StoredSum},
};

/// Pause before everybody is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Asks one member after the other until one has the sum with this root. The caller cancels it.
pub(super) async fn fetch(
    network: Network,
    results: Arc<Results>,
    layout: Layout,
    root: Digest,
    aggregator: MemberId,
) -> io::Result<Arc<StoredSum>> {
    if let Some(sum) = results.get(&root) {
        return Ok(sum);
    }
    loop {
        let others = network.connected().borrow().clone();
        let first = others.contains(&aggregator).then_some(aggregator);
        for member in first.into_iter().chain(others.iter().copied().filter(|id| *id != aggregator)) {
            match fetch_from(&network, &results, &layout, root, member).await {
                Ok(sum) => return Ok(sum),
                // asking others would not help
                Err(error) if is_of_disk(&error) => return Err(error),
                Err(error) => tracing::debug!(%member, %error, "sum not fetched from this member"),
            }
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn fetch_from(
    network: &Network,
    results: &Arc<Results>,
    layout: &Layout,
    root: Digest,
    member: MemberId,
) -> io::Result<Arc<StoredSum>> {
    let stream = network.open_bulk(member).await.map_err(io::Error::other)?;
    receive(stream, results, layout, root).await
}

/// Asks for a sum on an open stream, and keeps it if it is the one that was asked for.
pub(super) async fn receive(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    results: &Arc<Results>,
    layout: &Layout,
    root: Digest,
) -> io::Result<Arc<StoredSum>> {
    write_message(&mut stream, &Request::Fetch(root)).await?;
    let mut answer = [0];
    patient(stream.read_exact(&mut answer)).await?;
    if answer != [ACCEPTED] {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it does not have the sum"));
    }
    let mut file = results.begin()?;
    let mut digests = Vec::new();
    for chunk in layout.chunks() {
        let mut packed = vec![0; chunk.packed_len()];
        patient(stream.read_exact(&mut packed)).await?;
        let (written, digest) = blocking(move || {
            io::Write::write_all(&mut file, &packed)?;
            Ok((file, chunk_digest(&chunk, &packed)))
        })
        .await?;
        file = written;
        digests.push(digest);
    }
    if vector_root(&digests) != root {
        return Err(io::Error::other("what it sent has another root"));
    }
    let (results, layout) = (results.clone(), layout.clone());
    blocking(move || results.keep(root, layout, file)).await
}
