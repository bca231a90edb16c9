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

/// Sums that are complete.
pub(crate) struct Results {
    folder: PathBuf,
    /// Newest last.
    kept: Mutex<VecDeque<Arc<StoredSum>>>,
    /// Files of an earlier process, newest last: this node still has them, but does not serve them to others.
    earlier: Mutex<VecDeque<PathBuf>>,
}

/// One sum on disk.
pub(super) struct StoredSum {
    pub(super) root: Digest,
    layout: Layout,
    pub(super) file: File,
    path: PathBuf,
}

impl Results {
    /// The results folder of a home; what an earlier process left there in part is removed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut sums = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("part") => fs::remove_file(path)?,
                Some("sum") => sums.push((fs::metadata(&path)?.modified()?, path)),
                _ => {}
            }
        }
        sums.sort();
        let results = Self {
            folder: folder.to_path_buf(),
            kept: Mutex::new(VecDeque::new()),
            earlier: Mutex::new(sums.into_iter().map(|(_, path)| path).collect()),
        };
        results.forget_oldest();
        Ok(results)
    }

    /// The folder, for files that nobody else sees.
    pub(crate) fn folder(&self) -> &Path {
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
        let path = self.path_of(&root);
        let file = file.persist(&path)?;
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner).retain(|earlier| *earlier != path);
        let sum = Arc::new(StoredSum { root, layout, file, path });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.root != root);
        kept.push_back(sum.clone());
        drop(kept);
        self.forget_oldest();
        Ok(sum)
    }

    /// The sum with this root as users see it; `None` where it is not kept any more. Blocks on the disk, and on
    /// hashing where the file is an earlier process's.
    pub(crate) fn aggregate(
        &self,
        root: &Digest,
        terms: &Terms,
        survivors: usize,
    ) -> io::Result<Option<Aggregate>> {
        let sum = match self.get(root) {
            Some(sum) => sum,
            None => match File::open(self.path_of(root)) {
                Ok(file) => {
                    let (root, layout, path) = (*root, terms.layout().clone(), self.path_of(root));
                    Arc::new(StoredSum { root, layout, file, path }).verified()?
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        sum.decode(terms, survivors).map(Some)
    }

    fn path_of(&self, root: &Digest) -> PathBuf {
        let (half, _) = root.split_at(16);
        self.folder.join(format!("{}.sum", hex::encode(half)))
    }

    fn forget_oldest(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() + earlier.len() > KEPT {
            let oldest = earlier.pop_front().or_else(|| kept.pop_front().map(|sum| sum.path.clone()));
            let Some(path) = oldest else { return };
            if let Err(error) = fs::remove_file(&path) {
                // the new sum is there, whatever became of the old one
                tracing::warn!(path = %path.display(), %error, "an old sum could not be removed");
            }
        }
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
    /// Keeps another sum in place of one, with its first chunk changed. Test builds only.
    pub(super) fn falsify(
        &self,
        root: &Digest,
        falsehood: consort_protocol::sim::Falsehood,
    ) -> io::Result<Digest> {
        let sum = self.get(root).ok_or_else(|| io::Error::other("no such sum"))?;
        let mut out = self.begin()?;
        let mut digests = Vec::new();
        for chunk in sum.layout.chunks() {
            let mut packed = vec![0; chunk.packed_len()];
            read_at(&sum.file, &mut packed, sum.offset(&chunk))?;
            if chunk.index == 0 {
                falsehood(&chunk, &mut packed);
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
    /// Itself, if the file still has the root that it is kept under.
    fn verified(self: Arc<Self>) -> io::Result<Arc<Self>> {
        let damaged = || {
            let path = self.path.display();
            io::Error::other(format!("{path} is damaged: remove it; other members may still have the sum"))
        };
        if self.file.metadata()?.len() != self.layout.packed_len() {
            return Err(damaged());
        }
        let mut digests = Vec::new();
        let mut packed = Vec::new();
        for chunk in self.layout.chunks() {
            packed.resize(chunk.packed_len(), 0);
            read_at(&self.file, &mut packed, self.layout.packed_offset(&chunk))?;
            digests.push(chunk_digest(&chunk, &packed));
        }
        if vector_root(&digests) == self.root { Ok(self) } else { Err(damaged()) }
    }

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
