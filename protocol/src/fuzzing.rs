//! What fuzzers run: one function a target, which takes any bytes and panics where a promise is broken.
//!
//! The targets of `fuzz/` and the tests in `tests/fuzzed.rs` call the same functions; see `docs/fuzzing.md`.

mod round;
mod twin;

use std::sync::{Arc, OnceLock};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    bulk::ChunkSum,
    codec,
    contract::Contract,
    encoding::VectorSpec,
    evidence::Evidence,
    manifest::{Manifest, Policy, SignedManifest},
    messages::{Message, share_keys::DealtShares},
    signing::Signed,
    sim::{Consortium, consortium},
};

pub use round::{round, round_with_lie};
pub use twin::{Corpus, corpus};

/// Members of the consortium that evidence and manifests are checked against.
pub const MEMBERS: usize = 4;

/// Elements of a vector in the largest layout that is looked at.
const MAX_VECTOR: u64 = 1 << 27;

/// The consortium of this many members to which all fuzzed statements belong.
///
/// # Panics
/// Where there can be none.
#[must_use]
pub fn members(number: usize) -> Consortium {
    consortium(number, Policy::default(), 5).expect("a consortium of a few members")
}

fn manifest() -> &'static Arc<Manifest> {
    static MANIFEST: OnceLock<Arc<Manifest>> = OnceLock::new();
    MANIFEST.get_or_init(|| members(MEMBERS).manifest)
}

/// Any control message, and what travels sealed in one.
///
/// # Panics
/// Where what decodes cannot be encoded, or then says something else.
pub fn message(bytes: &[u8]) {
    let _ = decoded::<Message>(bytes);
    let _ = decoded::<Signed<DealtShares>>(bytes);
    if let Some(contract) = decoded::<Signed<Contract>>(bytes) {
        let _ = contract.verify();
        layouts(&contract.body.task.spec);
    }
}

/// Evidence of a breach, checked as whoever it is gossiped to checks it.
///
/// # Panics
/// Where somebody is convicted who is not a member, or another than the accused.
pub fn evidence(bytes: &[u8]) {
    let Some(evidence) = decoded::<Evidence>(bytes) else { return };
    if let Ok(proven) = evidence.verify(manifest()) {
        assert!(manifest().contains(&proven.culprit), "a stranger is convicted");
        assert_eq!(proven.culprit, evidence.accused(), "another than the accused is convicted");
    }
}

/// A manifest with its signatures.
///
/// # Panics
/// Where one passes whose numbers are not those of section 1 of `docs/protocol.md`.
pub fn signed_manifest(bytes: &[u8]) {
    let Some(manifest) = decoded::<SignedManifest>(bytes).and_then(|signed| signed.verify().ok()) else {
        return;
    };
    let (members, corrupt) = (manifest.members().len(), manifest.corrupt());
    assert!(corrupt >= 1 && 3 * corrupt <= members.max(3), "{corrupt} of {members} corrupt");
    for n in manifest.min_participants()..=members {
        let Some(threshold) = manifest.threshold(n) else { continue };
        assert!(
            2 * threshold.get() > members + corrupt && threshold.get() <= n,
            "a threshold that binds nobody"
        );
    }
}

/// The structure of a vector, then packed chunks of it.
///
/// # Panics
/// Where a layout is larger than allowed, or a chunk of the wrong length is taken.
pub fn vector(bytes: &[u8]) {
    let length = bytes.first().copied().map_or(0, usize::from);
    let (spec, chunks) = bytes.get(1..).and_then(|rest| rest.split_at_checked(length)).unwrap_or_default();
    let Some(spec) = decoded::<VectorSpec>(spec) else { return };
    layouts(&spec);
    let Ok(layout) = spec.layout(MEMBERS, 1 << 12) else { return };
    for chunk in layout.chunks() {
        let mut sum = ChunkSum::new(chunk);
        for length in [chunk.packed_len(), chunk.packed_len() + 1, 0] {
            let packed = chunks.get(..length).unwrap_or(chunks);
            let fits = packed.len() == chunk.packed_len();
            assert!(fits || sum.add(packed).is_err(), "{} bytes are taken for a chunk", packed.len());
            let _ = sum.add(packed);
        }
    }
}

/// A layout is as small as the list of arrays, whatever lengths they announce.
///
/// # Panics
/// Where one is not.
pub fn layouts(spec: &VectorSpec) {
    for members in [1, 8, 1000] {
        let Ok(layout) = spec.layout(members, MAX_VECTOR) else { continue };
        assert!(layout.elements() <= MAX_VECTOR + 1, "a vector of {} elements", layout.elements());
        assert!(layout.segments().iter().all(|segment| (1..=64).contains(&segment.bits)));
        assert!(layout.chunks().take(3).all(|chunk| chunk.len >= 1));
    }
}

/// What these bytes say. Its encoding says the same, and has no other encoding.
fn decoded<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = codec::decode(bytes).ok()?;
    let encoded = codec::encode(&value).expect("what decodes can be encoded");
    let again: T = codec::decode(&encoded).expect("what was encoded decodes");
    assert!(codec::encode(&again).is_ok_and(|again| again == encoded), "an encoding that changes");
    Some(value)
}
