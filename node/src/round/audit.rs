//! A standby, who holds all vectors of the sum, adds them up itself and compares: chunk by chunk, and only of a
//! chunk that differs is anything kept.

use std::{fs::File, io, sync::Arc};

use consort_protocol::{
    encoding::Chunk,
    evidence::{Disproof, ShownBlock},
    hash::Digest,
    masking::MaskPlan,
    messages::{consistency_check::SurvivorSet, masked_input::chunk_digest},
};
use rayon::prelude::*;

use super::{
    bulk::blocking,
    intake::{Intake, read_at},
    results::StoredSum,
};

/// What disproves a sum, where it is false.
pub(super) async fn audit(
    intake: Arc<Intake>,
    sum: Arc<StoredSum>,
    survivors: SurvivorSet,
    plan: MaskPlan,
) -> io::Result<Option<Disproof>> {
    let files = intake.files(&survivors)?;
    blocking(move || {
        let first = |index| {
            let chunk = sum.chunk(index)?;
            let computed = intake.sum_chunk(chunk, &files, &plan)?;
            let published = read(&sum.file, &sum, &chunk)?;
            Ok::<_, io::Error>((published != computed).then_some((chunk, published, computed)))
        };
        let differing =
            (0..sum.chunk_count()).into_par_iter().map(first).find_first(|it| !matches!(it, Ok(None)));
        let Some((chunk, published, computed)) = differing.transpose()?.flatten() else { return Ok(None) };
        let shown = |block| {
            let vectors = files.iter().map(|file| show(file, &sum, &chunk, block));
            Some((show(&sum.file, &sum, &chunk, block)?, vectors.collect::<Option<Vec<_>>>()?))
        };
        let disproof = Disproof::of_chunk(&chunk, &published, &computed, shown);
        disproof.map(Some).ok_or_else(|| io::Error::other("the sum differs, but cannot be shown to"))
    })
    .await
}

/// A block of the vector in this file, which is laid out like the sum.
fn show(file: &File, sum: &StoredSum, chunk: &Chunk, block: u32) -> Option<ShownBlock> {
    let digest = |index| {
        let chunk = sum.chunk(index)?;
        Ok::<Digest, io::Error>(chunk_digest(&chunk, &read(file, sum, &chunk)?))
    };
    let chunks = (0..sum.chunk_count()).into_par_iter().map(digest).collect::<io::Result<_>>().ok()?;
    ShownBlock::of(chunks, chunk, &read(file, sum, chunk).ok()?, block)
}

fn read(file: &File, sum: &StoredSum, chunk: &Chunk) -> io::Result<Vec<u8>> {
    let mut packed = vec![0; chunk.packed_len()];
    read_at(file, &mut packed, sum.offset(chunk))?;
    Ok(packed)
}
