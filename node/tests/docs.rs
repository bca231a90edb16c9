//! The commands of `consort` that the documentation shows parse.

#[path = "../../testnet/tests/docs/commands.rs"]
mod commands;

use std::process::Command;

use commands::{calls, pages, root};

#[test]
fn every_command_parses() {
    let shown = calls("consort", &pages());
    assert!(!shown.is_empty(), "no command found");
    for command in shown {
        // help comes only once everything before it has been accepted
        let mut consort = Command::new(env!("CARGO_BIN_EXE_consort"));
        let output = consort.current_dir(root()).args(&command.arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{}\n{}", command.place, String::from_utf8_lossy(&output.stderr));
    }
}
