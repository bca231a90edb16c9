//! Man pages and completions.

use std::{fs, process::Command};

fn testnet(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_testnet")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn man_pages_and_completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    assert_eq!(testnet(&["man", pages.to_str().unwrap()]).0, Some(0));
    for page in ["testnet.1", "testnet-run.1", "testnet-soak.1", "testnet-simulate.1"] {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Examples"), "{page}");
    }
    assert!(!pages.join("testnet-bench.1").exists(), "it is not there yet");
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = testnet(&["completions", shell]);
        assert!(
            code == Some(0) && script.contains("simulate") && script.contains("churn"),
            "{shell}: {script}"
        );
    }
    assert_eq!(testnet(&["completions", "cobol"]).0, Some(2));
    fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(testnet(&["man", folder.path().join("file/man1").to_str().unwrap()]).0, Some(1));
}
