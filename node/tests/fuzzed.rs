//! The fuzz targets of `fuzz/` over their committed corpora, and over mutations that follow from a seed.
//!
//! Whatever a fuzzer has found is an input in the corpus, so it stays fixed.

use std::{fs, path::Path};

use consort_node::{consortium::Draft, fuzzing};
use consort_protocol::fuzzing::{corpus, members};

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn npy() {
    corpus(PACKAGE, "npy").run(20_000, fuzzing::npy);
}

#[test]
fn config() {
    corpus(PACKAGE, "config").run(3_000, fuzzing::config);
}

#[test]
fn consortium() {
    corpus(PACKAGE, "consortium").run(2_000, fuzzing::consortium);
}

#[test]
fn gossip() {
    corpus(PACKAGE, "gossip").run(20_000, fuzzing::gossip);
}

#[test]
fn frame() {
    corpus(PACKAGE, "frame").run(10_000, fuzzing::frame);
}

#[test]
fn bulk() {
    corpus(PACKAGE, "bulk").run(2_000, fuzzing::bulk);
}

#[test]
#[ignore = "writes the seeds of the corpus that need signatures"]
fn write_seeds() {
    let folder = Path::new(PACKAGE).join("../fuzz/corpus/consortium");
    fs::create_dir_all(&folder).unwrap();
    for number in [3, 4] {
        let mut draft = Draft::first(members(number).signed);
        draft.write(&folder.join(format!("{number}-members"))).unwrap();
        draft.last.signatures.pop_first();
        draft.write(&folder.join(format!("{number}-members-one-unsigned"))).unwrap();
    }
}
