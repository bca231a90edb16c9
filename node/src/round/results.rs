//! Sums on disk: computed by the aggregator or fetched by a member, decoded, and served to others.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use consort_protocol::{
    contract::Terms,
    encoding::{Aggregate, Chunk, Decoder, Layout, packing},
    hash::Digest,
    masking::MaskPlan,
    messages::{
        consistency_check::SurvivorSet,
        masked_input::{chunk_digest, vector_root},
    },
};
use rayon::prelude::*;
use tempfile::NamedTempFile;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{
    bulk::{ACCEPTED, blocking, patient},
    intake::{Intake, read_at},
};

#[cfg(test)]
mod tests;

/// A sum is read from disk in pieces of so many bytes while it is sent.
const PIECE_BYTES: usize = 256 << 10;

/// Sums of so many recent rounds stay on disk for those who come late.
const KEPT: usize = 8;

/// Sums that are complete, newest last.
pub(crate) struct Results {
    folder: PathBuf,
    kept: Mutex<VecDeque<Arc<StoredSum>>>,
}

/// One sum on disk.
pub(super) struct StoredSum {
    pub(super) root: Digest,
    layout: Layout,
    pub(super) file: File,
    path: PathBuf,
}

impl Results {
    /// The results folder of a home; what an earlier process left there is removed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sum" || extension == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder: folder.to_path_buf(), kept: Mutex::new(VecDeque::new()) })
    }

    /// The folder, for files that nobody else sees.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file for a sum that is not complete yet; it vanishes unless [`Results::keep`] takes it.
    pub(super) fn begin(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().suffix(".part").tempfile_in(&self.folder)
    }

    /// A sum by its root.
    pub(super) fn get(&self, root: &Digest) -> Option<Arc<StoredSum>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|sum| sum.root == *root).cloned()
    }

    /// Keeps a complete sum under its root, and forgets the oldest.
    pub(super) fn keep(
        &self,
        root: Digest,
        layout: Layout,
        file: NamedTempFile,
    ) -> io::Result<Arc<StoredSum>> {
        let path = self.folder.join(format!("{}.sum", hex::encode(&root[..16])));
        let file = file.persist(&path)?;
        let sum = Arc::new(StoredSum { root, layout, file, path });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.root != root);
        kept.push_back(sum.clone());
        while kept.len() > KEPT {
            if let Some(oldest) = kept.pop_front()
                && let Err(error) = fs::remove_file(&oldest.path)
            {
                // the new sum is there, whatever became of the old one
                tracing::warn!(path = %oldest.path.display(), %error, "an old sum could not be removed");
            }
        }
        Ok(sum)
    }

    /// Adds up the survivors' vectors, lifts the masks, and keeps the sum.
    pub(super) async fn sum(
        self: Arc<Self>,
        intake: Arc<Intake>,
        layout: Layout,
        survivors: SurvivorSet,
        plan: MaskPlan,
    ) -> io::Result<Digest> {
        let files = intake.files(&survivors)?;
        blocking(move || {
            let mut out = self.begin()?;
            let mut digests = Vec::new();
            let count = layout.chunk_count();
            let batch = 4 * rayon::current_num_threads() as u32;
            for start in (0..count).step_by(batch as usize) {
                let chunks: io::Result<Vec<_>> = (start..count.min(start + batch))
                    .into_par_iter()
                    .map(|index| {
                        let chunk = layout.chunk(index).ok_or_else(|| io::Error::other("no such chunk"))?;
                        let packed = intake.sum_chunk(chunk, &files, &plan)?;
                        Ok((chunk_digest(&chunk, &packed), packed))
                    })
                    .collect();
                for (digest, packed) in chunks? {
                    io::Write::write_all(&mut out, &packed)?;
                    digests.push(digest);
                }
            }
            let root = vector_root(&digests);
            self.keep(root, layout, out)?;
            Ok(root)
        })
        .await
    }
}

#[cfg(feature = "lies")]
impl Results {
    /// Keeps another sum in place of one, with one bit changed. Test builds only.
    pub(super) fn falsify(&self, root: &Digest) -> io::Result<Digest> {
        let sum = self.get(root).ok_or_else(|| io::Error::other("no such sum"))?;
        let mut out = self.begin()?;
        let mut digests = Vec::new();
        for chunk in sum.layout.chunks() {
            let mut packed = vec![0; chunk.packed_len()];
            read_at(&sum.file, &mut packed, sum.offset(&chunk))?;
            if let Some(byte) = packed.first_mut().filter(|_| chunk.index == 0) {
                *byte ^= 1;
            }
            io::Write::write_all(&mut out, &packed)?;
            digests.push(chunk_digest(&chunk, &packed));
        }
        let root = vector_root(&digests);
        self.keep(root, sum.layout.clone(), out)?;
        Ok(root)
    }
}

impl StoredSum {
    pub(super) fn chunk_count(&self) -> u32 {
        self.layout.chunk_count()
    }

    pub(super) fn chunk(&self, index: u32) -> io::Result<Chunk> {
        self.layout.chunk(index).ok_or_else(|| io::Error::other("no such chunk"))
    }

    /// Where a chunk begins, in bytes; the same in every vector of the round.
    pub(super) fn offset(&self, chunk: &Chunk) -> u64 {
        self.layout.packed_offset(chunk)
    }

    /// Turns the sum into the aggregate that users see.
    pub(super) fn decode(&self, terms: &Terms, survivors: usize) -> io::Result<Aggregate> {
        let mut decoder = Decoder::new(&terms.contract().task.spec, &self.layout, survivors);
        let mut packed = Vec::new();
        let mut words = Vec::new();
        for chunk in self.layout.chunks() {
            packed.resize(chunk.packed_len(), 0);
            words.resize(chunk.len as usize, 0);
            read_at(&self.file, &mut packed, self.layout.packed_offset(&chunk))?;
            packing::unpack(&packed, chunk.bits, &mut words).map_err(io::Error::other)?;
            decoder.push(&chunk, &words).map_err(io::Error::other)?;
        }
        decoder.finish().map_err(io::Error::other)
    }

    /// Sends the sum to somebody who asked for it.
    pub(super) async fn serve(self: Arc<Self>, mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
        patient(stream.write_all(&[ACCEPTED])).await?;
        let length = self.layout.packed_len();
        for offset in (0..length).step_by(PIECE_BYTES) {
            let sum = self.clone();
            let piece = blocking(move || {
                let mut piece = vec![0; (length - offset).min(PIECE_BYTES as u64) as usize];
                read_at(&sum.file, &mut piece, offset)?;
                Ok(piece)
            })
            .await?;
            patient(stream.write_all(&piece)).await?;
        }
        patient(stream.flush()).await?;
        patient(stream.shutdown()).await
    }
}
