//! Where masked vectors of one session are kept until their sum can be unmasked.
//!
//! Each is an anonymous temporary file in the node's home: vectors are masked, so a disk may hold them, memory need
//! not, and the files vanish with the process. Who survives is decided late, so no vector can be added up as it
//! arrives.
//!
//! A vector is known by its owner and its root. Whoever passes one on may have spoilt it, so each sender's is kept
//! beside the others', nothing that is complete is ever replaced, and what is summed is looked up by the certified
//! roots.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use consort_protocol::{
    bulk::ChunkSum,
    encoding::{Chunk, Layout, packing},
    hash::Digest,
    ids::{MemberId, SessionId},
    io::Work,
    masking::MaskPlan,
    messages::{
        consistency_check::SurvivorSet,
        masked_input::{chunk_digest, vector_root},
    },
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    bulk::{ACCEPTED, blocking, patient, write_message},
    senders::{Senders, Turn},
};

/// Vectors of one owner that are kept although others have passed them on: with a few spoilt ones, a true one still
/// finds room.
const COPIES: usize = 4;

/// Vectors of one session.
pub(super) struct Intake {
    session: SessionId,
    layout: Layout,
    members: BTreeSet<MemberId>,
    folder: PathBuf,
    /// By owner and sender.
    whole: Mutex<BTreeMap<(MemberId, MemberId), Whole>>,
    pub(super) senders: Senders,
}

/// A vector that is all there.
struct Whole {
    root: Digest,
    file: Arc<File>,
}

/// A vector that a stream is to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) owner: MemberId,
    pub(super) by: MemberId,
    /// Its root, as far as it is known.
    pub(super) root: Option<Digest>,
}

/// A vector that is all there, for whoever acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) owner: MemberId,
    pub(super) root: Digest,
    /// Whether its owner has sent it.
    pub(super) from_owner: bool,
}

/// A vector of which not all is there.
pub(super) struct Partial {
    owner: MemberId,
    file: Arc<File>,
    /// Hashes of the chunks that are on file.
    digests: Vec<Digest>,
    bytes: u64,
}

impl Arrived {
    /// What the aggregator on this node hears of it.
    pub(super) fn work(&self) -> Work {
        match self.from_owner {
            true => Work::Received(self.owner, self.root),
            false => Work::PassedOn(self.owner, self.root),
        }
    }
}

impl Intake {
    /// Vectors of these members.
    pub(super) fn new(
        session: SessionId,
        layout: Layout,
        members: impl IntoIterator<Item = MemberId>,
        folder: &Path,
    ) -> io::Result<Self> {
        // a folder that takes no files shows now
        tempfile::tempfile_in(folder)?;
        let (members, folder) = (members.into_iter().collect(), folder.to_path_buf());
        Ok(Self { session, layout, members, folder, whole: Mutex::default(), senders: Senders::default() })
    }

    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads a member's vector to its end, unless it is here; gives its root.
    pub(super) async fn receive(
        &self,
        turn: &Turn,
        expected: Expected,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<Digest> {
        let known = self.find(&expected);
        let root = match known {
            Some(root) => {
                write_message(&mut stream, &self.layout.chunk_count()).await?;
                root
            }
            None => {
                let mut deposit = self.deposit(turn, expected).await?;
                let _writing = self.senders.writing(expected.owner, expected.by);
                write_message(&mut stream, &deposit.next_index()).await?;
                while let Some(chunk) = deposit.next_chunk() {
                    let mut packed = vec![0; chunk.packed_len()];
                    turn.until_over(patient(stream.read_exact(&mut packed))).await?;
                    deposit.append(packed).await?;
                }
                deposit.finish()?
            }
        };
        patient(stream.write_all(&[ACCEPTED])).await?;
        patient(stream.flush()).await?;
        Ok(root)
    }

    /// Goes on with a sender's vector where it stopped.
    pub(super) async fn deposit(&self, turn: &Turn, expected: Expected) -> io::Result<Deposit<'_>> {
        self.may_take(&expected)?;
        let mut partial = turn.until_over(async { Ok(turn.partial().await) }).await?;
        if partial.as_ref().is_none_or(|partial| partial.owner != expected.owner) {
            let file = Arc::new(tempfile::tempfile_in(&self.folder)?);
            *partial = Some(Partial { owner: expected.owner, file, digests: Vec::new(), bytes: 0 });
        }
        Ok(Deposit { intake: self, expected, partial })
    }

    /// Root of a vector that need not come: it is here, or its sender has sent all of it before.
    pub(super) fn find(&self, expected: &Expected) -> Option<Digest> {
        let whole = self.whole();
        match expected.root {
            Some(root) => of(&whole, &expected.owner).any(|it| it.root == root).then_some(root),
            None => whole.get(&(expected.owner, expected.by)).map(|it| it.root),
        }
    }

    fn may_take(&self, expected: &Expected) -> io::Result<()> {
        let Expected { owner, by, .. } = expected;
        if !self.members.contains(owner) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{owner} is not in the mask set"),
            ));
        }
        let whole = self.whole();
        if whole.contains_key(&(*owner, *by)) {
            return Err(io::Error::other("another vector of this member than the one that it sent before"));
        }
        let copies = whole.keys().filter(|(of, sender)| of == owner && sender != owner).count();
        if owner != by && copies >= COPIES {
            return Err(io::Error::other("enough others have passed on a vector of this member"));
        }
        Ok(())
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
    pub(super) async fn read_chunk(
        self: Arc<Self>,
        owner: MemberId,
        root: Digest,
        chunk: Chunk,
    ) -> io::Result<Vec<u8>> {
        let file = self.file(&owner, &root)?;
        let offset = self.layout.packed_offset(&chunk);
        blocking(move || {
            let mut packed = vec![0; chunk.packed_len()];
            read_at(&file, &mut packed, offset)?;
            Ok(packed)
        })
        .await
    }

    /// Vectors that are all here.
    pub(super) fn complete(&self) -> Vec<Arrived> {
        let arrived = |((owner, by), it): (&(MemberId, MemberId), &Whole)| Arrived {
            owner: *owner,
            root: it.root,
            from_owner: owner == by,
        };
        self.whole().iter().map(arrived).collect()
    }

    fn file(&self, owner: &MemberId, root: &Digest) -> io::Result<Arc<File>> {
        let whole = self.whole();
        let found = of(&whole, owner).find(|it| it.root == *root).map(|it| it.file.clone());
        found.ok_or_else(|| io::Error::other(format!("no vector of {owner} with the certified root")))
    }

    /// The files with the survivors' vectors: those with the certified roots.
    pub(super) fn files(&self, survivors: &SurvivorSet) -> io::Result<Vec<Arc<File>>> {
        survivors.vectors.iter().map(|(owner, root)| self.file(owner, root)).collect()
    }

    fn whole(&self) -> MutexGuard<'_, BTreeMap<(MemberId, MemberId), Whole>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of<'a>(
    whole: &'a BTreeMap<(MemberId, MemberId), Whole>,
    owner: &MemberId,
) -> impl Iterator<Item = &'a Whole> {
    let all = (*owner, MemberId([0; 32]))..=(*owner, MemberId([0xff; 32]));
    whole.range(all).map(|(_, it)| it)
}

/// One member's vector, being written.
pub(super) struct Deposit<'a> {
    intake: &'a Intake,
    expected: Expected,
    partial: tokio::sync::OwnedMutexGuard<Option<Partial>>,
}

impl Deposit<'_> {
    pub(super) fn next_index(&self) -> u32 {
        self.partial.as_ref().map_or(0, |partial| partial.digests.len() as u32)
    }

    fn next_chunk(&self) -> Option<Chunk> {
        self.intake.layout.chunk(self.next_index())
    }

    /// Takes the next chunk, if it is one that can be summed: a vector that cannot must never be among the
    /// certified ones.
    pub(super) async fn append(&mut self, packed: Vec<u8>) -> io::Result<()> {
        let chunk = self.next_chunk().ok_or_else(|| io::Error::other("more chunks than the vector has"))?;
        let partial = self.partial.as_mut().ok_or_else(|| io::Error::other("no vector was begun"))?;
        packing::check(&packed, chunk.len as usize, chunk.bits).map_err(io::Error::other)?;
        let (file, offset) = (partial.file.clone(), partial.bytes);
        let length = packed.len() as u64;
        let digest = blocking(move || {
            write_at(&file, &packed, offset)?;
            Ok(chunk_digest(&chunk, &packed))
        })
        .await?;
        partial.digests.push(digest);
        partial.bytes += length;
        Ok(())
    }

    /// Keeps the vector, if every chunk is there and it is the one that was expected; gives its root.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        if let Some(chunk) = self.next_chunk() {
            return Err(io::Error::other(format!("chunk {} is missing", chunk.index)));
        }
        let partial = self.partial.take().ok_or_else(|| io::Error::other("no vector was begun"))?;
        let root = vector_root(&partial.digests);
        if self.expected.root.is_some_and(|expected| expected != root) {
            return Err(io::Error::other("what it sent has another root than it was to have"));
        }
        let key = (self.expected.owner, self.expected.by);
        self.intake.whole().entry(key).or_insert(Whole { root, file: partial.file });
        self.intake.senders.arrived();
        Ok(root)
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

    const OWNER: MemberId = MemberId([1; 32]);

    fn intake(folder: &Path) -> Intake {
        let spec = VectorSpec::default_for([(&[3u64][..], Dtype::F32)], Reduction::Sum, 3);
        let layout = spec.layout(3, 10).unwrap();
        Intake::new(SessionId([0; 32]), layout, [OWNER, MemberId([2; 32])], folder).unwrap()
    }

    async fn write(intake: &Intake, by: MemberId, root: Option<Digest>, byte: u8) -> io::Result<Digest> {
        let expected = Expected { owner: OWNER, by, root };
        if let Some(root) = intake.find(&expected) {
            return Ok(root);
        }
        let turn = intake.senders.turn(OWNER, by);
        let mut deposit = intake.deposit(&turn, expected).await?;
        let mut packed = vec![0; deposit.next_chunk().unwrap().packed_len()];
        packed[0] = byte;
        deposit.append(packed).await?;
        deposit.finish()
    }

    /// An aggregator that passes on a spoilt vector must not make its owner look like a liar, and an owner that has
    /// second thoughts must not change what is certified.
    #[tokio::test]
    async fn every_vector_is_kept_under_its_root_and_none_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let intake = intake(folder.path());
        let aggregator = MemberId([2; 32]);
        let spoilt = write(&intake, aggregator, None, 1).await.unwrap();
        let sent = write(&intake, OWNER, None, 2).await.unwrap();
        assert_ne!(spoilt, sent);
        let arrived = |root, from_owner| Arrived { owner: OWNER, root, from_owner };
        assert_eq!(intake.complete(), [arrived(sent, true), arrived(spoilt, false)]);
        assert_eq!(write(&intake, OWNER, None, 3).await.unwrap(), sent, "it need not come twice");
        write(&intake, OWNER, Some([7; 32]), 3).await.unwrap_err();
        assert_eq!(write(&intake, MemberId([3; 32]), Some(sent), 4).await.unwrap(), sent);
        let file = |root| intake.files(&SurvivorSet { mask_set: [0; 32], vectors: vec![(OWNER, root)] });
        let mut first = [0];
        read_at(&file(sent).unwrap()[0], &mut first, 0).unwrap();
        assert_eq!(first, [2]);
        assert!(file([7; 32]).is_err(), "nothing else is summed");
    }

    #[tokio::test]
    async fn what_is_passed_on_is_bounded_whoever_passes_it_on() {
        let folder = tempfile::tempdir().unwrap();
        let intake = intake(folder.path());
        for sender in 0..COPIES as u8 {
            write(&intake, MemberId([10 + sender; 32]), None, sender).await.unwrap();
        }
        write(&intake, MemberId([9; 32]), None, 9).await.unwrap_err();
        let own = write(&intake, OWNER, None, 200).await.unwrap();
        assert_eq!(write(&intake, MemberId([9; 32]), Some(own), 9).await.unwrap(), own);
    }

    #[tokio::test]
    async fn one_that_is_not_what_was_expected_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let intake = intake(folder.path());
        let refused = write(&intake, MemberId([2; 32]), Some([7; 32]), 1).await.unwrap_err();
        assert!(refused.to_string().contains("another root"), "{refused}");
        assert!(intake.complete().is_empty());
    }

    /// A survivor that keeps a stream open must not hold up the sum.
    #[tokio::test]
    async fn files_are_there_while_others_still_write() {
        let folder = tempfile::tempdir().unwrap();
        let intake = intake(folder.path());
        let root = write(&intake, OWNER, None, 1).await.unwrap();
        let other = MemberId([2; 32]);
        let turn = intake.senders.turn(OWNER, other);
        let _open = intake.deposit(&turn, Expected { owner: OWNER, by: other, root: None }).await.unwrap();
        assert_eq!(
            intake.files(&SurvivorSet { mask_set: [0; 32], vectors: vec![(OWNER, root)] }).unwrap().len(),
            1
        );
    }
}
