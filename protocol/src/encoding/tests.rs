//! Encode, sum in the ring, decode: against sums in wide integers.

use proptest::prelude::*;

use super::{
    Aggregate, Beyond, CHUNK_ELEMENTS, DecodeError, Decoder, Encoding, Input, Leaf, Part, Reduction,
    ValidInput, VectorSpec, packing,
};
use crate::array::{Array, Dtype, Values};

const WEIGHTED: Reduction = Reduction::WeightedMean { max_weight: 1 << 10 };

/// The whole way of a sum: each vector packed and unpacked as on the wire, added mod 2^64.
fn aggregate(spec: &VectorSpec, members: usize, inputs: &[Input]) -> Result<Aggregate, DecodeError> {
    let layout = spec.layout(members, u64::MAX).unwrap();
    let valid =
        |input: &Input| ValidInput::new(input.clone(), spec, &layout).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<ValidInput> = inputs.iter().map(valid).collect();
    let mut decoder = Decoder::new(spec, &layout, inputs.len());
    for chunk in layout.chunks() {
        let mut sum = vec![0u64; chunk.len as usize];
        let (mut words, mut bytes) = (sum.clone(), Vec::new());
        for input in &inputs {
            input.encode(&chunk, &mut words);
            bytes.clear();
            packing::pack(&words, chunk.bits, &mut bytes);
            packing::unpack(&bytes, chunk.bits, &mut words).unwrap();
            sum.iter_mut().zip(&words).for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
        }
        decoder.push(&chunk, &sum)?;
    }
    decoder.finish()
}

fn array(values: Values) -> Array {
    Array::new(vec![values.len() as u64], values).unwrap()
}

fn input(values: Values, weight: u64) -> Input {
    Input { leaves: vec![array(values)], weight }
}

fn spec(dtype: Dtype, len: u64, encoding: Encoding, reduction: Reduction) -> VectorSpec {
    VectorSpec { leaves: vec![Leaf { shape: vec![len], dtype, encoding }], reduction }
}

fn fixed(step_log2: i8, clip: f64) -> Encoding {
    Encoding::Fixed { step_log2, clip, beyond: Beyond::Refuse }
}

/// Values of `dtype`; what does not fit it is a mistake of the test.
fn typed(dtype: Dtype, values: &[i128]) -> Values {
    fn all<T: TryFrom<i128>>(values: &[i128]) -> Vec<T> {
        values.iter().map(|&value| T::try_from(value).ok().expect("a value of the dtype")).collect()
    }
    match dtype {
        Dtype::F32 => Values::F32(values.iter().map(|&value| value as f32).collect()),
        Dtype::F64 => Values::F64(values.iter().map(|&value| value as f64).collect()),
        Dtype::I8 => Values::I8(all(values)),
        Dtype::I16 => Values::I16(all(values)),
        Dtype::I32 => Values::I32(all(values)),
        Dtype::I64 => Values::I64(all(values)),
        Dtype::U8 => Values::U8(all(values)),
        Dtype::U16 => Values::U16(all(values)),
        Dtype::U32 => Values::U32(all(values)),
        Dtype::U64 => Values::U64(all(values)),
    }
}

const INTEGERS: [(Dtype, i128, i128); 8] = [
    (Dtype::I8, i8::MIN as i128, i8::MAX as i128),
    (Dtype::I16, i16::MIN as i128, i16::MAX as i128),
    (Dtype::I32, i32::MIN as i128, i32::MAX as i128),
    (Dtype::I64, i64::MIN as i128, i64::MAX as i128),
    (Dtype::U8, 0, u8::MAX as i128),
    (Dtype::U16, 0, u16::MAX as i128),
    (Dtype::U32, 0, u32::MAX as i128),
    (Dtype::U64, 0, u64::MAX as i128),
];

fn bound_of(dtype: Dtype, reduction: Reduction, members: usize) -> i128 {
    match Encoding::default_for(dtype, reduction, members) {
        Encoding::Integer { bound } => bound.into(),
        Encoding::Fixed { .. } => panic!("an integer dtype"),
    }
}

#[test]
fn integers_at_the_edge_of_the_budget_sum_exactly() {
    for members in [1, 2, 3, 8, 100] {
        for (dtype, least, most) in INTEGERS {
            let bound = bound_of(dtype, Reduction::Sum, members);
            let values = [least.max(-bound), most.min(bound), 1, 0];
            let spec = VectorSpec::default_for([(&[4][..], dtype)], Reduction::Sum, members);
            let inputs = vec![input(typed(dtype, &values), 1); members];
            let result = aggregate(&spec, members, &inputs).unwrap();
            let sums = values.map(|value| value * members as i128);
            let wide = if dtype.is_signed() { Dtype::I64 } else { Dtype::U64 };
            assert!(result.leaves == [array(typed(wide, &sums))], "{dtype:?} of {members}");
            assert_eq!((result.error_bound, result.weight), (0.0, None));
        }
    }
}

#[test]
fn means_of_integers_at_the_edge_of_the_budget_are_rounded_once() {
    for members in [1, 2, 3, 8, 100] {
        for reduction in [Reduction::Mean, WEIGHTED] {
            let weight = reduction.max_weight();
            for (dtype, least, most) in INTEGERS {
                let bound = bound_of(dtype, reduction, members);
                let values = [least.max(-bound), most.min(bound), 1, 0];
                let spec = VectorSpec::default_for([(&[4][..], dtype)], reduction, members);
                let result =
                    aggregate(&spec, members, &vec![input(typed(dtype, &values), weight); members]).unwrap();
                // all say the same, so that is the mean; `as` rounds correctly
                assert!(result.leaves == [array(typed(Dtype::F64, &values))], "{dtype:?} of {members}");
                let total = reduction.is_weighted().then_some(weight * members as u64);
                assert_eq!(result.weight, total);
            }
        }
    }
}

#[test]
fn floats_at_the_edge_of_the_budget_survive() {
    for members in [1usize, 2, 3, 8, 100] {
        for reduction in [Reduction::Sum, Reduction::Mean, WEIGHTED] {
            for step_log2 in [-60, -16, 0, 60] {
                // the largest power of two that fits, which makes a ring of exactly 64 bits
                let parts = members as u64 * reduction.max_weight();
                let unit = 1u64 << (i64::MAX as u64 / parts).ilog2();
                let clip = unit as f64 * 2f64.powi(step_log2);
                let encoding = fixed(step_log2 as i8, clip);
                let factor = if reduction == Reduction::Sum { members as f64 } else { 1.0 };
                for dtype in [Dtype::F32, Dtype::F64] {
                    let spec = spec(dtype, 3, encoding, reduction);
                    let layout = spec.layout(members, 3).unwrap();
                    assert_eq!(layout.segments().last().map(|segment| segment.bits), Some(64));
                    assert!(spec.layout(2 * members, 3).is_err());
                    let floats = |factor: f64| match dtype {
                        Dtype::F32 => Values::F32([clip, -clip, 0.0].map(|x| (x * factor) as f32).into()),
                        _ => Values::F64([clip, -clip, 0.0].map(|x| x * factor).into()),
                    };
                    let inputs = vec![input(floats(1.0), reduction.max_weight()); members];
                    let result = aggregate(&spec, members, &inputs).unwrap();
                    assert!(result.leaves == [array(floats(factor))], "{members} {reduction:?} {step_log2}");
                }
            }
        }
    }
}

#[test]
fn the_bound_of_a_sum_is_attained() {
    // half a step is a tie that goes to 0 for every member
    let half = 2f64.powi(-17);
    for members in [1, 8, 100] {
        let spec = spec(Dtype::F64, 1, fixed(-16, 16.0), Reduction::Sum);
        let result = aggregate(&spec, members, &vec![input(Values::F64(vec![half]), 1); members]).unwrap();
        assert!(result.leaves == [array(Values::F64(vec![0.0]))]);
        assert_eq!(result.error_bound, half * members as f64);
    }
}

/// |result − sum·2^unit_log2 / count| ≤ bound, in integers.
fn within(result: f64, sum: i128, unit_log2: i32, count: i128, bound: f64) -> bool {
    let (r, r_exponent) = integer(result);
    let (b, b_exponent) = integer(bound);
    let least = r_exponent.min(b_exponent).min(unit_log2);
    let scaled = |value: i128, exponent: i32| value.checked_mul(1 << (exponent - least)).expect("room");
    let error = scaled(r, r_exponent).checked_mul(count).unwrap() - scaled(sum, unit_log2);
    error.abs() <= scaled(b, b_exponent).checked_mul(count).unwrap()
}

/// value = integer·2^exponent with an odd integer.
fn integer(value: f64) -> (i128, i32) {
    if value == 0.0 {
        return (0, 0);
    }
    let exponent = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023 - 52;
    let mantissa = (value.to_bits() & ((1 << 52) - 1) | 1 << 52) as i128;
    let zeros = mantissa.trailing_zeros();
    ((mantissa >> zeros) * value.signum() as i128, exponent + zeros as i32)
}

#[test]
fn within_is_exact() {
    assert!(within(0.1, 3602879701896397, -55, 1, 0.0));
    assert!(!within(0.1, 1, 0, 10, 0.0));
    assert!(within(0.1, 1, 0, 10, 2f64.powi(-57)));
    assert!(!within(0.1, 1, 0, 10, 2f64.powi(-58)));
    assert!(within(-2.5, -5, -1, 1, 0.0));
    assert!(!within(2.5, -5, -1, 1, 4.9));
}

/// Per member: a weight, and the value as a multiple of 2^−26, a thousandth of a step.
fn members() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let edge = 16 << 26;
    // an f32 holds 24 bits, so fine values are small
    let value = prop_oneof![
        -(1i64 << 24)..1 << 24,
        (-(1i64 << 19)..=1 << 19).prop_map(move |x| x << 11),
        Just(edge),
        Just(-edge)
    ];
    proptest::collection::vec((0..=WEIGHTED.max_weight(), value), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn floats_come_back_within_the_bound(members in members(), single: bool, kind in 0usize..3) {
        let reduction = [Reduction::Sum, Reduction::Mean, WEIGHTED][kind];
        let dtype = if single { Dtype::F32 } else { Dtype::F64 };
        let weight = |weight| if reduction.is_weighted() { weight } else { 1 };
        let inputs: Vec<Input> = members.iter().map(|&(w, x)| {
            let value = x as f64 * 2f64.powi(-26);
            prop_assert_eq!(f64::from(value as f32), value);
            let values = if single { Values::F32(vec![value as f32]) } else { Values::F64(vec![value]) };
            Ok(input(values, weight(w)))
        }).collect::<Result<_, _>>()?;
        let total: i128 = inputs.iter().map(|input| i128::from(input.weight)).sum();
        let sum: i128 = members.iter().map(|&(w, x)| i128::from(weight(w)) * i128::from(x)).sum();
        let count = if reduction == Reduction::Sum { 1 } else { total };

        let result = aggregate(&spec(dtype, 1, fixed(-16, 16.0), reduction), 40, &inputs);
        if total == 0 {
            prop_assert_eq!(result.err(), Some(DecodeError::NoWeight));
            return Ok(());
        }
        let result = result.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let value = match result.leaves[0].values() {
            Values::F32(values) => f64::from(values[0]),
            Values::F64(values) => values[0],
            _ => return Err(TestCaseError::fail("another dtype")),
        };
        prop_assert!(within(value, sum, -26, count, result.error_bound));
        // and the bound is no larger than it has to be: the quantisation, and half of the last place
        let additions = if reduction == Reduction::Sum { members.len() as f64 } else { 1.0 };
        let digits = if single { 24 } else { 53 };
        let rounding = value.abs() * 2f64.powi(-digits);
        prop_assert!(result.error_bound <= (additions * 2f64.powi(-17) + rounding).next_up().next_up());
    }

    #[test]
    fn means_of_any_integers_are_within_half_of_the_last_place(
        values in proptest::collection::vec(any::<i64>(), 1..30), unsigned: bool,
    ) {
        let n = values.len();
        let dtype = if unsigned { Dtype::U64 } else { Dtype::I64 };
        let bound = bound_of(dtype, Reduction::Mean, n);
        let values: Vec<i128> = values.iter().map(|&value| {
            let value = i128::from(value) % (bound + 1);
            if unsigned { value.abs() } else { value }
        }).collect();
        let spec = VectorSpec::default_for([(&[1][..], dtype)], Reduction::Mean, n);
        let inputs: Vec<Input> = values.iter().map(|&value| input(typed(dtype, &[value]), 1)).collect();
        let result = aggregate(&spec, n, &inputs).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let Values::F64(mean) = result.leaves[0].values() else { return Err(TestCaseError::fail("another dtype")) };
        prop_assert!(within(mean[0], values.iter().sum(), 0, n as i128, result.error_bound));
        prop_assert!(result.error_bound <= mean[0].abs() * 2f64.powi(-53));
    }

    #[test]
    fn arbitrary_words_are_a_result_or_an_alarm(words in proptest::collection::vec(any::<u64>(), 8), survivors in 0usize..12, kind in 0usize..3) {
        let reduction = [Reduction::Sum, Reduction::Mean, WEIGHTED][kind];
        let leaves = [(&[2][..], Dtype::F32), (&[1][..], Dtype::I64), (&[1][..], Dtype::U8), (&[1][..], Dtype::F64)];
        let spec = VectorSpec::default_for(leaves, reduction, 10);
        let layout = spec.layout(10, 100).unwrap();
        let mut decoder = Decoder::new(&spec, &layout, survivors);
        let pushed = layout.chunks().try_for_each(|chunk| decoder.push(&chunk, &words[..chunk.len as usize]));
        match pushed {
            Ok(()) => prop_assert!(decoder.finish().is_ok_and(|result| result.error_bound.is_finite())),
            Err(DecodeError::Survivors { .. }) => prop_assert!(survivors == 0 || survivors > 10),
            Err(error) => {
                let foreseen = matches!(error, DecodeError::OutOfRange { .. } | DecodeError::NoWeight);
                prop_assert!(foreseen, "{}", error);
            }
        }
    }
}

#[test]
fn a_structure_of_many_dtypes_comes_back_leaf_by_leaf() {
    let long = CHUNK_ELEMENTS as usize + 5;
    let spec = VectorSpec::default_for(
        [
            (&[long as u64][..], Dtype::F32),
            (&[][..], Dtype::I64),
            (&[2, 2][..], Dtype::U8),
            (&[1][..], Dtype::F64),
        ],
        Reduction::Sum,
        4,
    );
    let ramp = |scale: f32| (0..long).map(|i| i as f32 / 4096.0 * scale).collect();
    let leaves = |f32s, i64s, u8s, f64s| {
        vec![
            array(Values::F32(f32s)),
            Array::new(vec![], i64s).unwrap(),
            Array::new(vec![2, 2], u8s).unwrap(),
            array(Values::F64(f64s)),
        ]
    };
    let one = leaves(ramp(1.0), Values::I64(vec![-9]), Values::U8(vec![1, 2, 3, 255]), vec![-0.25]);
    let inputs = vec![Input { leaves: one, weight: 1 }; 3];
    let result = aggregate(&spec, 4, &inputs).unwrap();
    let expected = leaves(ramp(3.0), Values::I64(vec![-27]), Values::U64(vec![3, 6, 9, 765]), vec![-0.75]);
    assert!(result.leaves == expected);
    assert_eq!(result.leaf_error_bounds[1..3], [0.0, 0.0]);
    assert_eq!(result.error_bound, result.leaf_error_bounds[0]);
    assert!(result.leaf_error_bounds[0] > result.leaf_error_bounds[3]);
}

#[test]
fn sums_that_honest_survivors_cannot_have_raise_an_alarm() {
    let alarm = |part, index| Err(DecodeError::OutOfRange { part, index });
    let push = |spec: &VectorSpec, survivors, words: &[&[u64]]| {
        let layout = spec.layout(9, 100).unwrap();
        let mut decoder = Decoder::new(spec, &layout, survivors);
        layout.chunks().zip(words).try_for_each(|(chunk, words)| decoder.push(&chunk, words))
    };
    let signed = spec(Dtype::I16, 2, Encoding::Integer { bound: 100 }, Reduction::Sum);
    assert_eq!(push(&signed, 3, &[&[300, 300u64.wrapping_neg()]]), Ok(()));
    assert_eq!(push(&signed, 3, &[&[0, 301]]), alarm(Part::Only, 1));
    assert_eq!(push(&signed, 3, &[&[301u64.wrapping_neg(), 0]]), alarm(Part::Only, 0));
    let unsigned = spec(Dtype::U16, 2, Encoding::Integer { bound: 100 }, Reduction::Mean);
    assert_eq!(push(&unsigned, 3, &[&[300, 0]]), Ok(()));
    assert_eq!(push(&unsigned, 3, &[&[301, 0]]), alarm(Part::Only, 0));
    let weighted = spec(Dtype::F32, 2, fixed(0, 100.0), Reduction::WeightedMean { max_weight: 50 });
    assert_eq!(push(&weighted, 3, &[&[150], &[15_000, 0]]), Ok(()));
    assert_eq!(push(&weighted, 3, &[&[151], &[0, 0]]), alarm(Part::Weight, 0));
    // a mean beyond the clip, although a larger total weight would allow the sum
    assert_eq!(push(&weighted, 3, &[&[149], &[0, 15_000]]), alarm(Part::Only, 1));
    assert_eq!(push(&weighted, 3, &[&[0], &[0, 0]]), Err(DecodeError::NoWeight));
}

#[test]
fn chunks_come_in_order_whole_and_all() {
    let spec = VectorSpec::default_for(
        [(&[u64::from(CHUNK_ELEMENTS) + 1][..], Dtype::U8), (&[2][..], Dtype::U8)],
        Reduction::Sum,
        3,
    );
    let layout = spec.layout(3, u64::MAX).unwrap();
    let chunks: Vec<_> = layout.chunks().collect();
    let words = vec![0; CHUNK_ELEMENTS as usize];
    let out_of_order =
        |found, words, expected, len| Err(DecodeError::OutOfOrder { found, words, expected, len });

    let mut decoder = Decoder::new(&spec, &layout, 3);
    assert_eq!(decoder.push(&chunks[1], &words[..1]), out_of_order(1, 1, 0, CHUNK_ELEMENTS));
    assert_eq!(decoder.push(&chunks[0], &words[1..]), out_of_order(0, words.len() - 1, 0, CHUNK_ELEMENTS));
    decoder.push(&chunks[0], &words).unwrap();
    decoder.push(&chunks[1], &words[..1]).unwrap();
    assert_eq!(decoder.finish().err(), Some(DecodeError::Incomplete { found: 2, expected: 3 }));

    let mut decoder = Decoder::new(&spec, &layout, 3);
    chunks.iter().for_each(|chunk| decoder.push(chunk, &words[..chunk.len as usize]).unwrap());
    assert_eq!(decoder.push(&chunks[2], &words[..2]), out_of_order(2, 2, 3, 0));
    for found in [0, 4] {
        let refused = Decoder::new(&spec, &layout, found).push(&chunks[0], &words);
        assert_eq!(refused, Err(DecodeError::Survivors { found, members: 3 }));
    }
}
