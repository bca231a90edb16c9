//! Comparisons with hand-made aggregates, good ones and ones that are off by the least possible.

use super::*;

#[test]
fn integer_sums_are_equal_to_the_last_bit() {
    let inputs = [vec![i64::MAX - 5, -3, 1], vec![2, -4, 1], vec![3, 0, -2]].map(|v| array(Values::I64(v)));
    let plain = sum(&inputs);
    let published = |values: Vec<i64>| plain.compare(&array(Values::I64(values)), f64::MAX);
    assert_eq!(published(vec![i64::MAX, -7, 0]), right(0.0));
    let off = published(vec![i64::MAX - 1, -7, 0]);
    assert!(!off.correct && off.max_abs_error == 1.0);
    assert_eq!(off.detail.unwrap(), "index 0 of the aggregate is off by 1e0, allowed is 0e0");
}

#[test]
fn small_integers_sum_to_the_widest_type() {
    let inputs = [200u8, 200, 200].map(|value| array(Values::U8(vec![value; 3000])));
    assert_eq!(sum(&inputs).compare(&array(Values::U64(vec![600; 3000])), 0.0), right(0.0));
    let mut values = vec![600; 3000];
    values[2047] = 601;
    let off = sum(&inputs).compare(&array(Values::U64(values)), 0.0);
    assert!(off.detail.unwrap().starts_with("index 2047 "));
    assert!(!sum(&inputs).compare(&array(Values::I64(vec![600; 3000])), 0.0).correct);
}

#[test]
fn means_of_integers_are_correctly_rounded() {
    let inputs = [1, 0, 0].map(|value| array(Values::I16(vec![value, -value])));
    let plain = Plain::new(inputs.iter().map(|array| (array, 9)), Reduction::Mean);
    let third = 1.0f64 / 3.0;
    assert_eq!(plain.compare(&array(Values::F64(vec![third, -third])), 0.0), right(0.0));
    assert!(!plain.compare(&array(Values::F64(vec![third.next_up(), -third])), 0.0).correct);
}

#[test]
fn weighted_means_weigh() {
    let inputs = [4.0, 8.0, 100.0].map(|value| array(Values::F32(vec![value])));
    let weighted = |weights: [u64; 3]| Plain::new(inputs.iter().zip(weights), Reduction::WeightedMean);
    let published = array(Values::F32(vec![5.0]));
    assert_eq!(weighted([3, 1, 0]).compare(&published, 0.0), right(0.0));
    assert_eq!(weighted([1, 3, 0]).compare(&published, 2.0), right(2.0));
    let nothing = weighted([0, 0, 0]).compare(&published, 0.0);
    assert_eq!(nothing.detail.unwrap(), "the weights of the survivors add up to 0");

    let integers = [1, 2].map(|value| array(Values::U32(vec![value])));
    let plain = Plain::new(integers.iter().zip([1, 2]), Reduction::WeightedMean);
    assert_eq!(plain.compare(&array(Values::F64(vec![5.0 / 3.0])), 0.0), right(0.0));
}

#[test]
fn floats_are_held_to_the_bound() {
    let inputs = [0.5f32, 0.25, 0.125].map(|value| array(Values::F32(vec![value, 0.0])));
    let published = array(Values::F32(vec![0.875, 0.0625]));
    assert!(sum(&inputs).compare(&published, 0.0625).correct);
    let off = sum(&inputs).compare(&published, 0.0624);
    assert_eq!((off.correct, off.max_abs_error), (false, 0.0625));
    assert!(!sum(&inputs).compare(&published, f64::NAN).correct);
}

#[test]
fn sums_of_floats_are_compensated() {
    let inputs = [1e16, 1.0, -1e16].map(|value| array(Values::F64(vec![value])));
    assert_eq!(sum(&inputs).compare(&array(Values::F64(vec![1.0])), 0.0), right(0.0));
    let third = 1.0 / 3.0;
    let weighted = [(third, 3), (-1.0, 1)].map(|(value, weight)| (array(Values::F64(vec![value])), weight));
    let plain = Plain::new(weighted.iter().map(|(array, weight)| (array, *weight)), Reduction::WeightedMean);
    // three times the double nearest to 1/3 is 1 - 2⁻⁵⁴, of which a product rounded to 1 shows nothing
    assert_eq!(plain.compare(&array(Values::F64(vec![0.0])), 1.0).max_abs_error, (-54f64).exp2() / 4.0);
}

#[test]
fn aggregates_that_are_no_numbers_are_wrong() {
    let inputs = [1.0, 2.0].map(|value| array(Values::F64(vec![value])));
    for value in [f64::NAN, f64::INFINITY] {
        let compared = sum(&inputs).compare(&array(Values::F64(vec![value])), f64::INFINITY);
        assert_eq!(compared.max_abs_error, f64::MAX);
        assert!(!sum(&inputs).compare(&array(Values::F64(vec![value])), 1e300).correct);
    }
}

#[test]
fn other_shapes_types_and_nobody_are_wrong_in_words() {
    let inputs = [1.0f32, 2.0].map(|value| array(Values::F32(vec![value; 4])));
    let square = Array::new(vec![2, 2], Values::F32(vec![3.0; 4])).unwrap();
    let compared = sum(&inputs).compare(&square, 1.0);
    assert_eq!(compared.detail.unwrap(), "the aggregate is F32 of shape [2, 2] instead of F32 of shape [4]");
    assert!(!sum(&inputs).compare(&array(Values::F64(vec![3.0; 4])), 1.0).correct);
    assert_eq!(sum(&[]).compare(&square, 1.0).detail.unwrap(), "nobody survived");
    let unlike = [array(Values::F32(vec![1.0])), array(Values::F64(vec![1.0]))];
    assert_eq!(
        sum(&unlike).compare(&array(Values::F32(vec![2.0])), 1.0).detail.unwrap(),
        "the inputs are not alike"
    );
}

#[test]
fn quotients_agree_with_the_processor_and_with_hand_made_ties() {
    for (sum, divisor) in [(1, 3), (-7, 9), (1 << 53, 7), (123_456_789, 1), (-1, 1 << 20), (0, 5)] {
        assert_eq!(quotient(sum, divisor), sum as f64 / divisor as f64, "{sum} / {divisor}");
    }
    // 2⁵³ + 1/2, + 1 and + 3/2: below the tie, the tie to even, above it
    let base = 1i128 << 54;
    assert_eq!(quotient(base + 1, 2), (1u64 << 53) as f64);
    assert_eq!(quotient(base + 2, 2), (1u64 << 53) as f64);
    assert_eq!(quotient(base + 3, 2), ((1u64 << 53) + 2) as f64);
    // a tie that only the remainder of the division breaks
    assert_eq!(quotient((base + 2) * 1_000_003 + 1, 2_000_006), ((1u64 << 53) + 2) as f64);
    assert_eq!(quotient(i128::from(u64::MAX) << 30, 1 << 30), u64::MAX as f64);
}

fn right(max_abs_error: f64) -> Comparison {
    Comparison { correct: max_abs_error <= 2.0, max_abs_error, detail: None }
}

fn sum(inputs: &[Array]) -> Plain<'_> {
    Plain::new(inputs.iter().map(|array| (array, 1)), Reduction::Sum)
}

fn array(values: Values) -> Array {
    Array::new(vec![values.len() as u64], values).unwrap()
}
