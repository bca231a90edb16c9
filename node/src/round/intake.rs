//! Where an aggregator keeps masked vectors until their sum can be unmasked.
//!
//! One anonymous temporary file for each member, in the node's home: vectors are masked, so a disk may
//! hold them, memory need not, and the files vanish with the process. Who survives is decided late, so no
//! vector can be added up as it arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::Path,
    sync::Arc,
};

use consort_protocol::{
    bulk::ChunkSum,
    encoding::{Chunk, Layout, packing},
    hash::Digest,
    ids::{MemberId, SessionId},
    masking::MaskPlan,
    messages::{
        consistency_check::SurvivorSet,
        masked_input::{chunk_digest, vector_root},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{Mutex, OwnedMutexGuard},
};

use super::{
    bulk::{ACCEPTED, blocking, patient, write_message},
    writers::{Turn, Writers},
};

/// Vectors of one session.
pub(super) struct Intake {
    session: SessionId,
    layout: Layout,
    spools: BTreeMap<MemberId, Spool>,
    writers: Writers,
}

/// The file can be read at any time: what is complete does not change, and a member that keeps a stream
/// open holds nobody up.
struct Spool {
    file: Arc<File>,
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
pub(super) struct Written {
    /// Who wrote them: the vector's owner, or somebody who passed it on.
    by: Option<MemberId>,
    /// Hashes of the chunks that are on file.
    digests: Vec<Digest>,
    bytes: u64,
}

impl Written {
    fn is_complete(&self, layout: &Layout) -> bool {
        self.digests.len() == layout.chunk_count() as usize
    }

    /// Whether all of a vector is there, but not of the one with this root.
    fn is_other_than(&self, layout: &Layout, root: &Digest) -> bool {
        self.is_complete(layout) && *root != vector_root(&self.digests)
    }

    /// What somebody else wrote stays only where it is all of the vector with the `root` that is known: whoever passes
    /// a vector on may have spoilt it.
    fn make_way(&mut self, layout: &Layout, owner: MemberId, by: MemberId, root: Option<Digest>) {
        let complete = self.is_complete(layout);
        let spoilt = root.is_some_and(|root| self.is_other_than(layout, &root));
        let stays = match self.by {
            Some(earlier) if earlier != owner && spoilt => false,
            Some(earlier) if earlier != by && by == owner => complete && root.is_some() && !spoilt,
            Some(earlier) => earlier == by || complete,
            None => true,
        };
        if !stays {
            *self = Self::default();
        }
        self.by.get_or_insert(by);
    }
}

/// One member's vector, being written.
pub(super) struct Deposit {
    layout: Layout,
    file: Arc<File>,
    written: OwnedMutexGuard<Written>,
}

impl Intake {
    pub(super) fn new(
        session: SessionId,
        layout: Layout,
        members: impl IntoIterator<Item = MemberId>,
        folder: &Path,
    ) -> io::Result<Self> {
        let spool = |id| {
            let file = Arc::new(tempfile::tempfile_in(folder)?);
            Ok((id, Spool { file, written: Arc::default() }))
        };
        let members: BTreeSet<MemberId> = members.into_iter().collect();
        let spools = members.into_iter().map(spool).collect::<io::Result<_>>()?;
        Ok(Self { session, layout, spools, writers: Writers::default() })
    }

    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    /// Goes on with a member's vector where it stopped, once nobody else writes it.
    pub(super) async fn resume(
        &self,
        member: MemberId,
        by: MemberId,
        root: Option<Digest>,
    ) -> io::Result<Deposit> {
        let spool = self.spool(member)?;
        let mut written = spool.written.clone().lock_owned().await;
        written.make_way(&self.layout, member, by, root);
        Ok(Deposit { layout: self.layout.clone(), file: spool.file.clone(), written })
    }

    /// Somebody has opened a stream with a member's vector. `required` is the vector's root where it may come from
    /// whoever holds it.
    pub(super) fn open(&self, owner: MemberId, by: MemberId, required: Option<Digest>) -> Turn {
        self.writers.open(owner, by, required)
    }

    /// Reads a member's vector to its end, when it is this stream's turn; gives the vector's root.
    pub(super) async fn receive(
        &self,
        turn: &Turn,
        root: Option<Digest>,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<Digest> {
        let spool = self.spool(turn.owner)?;
        let mut written = self.writers.wait(turn, spool.written.clone()).await?;
        if turn.required.is_some_and(|root| written.is_other_than(&self.layout, &root)) {
            *written = Written::default();
        }
        written.make_way(&self.layout, turn.owner, turn.by, turn.required.or(root));
        let mut deposit = Deposit { layout: self.layout.clone(), file: spool.file.clone(), written };
        write_message(&mut stream, &deposit.next_index()).await?;
        while let Some(chunk) = deposit.next_chunk() {
            let mut packed = vec![0; chunk.packed_len()];
            turn.until_over(patient(stream.read_exact(&mut packed))).await?;
            turn.wrote(packed.len());
            deposit.append(packed).await?;
        }
        let root = deposit.finish()?;
        patient(stream.write_all(&[ACCEPTED])).await?;
        patient(stream.flush()).await?;
        Ok(root)
    }

    /// One chunk of the unmasked sum of these survivors.
    pub(super) fn sum_chunk(
        &self,
        chunk: Chunk,
        files: &[Arc<File>],
        plan: &MaskPlan,
    ) -> io::Result<Vec<u8>> {
        let offset = self.layout.packed_offset(&chunk);
        let mut packed = vec![0; chunk.packed_len()];
        let mut sum = ChunkSum::new(chunk);
        for file in files {
            read_at(file, &mut packed, offset)?;
            sum.add(&packed).map_err(io::Error::other)?;
        }
        sum.unmask(plan).map_err(io::Error::other)
    }

    /// All chunks of a vector from one on.
    pub(super) fn chunks_from(&self, first: u32) -> impl Iterator<Item = Chunk> + '_ {
        (first..self.layout.chunk_count()).filter_map(|index| self.layout.chunk(index))
    }

    /// One chunk of a vector that is complete.
    pub(super) async fn read_chunk(self: Arc<Self>, member: MemberId, chunk: Chunk) -> io::Result<Vec<u8>> {
        let file = self.spool(member)?.file.clone();
        let offset = self.layout.packed_offset(&chunk);
        blocking(move || {
            let mut packed = vec![0; chunk.packed_len()];
            read_at(&file, &mut packed, offset)?;
            Ok(packed)
        })
        .await
    }

    /// Members whose vectors are complete, with their roots.
    pub(super) fn complete(&self) -> Vec<(MemberId, Digest)> {
        let complete = |(member, spool): (&MemberId, &Spool)| {
            // whoever still writes will say so when it is done
            let written = spool.written.try_lock().ok()?;
            written.is_complete(&self.layout).then(|| (*member, vector_root(&written.digests)))
        };
        self.spools.iter().filter_map(complete).collect()
    }

    fn spool(&self, member: MemberId) -> io::Result<&Spool> {
        self.spools.get(&member).ok_or_else(|| {
            io::Error::new(io::ErrorKind::PermissionDenied, format!("{member} is not in the mask set"))
        })
    }

    /// The files with the survivors' vectors, each of which is complete.
    pub(super) fn files(&self, survivors: &SurvivorSet) -> io::Result<Vec<Arc<File>>> {
        let file = |id| {
            let spool = self.spools.get(&id).ok_or_else(|| io::Error::other(format!("no vector of {id}")))?;
            Ok(spool.file.clone())
        };
        survivors.ids().map(file).collect()
    }
}

impl Deposit {
    /// Whether the whole vector is there.
    pub(super) fn is_complete(&self) -> bool {
        self.next_chunk().is_none()
    }

    fn next_index(&self) -> u32 {
        self.written.digests.len() as u32
    }

    fn next_chunk(&self) -> Option<Chunk> {
        self.layout.chunk(self.next_index())
    }

    /// Takes the next chunk, if it is one that can be summed: a vector that cannot must never be among the
    /// certified ones.
    pub(super) async fn append(&mut self, packed: Vec<u8>) -> io::Result<()> {
        let chunk = self.next_chunk().ok_or_else(|| io::Error::other("more chunks than the vector has"))?;
        packing::check(&packed, chunk.len as usize, chunk.bits).map_err(io::Error::other)?;
        let (file, offset) = (self.file.clone(), self.written.bytes);
        let length = packed.len() as u64;
        let digest = blocking(move || {
            write_at(&file, &packed, offset)?;
            Ok(chunk_digest(&chunk, &packed))
        })
        .await?;
        self.written.digests.push(digest);
        self.written.bytes += length;
        Ok(())
    }

    /// The root, if every chunk is there.
    pub(super) fn finish(self) -> io::Result<Digest> {
        match self.next_chunk() {
            None => Ok(vector_root(&self.written.digests)),
            Some(chunk) => Err(io::Error::other(format!("chunk {} is missing", chunk.index))),
        }
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_protocol::{
        array::Dtype,
        encoding::{Reduction, VectorSpec},
    };

    /// An aggregator that passes on a spoilt vector must not make its owner look like a liar.
    #[tokio::test]
    async fn an_owner_replaces_what_others_wrote_for_it() {
        let spec = VectorSpec::default_for([(&[3u64][..], Dtype::F32)], Reduction::Sum, 3);
        let [owner, aggregator] = [MemberId([1; 32]), MemberId([2; 32])];
        let folder = tempfile::tempdir().unwrap();
        let layout = spec.layout(3, 10).unwrap();
        let length = layout.chunk(0).unwrap().packed_len();
        let intake = Intake::new(SessionId([0; 32]), layout, [owner], folder.path()).unwrap();
        let write = async |by, root, byte: u8| {
            let mut deposit = intake.resume(owner, by, root).await.unwrap();
            if deposit.next_chunk().is_some() {
                let mut packed = vec![0; length];
                packed[0] = byte;
                deposit.append(packed).await.unwrap();
            }
            deposit.finish().unwrap()
        };
        let spoilt = write(aggregator, None, 1).await;
        let true_root = write(owner, None, 2).await;
        assert_ne!(spoilt, true_root, "the owner's own vector counts");
        assert_eq!(write(aggregator, None, 1).await, true_root, "nobody replaces it");
        assert_eq!(write(owner, Some(true_root), 3).await, true_root, "it need not come twice");
    }

    /// A survivor that keeps a stream open must not hold up the sum.
    #[tokio::test]
    async fn files_are_there_while_their_owners_still_write() {
        let spec = VectorSpec::default_for([(&[3u64][..], Dtype::F32)], Reduction::Sum, 3);
        let members = [MemberId([1; 32]), MemberId([2; 32])];
        let folder = tempfile::tempdir().unwrap();
        let layout = spec.layout(3, 10).unwrap();
        let intake = Intake::new(SessionId([0; 32]), layout, members, folder.path()).unwrap();
        let _open = intake.resume(members[0], members[0], None).await.unwrap();
        let survivors = SurvivorSet(members.map(|id| (id, [0; 32])).to_vec());
        assert_eq!(intake.files(&survivors).unwrap().len(), 2);
        let stranger = SurvivorSet(vec![(MemberId([3; 32]), [0; 32])]);
        assert!(intake.files(&stranger).is_err());
    }
}
