//! Anything may arrive: decoders say no, and never panic or reserve what a peer merely announces.

use consort_protocol::{
    array::Dtype,
    codec::{self, CodecError, MAX_CONTROL_BYTES},
    contract::Contract,
    encoding::{Beyond, Encoding, Leaf, Reduction, VectorSpec, packing},
    manifest::SignedManifest,
    messages::Message,
    signing::Signed,
};
use proptest::prelude::*;
use serde_json::Value;

/// One of each kind, as bytes.
fn messages() -> Vec<Vec<u8>> {
    let vectors: Value = serde_json::from_str(include_str!("vectors/wire.json")).unwrap();
    let messages = vectors["messages"].as_object().unwrap().values();
    messages.map(|message| hex::decode(message.as_str().unwrap()).unwrap()).collect()
}

fn manifest() -> Vec<u8> {
    let vectors: Value = serde_json::from_str(include_str!("vectors/wire.json")).unwrap();
    hex::decode(vectors["manifest"].as_str().unwrap()).unwrap()
}

#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    /// An integer of eight bytes: a length, as likely as not.
    Huge(prop::sample::Index, u64),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 1usize..20).prop_map(|(at, length)| Edit::Remove(at, length)),
        (at(), prop_oneof![Just(1u64 << 60), Just(u64::MAX), any::<u64>()])
            .prop_map(|(at, length)| Edit::Huge(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edits: Vec<Edit>) {
    for edit in edits {
        if bytes.is_empty() {
            return;
        }
        match edit {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Edit::Insert(at, inserted) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, inserted);
            }
            Edit::Remove(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Edit::Huge(at, length) => {
                let at = at.index(bytes.len());
                let marked: Vec<u8> = [253].into_iter().chain(length.to_le_bytes()).collect();
                bytes.splice(at..=at, marked);
            }
        }
    }
}

/// What decodes can be encoded, and then says the same.
fn decode_all(bytes: &[u8]) {
    if let Ok(message) = codec::decode::<Message>(bytes) {
        let encoded = codec::encode(&message).unwrap();
        let again = codec::decode::<Message>(&encoded).ok().unwrap();
        assert_eq!(codec::encode(&again).unwrap(), encoded);
    }
    if let Ok(contract) = codec::decode::<Signed<Contract>>(bytes) {
        let _ = contract.verify();
        check_spec(&contract.body.task.spec);
    }
    if let Ok(manifest) = codec::decode::<SignedManifest>(bytes) {
        let _ = manifest.verify();
    }
}

/// A layout is as small as the list of arrays, whatever lengths they announce.
fn check_spec(spec: &VectorSpec) {
    for members in [1, 8, 1000] {
        if let Ok(layout) = spec.layout(members, 1 << 27) {
            assert!(layout.elements() <= (1 << 27) + 1);
            assert!(layout.segments().iter().all(|segment| (1..=64).contains(&segment.bits)));
            for chunk in layout.chunks().take(3) {
                assert!(chunk.len >= 1);
            }
        }
    }
}

fn spec() -> impl Strategy<Value = VectorSpec> {
    let side = prop_oneof![0u64..10, any::<u64>(), Just(1 << 60)];
    let dtypes = [Dtype::F32, Dtype::F64, Dtype::I8, Dtype::I64, Dtype::U8, Dtype::U64];
    let encoding = prop_oneof![
        (any::<i8>(), any::<f64>(), any::<bool>()).prop_map(|(step_log2, clip, refuse)| {
            let beyond = if refuse { Beyond::Refuse } else { Beyond::Clip };
            Encoding::Fixed { step_log2, clip, beyond }
        }),
        any::<u64>().prop_map(|bound| Encoding::Integer { bound }),
    ];
    let leaf = (prop::collection::vec(side, 0..40), prop::sample::select(dtypes.to_vec()), encoding)
        .prop_map(|(shape, dtype, encoding)| Leaf { shape, dtype, encoding });
    let reduction = prop_oneof![
        Just(Reduction::Sum),
        Just(Reduction::Mean),
        any::<u64>().prop_map(|max_weight| Reduction::WeightedMean { max_weight }),
    ];
    (prop::collection::vec(leaf, 0..6), reduction)
        .prop_map(|(leaves, reduction)| VectorSpec { leaves, reduction })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..600), versioned: bool) {
        if versioned && let Some(first) = bytes.first_mut() {
            *first = codec::VERSION;
        }
        decode_all(&bytes);
    }

    #[test]
    fn edited_messages(number in 0usize..16, edits in prop::collection::vec(edit(), 1..5)) {
        let mut bytes = messages().get(number).cloned().unwrap_or_else(manifest);
        apply(&mut bytes, edits);
        decode_all(&bytes);
    }

    #[test]
    fn arbitrary_specs(spec in spec()) {
        check_spec(&spec);
    }

    #[test]
    fn arbitrary_chunks(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        bits in 1u8..=64,
        elements in 0usize..100,
    ) {
        let mut words = vec![0; elements];
        match packing::unpack(&bytes, bits, &mut words) {
            Ok(()) => {
                // one encoding only
                let mut packed = Vec::new();
                packing::pack(&words, bits, &mut packed);
                prop_assert_eq!(packed, bytes);
            }
            Err(packing::PackingError::Length { expected, .. }) => {
                prop_assert!(expected != bytes.len() && expected == packing::packed_len(elements, bits));
            }
            Err(packing::PackingError::Padding) => prop_assert!(elements * usize::from(bits) % 8 != 0),
        }
    }
}

/// After the version: a variant, what comes before its first list, and a list of 2⁶⁰.
#[test]
fn a_list_that_is_announced_and_does_not_come() {
    let huge: Vec<u8> = [253].into_iter().chain((1u64 << 60).to_le_bytes()).collect();
    // decline: a string, roster: statements, shares: bytes, receipt and mask set: pairs
    for (variant, before) in [(2u8, 32usize), (3, 32), (4, 96), (5, 32), (6, 32), (11, 64)] {
        let mut bytes = vec![codec::VERSION, variant];
        bytes.extend(vec![1; before]);
        bytes.extend(&huge);
        let error = codec::decode::<Message>(&bytes).err();
        assert!(matches!(error, Some(CodecError::Malformed(_))), "variant {variant}: {error:?}");
    }
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let bytes = vec![codec::VERSION; MAX_CONTROL_BYTES + 1];
    let found = bytes.len();
    assert_eq!(codec::decode::<Message>(&bytes).err(), Some(CodecError::TooLarge { found }));
    assert_eq!(codec::encode(&bytes).err(), Some(CodecError::TooLarge { found: found + 6 }));
    assert!(codec::encode(&vec![0u8; MAX_CONTROL_BYTES - 6]).is_ok());
    assert!(codec::decode::<Message>(&[]).is_err());
}
