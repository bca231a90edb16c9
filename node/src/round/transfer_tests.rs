//! Vectors on their way to the aggregator, and sums on their way back, over streams that break, stall and lie.

use std::{io, sync::Arc, time::Duration};

use consort_protocol::{
    array::Values,
    encoding::Aggregate,
    hash::Digest,
    ids::SessionId,
    messages::{consistency_check::SurvivorSet, masked_input::chunk_digest},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::{ACCEPTED, Request, read_message, write_message},
    fetch,
    intake::Intake,
    places::Places,
    results::Results,
    serve::{Trusted, serve},
    testing::{Round, SESSION, stream},
    upload::{deposit, send},
};

fn places() -> Places {
    Places::default().of(8)
}

/// What came of serving a stream, and how many bytes were read from it.
pub(super) type Served = (io::Result<Option<Digest>>, u64);

/// The far side of a node: what it takes in and gives out.
pub(super) struct Aggregator {
    folder: TempDir,
    pub(super) intake: Arc<Intake>,
    results: Arc<Results>,
    ended: CancellationToken,
    trusted: Arc<Trusted>,
}

impl Aggregator {
    /// One that takes vectors of all members but the last.
    fn new(round: &Round) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let members = round.ids().take(4);
        let intake = Intake::new(SESSION, round.layout.clone(), members, folder.path()).unwrap();
        let results = Arc::new(Results::open(folder.path()).unwrap());
        let (ended, trusted) = Default::default();
        Self { folder, intake: Arc::new(intake), results, ended, trusted }
    }

    /// One that has taken over, and needs the vector of member 0 in particular.
    pub(super) fn resuming(round: &Round) -> Self {
        let root = round.root(&round.chunks(&round.source(0)));
        let required = [(round.id(0), root)].into();
        Self { trusted: Arc::new(Trusted { required, ..Trusted::default() }), ..Self::new(round) }
    }

    /// Member 2, who stands by for this one.
    pub(super) fn standing_by(round: &Round, aggregator: usize) -> Self {
        let (me, aggregator) = (Some(round.id(2)), Some(round.id(aggregator)));
        let trusted = Trusted { me, aggregator, ..Trusted::default() };
        Self { trusted: Arc::new(trusted), ..Self::new(round) }
    }

    /// Serves a stream of a member, which breaks after `limit` bytes; gives what came of it, and how many
    /// bytes were read.
    pub(super) fn serve(
        &self,
        round: &Round,
        number: usize,
        limit: u64,
    ) -> (DuplexStream, JoinHandle<Served>) {
        let (mut near, far) = stream(limit);
        let (from, intake) = (round.id(number), self.intake.clone());
        let (results, ended) = (self.results.clone(), self.ended.clone());
        let trusted = self.trusted.clone();
        let served = async move {
            let outcome = serve(&mut near, from, Some(intake), &ended, &results, &trusted, &places()).await;
            let outcome = outcome.map(|complete| complete.map(|it| it.root));
            (outcome, limit - near.reader().limit())
        };
        (far, tokio::spawn(served))
    }

    async fn upload(&self, round: &Round, number: usize) -> Digest {
        let (far, served) = self.serve(round, number, u64::MAX);
        send(&round.source(number), far, &mut Vec::new()).await.unwrap();
        served.await.unwrap().0.unwrap().unwrap()
    }

    async fn sum(&self, round: &Round, numbers: &[usize]) -> Digest {
        let root = |number| round.root(&round.chunks(&round.source(number)));
        let survivors = numbers.iter().map(|&number| (round.id(number), root(number)));
        let survivors = SurvivorSet { mask_set: [0; 32], vectors: survivors.collect() };
        let plan = Round::unmasking(numbers.iter().copied());
        let layout = round.layout.clone();
        self.results.clone().sum(self.intake.clone(), layout, survivors, plan).await.unwrap()
    }
}

fn request_bytes() -> u64 {
    let request = consort_protocol::codec::encode(&Request::Upload(SESSION, None)).unwrap();
    request.len() as u64 + 2
}

fn assert_is_sum_of(aggregate: &Aggregate, numbers: &[usize]) {
    let mut expected = vec![0i64; Round::values(0).len()];
    for &number in numbers {
        for (sum, value) in expected.iter_mut().zip(Round::values(number)) {
            *sum += i64::from(value);
        }
    }
    assert!(*aggregate.leaves[0].values() == Values::I64(expected), "not the sum of {numbers:?}");
}

#[tokio::test]
async fn vectors_of_different_members_arrive_and_their_sum_is_exact() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    for number in 0..3 {
        let root = aggregator.upload(&round, number).await;
        assert_eq!(root, round.root(&round.chunks(&round.source(number))), "member {number}");
    }
    let own = deposit(round.source(3), round.id(3), aggregator.intake.clone()).await.unwrap();
    assert_eq!(own, round.root(&round.chunks(&round.source(3))));
    for numbers in [&[0, 1, 2, 3][..], &[0, 3], &[1, 2, 3]] {
        let root = aggregator.sum(&round, numbers).await;
        let sum = aggregator.results.get(&root).unwrap();
        assert_is_sum_of(&sum.decode(&round.terms(), numbers.len()).unwrap(), numbers);
    }
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_where_it_stopped() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let source = round.source(0);
    let chunks = round.chunks(&source);
    let mut digests = Vec::new();
    // it breaks in the middle of the third chunk
    let two = (chunks[0].len() + chunks[1].len()) as u64;
    let (far, served) = aggregator.serve(&round, 0, request_bytes() + two + 1000);
    send(&source, far, &mut digests).await.unwrap_err();
    served.await.unwrap().0.unwrap_err();
    // whole chunks are kept, so only the rest is sent again
    let rest: usize = chunks[2..].iter().map(Vec::len).sum();
    let (far, served) = aggregator.serve(&round, 0, u64::MAX);
    send(&source, far, &mut digests).await.unwrap();
    let (outcome, read) = served.await.unwrap();
    assert_eq!(outcome.unwrap(), Some(round.root(&chunks)));
    assert_eq!(read, request_bytes() + rest as u64);
    assert_eq!(digests.len(), chunks.len());
    // the answer may be lost too: asked again, nothing is sent again
    let (far, served) = aggregator.serve(&round, 0, u64::MAX);
    send(&source, far, &mut digests).await.unwrap();
    let (outcome, read) = served.await.unwrap();
    assert_eq!((outcome.unwrap(), read), (Some(round.root(&chunks)), request_bytes()));
}

#[tokio::test]
async fn an_upload_for_another_session_or_by_a_stranger_to_the_mask_set_is_refused() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SessionId([6; 32]), None)).await.unwrap();
    assert!(served.await.unwrap().0.unwrap_err().to_string().contains("no session of mine"));
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "no chunk is asked for");
    let (far, served) = aggregator.serve(&round, 4, u64::MAX);
    send(&round.source(4), far, &mut Vec::new()).await.unwrap_err();
    assert_eq!(served.await.unwrap().0.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    // a node that aggregates nothing
    let (mut far, near) = tokio::io::duplex(1 << 16);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    let served = serve(
        near,
        round.id(0),
        None,
        &aggregator.ended,
        &aggregator.results,
        &Trusted::default(),
        &places(),
    )
    .await;
    assert!(served.unwrap_err().to_string().contains("no session of mine"));
}

#[tokio::test]
async fn a_vector_that_ends_early_is_not_complete_and_does_not_stand_in_the_way() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let chunks = round.chunks(&round.source(0));
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    far.write_all(&chunks[..5].concat()).await.unwrap();
    far.write_all(&chunks[5][1..]).await.unwrap();
    drop(far);
    assert_eq!(served.await.unwrap().0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(aggregator.intake.complete().is_empty(), "one chunk is missing");
    aggregator.upload(&round, 1).await;
}

#[tokio::test]
async fn a_chunk_that_could_not_be_summed_is_refused_as_it_arrives() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let mut chunks = round.chunks(&round.source(0));
    let last = chunks[5].last_mut().unwrap();
    assert_eq!(*last & 0x80, 0, "the last element leaves bits of the last byte unused");
    *last |= 0x80;
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    far.write_all(&chunks.concat()).await.unwrap();
    served.await.unwrap().0.unwrap_err();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "not accepted");
    assert!(aggregator.intake.complete().is_empty());
}

#[tokio::test]
async fn bytes_beyond_the_vector_are_not_read() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let chunks = round.chunks(&round.source(0));
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    far.write_all(&chunks.concat()).await.unwrap();
    let _ = far.write_all(&[0; 1000]).await;
    let (outcome, read) = served.await.unwrap();
    assert_eq!(outcome.unwrap(), Some(round.root(&chunks)));
    assert_eq!(read, request_bytes() + round.layout.packed_len());
    assert_eq!(far.read_u8().await.unwrap(), ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_upload_ends_with_an_error_and_holds_nobody_up() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let began = tokio::time::Instant::now();
    let (mut silent, never_asked) = aggregator.serve(&round, 1, u64::MAX);
    let (mut far, stalled) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    far.write_all(&[0; 100]).await.unwrap();
    aggregator.upload(&round, 2).await;
    assert!(!stalled.is_finished(), "somebody else's vector passes it by");
    assert_eq!(stalled.await.unwrap().0.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(never_asked.await.unwrap().0.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(60), "on the paused clock: well within a phase");
}

/// A connection may be dead long before that is noticed; the member is back on another one by then.
#[tokio::test(start_paused = true)]
async fn a_newer_stream_of_a_member_takes_over_from_a_stalled_one() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let chunks = round.chunks(&round.source(0));
    let (mut far, stalled) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    far.write_all(&chunks[0]).await.unwrap();
    far.write_all(&chunks[1][..100]).await.unwrap();
    let began = tokio::time::Instant::now();
    let (again, served) = aggregator.serve(&round, 0, u64::MAX);
    send(&round.source(0), again, &mut vec![chunk_digest(&round.layout.chunk(0).unwrap(), &chunks[0])])
        .await
        .unwrap();
    assert_eq!(served.await.unwrap().0.unwrap(), Some(round.root(&chunks)));
    assert_eq!(began.elapsed().as_secs(), 0, "on the paused clock: nobody waited for a time-out");
    assert!(stalled.await.unwrap().0.unwrap_err().to_string().contains("newer stream"));
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_stalls_is_given_up() {
    let round = Round::new();
    let (far, mut near) = tokio::io::duplex(1 << 16);
    let sent = tokio::spawn({
        let source = round.source(0);
        async move { send(&source, far, &mut Vec::new()).await }
    });
    assert_eq!(read_message::<Request>(&mut near).await.unwrap(), Request::Upload(SESSION, None));
    write_message(&mut near, &0u32).await.unwrap();
    // it reads nothing, and says nothing
    assert_eq!(sent.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// What an aggregator says that it has need not come again, whoever sent it; a member's word is for all of
/// its vector all the same.
#[tokio::test]
async fn a_member_signs_for_its_whole_vector_whatever_it_is_asked_for() {
    let round = Round::new();
    let root = Aggregator::new(&round).upload(&round, 0).await;
    for first in [1, 6] {
        let (far, mut near) = tokio::io::duplex(1 << 23);
        let source = round.source(0);
        let sent = tokio::spawn(async move { send(&source, far, &mut Vec::new()).await });
        assert_eq!(read_message::<Request>(&mut near).await.unwrap(), Request::Upload(SESSION, None));
        write_message(&mut near, &first).await.unwrap();
        near.write_all(&[ACCEPTED]).await.unwrap();
        assert_eq!(sent.await.unwrap().unwrap(), root, "{first}");
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        let expected: usize = (first..6).map(|index| round.layout.chunk(index).unwrap().packed_len()).sum();
        assert_eq!(rest.len(), expected);
    }
}

#[tokio::test]
async fn an_aggregator_cannot_ask_for_chunks_that_there_are_not() {
    let round = Round::new();
    let (far, mut near) = tokio::io::duplex(1 << 16);
    let source = round.source(0);
    let sent = tokio::spawn(async move { send(&source, far, &mut Vec::new()).await });
    assert_eq!(read_message::<Request>(&mut near).await.unwrap(), Request::Upload(SESSION, None));
    write_message(&mut near, &7u32).await.unwrap();
    assert!(sent.await.unwrap().unwrap_err().to_string().contains("chunk 7 of 6"));
}

#[tokio::test]
async fn an_upload_ends_with_its_attempt() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    aggregator.ended.cancel();
    assert!(served.await.unwrap().0.unwrap_err().to_string().contains("attempt ended"));
}

#[tokio::test]
async fn requests_are_bounded_before_memory_is_taken_and_malformed_ones_are_refused() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    far.write_all(&1025u16.to_le_bytes()).await.unwrap();
    let (outcome, read) = served.await.unwrap();
    assert!(outcome.unwrap_err().to_string().contains("1025 bytes"));
    assert_eq!(read, 2, "nothing is read beyond the length");
    for garbage in [&[][..], &[9; 40], &[0; 20], &[0; 1024]] {
        let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
        far.write_all(&(garbage.len() as u16).to_le_bytes()).await.unwrap();
        far.write_all(garbage).await.unwrap();
        served.await.unwrap().0.unwrap_err();
    }
}

/// A member that has no sum yet.
struct Member {
    folder: TempDir,
    results: Arc<Results>,
}

impl Member {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let results = Arc::new(Results::open(folder.path()).unwrap());
        Self { folder, results }
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[tokio::test]
async fn a_sum_is_fetched_decoded_and_served_on() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    for number in 0..3 {
        aggregator.upload(&round, number).await;
    }
    let root = aggregator.sum(&round, &[0, 1, 2]).await;
    let (first, second) = (Member::new(), Member::new());
    let (far, served) = aggregator.serve(&round, 0, u64::MAX);
    let sum = fetch::receive(far, &first.results, &round.layout, root).await.unwrap();
    assert_eq!(served.await.unwrap().0.unwrap(), None);
    assert_is_sum_of(&sum.decode(&round.terms(), 3).unwrap(), &[0, 1, 2]);
    let (far, near) = tokio::io::duplex(1 << 16);
    let (results, from) = (first.results.clone(), round.id(1));
    tokio::spawn(async move {
        serve(near, from, None, &CancellationToken::new(), &results, &Trusted::default(), &places()).await
    });
    let sum = fetch::receive(far, &second.results, &round.layout, root).await.unwrap();
    assert_is_sum_of(&sum.decode(&round.terms(), 3).unwrap(), &[0, 1, 2]);
    assert!(aggregator.folder.path().join(format!("{}.sum", hex::encode(&root[..16]))).exists());
}

#[tokio::test]
async fn a_sum_with_another_root_is_refused_and_removed() {
    let round = Round::new();
    let chunks = round.chunks(&round.source(0));
    let member = Member::new();
    let mut forged = chunks.clone();
    forged[3][7] ^= 1;
    for (sent, error) in [
        (forged.concat(), "what it sent has another root"),
        (chunks.concat()[1..].to_vec(), "early eof"),
        (Vec::new(), "early eof"),
    ] {
        let (far, mut near) = tokio::io::duplex(1 << 20);
        let giver = tokio::spawn(async move {
            read_message::<Request>(&mut near).await.unwrap();
            near.write_u8(ACCEPTED).await.unwrap();
            near.write_all(&sent).await.unwrap();
        });
        let fetched = fetch::receive(far, &member.results, &round.layout, round.root(&chunks)).await;
        assert_eq!(fetched.err().unwrap().to_string(), error);
        giver.await.unwrap();
        assert!(member.results.get(&round.root(&chunks)).is_none());
        assert_eq!(member.files(), 0);
    }
}

#[tokio::test]
async fn a_node_that_does_not_have_the_sum_says_so_by_closing() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    let member = Member::new();
    let (far, served) = aggregator.serve(&round, 0, u64::MAX);
    assert!(fetch::receive(far, &member.results, &round.layout, [9; 32]).await.is_err());
    assert!(served.await.unwrap().0.unwrap_err().to_string().contains("not here"));
    assert_eq!(member.files(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_stalls_while_giving_or_taking_a_sum_is_given_up() {
    let round = Round::new();
    let aggregator = Aggregator::new(&round);
    aggregator.upload(&round, 0).await;
    let root = aggregator.sum(&round, &[0]).await;
    let (mut far, served) = aggregator.serve(&round, 0, u64::MAX);
    write_message(&mut far, &Request::Fetch(root)).await.unwrap();
    assert_eq!(served.await.unwrap().0.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let member = Member::new();
    let (far, mut near) = tokio::io::duplex(1 << 16);
    near.write_all(&[ACCEPTED, 0, 0]).await.unwrap();
    let fetched = fetch::receive(far, &member.results, &round.layout, root).await;
    assert_eq!(fetched.err().unwrap().kind(), io::ErrorKind::TimedOut);
    assert_eq!(member.files(), 0);
}
