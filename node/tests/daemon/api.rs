//! The local API and the commands that use it, with daemons as people run them.

mod consent;
pub(crate) mod http;
mod rounds;
mod submit;
mod waiting;
mod withdraw;

use std::{fs, path::Path};

use consort_node::npy;
use consort_protocol::array::{Array, Values};
use tokio::process::Command;

use super::{
    consortium::{Consortium, within},
    process::{Daemon, consort},
};

/// Daemons of all members, each of which knows the one before it.
async fn daemons(consortium: &Consortium, count: usize) -> Vec<Daemon> {
    let mut daemons: Vec<Daemon> = Vec::new();
    for index in 0..count {
        let known: Vec<String> = daemons.last().map(|daemon| daemon.address.clone()).into_iter().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        daemons.push(Daemon::start(&consortium.home(index), &consortium.file(), &known).await);
    }
    daemons
}

pub(crate) fn write(path: &Path, values: Values) {
    let array = Array::new(vec![values.len() as u64], values).unwrap();
    npy::write(&array, fs::File::create(path).unwrap()).unwrap();
}

pub(crate) fn command(name: &str, home: &Path) -> Command {
    let mut command = consort();
    command.arg(name).arg("--home").arg(home);
    command
}

/// What a command says on standard output, which is JSON, and its exit code.
pub(crate) async fn json(command: &mut Command) -> (Option<i32>, serde_json::Value) {
    let output = within(command.arg("--json").output()).await.unwrap();
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

/// The exit code of a command that fails, and its one line.
pub(crate) async fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = within(command.output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("error: "), "{said}");
    (output.status.code(), line)
}
