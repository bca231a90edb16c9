//! Anything may arrive: decoders say no, and never panic or reserve what a peer merely announces. Whole messages are in
//! `fuzzed.rs`, memory in `allocation/`.

use consort_protocol::{
    array::Dtype,
    codec::{self, CodecError, MAX_CONTROL_BYTES},
    encoding::{Beyond, Encoding, Leaf, Reduction, VectorSpec, packing},
    fuzzing::layouts,
    messages::Message,
};
use proptest::prelude::*;

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
    fn arbitrary_specs(spec in spec()) {
        layouts(&spec);
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
