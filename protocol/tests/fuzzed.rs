//! The fuzz targets of `fuzz/` over their committed corpora, and over mutations that follow from a seed.
//!
//! Whatever a fuzzer has found is an input in the corpus, so it stays fixed. The seeds are written anew with
//! `cargo test -p consort-protocol --test fuzzed -- --ignored`.

use std::{fs, path::Path};

use consort_protocol::{
    codec,
    fuzzing::{self, corpus},
    sim::Lie,
};
use serde_json::Value;

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn message() {
    corpus(PACKAGE, "message").run(20_000, fuzzing::message);
}

#[test]
fn evidence() {
    corpus(PACKAGE, "evidence").run(2_000, fuzzing::evidence);
}

#[test]
fn signed_manifest() {
    corpus(PACKAGE, "signed_manifest").run(5_000, fuzzing::signed_manifest);
}

#[test]
fn vector() {
    corpus(PACKAGE, "vector").run(10_000, fuzzing::vector);
}

#[test]
fn round() {
    corpus(PACKAGE, "round").run(60, fuzzing::round);
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(PACKAGE).join("../fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name.replace(' ', "-")), bytes).unwrap();
}

#[test]
#[ignore = "writes the seeds of the corpus"]
fn write_seeds() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/wire.json")).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    for (name, message) in vectors["messages"].as_object().unwrap() {
        write("message", name, &bytes(message));
    }
    // a contract's signed body, without the number of its message
    let contract = bytes(&vectors["messages"]["contract"]);
    let bare: Vec<u8> = contract.iter().take(1).chain(contract.iter().skip(2)).copied().collect();
    write("message", "bare-contract", &bare);

    write("signed_manifest", "vectors", &bytes(&vectors["manifest"]));
    for members in [3, fuzzing::MEMBERS] {
        let signed = codec::encode(&fuzzing::members(members).signed).unwrap();
        write("signed_manifest", &format!("{members}-members"), &signed);
    }

    for lie in Lie::ALL {
        for (_, evidence) in fuzzing::round_with_lie(*lie).evidence.into_iter().take(1) {
            write("evidence", lie.word(), &codec::encode(&evidence).unwrap());
        }
    }

    // arrays of integers up to 100, of 3 and of 2 by 2; then chunks of theirs
    let spec = [codec::VERSION, 2, 1, 3, 5, 1, 100, 2, 2, 2, 5, 1, 100, 0];
    write("vector", "two-arrays", &[&[spec.len() as u8], &spec[..], &[0x5a; 64]].concat());

    // members, seed, weather, faults, then changes
    write("round", "undisturbed", &[1, 7, 0, 0]);
    write("round", "stormy", &[2, 3, 0x55, 0]);
    write("round", "aggregator-dies", &[1, 1, 0, 1, 3, 3, 0, 0]);
    let mut edits = vec![1, 2, 0, 0];
    for number in 0..40u8 {
        edits.extend([5, 5 + number % 3, 0, 0, number.wrapping_mul(37), 1, 1, number]);
    }
    write("round", "edits", &edits);
    for kind in 0..5 {
        let changes = (0..30u8).flat_map(|number| [3, kind, 0, number]);
        write(
            "round",
            &format!("kind-{kind}"),
            &[0, kind, 0, 0].into_iter().chain(changes).collect::<Vec<_>>(),
        );
    }
}
