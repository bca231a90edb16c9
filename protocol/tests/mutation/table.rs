//! docs/mutation.md names every check, and for each a test that takes it out.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The checks, in the order of the source.
fn checks() -> Vec<String> {
    let source = read("src/mutation.rs");
    let start = source.find("pub enum Check {").unwrap();
    let body = &source[start..start + source[start..].find("\n}").unwrap()];
    let variant = |line: &str| Some(line.trim().strip_suffix(',')?.to_owned());
    body.lines().filter(|line| !line.trim_start().starts_with("//")).filter_map(variant).collect()
}

#[test]
fn names_every_check_and_a_test_that_takes_it_out() {
    let table = read("../docs/mutation.md");
    let checks = checks();
    assert!(checks.len() >= 30, "only {} checks are found", checks.len());
    for check in checks {
        let start = format!("| `{check}` |");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with(&start)).collect();
        let [row] = rows[..] else { panic!("{check} has {} rows in docs/mutation.md", rows.len()) };
        let tests: Vec<&str> = row.split('`').filter(|code| code.starts_with("mutation::")).collect();
        assert!(!tests.is_empty(), "{check}: no test is named");
        for test in tests {
            let mut parts = test.split("::").skip(1);
            let (file, function) = (parts.next().unwrap(), parts.next().unwrap());
            let source = read(&format!("tests/mutation/{file}.rs"));
            let start = source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("no test {test}"));
            let body = &source[start..];
            let end = body.find("\n}").unwrap();
            assert!(body[..end].contains(&format!("Check::{check}")), "{test} does not take {check} out");
        }
    }
}
