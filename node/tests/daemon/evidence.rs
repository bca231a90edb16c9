//! What proves that a member broke the protocol reaches everybody, outlives a restart, and has its effect.

use std::sync::Arc;

use consort_node::{Node, SubmitError, exhibits, home::Home};
use consort_protocol::{
    array::Dtype,
    codec,
    contract::{Contract, Task, Terms, spec_for},
    election,
    encoding::Reduction,
    evidence::{Crime, Evidence},
    messages::Message,
    signing::Signed,
};
use futures::future::join_all;

use super::{
    consortium::{Consortium, within},
    process::consort,
    rounds::{ints, members, verify_sum},
};

/// A member signs two contracts for its turn in slot 0 of a round.
fn two_contracts(consortium: &Consortium, round: u64, who: usize) -> (Terms, [Signed<Contract>; 2]) {
    let manifest = consortium.manifest();
    let terms = |length| {
        let spec = spec_for(&manifest, [(vec![length], Dtype::I64)], Reduction::Sum, None);
        Terms::new(manifest.clone(), round, 0, 0, Task { label: None, query: [0; 32], spec }).unwrap()
    };
    let identity = consortium.identities[who].signing();
    let contracts = [2, 3].map(|length| terms(length).sign(&identity).unwrap());
    (terms(2), contracts)
}

fn tell(from: &Node, consortium: &Consortium, to: usize, evidence: &Evidence) {
    let message = Message::Evidence(Box::new(evidence.clone()));
    from.network().try_send(consortium.id(to), codec::encode(&message).unwrap()).unwrap();
}

/// The same length of everything, but a signature that is none.
fn forged(evidence: &Evidence, contracts: &[Signed<Contract>; 2]) -> Evidence {
    let mut bytes = codec::encode(evidence).unwrap();
    let signature = contracts[0].signature().to_bytes();
    let at = bytes.windows(64).position(|window| window == signature).unwrap();
    bytes[at] ^= 1;
    codec::decode(&bytes).unwrap()
}

fn has_file(consortium: &Consortium, who: usize) -> Option<std::path::PathBuf> {
    let home = Home::open(&consortium.home(who)).unwrap();
    exhibits::Exhibits::new(home.evidence()).files().unwrap().pop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_convicted_member_is_left_out_by_everybody() {
    let consortium = Consortium::found(5);
    let mut nodes = consortium.nodes(&[0, 1, 2, 3, 4]).await;
    let order: Vec<usize> =
        election::order(&consortium.manifest(), 0).iter().map(|id| consortium.index(id)).collect();
    let (liar, framed, witness, next) = (order[0], order[1], order[2], order[3]);

    // a forgery convicts nobody
    let round_of_framed =
        (0..5).find(|round| election::order(&consortium.manifest(), *round)[0] == consortium.id(framed));
    let (terms, contracts) = two_contracts(&consortium, round_of_framed.unwrap(), framed);
    let real = Evidence::early_conflict(&terms, &contracts[0], &contracts[1]).unwrap();
    let forgery = forged(&real, &contracts);
    assert!(forgery.verify(&consortium.manifest()).is_err());
    tell(&nodes[witness], &consortium, next, &forgery);

    // real evidence, told to one member only, is passed on to all
    let (terms, contracts) = two_contracts(&consortium, 0, liar);
    let evidence = Evidence::early_conflict(&terms, &contracts[0], &contracts[1]).unwrap();
    tell(&nodes[witness], &consortium, next, &evidence);

    let honest: Vec<usize> = (0..5).filter(|who| *who != liar).collect();
    let mut results =
        within(join_all(honest.iter().map(|who| nodes[*who].submit(ints(&[10_i64.pow(*who as u32), 1])))))
            .await;
    let sum: i64 = honest.iter().map(|who| 10_i64.pow(*who as u32)).sum();
    for result in &mut results {
        let result = result.as_ref().unwrap_or_else(|error: &SubmitError| panic!("{error}"));
        assert_eq!(members(&consortium, &result.roster), honest, "the convicted one is not on the roster");
        verify_sum(&consortium, result, 0, &honest, &[sum, 4]);
    }

    // it outlives a restart: the one that has heard of it from others starts again
    let again = honest[0];
    let node = nodes.remove(again);
    within(node.shutdown()).await;
    for who in &honest {
        let file = has_file(&consortium, *who).expect("everybody has heard of it");
        let proven = exhibits::verify(&file, &consortium.chain()).unwrap();
        assert_eq!((proven.culprit, proven.crime), (consortium.id(liar), Crime::TwoContracts));
    }
    let ledger = consort_node::ledger::Ledger::open(&consortium.home(again).join("ledger.redb")).unwrap();
    let kept = ledger.evidence().unwrap();
    assert!(kept == [evidence], "one record of one culprit");
    drop(ledger);
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
    verify_command(&consortium, again, liar).await;
}

/// Anybody checks a file with nothing but the manifest.
async fn verify_command(consortium: &Consortium, who: usize, liar: usize) {
    let (home, manifest) = (consortium.home(who), consortium.file());
    let file = has_file(consortium, who).unwrap();
    let rounds = |extra: &[&std::path::Path]| {
        let mut command = consort();
        command.arg("rounds").arg("--home").arg(&home).arg("--consortium").arg(&manifest).arg("--evidence");
        command.args(extra);
        command
    };
    let output = within(rounds(&[]).output()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(said.starts_with("proved: two-contracts by ") && said.contains(&consortium.peer(liar)), "{said}");

    let output = within(rounds(&[]).arg("--json").output()).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["proved"][0]["culprit"], consortium.peer(liar));
    assert_eq!(said["proved"][0]["crime"], "two-contracts");

    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let altered = consortium.path("altered.evidence");
    std::fs::write(&altered, bytes).unwrap();
    let output = within(rounds(&[&altered]).output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("altered.evidence") && said.contains("proves nothing"), "{said}");
}

/// Kept by a node that was away when it was found: whoever comes back is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_later_is_told() {
    let consortium = Consortium::found(4);
    let nodes = consortium.nodes(&[0, 1]).await;
    let liar = consortium.index(&election::order(&consortium.manifest(), 0)[0]);
    let (terms, contracts) = two_contracts(&consortium, 0, liar);
    let evidence = Evidence::early_conflict(&terms, &contracts[0], &contracts[1]).unwrap();
    tell(&nodes[0], &consortium, 1, &evidence);
    let convicted = Arc::new(tokio::sync::Notify::new());
    let late = consortium.watched(
        2,
        vec![super::consortium::address(&nodes[1]).await],
        Arc::new(Told(convicted.clone())),
    );
    within(convicted.notified()).await;
    within(late.shutdown()).await;
    join_all(nodes.into_iter().map(|node| within(node.shutdown()))).await;
}

struct Told(Arc<tokio::sync::Notify>);

impl consort_node::events::Observer for Told {
    fn notify(
        &self,
        event: consort_node::events::NodeEvent,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let consort_node::events::NodeEvent::Convicted(_) = event {
                self.0.notify_one();
            }
        })
    }
}
