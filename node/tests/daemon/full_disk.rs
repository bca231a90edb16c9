//! A home on a disk that is full. A limit on the size of files stands for it: the error comes at the same places.

use std::{path::Path, process::Stdio};

use consort_node::npy;
use consort_protocol::array::Values;
use futures::future::join_all;
use tokio::process::{Child, Command};

use super::{
    api::write,
    consortium::{Consortium, within},
    process::{Daemon, consort},
};

/// So many rounds fill any ledger beyond the limit.
const ROUNDS: u64 = 60;

/// A daemon whose files may not grow beyond so many KiB.
fn limited(home: &Path, consortium: &Path, peer: &str, kib: u32) -> Child {
    let mut command = Command::new("bash");
    let run = format!(
        "trap '' XFSZ; ulimit -f {kib}; exec \"$0\" run --home \"$1\" --consortium \"$2\" --peer \"$3\""
    );
    command.args(["-c", &run, env!("CARGO_BIN_EXE_consort")]).arg(home).arg(consortium).arg(peer);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// Hands in at one member and waits; whether a sum came of it.
async fn submit(consortium: &Consortium, member: usize, round: u64) -> bool {
    let out = consortium.path(&format!("sum-{member}-{round}.npy"));
    let mut command = consort();
    command.args(["submit", "--home"]).arg(consortium.home(member)).arg(consortium.path("input.npy"));
    let output = within(command.arg("--out").arg(&out).output()).await.unwrap();
    output.status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_words_the_others_go_on_and_it_takes_part_again_once_there_is_room() {
    let consortium = Consortium::found(4);
    write(&consortium.path("input.npy"), Values::I64((0..200).collect()));
    let mut daemons: Vec<Daemon> = Vec::new();
    for index in 1..4 {
        let known: Vec<String> = daemons.last().map(|daemon| daemon.address.clone()).into_iter().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        daemons.push(Daemon::start(&consortium.home(index), &consortium.file(), &known).await);
    }
    let full = limited(&consortium.home(0), &consortium.file(), &daemons[0].address, 120);
    let ended = tokio::spawn(full.wait_with_output());

    let mut round = 0;
    while !ended.is_finished() {
        assert!(round < ROUNDS, "its ledger has room for {round} rounds");
        let (_, others) = tokio::join!(
            submit(&consortium, 0, round),
            join_all((1..4).map(|member| submit(&consortium, member, round)))
        );
        assert_eq!(others, [true; 3], "round {round}");
        round += 1;
    }
    let output = within(ended).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(1), "{last}");
    for words in ["error: ", "ledger.redb", "free the disk and start the node again"] {
        assert!(last.contains(words), "{words:?} is not in: {last}");
    }

    let mut again = Daemon::start(&consortium.home(0), &consortium.file(), &[&daemons[0].address]).await;
    for _ in 0..3 {
        again.logs("connected").await;
    }
    // it may be told of the round while the others' inputs wait already
    let all = join_all((0..4).map(|member| submit(&consortium, member, round))).await;
    assert_eq!(all, [true; 4]);
    let sum = npy::read_file(&consortium.path(&format!("sum-0-{round}.npy")), 1 << 20).unwrap();
    assert!(*sum.values() == Values::I64((0..200).map(|value| value * 4).collect()));
}
