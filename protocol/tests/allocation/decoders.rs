//! What decoding allocates is bounded by the bytes that are there, whatever they announce.

use allocation_counter::measure;
use consort_protocol::{
    codec::{self, MAX_CONTROL_BYTES},
    manifest::SignedManifest,
    messages::Message,
    sim::consortium,
};
use serde_json::Value;

/// Memory for each byte of a message: the smallest array of a task takes 4 bytes on the wire and 64 here, in a
/// list that doubles as it grows.
const PER_BYTE: u64 = 64;

/// Errors in words, and the first nodes of maps.
const CONSTANT: u64 = 8 << 10;

fn peak<T>(decode: impl FnOnce() -> T) -> u64 {
    measure(|| drop(decode())).bytes_max
}

/// One of each kind, as bytes.
fn messages() -> Vec<Vec<u8>> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/wire.json")).unwrap();
    let messages = vectors["messages"].as_object().unwrap().values();
    messages.map(|message| hex::decode(message.as_str().unwrap()).unwrap()).collect()
}

/// Every prefix of a message, followed by an announcement of so many elements and nothing else.
fn announced(message: &[u8], many: u64) -> impl Iterator<Item = Vec<u8>> {
    let announcement: Vec<u8> = [253].into_iter().chain(many.to_le_bytes()).collect();
    (1..message.len()).map(move |at| [message.get(..at).unwrap(), &announcement].concat())
}

#[test]
fn lists_that_are_announced_and_do_not_come_take_no_memory() {
    for many in [900, 4000, 1 << 20, 1 << 60] {
        // a text is the one thing for which room is made before it is there
        let text = if many <= MAX_CONTROL_BYTES as u64 { many } else { 0 };
        for message in messages() {
            for bytes in announced(&message, many) {
                let peak = peak(|| codec::decode::<Message>(&bytes));
                let limit = CONSTANT + PER_BYTE * bytes.len() as u64 + text;
                assert!(peak <= limit, "{peak} bytes for {}, kind {:?}, {many}", bytes.len(), bytes.get(1));
            }
        }
    }
}

#[test]
fn a_full_message_of_the_smallest_elements_takes_no_more_than_the_longest_list() {
    // a contract: manifest, round, attempt, slot, no label, query, then arrays without sides, of integers up to 1
    let before = [vec![codec::VERSION, 0], vec![7; 32], vec![0; 3], vec![0], vec![0; 32]].concat();
    for many in [4096, 4097, MAX_CONTROL_BYTES as u64 / 4] {
        let mut bytes = [before.as_slice(), &[253], &many.to_le_bytes()].concat();
        while bytes.len() + 4 <= MAX_CONTROL_BYTES {
            bytes.extend([0, 0, 1, 1]);
        }
        let peak = peak(|| codec::decode::<Message>(&bytes));
        assert!(peak <= MAX_CONTROL_BYTES as u64, "{peak} bytes for {many} arrays");
    }
}

#[test]
fn a_manifest_takes_a_small_multiple_of_its_bytes() {
    let signed = consortium(100, Default::default(), 1).unwrap().signed;
    let bytes = codec::encode(&signed).unwrap();
    let whole = peak(|| codec::decode::<SignedManifest>(&bytes));
    assert!(whole <= CONSTANT + 8 * bytes.len() as u64, "{whole} bytes for {}", bytes.len());
    for at in (1..bytes.len()).step_by(97) {
        for many in [900u64, 1 << 60] {
            let bytes = [bytes.get(..at).unwrap(), &[253], &many.to_le_bytes()].concat();
            let peak = peak(|| codec::decode::<SignedManifest>(&bytes));
            assert!(peak <= whole + CONSTANT, "{peak} bytes for {many} announced at {at}");
        }
    }
}
