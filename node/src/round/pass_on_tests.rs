//! Vectors that others than their owners bring: to a standby, and to an aggregator that took over.

use std::{io, time::Duration};

use consort_protocol::{hash::Digest, messages::consistency_check::SurvivorSet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{
    bulk::{ACCEPTED, Request, read_message, write_message},
    testing::{Round, SESSION},
    transfer_tests::Aggregator,
};

/// Passes on the vector of member 0, as having this root.
async fn pass_on(
    mut far: DuplexStream,
    round: &Round,
    root: Digest,
    chunks: &[Vec<u8>],
    pause: Duration,
) -> io::Result<u8> {
    write_message(&mut far, &Request::PassOn(SESSION, round.id(0), root)).await?;
    let first: u32 = read_message(&mut far).await?;
    for chunk in chunks.iter().skip(first as usize) {
        tokio::time::sleep(pause).await;
        far.write_all(chunk).await?;
    }
    far.read_u8().await
}

/// Whoever has the vector of member 0, and whoever says so.
struct Holders {
    round: Round,
    right: Vec<Vec<u8>>,
    wrong: Vec<Vec<u8>>,
    root: Digest,
}

impl Holders {
    fn new() -> Self {
        let round = Round::new();
        let (right, wrong) = (round.chunks(&round.source(0)), round.chunks(&round.source(1)));
        Self { root: round.root(&right), round, right, wrong }
    }

    /// The answer, and how many bytes were read.
    async fn pass_on(
        &self,
        to: &Aggregator,
        by: usize,
        chunks: &[Vec<u8>],
        pause: Duration,
    ) -> (io::Result<u8>, u64) {
        let (far, served) = to.serve(&self.round, by, u64::MAX);
        let answer = pass_on(far, &self.round, self.root, chunks, pause).await;
        (answer, served.await.unwrap().1)
    }

    fn is_complete(&self, at: &Aggregator) -> bool {
        let survivors = SurvivorSet { mask_set: [0; 32], vectors: vec![(self.round.id(0), self.root)] };
        at.intake.files(&survivors).is_ok()
    }
}

/// Or any peer could have the others' uploads begin again for ever.
#[tokio::test(start_paused = true)]
async fn whoever_passes_a_vector_on_waits_for_one_that_is_on_its_way() {
    let holders = Holders::new();
    let aggregator = Aggregator::resuming(&holders.round);
    let second = Duration::from_millis(400);
    let first = holders.pass_on(&aggregator, 0, &holders.right, second);
    let (first, others) = tokio::join!(first, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        holders.pass_on(&aggregator, 1, &holders.right, Duration::ZERO).await
    });
    assert_eq!((first.0.unwrap(), others.0.unwrap()), (ACCEPTED, ACCEPTED));
    let asked = Request::PassOn(SESSION, holders.round.id(0), holders.root);
    let asked = consort_protocol::codec::encode(&asked).unwrap().len() as u64 + 2;
    assert_eq!(others.1, asked, "it is here by then");
}

/// Nobody's stream stands in the way of another one with the same vector for long, whatever it brings.
#[tokio::test(start_paused = true)]
async fn whoever_dawdles_with_a_vector_holds_nobody_up() {
    for dawdler in [0, 1] {
        let holders = Holders::new();
        let aggregator = Aggregator::resuming(&holders.round);
        let began = tokio::time::Instant::now();
        let slowly = holders.pass_on(&aggregator, dawdler, &holders.wrong, Duration::from_secs(9));
        let (slowly, passed) = tokio::join!(slowly, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let passed = holders.pass_on(&aggregator, 2, &holders.right, Duration::ZERO).await;
            (passed, began.elapsed().as_secs())
        });
        assert_eq!(passed.0.0.unwrap(), ACCEPTED);
        assert!(passed.1 < 9, "after {} s", passed.1);
        assert!(slowly.0.is_err() && holders.is_complete(&aggregator));
    }
}

#[tokio::test]
async fn another_vector_than_the_one_that_was_voted_for_is_dropped_even_its_owners() {
    let holders = Holders::new();
    let aggregator = Aggregator::resuming(&holders.round);
    for liar in [0, 1] {
        assert!(holders.pass_on(&aggregator, liar, &holders.wrong, Duration::ZERO).await.0.is_err());
    }
    let (mut far, served) = aggregator.serve(&holders.round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, Some([7; 32]))).await.unwrap();
    assert!(served.await.unwrap().0.unwrap_err().to_string().contains("voted for"));
    assert!(!holders.is_complete(&aggregator));
    assert_eq!(holders.pass_on(&aggregator, 2, &holders.right, Duration::ZERO).await.0.unwrap(), ACCEPTED);
    assert!(holders.is_complete(&aggregator));
}

/// What a standby has signed for stays, whatever its owner sends afterwards; and the owner's stream keeps the
/// aggregator's out at no time.
#[tokio::test(start_paused = true)]
async fn an_owner_does_not_take_back_what_a_standby_holds() {
    let holders = Holders::new();
    let standby = Aggregator::standing_by(&holders.round, 3);
    let (mut far, open) = standby.serve(&holders.round, 0, u64::MAX);
    write_message(&mut far, &Request::Upload(SESSION, None)).await.unwrap();
    assert_eq!(read_message::<u32>(&mut far).await.unwrap(), 0);
    let passed = holders.pass_on(&standby, 3, &holders.right, Duration::ZERO).await;
    assert_eq!(passed.0.unwrap(), ACCEPTED);
    far.write_all(&holders.wrong.concat()).await.unwrap();
    assert_eq!(open.await.unwrap().0.unwrap(), Some(holders.round.root(&holders.wrong)));
    assert!(holders.is_complete(&standby), "both are kept");
    // nobody else has a vector of another member, and none of this node's own comes from anybody
    assert!(holders.pass_on(&standby, 2, &holders.right, Duration::ZERO).await.0.is_err());
    let (mut far, served) = standby.serve(&holders.round, 3, u64::MAX);
    write_message(&mut far, &Request::PassOn(SESSION, holders.round.id(2), [0; 32])).await.unwrap();
    assert!(served.await.unwrap().0.unwrap_err().to_string().contains("own vector"));
}
