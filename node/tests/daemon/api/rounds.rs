//! `consort rounds`: listed, exported, and checked by somebody who has nothing but the manifest.

use std::fs;

use consort_node::{npy, proof::RoundProof};
use consort_protocol::array::Values;
use futures::future::join_all;
use nix::sys::signal::Signal;

use super::{
    super::{
        consortium::{Consortium, within},
        process::{Daemon, consort},
    },
    command, daemons, failure, http, json, write,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_proves_itself_and_an_edited_one_does_not() {
    let consortium = Consortium::found(3);
    let daemons = daemons(&consortium, 3).await;
    let file = consortium.path("input.npy");
    // two arrays share the round, and come back in their order
    let arrays = [Values::I64(vec![5]), Values::F32(vec![0.5, -0.25])];
    let parts: Vec<_> = (0..2).map(|part| consortium.path(&format!("part-{part}.npy"))).collect();
    parts.iter().zip(arrays).for_each(|(part, values)| write(part, values));
    fs::write(&file, parts.iter().flat_map(|part| fs::read(part).unwrap()).collect::<Vec<_>>()).unwrap();
    let submitted = (0..3).map(|index| {
        let mut submit = command("submit", &consortium.home(index));
        submit.arg(&file);
        async move { json(&mut submit).await }
    });
    assert!(join_all(submitted).await.into_iter().all(|(code, _)| code == Some(0)));

    // from the running daemon, and from the ledger of one that does not run
    let home = consortium.home(1);
    let running = exported(&consortium, "running.proof").await;
    let (_, listed) = json(&mut command("rounds", &home)).await;
    let (status, _, body) = http::unix(&home, "GET /v1/rounds/0", b"").await;
    assert_eq!(
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap()),
        (200, listed["rounds"][0].clone())
    );
    let out = consortium.path("again.npy");
    let output = within(command("rounds", &home).arg("0").arg("--out").arg(&out).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(&out).unwrap();
    let sums = npy::read_sequence(&*bytes, bytes.len() as u64, 1 << 20, 2).expect("two arrays");
    assert!(*sums[0].values() == Values::I64(vec![15]));
    assert!(*sums[1].values() == Values::F32(vec![1.5, -0.75]));
    for daemon in daemons {
        assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    }
    assert_eq!(exported(&consortium, "stopped.proof").await, running);
    assert_eq!(json(&mut command("rounds", &home)).await.1, listed);
    let round = &listed["rounds"][0];
    assert_eq!((&round["outcome"], &round["round"]), (&"completed".into(), &0.into()));
    assert_eq!(
        (round["survivors"].as_array().unwrap().len(), round["roster"].as_array().unwrap().len()),
        (3, 3)
    );
    assert_eq!(
        (&round["task"]["reduction"], &round["task"]["arrays"][0]["shape"]),
        (&"sum".into(), &serde_json::json!([1]))
    );

    verify_offline(&consortium, &running).await;

    // the aggregate outlives the daemon
    let _again = Daemon::start(&home, &consortium.file(), &[]).await;
    let (status, head, _) = http::unix(&home, "GET /v1/rounds/0/aggregate", b"").await;
    assert!(status == 200 && head.contains("application/x-npy"), "{head}");
}

/// The bytes of round 0 as member 1 exports it.
async fn exported(consortium: &Consortium, name: &str) -> Vec<u8> {
    let file = consortium.path(name);
    let mut export = command("rounds", &consortium.home(1));
    let output = within(export.arg("0").arg("--export").arg(&file).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(file).unwrap()
}

async fn verify_offline(consortium: &Consortium, proof: &[u8]) {
    let file = consortium.path("sent.proof");
    let verify = || {
        let mut command = consort();
        command.args(["rounds", "--consortium"]).arg(consortium.file()).arg("--verify").arg(&file);
        command
    };
    fs::write(&file, proof).unwrap();
    let (code, said) = json(&mut verify()).await;
    let shown = &said["verified"][0];
    assert_eq!((code, &shown["round"], &shown["threshold"]), (Some(0), &0.into(), &3.into()), "{said}");
    assert_eq!((shown["votes"].as_u64(), shown["survivors"].as_array().unwrap().len()), (Some(3), 3));
    let output = within(verify().output()).await.unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(
        line.starts_with("verified: round 0, sum of 3 of 3 members, 3 valid votes of 3 needed"),
        "{line}"
    );

    let mut edited = proof.to_vec();
    edited[proof.len() / 2] ^= 1;
    fs::write(&file, edited).unwrap();
    let (code, said) = failure(&mut verify()).await;
    assert!(code == Some(1) && said.contains("sent.proof: not verified"), "{said}");
    // the same check, without a process for each byte
    let manifest = consortium.manifest();
    let holds =
        |bytes: &[u8]| RoundProof::from_bytes(bytes).is_ok_and(|proof| proof.verify(&manifest).is_ok());
    assert!(holds(proof));
    for place in 0..proof.len() {
        for change in [0x01, 0x80] {
            let mut edited = proof.to_vec();
            edited[place] ^= change;
            assert!(!holds(&edited), "byte {place} of {}", proof.len());
        }
        assert!(!holds(&proof[..place]), "cut to {place}");
    }
    assert!(!holds(&[proof, &[0]].concat()));
    fs::write(&file, proof).unwrap();
    let other = Consortium::found(4);
    let (code, said) =
        failure(consort().args(["rounds", "--consortium"]).arg(other.file()).arg("--verify").arg(&file))
            .await;
    assert!(code == Some(1) && said.contains("another manifest or epoch"), "{said}");
    let home = consortium.home(2);
    let output = within(
        command("rounds", &home).args(["--verify", "0", "--consortium"]).arg(consortium.file()).output(),
    );
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (code, said) = failure(command("rounds", &home).args(["9", "--export"]).arg(&file)).await;
    assert!(code == Some(1) && said.contains("round 9 is not among"), "{said}");
}
