//! A member dies in the middle of a round over labelled data: there is no sum without it, and the inputs of the others
//! wait until it is back.

use std::pin::Pin;

use consort_node::{
    Submission,
    events::{NodeEvent, Observer, Role},
};
use consort_protocol::{election, phase::Phase};
use futures::future::join_all;
use tokio::sync::{mpsc, watch};

use super::{
    consortium::{Consortium, address, within},
    rounds::{ints, stop, verify_sum},
};

/// Holds one member when the vectors of round 1 are due, and tells how rounds end.
struct Watch {
    who: usize,
    victim: usize,
    held: mpsc::UnboundedSender<usize>,
    released: watch::Receiver<bool>,
    over: mpsc::UnboundedSender<(usize, u64, String)>,
}

impl Observer for Watch {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            match event {
                NodeEvent::Phase { round: 1, role: Role::Member, phase: Phase::MaskedInput, .. }
                    if self.who == self.victim =>
                {
                    let _ = self.held.send(self.who);
                    let _ = self.released.clone().wait_for(|released| *released).await;
                }
                NodeEvent::RoundOver { round, attempts, .. } => {
                    let outcome = attempts.last().map(|last| last.outcome.clone()).unwrap_or_default();
                    let _ = self.over.send((self.who, round, outcome));
                }
                _ => {}
            }
        })
    }
}

fn labelled(who: usize) -> Submission {
    Submission { label: Some("ward counts".into()), ..ints(&[10_i64.pow(who as u32)]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_of_a_round_that_was_refused_wait_until_all_are_back() {
    let consortium = Consortium::found(4);
    let victim = consortium.index(&election::order(&consortium.manifest(), 1)[3]);
    let (sender, mut held) = mpsc::unbounded_channel();
    let (over, mut ended) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let watch = |who| {
        let (held, released, over) = (sender.clone(), released.clone(), over.clone());
        Watch { who, victim, held, released, over }
    };
    let mut nodes = consortium.all_watched(&[0, 1, 2, 3], watch).await;
    let first = within(join_all((0..4).map(|who| nodes[who].submit(labelled(who))))).await;
    for result in first {
        verify_sum(&consortium, &result.unwrap(), 0, &[0, 1, 2, 3], &[1111]);
    }
    let lost = nodes.remove(victim);
    let others: Vec<usize> = (0..4).filter(|who| *who != victim).collect();
    {
        let waiting = join_all(nodes.iter().zip(&others).map(|(node, who)| node.submit(labelled(*who))));
        tokio::pin!(waiting);
        let back = async {
            let dying = lost.submit(labelled(victim));
            tokio::select! {
                _ = dying => panic!("a held node has no result"),
                who = held.recv() => assert_eq!(who, Some(victim)),
            }
            lost.network().clone().shutdown().await;
            release.send_replace(true);
            lost.shutdown().await;
            let mut refused = Vec::new();
            while refused.len() < 3 {
                let (who, round, outcome) = ended.recv().await.unwrap();
                if round == 1 && who != victim {
                    assert_eq!(outcome, "refused");
                    refused.push(who);
                }
            }
            let node = consortium.node(victim, vec![address(&nodes[0]).await]);
            let result = node.submit(labelled(victim)).await;
            (node, result)
        };
        let ((node, mine), results) = within(async { tokio::join!(back, waiting) }).await;
        for result in results.into_iter().chain([mine]) {
            let result = result.unwrap();
            let round = result.round;
            verify_sum(&consortium, &result, round, &[0, 1, 2, 3], &[1111]);
        }
        within(node.shutdown()).await;
    }
    stop(nodes).await;
}
