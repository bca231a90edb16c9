//! What the documentation shows works: its commands of `consort` run, page by page, and its settings are settings.

#[path = "../../../testnet/tests/docs/commands.rs"]
mod commands;
mod desk;
mod operate;
mod readme;

use std::{fs, process::Command};

use commands::{calls, pages, root};
use consort_node::config::Config;

#[test]
fn every_command_parses() {
    for command in pages().iter().flat_map(|page| calls("consort", page)) {
        // help comes only once everything before it has been accepted
        let mut consort = Command::new(env!("CARGO_BIN_EXE_consort"));
        let output = consort.current_dir(root()).args(&command.arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{}\n{}", command.place, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_page_with_commands_is_played() {
    let with_commands = pages().into_iter().filter(|page| !calls("consort", page).is_empty());
    let mut names: Vec<String> = with_commands.map(|page| page.name).collect();
    let mut played = [&readme::PAGES[..], &[operate::PAGE]].concat();
    names.sort();
    played.sort_unstable();
    assert_eq!(names, played);
}

#[test]
fn every_block_of_settings_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let text: String = pages().into_iter().map(|page| page.text).collect();
    let fenced = text.split("```").skip(1).step_by(2);
    let shown: Vec<&str> = fenced.filter_map(|block| block.strip_prefix("toml\n")).collect();
    assert!(shown.iter().any(|block| block.contains("[limits]")), "{shown:?}");
    for block in shown {
        fs::write(&file, block).unwrap();
        Config::load(&file).unwrap_or_else(|error| panic!("{error} in\n{block}"));
    }
}
