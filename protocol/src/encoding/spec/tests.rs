use proptest::prelude::*;

use super::{Beyond, Encoding, Leaf, MAX_ELEMENTS, Part, Reduction, SpecError, VectorSpec};
use crate::array::Dtype;
use crate::codec;

const ANY: u64 = u64::MAX;

fn fixed(step_log2: i8, clip: f64) -> Encoding {
    Encoding::Fixed { step_log2, clip, beyond: Beyond::Refuse }
}

fn leaf(shape: &[u64], dtype: Dtype, encoding: Encoding) -> Leaf {
    Leaf { shape: shape.to_vec(), dtype, encoding }
}

fn sum(leaves: Vec<Leaf>) -> VectorSpec {
    VectorSpec { leaves, reduction: Reduction::Sum }
}

fn one(shape: &[u64], dtype: Dtype, encoding: Encoding) -> VectorSpec {
    sum(vec![leaf(shape, dtype, encoding)])
}

fn bits(spec: &VectorSpec, members: usize) -> Vec<u8> {
    spec.layout(members, ANY).unwrap().segments().iter().map(|segment| segment.bits).collect()
}

#[test]
fn worked_examples_of_the_documentation() {
    let default = |dtype, reduction, members| {
        bits(&VectorSpec::default_for([(&[10][..], dtype)], reduction, members), members)
    };
    let weighted = Reduction::WeightedMean { max_weight: 1 << 20 };
    assert_eq!(default(Dtype::F32, Reduction::Sum, 8), [25]);
    assert_eq!(default(Dtype::F32, Reduction::Mean, 100), [28]);
    assert_eq!(default(Dtype::F64, weighted, 8), [24, 45]);
    assert_eq!(default(Dtype::I8, Reduction::Sum, 8), [12]);
    assert_eq!(default(Dtype::U8, Reduction::Sum, 8), [11]);
    assert_eq!(default(Dtype::I32, Reduction::Sum, 8), [36]);
    assert_eq!(default(Dtype::I64, Reduction::Sum, 8), [64]);
    assert_eq!(default(Dtype::U64, Reduction::Sum, 8), [64]);
    assert_eq!(default(Dtype::I64, weighted, 8), [24, 64]);
}

#[test]
fn default_integer_bounds_are_the_largest_that_fit() {
    for members in [1, 3, 8, 100] {
        for (dtype, whole) in [(Dtype::I64, i64::MAX as u64), (Dtype::U64, u64::MAX)] {
            let Encoding::Integer { bound } = Encoding::default_for(dtype, Reduction::Sum, members) else {
                panic!("an integer encoding")
            };
            assert_eq!(bound, whole / members as u64);
            let larger = Encoding::Integer { bound: bound.saturating_add(1) };
            let refused = one(&[1], dtype, larger).layout(members, ANY).is_err();
            assert_eq!(refused, bound < u64::MAX);
        }
    }
}

#[test]
fn each_leaf_has_its_own_ring_and_the_weight_comes_first() {
    let spec = VectorSpec {
        leaves: vec![
            leaf(&[2, 3], Dtype::F32, fixed(-16, 16.0)),
            leaf(&[], Dtype::U8, Encoding::Integer { bound: 1 }),
        ],
        reduction: Reduction::WeightedMean { max_weight: 3 },
    };
    let layout = spec.layout(4, ANY).unwrap();
    let segments: Vec<_> =
        layout.segments().iter().map(|s| (s.len, s.bits, s.signed, s.max, s.unit)).collect();
    assert_eq!(segments, [(1, 4, false, 3, 1), (6, 25, true, 3 << 20, 1 << 20), (1, 4, false, 3, 1)]);
    assert_eq!(layout.members(), 4);
}

#[test]
fn structures_that_are_none_are_refused() {
    let good = || leaf(&[1], Dtype::F32, fixed(-16, 16.0));
    assert_eq!(sum(vec![good()]).layout(0, ANY), Err(SpecError::NoMembers));
    assert_eq!(sum(vec![]).layout(3, ANY), Err(SpecError::NoLeaves));
    let many = SpecError::TooManyLeaves { found: 4097 };
    assert_eq!(sum(vec![good(); 4097]).layout(3, ANY), Err(many));
    assert!(sum(vec![good(); 4096]).layout(3, ANY).is_ok());
    let deep = one(&[1; 33], Dtype::F32, fixed(-16, 16.0)).layout(3, ANY);
    assert_eq!(deep, Err(SpecError::Rank { part: Part::Only, found: 33 }));
    let empty = sum(vec![good(), leaf(&[3, 0], Dtype::F32, fixed(-16, 16.0))]).layout(3, ANY);
    assert_eq!(empty, Err(SpecError::Empty { part: Part::Leaf(1) }));
}

#[test]
fn vectors_beyond_the_policy_are_refused() {
    let encoding = fixed(-16, 16.0);
    let halves = sum(vec![leaf(&[5], Dtype::F32, encoding), leaf(&[5], Dtype::F32, encoding)]);
    assert!(halves.layout(3, 10).is_ok());
    assert_eq!(halves.layout(3, 9), Err(SpecError::TooLong { max_elements: 9 }));
    for shape in [&[1 << 32, 1 << 32][..], &[MAX_ELEMENTS + 1]] {
        let refused = one(shape, Dtype::F32, encoding).layout(3, ANY);
        assert_eq!(refused, Err(SpecError::TooLong { max_elements: MAX_ELEMENTS }));
    }
    let longest = one(&[MAX_ELEMENTS], Dtype::F32, encoding).layout(3, ANY).unwrap();
    assert_eq!(longest.chunk_count(), 1 << 31);
    assert_eq!(longest.packed_len(), (MAX_ELEMENTS / 8) * 23);
}

#[test]
fn encodings_that_make_no_sense_are_refused() {
    let part = Part::Only;
    let layout = |dtype, encoding| one(&[1], dtype, encoding).layout(3, ANY).unwrap_err();
    for (dtype, encoding) in [(Dtype::F32, Encoding::Integer { bound: 1 }), (Dtype::U8, fixed(0, 1.0))] {
        assert_eq!(layout(dtype, encoding), SpecError::Dtype { part, dtype });
    }
    for found in [-61, 61, i8::MIN, i8::MAX] {
        assert_eq!(layout(Dtype::F64, fixed(found, 1.0)), SpecError::Step { part, found });
    }
    for found in [0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(layout(Dtype::F64, fixed(-16, found)), SpecError::Clip { part, found });
    }
    assert!(matches!(layout(Dtype::F64, fixed(-16, f64::NAN)), SpecError::Clip { .. }));
    for clip in [0.5, 0.1, 5e-324] {
        assert_eq!(layout(Dtype::F64, fixed(0, clip)), SpecError::StepAboveClip { part, clip, step_log2: 0 });
    }
    assert!(one(&[1], Dtype::F64, fixed(0, 0.5f64.next_up())).layout(3, ANY).is_ok());
    assert_eq!(layout(Dtype::U8, Encoding::Integer { bound: 0 }), SpecError::Bound { part });
    let weightless = VectorSpec {
        reduction: Reduction::WeightedMean { max_weight: 0 },
        ..one(&[1], Dtype::F32, fixed(-16, 16.0))
    };
    assert_eq!(weightless.layout(3, ANY), Err(SpecError::MaxWeight));
}

#[test]
fn sums_beyond_64_bits_name_the_part_the_need_and_the_ways_out() {
    let exact = one(&[1], Dtype::F32, fixed(-16, (1u64 << 43) as f64));
    assert_eq!(bits(&exact, 15), [64]);
    assert_eq!(
        exact.layout(16, ANY).unwrap_err().to_string(),
        "the array needs at least 65 bits for the sum of 16 members, but the ring has 64: \
         use a smaller clip, a larger step or fewer members"
    );
    for clip in [1e300, f64::MAX] {
        assert!(matches!(
            one(&[1], Dtype::F64, fixed(-60, clip)).layout(3, ANY),
            Err(SpecError::Budget { part: Part::Only, .. })
        ));
    }
    let weighted = |encoding, dtype, max_weight| {
        let spec =
            VectorSpec { reduction: Reduction::WeightedMean { max_weight }, ..one(&[1], dtype, encoding) };
        spec.layout(100, ANY).unwrap_err().to_string()
    };
    let way = "use a smaller clip, a larger step, a smaller largest weight or fewer members";
    assert!(weighted(fixed(-30, 16.0), Dtype::F32, 1 << 40).ends_with(way));
    let way = "use a smaller integer bound, a smaller largest weight or fewer members";
    assert!(weighted(Encoding::Integer { bound: 1 << 50 }, Dtype::I64, 1 << 40).ends_with(way));
    assert_eq!(
        weighted(fixed(0, 1.0), Dtype::F32, u64::MAX),
        "the weight needs at least 71 bits for the sum of 100 members, but the ring has 64: \
         use a smaller largest weight or fewer members"
    );
    let unweighted = one(&[1], Dtype::I64, Encoding::Integer { bound: 1 << 62 }).layout(2, ANY).unwrap_err();
    assert!(unweighted.to_string().ends_with("use a smaller integer bound or fewer members"));
}

#[test]
fn travels_through_the_codec() {
    let spec = VectorSpec::default_for(
        [(&[3, 4][..], Dtype::F32), (&[][..], Dtype::U64)],
        Reduction::WeightedMean { max_weight: 7 },
        5,
    );
    assert_eq!(codec::decode::<VectorSpec>(&codec::encode(&spec).unwrap()).unwrap(), spec);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_a_spec_or_none_but_never_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 1..60), members: usize, max_elements: u64,
    ) {
        bytes[0] = codec::VERSION;
        if let Ok(spec) = codec::decode::<VectorSpec>(&bytes) {
            let _ = spec.layout(members, max_elements);
        }
    }

    #[test]
    fn arbitrary_specs_fit_or_are_refused_but_never_panic(
        side: u64, step_log2: i8, clip: f64, bound: u64, max_weight: u64, members: usize,
    ) {
        let leaves = vec![
            leaf(&[side, 2], Dtype::F64, fixed(step_log2, clip)),
            leaf(&[2], Dtype::I16, Encoding::Integer { bound }),
        ];
        for reduction in [Reduction::Sum, Reduction::WeightedMean { max_weight }] {
            let spec = VectorSpec { leaves: leaves.clone(), reduction };
            if let Ok(layout) = spec.layout(members, ANY) {
                prop_assert!(layout.segments().iter().all(|segment| (1..=64).contains(&segment.bits)));
                prop_assert!(layout.chunk(layout.chunk_count() - 1).is_some());
            }
        }
    }
}
