//! Rounds among nodes of one process, through the handle that programs use.

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use consort_node::{Node, Reduce, RoundResult, Submission, SubmitError};
use consort_protocol::{
    array::{Array, Values},
    election,
    hash::Digest,
    ids::MemberId,
};
use futures::future::join_all;

use super::consortium::{Consortium, address, connected_to, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_learn_the_exact_sum() {
    let consortium = Consortium::found(4);
    let nodes = consortium.nodes(&[0, 1, 2, 3]).await;
    for round in 0..2 {
        let submissions = (0..4).map(|node| ints(&[10_i64.pow(12) * (node + 1), -node, round]));
        let results = submit(&nodes, submissions).await;
        for result in results {
            verify_sum(
                &consortium,
                &result.unwrap(),
                round as u64,
                &[0, 1, 2, 3],
                &[10_i64.pow(13), -6, 4 * round],
            );
        }
    }
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_belong_together_never_meets() {
    let log = captured_log();
    let clip = Submission { clip: Some(2.0), ..floats(&[1.0, 2.0]) };
    let label = Submission { label: Some("ward 7".into()), ..ints(&[1, 2, 3]) };
    let query: Digest = [7; 32];
    let odd_ones = [
        ("query", Submission { query, ..ints(&[1, 2, 3]) }, ints(&[1, 2, 3])),
        ("clip", clip, floats(&[1.0, 2.0])),
        ("label", label, ints(&[1, 2, 3])),
        ("shape", ints(&[1, 2]), ints(&[1, 2, 3])),
        ("dtype", floats(&[1.0, 2.0, 3.0]), ints(&[1, 2, 3])),
        ("reduction", Submission { reduce: Reduce::Mean, ..ints(&[1, 2, 3]) }, ints(&[1, 2, 3])),
    ];
    let consortium = Consortium::found(4);
    let nodes = consortium.nodes(&[0, 1, 2, 3]).await;
    for (number, (what, odd, common)) in odd_ones.into_iter().enumerate() {
        let round = 2 * number as u64;
        // the odd one aggregates neither now nor next
        let manifest = consortium.manifest();
        let first = [election::order(&manifest, round)[0], election::order(&manifest, round + 1)[0]];
        let out = (0..4).find(|index| !first.contains(&consortium.id(*index))).unwrap();
        let others: Vec<usize> = (0..4).filter(|index| *index != out).collect();

        let mut waiting = Box::pin(nodes[out].submit(copy(&odd)));
        let met = join_all(others.iter().map(|&index| nodes[index].submit(copy(&common))));
        let results = tokio::select! {
            results = within(met) => results,
            _ = &mut waiting => panic!("{what}: the odd one met somebody"),
        };
        for result in results {
            assert_eq!(members(&consortium, &result.unwrap().roster), others, "{what}");
        }
        // it has lost nothing: once the others give the same, they meet
        let met = join_all(others.iter().map(|&index| nodes[index].submit(copy(&odd))));
        let (late, results) = within(async { tokio::join!(waiting, met) }).await;
        for result in results.into_iter().chain([late]) {
            let result = result.unwrap();
            assert_eq!(
                (result.round, members(&consortium, &result.survivors)),
                (round + 1, vec![0, 1, 2, 3]),
                "{what}"
            );
        }
        let refused = log.lines_with(&["contract declined", "its task is not the one"]);
        assert!(refused > number, "{what}: {refused} refusals");
    }
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_late_takes_part_in_the_next_round() {
    let consortium = Consortium::found(4);
    let late = consortium.index(election::order(&consortium.manifest(), 0).last().unwrap());
    let early: Vec<usize> = (0..4).filter(|index| *index != late).collect();
    let mut nodes = consortium.nodes(&early).await;
    for result in submit(&nodes, (0..3).map(|_| ints(&[5]))).await {
        verify_sum(&consortium, &result.unwrap(), 0, &early, &[15]);
    }
    nodes.push(consortium.node(late, vec![address(&nodes[0]).await]));
    for node in &nodes {
        connected_to(node, 3).await;
    }
    for result in submit(&nodes, (0..4).map(|_| ints(&[5]))).await {
        verify_sum(&consortium, &result.unwrap(), 1, &[0, 1, 2, 3], &[20]);
    }
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_do_not_fit_are_refused_at_once_and_one_waits_at_a_time() {
    let consortium = Consortium::found(3);
    let node = consortium.node(0, Vec::new());
    let refused = within(node.submit(floats(&[1.0, f32::NAN]))).await;
    assert!(
        matches!(&refused, Err(SubmitError::Input(error)) if error.to_string().contains("nan at index 1"))
    );
    let refused = within(node.submit(floats(&[1.0, 17.0]))).await;
    assert!(matches!(&refused, Err(SubmitError::Input(error)) if error.to_string().contains("clip")));
    // nobody is there to sum with, so whichever comes first waits on
    let refused = within(async {
        tokio::select! {
            first = node.submit(ints(&[1])) => first,
            second = node.submit(ints(&[2])) => second,
        }
    });
    let error = refused.await.err().unwrap().to_string();
    assert!(error.contains("waiting already"), "{error}");
    within(node.shutdown()).await;
}

pub(crate) fn ints(values: &[i64]) -> Submission {
    submission(values.len(), Values::I64(values.to_vec()))
}

fn floats(values: &[f32]) -> Submission {
    submission(values.len(), Values::F32(values.to_vec()))
}

fn submission(len: usize, values: Values) -> Submission {
    let leaves = vec![Array::new(vec![len as u64], values).unwrap()];
    Submission { leaves, reduce: Reduce::Sum, label: None, query: [0; 32], clip: None }
}

fn copy(submission: &Submission) -> Submission {
    let Submission { leaves, reduce, label, query, clip } = submission;
    Submission { leaves: leaves.clone(), reduce: *reduce, label: label.clone(), query: *query, clip: *clip }
}

pub(crate) async fn submit(
    nodes: &[Node],
    submissions: impl Iterator<Item = Submission>,
) -> Vec<Result<RoundResult, SubmitError>> {
    within(join_all(nodes.iter().zip(submissions).map(|(node, submission)| node.submit(submission)))).await
}

pub(crate) fn verify_sum(
    consortium: &Consortium,
    result: &RoundResult,
    round: u64,
    who: &[usize],
    sum: &[i64],
) {
    assert_eq!(result.round, round);
    assert_eq!(members(consortium, &result.survivors), who);
    assert_eq!(members(consortium, &result.roster), who);
    let [leaf] = result.aggregate.leaves.as_slice() else { panic!("one array goes in, one comes out") };
    assert!(*leaf.values() == Values::I64(sum.to_vec()), "not {sum:?}");
}

pub(crate) fn members(consortium: &Consortium, ids: &[MemberId]) -> Vec<usize> {
    let mut indices: Vec<usize> = ids.iter().map(|id| consortium.index(id)).collect();
    indices.sort_unstable();
    indices
}

pub(crate) async fn stop(nodes: Vec<Node>) {
    for node in nodes {
        within(node.shutdown()).await;
    }
}

/// What all nodes of this process log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn lines_with(&self, parts: &[&str]) -> usize {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn captured_log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let start = || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        subscriber.with_env_filter("info,libp2p=warn").init();
        log
    };
    LOG.get_or_init(start).clone()
}
