//! A member's masked vector on its way to the aggregator: chunks are made as fast as they are taken.
//!
//! Chunks are masked on all cores a batch at a time, at most two batches ahead of the stream, so memory
//! holds a few chunks whatever the vector's length. If the stream breaks, the upload goes on from the
//! chunk that the aggregator asks for; the vector is the same, because its seeds are.

use std::{io, sync::Arc, time::Duration};

use consort_protocol::{
    bulk::mask_chunk,
    encoding::{Layout, ValidInput},
    hash::Digest,
    ids::{MemberId, SessionId},
    masking::MaskPlan,
    messages::masked_input::{chunk_digest, vector_root},
};
use rayon::prelude::*;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::network::Network;

use super::{
    bulk::{ACCEPTED, Request, patient, read_message, write_message},
    intake::{Expected, Intake},
};

/// Batches that wait for the stream.
const BATCHES_AHEAD: usize = 2;

/// Pause before a broken upload is resumed.
const RESUME_PAUSE: Duration = Duration::from_millis(300);

/// Everything that the chunks follow from.
pub(super) struct Source {
    pub(super) session: SessionId,
    pub(super) layout: Layout,
    pub(super) input: Arc<ValidInput>,
    pub(super) plan: Arc<MaskPlan>,
    /// Root of the vector, if it was made before.
    pub(super) root: Option<Digest>,
}

struct MaskedChunk {
    index: u32,
    packed: Vec<u8>,
    digest: Digest,
}

/// Uploads until the aggregator has everything; gives the vector's root. The caller cancels it.
pub(super) async fn upload(source: Arc<Source>, to: MemberId, network: Network) -> Digest {
    let mut digests = Vec::new();
    loop {
        let error = match network.open_bulk(to).await {
            Ok(stream) => match send(&source, stream, &mut digests).await {
                Ok(root) => return root,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(%to, error, sent = digests.len(), "upload interrupted, resuming");
        tokio::time::sleep(RESUME_PAUSE).await;
    }
}

/// The aggregator's own vector takes the same way without a network.
pub(super) async fn deposit(source: Arc<Source>, me: MemberId, intake: Arc<Intake>) -> io::Result<Digest> {
    let expected = Expected { owner: me, by: me, root: source.root };
    if let Some(root) = intake.find(&expected) {
        return Ok(root);
    }
    let turn = intake.senders.turn(me, me);
    let mut deposit = intake.deposit(&turn, expected).await?;
    let mut batches = mask_from(source.clone(), deposit.next_index());
    while let Some(batch) = batches.recv().await {
        for chunk in batch? {
            deposit.append(chunk.packed).await?;
        }
    }
    deposit.finish()
}

/// One try on one stream; gives the vector's root. `digests` holds the hashes of all chunks that were ever
/// made, in order.
pub(super) async fn send(
    source: &Arc<Source>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    digests: &mut Vec<Digest>,
) -> io::Result<Digest> {
    write_message(&mut stream, &Request::Upload(source.session, source.root)).await?;
    let first: u32 = read_message(&mut stream).await?;
    let all = source.layout.chunk_count();
    if first > all {
        return Err(io::Error::other(format!("the aggregator asks for chunk {first} of {all}")));
    }
    let known = source.root.filter(|_| first == all);
    if known.is_none() {
        // what the aggregator has already is made again where its hashes are not known any more
        let mut batches = mask_from(source.clone(), first.min(digests.len() as u32));
        while let Some(batch) = batches.recv().await {
            for MaskedChunk { index, packed, digest } in batch? {
                if index >= first {
                    patient(stream.write_all(&packed)).await?;
                }
                if index as usize == digests.len() {
                    digests.push(digest);
                }
            }
        }
    }
    patient(stream.flush()).await?;
    let mut answer = [0];
    patient(stream.read_exact(&mut answer)).await?;
    if answer != [ACCEPTED] {
        return Err(io::Error::other("the aggregator refused the vector"));
    }
    Ok(known.unwrap_or_else(|| vector_root(digests)))
}

/// Masks all chunks from `first` on, in order, ahead of whoever takes them.
fn mask_from(source: Arc<Source>, first: u32) -> mpsc::Receiver<io::Result<Vec<MaskedChunk>>> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let count = source.layout.chunk_count();
        let batch = 2 * rayon::current_num_threads() as u32;
        for start in (first..count).step_by(batch as usize) {
            let masked: io::Result<Vec<_>> =
                (start..count.min(start + batch)).into_par_iter().map(|index| mask(&source, index)).collect();
            if sender.blocking_send(masked).is_err() {
                return;
            }
        }
    });
    receiver
}

fn mask(source: &Source, index: u32) -> io::Result<MaskedChunk> {
    let chunk = source.layout.chunk(index).ok_or_else(|| io::Error::other("no such chunk"))?;
    let packed = mask_chunk(&source.input, &source.plan, &chunk).map_err(io::Error::other)?;
    let digest = chunk_digest(&chunk, &packed);
    Ok(MaskedChunk { index, packed, digest })
}
