use proptest::prelude::*;

use super::{Input, InputError, ValidInput, nearest};
use crate::array::{Array, Dtype, Values};
use crate::encoding::{Beyond, Encoding, Leaf, Part, Reduction, VectorSpec};

fn floats(step_log2: i8, clip: f64, beyond: Beyond, len: u64) -> VectorSpec {
    let encoding = Encoding::Fixed { step_log2, clip, beyond };
    VectorSpec {
        leaves: vec![Leaf { shape: vec![len], dtype: Dtype::F64, encoding }],
        reduction: Reduction::Sum,
    }
}

fn integers(dtype: Dtype, bound: u64, len: u64) -> VectorSpec {
    let encoding = Encoding::Integer { bound };
    VectorSpec { leaves: vec![Leaf { shape: vec![len], dtype, encoding }], reduction: Reduction::Sum }
}

fn array(values: Values) -> Array {
    Array::new(vec![values.len() as u64], values).unwrap()
}

fn input(values: Values) -> Input {
    Input { leaves: vec![array(values)], weight: 1 }
}

fn check(input: Input, spec: &VectorSpec) -> Result<ValidInput, InputError> {
    ValidInput::new(input, spec, &spec.layout(3, u64::MAX).unwrap())
}

fn refusal(input: Input, spec: &VectorSpec) -> InputError {
    check(input, spec).err().expect("a refusal")
}

/// All chunks, one after the other.
fn encoded(input: &ValidInput, spec: &VectorSpec) -> Vec<i64> {
    let layout = spec.layout(3, u64::MAX).unwrap();
    let mut all = Vec::new();
    for chunk in layout.chunks() {
        let mut words = vec![0; chunk.len as usize];
        input.encode(&chunk, &mut words);
        all.extend(words.iter().map(|&word| word as i64));
    }
    all
}

#[test]
fn floats_become_the_nearest_multiple_of_the_step_ties_to_even() {
    let spec = floats(-2, 2.0, Beyond::Refuse, 9);
    let values = vec![0.0, -0.0, 0.125, 0.375, -0.125, -0.375, 0.13, 2.0, -2.0];
    let valid = check(input(Values::F64(values)), &spec).unwrap();
    assert_eq!(encoded(&valid, &spec), [0, 0, 0, 2, 0, -2, 1, 8, -8]);
    assert_eq!(valid.clipped(), 0);
}

#[test]
fn weights_multiply_and_come_first() {
    let spec = VectorSpec {
        reduction: Reduction::WeightedMean { max_weight: 5 },
        ..floats(0, 10.0, Beyond::Refuse, 2)
    };
    let with_weight = |weight| Input { weight, ..input(Values::F64(vec![3.0, -2.0])) };
    assert_eq!(encoded(&check(with_weight(5), &spec).unwrap(), &spec), [5, 15, -10]);
    assert_eq!(encoded(&check(with_weight(0), &spec).unwrap(), &spec), [0, 0, 0]);
    assert_eq!(refusal(with_weight(6), &spec), InputError::Weight { max_weight: 5 });
    let plain = floats(0, 10.0, Beyond::Refuse, 2);
    assert_eq!(refusal(with_weight(5), &plain), InputError::UnexpectedWeight);
    assert_eq!(refusal(with_weight(0), &plain), InputError::UnexpectedWeight);
}

#[test]
fn integers_of_every_dtype_become_themselves() {
    let cases = [
        (Values::I8(vec![i8::MIN, 127]), [-128, 127]),
        (Values::I16(vec![i16::MIN, 7]), [-32768, 7]),
        (Values::I32(vec![i32::MIN, 7]), [-(1 << 31), 7]),
        (Values::I64(vec![-(1 << 60), 7]), [-(1 << 60), 7]),
        (Values::U8(vec![255, 0]), [255, 0]),
        (Values::U16(vec![65535, 0]), [65535, 0]),
        (Values::U32(vec![u32::MAX, 0]), [(1 << 32) - 1, 0]),
        (Values::U64(vec![1 << 60, 0]), [1 << 60, 0]),
    ];
    for (values, expected) in cases {
        let spec = integers(values.dtype(), 1 << 60, 2);
        assert_eq!(encoded(&check(input(values), &spec).unwrap(), &spec), expected);
    }
}

#[test]
fn the_chunk_says_which_elements() {
    let len = 2 * u64::from(crate::encoding::CHUNK_ELEMENTS) + 3;
    let spec = integers(Dtype::U32, 1 << 20, len);
    let valid = check(input(Values::U32((0..len as u32).collect())), &spec).unwrap();
    assert_eq!(encoded(&valid, &spec), (0..len as i64).collect::<Vec<_>>());
}

#[test]
fn floats_that_are_no_numbers_are_refused_with_their_place() {
    let infinite = f64::INFINITY;
    for beyond in [Beyond::Refuse, Beyond::Clip] {
        let spec = floats(-16, 16.0, beyond, 8);
        let at_7 = |value| {
            let mut values = vec![0.0; 8];
            values[7] = value;
            refusal(input(Values::F64(values)), &spec).to_string()
        };
        assert_eq!(at_7(f64::NAN), "nan at index 7, expected finite numbers");
        assert_eq!(at_7(-f64::NAN), "nan at index 7, expected finite numbers");
        assert_eq!(at_7(infinite), "infinity at index 7, expected finite numbers");
        assert_eq!(at_7(-infinite), "infinity at index 7, expected finite numbers");
    }
    let two = VectorSpec::default_for([(&[][..], Dtype::F32), (&[2][..], Dtype::F32)], Reduction::Sum, 3);
    let leaves =
        vec![Array::new(vec![], Values::F32(vec![1.0])).unwrap(), array(Values::F32(vec![1.0, f32::NAN]))];
    let message = refusal(Input { leaves, weight: 1 }, &two).to_string();
    assert_eq!(message, "nan at index 1 of leaf 1, expected finite numbers");
}

#[test]
fn values_beyond_the_clip_are_refused_or_clipped_and_counted() {
    let values = || Values::F64(vec![1.0, 16.0f64.next_up(), -16.0, -1e300]);
    let refuse = floats(-16, 16.0, Beyond::Refuse, 4);
    assert_eq!(
        refusal(input(values()), &refuse).to_string(),
        "value at index 1 is beyond the clip 16: scale the input or agree on a larger clip"
    );
    let clip = floats(-16, 16.0, Beyond::Clip, 4);
    let valid = check(input(values()), &clip).unwrap();
    assert_eq!(valid.clipped(), 2);
    assert_eq!(encoded(&valid, &clip), [1 << 16, 1 << 20, -(1 << 20), -(1 << 20)]);
}

#[test]
fn integers_beyond_the_bound_are_refused_on_both_sides() {
    let spec = integers(Dtype::I64, 100, 2);
    for (value, fits) in [(100, true), (-100, true), (101, false), (-101, false), (i64::MIN, false)] {
        let found = check(input(Values::I64(vec![0, value])), &spec).err();
        let expected = InputError::BeyondBound { part: Part::Only, index: 1, bound: 100 };
        assert_eq!(found, (!fits).then_some(expected));
    }
    let spec = integers(Dtype::U64, 100, 1);
    assert_eq!(
        refusal(input(Values::U64(vec![u64::MAX])), &spec).to_string(),
        "value at index 0 is beyond the integer bound 100: agree on a larger one"
    );
}

#[test]
fn another_structure_is_refused() {
    let spec = integers(Dtype::I16, 9, 2);
    let none = Input { leaves: vec![], weight: 1 };
    assert_eq!(refusal(none, &spec), InputError::Leaves { found: 0, expected: 1 });
    let message = refusal(input(Values::I16(vec![1, 2, 3])), &spec).to_string();
    assert_eq!(message, "the array has shape [3], expected [2]");
    let square = Array::new(vec![2, 1], Values::I16(vec![1, 2])).unwrap();
    let message = refusal(Input { leaves: vec![square], weight: 1 }, &spec).to_string();
    assert_eq!(message, "the array has shape [2, 1], expected [2]");
    let message = refusal(input(Values::I32(vec![1, 2])), &spec).to_string();
    assert_eq!(message, "the array is i32, expected i16");
}

#[test]
fn chunks_can_be_encoded_from_several_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ValidInput>();
}

#[test]
fn the_nearest_integer_at_the_edges() {
    for exponent in [0, 1, 23, 30, 49, 50, 51, 52, 53, 61] {
        let power = (1u64 << exponent) as f64;
        for around in [power, power.next_up(), power.next_down(), power + 0.5, power - 0.5, power + 1.5] {
            for value in [around, -around] {
                assert_eq!(nearest(value), value.round_ties_even() as i64, "{value}");
            }
        }
    }
    assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5, 0.0, -0.0].map(nearest), [0, 2, 2, 0, -2, 0, 0]);
}

proptest! {
    #[test]
    fn the_nearest_integer_is_what_the_standard_library_says(
        magnitude in 0.0..1.0f64,
        exponent in 0u32..62,
        halves in any::<i32>(),
    ) {
        let value = (magnitude - 0.5) * (1u64 << exponent) as f64;
        prop_assert_eq!(nearest(value), value.round_ties_even() as i64);
        let tie = f64::from(halves) / 2.0;
        prop_assert_eq!(nearest(tie), tie.round_ties_even() as i64);
    }
}
