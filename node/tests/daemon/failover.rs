//! Aggregators that die or hang in a phase, among nodes of one process: the others finish the round.

use std::pin::Pin;

use consort_node::{
    Node, RoundResult, SubmitError,
    events::{NodeEvent, Observer, Role},
};
use consort_protocol::{election, manifest::Policy, phase::Phase};
use futures::future::join_all;
use tokio::sync::{mpsc, watch};

use super::{
    consortium::{Consortium, within},
    rounds::{ints, members, verify_sum},
};

/// Holds whoever acts as aggregator when a phase starts on it, until it is released.
struct Hold {
    phase: Phase,
    who: usize,
    held: mpsc::UnboundedSender<usize>,
    released: watch::Receiver<bool>,
}

impl Observer for Hold {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let NodeEvent::Phase { round: 0, slot: 0, role: Role::Aggregator, phase, .. } = event
                && phase == self.phase
            {
                let _ = self.held.send(self.who);
                let _ = self.released.clone().wait_for(|released| *released).await;
            }
        })
    }
}

struct Scene {
    consortium: Consortium,
    nodes: Vec<Node>,
    held: mpsc::UnboundedReceiver<usize>,
    release: watch::Sender<bool>,
}

async fn scene(phase: Phase) -> Scene {
    let consortium = Consortium::found(4);
    let (sender, held) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let hold = |who| Hold { phase, who, held: sender.clone(), released: released.clone() };
    let nodes = consortium.all_watched(&[0, 1, 2, 3], hold).await;
    Scene { consortium, nodes, held, release }
}

type Results = Vec<Result<RoundResult, SubmitError>>;

/// One round, in which the held aggregator is dealt with; the results of the others, in order.
async fn round(scene: &mut Scene, kill: bool) -> (usize, Results) {
    let Scene { consortium, nodes, held, release } = scene;
    let first = consortium.index(&election::order(&consortium.manifest(), 0)[0]);
    let submit = |who: usize| nodes[who].submit(ints(&[10_i64.pow(who as u32), -5]));
    let others = join_all((0..4).filter(|who| *who != first).map(submit));
    let dead = submit(first);
    let fate = async {
        assert_eq!(held.recv().await, Some(first));
        if kill {
            nodes[first].network().clone().shutdown().await;
        }
    };
    tokio::pin!(dead, others);
    let results = within(async {
        let both = async { tokio::join!(fate, others).1 };
        tokio::select! {
            results = both => results,
            _ = &mut dead => panic!("a held node has no result"),
        }
    })
    .await;
    release.send_replace(true);
    (first, results)
}

async fn stop(nodes: Vec<Node>) {
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
}

fn plain_sum(who: &[usize]) -> Vec<i64> {
    vec![who.iter().map(|who| 10_i64.pow(*who as u32)).sum(), -5 * who.len() as i64]
}

fn check(consortium: &Consortium, first: usize, results: Results) {
    for result in results {
        let result = result.unwrap();
        let survivors = members(consortium, &result.survivors);
        assert!(survivors.len() >= 3, "{survivors:?}");
        let roster = members(consortium, &result.roster);
        assert!(roster.len() >= 3 && (roster.len() == 4 || !roster.contains(&first)), "{roster:?}");
        let same = RoundResult { roster: result.survivors.clone(), ..result };
        verify_sum(consortium, &same, 0, &survivors, &plain_sum(&survivors));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aggregator_may_die_in_any_phase() {
    for phase in Phase::ALL {
        let mut scene = scene(phase).await;
        let (first, results) = round(&mut scene, true).await;
        eprintln!("the aggregator died in {phase}");
        check(&scene.consortium, first, results);
        stop(scene.nodes).await;
    }
}

/// Its connections stay, it just says nothing any more; later it is back and has the result, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aggregator_may_hang_and_is_back_in_the_next_round() {
    let mut scene = scene(Phase::ConsistencyCheck).await;
    let (first, results) = round(&mut scene, false).await;
    check(&scene.consortium, first, results);
    let again = join_all(scene.nodes.iter().map(|node| async {
        // the first one's input may still be in the round that it has missed the end of
        loop {
            match node.submit(ints(&[7, 7])).await {
                Err(SubmitError::Failed(reason)) if reason.contains("waiting already") => {
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
    }));
    for result in within(again).await {
        verify_sum(&scene.consortium, &result.unwrap(), 1, &[0, 1, 2, 3], &[28, 28]);
    }
    stop(scene.nodes).await;
}

/// It is connected and says that it has nothing, so the others do not wait until a phase would be over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_input_holds_nobody_up_when_its_turn_comes() {
    // longer than the test would wait
    let policy = Policy { gather_ms: 1_000, deadline_ms: 1_000_000, ..Policy::default() };
    let consortium = Consortium::with_policy(4, policy);
    let nodes = consortium.nodes(&[0, 1, 2, 3]).await;
    let idle = consortium.index(&election::order(&consortium.manifest(), 0)[0]);
    let others: Vec<usize> = (0..4).filter(|who| *who != idle).collect();
    let results = join_all(others.iter().map(|who| nodes[*who].submit(ints(&[10_i64.pow(*who as u32), -5]))));
    for result in within(results).await {
        verify_sum(&consortium, &result.unwrap(), 0, &others, &plain_sum(&others));
    }
    stop(nodes).await;
}
