//! Aggregators that spend less than a round takes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use consort_node::{
    Node, SubmitError,
    config::Limits,
    events::{NodeEvent, Observer},
    ledger::AttemptRecord,
};
use consort_protocol::election;

use super::{
    consortium::{Consortium, address, connected_to},
    rounds::{captured_log, ints, members, stop, submit},
};

/// Keeps how rounds ended.
#[derive(Default)]
struct Attempts(Mutex<Vec<AttemptRecord>>);

impl Observer for Attempts {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if let NodeEvent::RoundOver { attempts, .. } = event {
            self.0.lock().unwrap().extend(attempts);
        }
        Box::pin(async {})
    }
}

async fn nodes(
    consortium: &Consortium,
    limited: usize,
    limits: Limits,
    observer: &Arc<Attempts>,
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..4 {
        let peers = match nodes.first() {
            Some(first) => vec![address(first).await],
            None => Vec::new(),
        };
        let node = consortium.watched(index, peers, observer.clone());
        if index == limited {
            node.set_limits(limits);
        }
        nodes.push(node);
    }
    for node in &nodes {
        connected_to(node, 3).await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_a_round_is_left_to_the_next_and_the_log_says_why() {
    let log = captured_log();
    let consortium = Consortium::found(4);
    let first = consortium.index(&election::order(&consortium.manifest(), 0)[0]);
    let attempts = Arc::new(Attempts::default());
    let limits = Limits { round_mib: 1, ..Limits::default() };
    let nodes = nodes(&consortium, first, limits, &attempts).await;
    let numbers = vec![-5; 60_000];
    for result in submit(&nodes, (0..4).map(|_| ints(&numbers))).await {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    let attempts = attempts.0.lock().unwrap().clone();
    let completed = |attempt: &&AttemptRecord| attempt.outcome == "completed";
    assert!(attempts.iter().any(|attempt| completed(&attempt)), "{attempts:?}");
    let first = consortium.id(first);
    assert!(attempts.iter().filter(completed).all(|attempt| attempt.aggregator != first), "{attempts:?}");
    assert!(log.lines_with(&["this node passes its turn to aggregate", "limits.round_mib"]) > 0);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_wait_for_their_turn_all_arrive() {
    let consortium = Consortium::found(4);
    let first = consortium.index(&election::order(&consortium.manifest(), 0)[0]);
    let attempts = Arc::new(Attempts::default());
    let limits = Limits { uploads: 1, ..Limits::default() };
    let nodes = nodes(&consortium, first, limits, &attempts).await;
    let numbers = vec![1; 500_000];
    for result in submit(&nodes, (0..4).map(|_| ints(&numbers))).await {
        assert_eq!(members(&consortium, &result.unwrap().survivors), [0, 1, 2, 3]);
    }
    assert!(attempts.0.lock().unwrap().iter().all(|attempt| attempt.outcome == "completed"));
    stop(nodes).await;
}

#[tokio::test]
async fn an_input_over_the_memory_limit_is_refused_in_words() {
    let consortium = Consortium::found(3);
    let node = consortium.node(0, Vec::new());
    node.set_limits(Limits { memory_mib: 1, ..Limits::default() });
    let refused = node.submit(ints(&vec![1; 65_537])).await;
    assert!(
        matches!(&refused, Err(SubmitError::Limit(over)) if over.to_string().contains("takes 2 MiB")),
        "{:?}",
        refused.err().map(|error| error.to_string())
    );
    stop(vec![node]).await;
}
