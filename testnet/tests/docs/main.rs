//! What the documentation shows works: its commands run, and the tests that it names exist.

mod commands;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use commands::{Shown, calls, pages, root};
use consort_node::npy;
use consort_protocol::array::{Array, Values};

fn testnet(folder: &Path, arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_testnet")).current_dir(folder).args(arguments).output().unwrap()
}

#[test]
fn every_command_parses() {
    let shown: Vec<Shown> = pages().iter().flat_map(|page| calls("testnet", page)).collect();
    assert!(shown.len() >= 8, "only {} commands found", shown.len());
    for mut command in shown {
        // help comes only once everything before it has been accepted
        command.arguments.push("--help".into());
        let output = testnet(&root(), &command.arguments);
        assert!(output.status.success(), "{}\n{}", command.place, String::from_utf8_lossy(&output.stderr));
    }
}

/// Benchmarks are of sizes that take minutes: here their commands have smaller ones.
fn smaller(command: &Shown) -> Vec<String> {
    let mut arguments = command.arguments.clone();
    for (flag, most) in [("--vector-len", 1000), ("--members", 20), ("--rounds", 3)] {
        let Some(at) = arguments.iter().position(|argument| argument == flag) else { continue };
        let shown: u32 = arguments[at + 1].parse().unwrap();
        arguments[at + 1] = shown.min(most).to_string();
    }
    arguments
}

#[test]
fn every_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("updates");
    fs::create_dir(&inputs).unwrap();
    let write = |path: &Path, values| {
        let array = Array::new(vec![4], values).unwrap();
        npy::write(&array, fs::File::create(path).unwrap()).unwrap();
    };
    for node in 0..4u8 {
        let values = Values::F32(vec![node.into(), 0.5, -1.0, 2.0]);
        write(&inputs.join(format!("{node}.npy")), values);
    }
    write(&folder.path().join("sizes.npy"), Values::I64(vec![10, 20, 30, 40]));

    for page in pages() {
        // the demonstration has a test of its own
        for command in calls("testnet", &page).iter().filter(|command| !command.arguments.is_empty()) {
            let output = testnet(folder.path(), &smaller(command));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}\n{errors}", command.place);
        }
    }
    for result in ["sum/round-000.npy", "mean/round-000.npy", "million.json"] {
        assert!(folder.path().join(result).exists(), "{result}");
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect();
    assert!(named.len() >= 40, "only {} tests are named", named.len());
    let sources = ["protocol", "node", "testnet"].map(|part| sources(&root().join(part))).concat();
    for name in named {
        let mut parts: Vec<&str> = name.split("::").collect();
        let function = format!("fn {}(", parts.pop().unwrap());
        let found = sources
            .iter()
            .any(|(path, text)| path.ends_with(&format!("/{}", parts.join("/"))) && text.contains(&function));
        assert!(found, "docs/threat-model.md names {name}, but there is no such test");
    }
}

/// All Rust files below a folder: the path without its extension, and the text.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.with_extension("").to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    files
}
