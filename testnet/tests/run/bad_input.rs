//! Arguments and files that cannot be used: one line that says what, where and what to do, exit code 2,
//! and nothing started or written.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{arrays::Npy, testnet::testnet};

/// Changes the good inputs of [`Bad::new`], in the folder that it is given.
type Spoil = fn(&Path);

#[test]
fn files_that_are_no_arrays_are_named() {
    let cases: [(&str, Spoil, &[&str]); 12] = [
        (
            "truncated",
            |folder| cut(&folder.join("1.npy"), 20),
            &["1.npy", "truncated", "copy or write it again"],
        ),
        (
            "trailing",
            |folder| append(&folder.join("1.npy"), b"more"),
            &["1.npy", "something follows the array"],
        ),
        ("empty", |folder| fs::write(folder.join("1.npy"), "").unwrap(), &["1.npy", "empty", "numpy.save"]),
        ("cut in the magic", |folder| cut(&folder.join("1.npy"), 130), &["1.npy", "truncated"]),
        (
            "text",
            |folder| fs::write(folder.join("1.npy"), "a,b\n1,2\n").unwrap(),
            &["1.npy", "not a .npy file"],
        ),
        (
            "zip",
            |folder| fs::write(folder.join("1.npy"), b"PK\x03\x04rest").unwrap(),
            &["1.npy", "numpy.savez"],
        ),
        ("objects", |folder| put(folder, "1.npy", "|O", "(2,)"), &["1.npy", "objects"]),
        ("complex", |folder| put(folder, "1.npy", "<c16", "(2,)"), &["1.npy", "complex"]),
        ("half", |folder| put(folder, "1.npy", "<f2", "(2,)"), &["1.npy", "half-precision", "astype"]),
        (
            "a shape beyond memory",
            |folder| put(folder, "1.npy", "<i8", "(9223372036854775807, 9223372036854775807)"),
            &["1.npy", "more elements than memory can hold"],
        ),
        (
            "a shape beyond the file",
            |folder| put(folder, "1.npy", "<i8", "(1000000000,)"),
            &["1.npy", "truncated", "8000000"],
        ),
        (
            "a header without end",
            |folder| fs::write(folder.join("1.npy"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").unwrap(),
            &["1.npy", "header", "numpy.save"],
        ),
    ];
    for (name, spoil, said) in cases {
        Bad::new(spoil).verify(name, "", said);
    }
}

#[test]
fn arrays_that_cannot_be_added_up_are_named() {
    let cases: [(&str, Spoil, &[&str]); 7] = [
        (
            "shape",
            |folder| ints(folder, "1.npy", "(1, 2)", &[1, 2]),
            &["1.npy", "(1, 2)", "0.npy", "make all inputs alike"],
        ),
        ("dtype", |folder| floats(folder, &["1.npy"], &[1.0, 2.0]), &["1.npy", "float64", "0.npy", "int64"]),
        ("nan", |folder| floats(folder, &ALL, &[1.0, f64::NAN]), &["0.npy", "nan at index 1", "replace it"]),
        (
            "infinity",
            |folder| floats(folder, &ALL, &[f64::NEG_INFINITY, 0.0]),
            &["0.npy", "-inf at index 0", "replace it"],
        ),
        ("no elements", |folder| ints(folder, "0.npy", "(0,)", &[]), &["0.npy", "no elements"]),
        (
            "too few",
            |folder| {
                fs::remove_file(folder.join("0.npy")).unwrap();
                fs::remove_file(folder.join("1.npy")).unwrap();
            },
            &["2 .npy files", "at least 3", "add the missing ones"],
        ),
        (
            "none",
            |folder| fs::remove_dir_all(folder).unwrap(),
            &["inputs", "cannot be read", "name a directory"],
        ),
    ];
    for (name, spoil, said) in cases {
        Bad::new(spoil).verify(name, "", said);
    }
    Bad::new(|_| ()).verify("wrong count", "--nodes 5", &["--nodes 5", "4 .npy files", "leave out --nodes"]);
}

#[test]
fn sums_that_cannot_fit_are_refused() {
    let cases: [(&str, Spoil, &str, &[&str]); 5] = [
        (
            "int64",
            |folder| ints(folder, "2.npy", "(2,)", &[0, i64::MAX - 5]),
            "",
            &["--inputs", "9223372036854775802", "scale"],
        ),
        (
            "most negative",
            |folder| ints(folder, "3.npy", "(2,)", &[i64::MIN, 0]),
            "",
            &["--inputs", "9223372036854775808", "scale"],
        ),
        (
            "uint64",
            |folder| {
                for name in ALL {
                    Npy::new("<u8", "(1,)", [(u64::MAX / 3).to_le_bytes()]).save(&folder.join(name));
                }
            },
            "",
            &["--inputs", "6148914691236517205", "scale"],
        ),
        (
            "large floats",
            |folder| floats(folder, &ALL, &[1e300, 0.0]),
            "",
            &["--inputs", "bits", "scale the inputs down"],
        ),
        (
            "floats above the ring",
            |folder| floats(folder, &ALL, &[1e15, 0.0]),
            "",
            &["--inputs", "bits", "scale the inputs down"],
        ),
    ];
    for (name, spoil, more, said) in cases {
        Bad::new(spoil).verify(name, more, said);
    }
}

#[test]
fn weights_that_weigh_nothing_are_refused() {
    let cases: [(&str, Spoil, &[&str]); 7] = [
        (
            "negative",
            |folder| weights(folder, &[1, 2, -3, 4]),
            &["weights.npy", "negative weight -3 at index 2"],
        ),
        ("count", |folder| weights(folder, &[1, 2, 3]), &["weights.npy", "4 nodes", "(4,)"]),
        ("zero", |folder| weights(folder, &[0; 4]), &["weights.npy", "all weights are 0", "positive weight"]),
        ("too large", |folder| weights(folder, &[1, i64::MAX, 1, 1]), &["scale", "weights"]),
        ("absent", |_| (), &["weights.npy", "cannot be read"]),
        (
            "floats",
            |folder| {
                let halves = [0.5f64; 4].map(f64::to_le_bytes);
                Npy::new("<f8", "(4,)", halves).save(&folder.with_file_name("weights.npy"));
            },
            &["weights.npy", "float64", "whole numbers"],
        ),
        (
            "text",
            |folder| fs::write(folder.with_file_name("weights.npy"), "1 2 3 4").unwrap(),
            &["weights.npy"],
        ),
    ];
    for (name, spoil, said) in cases {
        let bad = Bad::new(spoil);
        let file = bad.folder.path().join("weights.npy");
        bad.verify(name, &format!("--weights {}", file.display()), said);
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let cases: [(&str, &[&str]); 15] = [
        ("--nodes 2", &["--nodes 2", "at least 3", "use --nodes 3"]),
        ("--vector-len 0", &["--vector-len", "whole number from 1"]),
        ("--frobnicate", &["--frobnicate", "--help"]),
        ("--vector-len 9 --kill 1@masking", &["masking", "masked-input"]),
        ("--vector-len 9 --kill 8@unmasking", &["--kill 8@unmasking", "no node 8", "0 to 7"]),
        ("--vector-len 9 --kill 1@unmasking@6", &["--kill 1@unmasking@6", "no round 6", "0 to 5"]),
        ("--vector-len 9 --nodes 4 --corrupt 2", &["--corrupt 2", "from 1 to 1"]),
        ("--kill 1@publish --restart 1@unmasking@1", &["--restart 1@unmasking@1", "dead by then"]),
        ("--vector-len 9 --pause 1@unmasking", &["--pause", "as in 3@unmasking@1:5"]),
        ("--partition 0,1|2,3@unmasking:3", &["--partition 0,1|2,3@unmasking@0:3", "neither"]),
        ("--vector-len 9 --lie 1@unmasking", &["--lie", "expected WHO:NAME"]),
        ("--vector-len 9 --dashboard", &["--dashboard", "later version"]),
        ("soak --rounds 3 --churn --nodes 2", &["--nodes 2", "at least 3"]),
        ("bench", &["bench", "later version"]),
        ("--vector-len 9 --transport carrier-pigeon", &["carrier-pigeon", "tcp, quic"]),
    ];
    for (arguments, said) in cases {
        let words: Vec<&str> = arguments.split(' ').collect();
        let ended = testnet(&words);
        verify_refusal(arguments, &ended, said);
    }
}

#[test]
fn places_that_cannot_be_written_are_refused_before_anything_starts() {
    let bad = Bad::new(|_| ());
    let file = bad.folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for (flag, said) in [("--out", "not a directory"), ("--keep", "not a directory")] {
        let ended = testnet(&["--vector-len", "9", flag, file.to_str().unwrap()]);
        verify_refusal(flag, &ended, &[flag, said]);
    }
    let folder = bad.folder.path().to_str().unwrap();
    verify_refusal(
        "report",
        &testnet(&["--vector-len", "9", "--report", folder]),
        &["--report", "name another"],
    );
    verify_refusal("keep", &testnet(&["--vector-len", "9", "--keep", folder]), &["--keep", "new or empty"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

const ALL: [&str; 4] = ["0.npy", "1.npy", "2.npy", "3.npy"];

/// Inputs of which something is wrong.
struct Bad {
    folder: TempDir,
}

impl Bad {
    fn new(spoil: Spoil) -> Self {
        let folder = TempDir::new().unwrap();
        let inputs = folder.path().join("inputs");
        fs::create_dir(&inputs).unwrap();
        for name in ALL {
            ints(&inputs, name, "(2,)", &[1, 2]);
        }
        spoil(&inputs);
        Self { folder }
    }

    fn verify(&self, name: &str, more: &str, said: &[&str]) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let mut words = vec!["--inputs".to_owned(), path("inputs")];
        for flag in ["out", "report", "keep"] {
            words.extend([format!("--{flag}"), path(flag)]);
        }
        words.extend(more.split_whitespace().map(String::from));
        verify_refusal(name, &testnet(&words), said);
        let mut left: Vec<_> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.retain(|name| name != "inputs" && name != "weights.npy");
        assert!(left.is_empty(), "{name}: {left:?} was written");
    }
}

fn verify_refusal(name: &str, ended: &crate::testnet::Ended, said: &[&str]) {
    let line = ended.stderr.trim_end_matches('\n');
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{name}: {line}");
    assert!(line.starts_with("error: ") && !line.contains(char::is_control), "{name}: {line:?}");
    for part in said {
        assert!(line.contains(part), "{name}: {part:?} is not in: {line}");
    }
}

fn put(folder: &Path, name: &str, descr: &'static str, shape: &'static str) {
    Npy::new(descr, shape, [[0u8; 32]]).save(&folder.join(name));
}

fn ints(folder: &Path, name: &str, shape: &'static str, values: &[i64]) {
    Npy::new("<i8", shape, values.iter().map(|value| value.to_le_bytes())).save(&folder.join(name));
}

fn floats(folder: &Path, names: &[&str], values: &[f64]) {
    for name in names {
        Npy::new("<f8", "(2,)", values.iter().map(|value| value.to_le_bytes())).save(&folder.join(name));
    }
}

fn weights(folder: &Path, values: &[i64]) {
    let shape = if values.len() == 4 { "(4,)" } else { "(3,)" };
    ints(folder.parent().unwrap(), "weights.npy", shape, values);
}

fn cut(path: &Path, bytes: usize) {
    let mut content = fs::read(path).unwrap();
    content.truncate(content.len().saturating_sub(bytes));
    fs::write(path, content).unwrap();
}

fn append(path: &Path, more: &[u8]) {
    let mut content = fs::read(path).unwrap();
    content.extend_from_slice(more);
    fs::write(path, content).unwrap();
}
