//! Quotients of integers, rounded once to a float.
//!
//! A result is an exact integer times a power of two, divided by an exact integer. Scaling by the power
//! of two is exact, since neither quotients (2^−64 to 2^64) nor steps (2^−60 to 2^60) lead out of the
//! normal range of an `f32`; so one correct rounding of the quotient is the only rounding there is.

use std::num::NonZeroU64;

use super::spec::power_of_two;

/// Integers up to here are exact in an `f64`.
const EXACT: u64 = 1 << 53;

/// A float that results come in.
pub(super) trait Rounded: Copy {
    /// `numerator / denominator`, rounded to nearest, ties to even.
    fn quotient(numerator: u64, denominator: NonZeroU64) -> Self;

    /// With the sign of the exact value, and times 2^k, which is exact for results.
    fn scaled(self, negative: bool, power: f64) -> Self;

    /// Half of the distance to the next larger magnitude: no value that rounds to this one is farther
    /// away. 0 for 0, which in the range of results only 0 rounds to.
    fn half_ulp(self) -> f64;

    /// Magnitude.
    fn magnitude(self) -> Self;
}

impl Rounded for f64 {
    fn quotient(numerator: u64, denominator: NonZeroU64) -> Self {
        let denominator = denominator.get();
        if numerator <= EXACT && denominator <= EXACT {
            return numerator as f64 / denominator as f64;
        }
        let (quotient, exponent) = long_division(numerator, denominator);
        quotient as f64 * power_of_two(-exponent)
    }

    fn scaled(self, negative: bool, power: f64) -> Self {
        if negative { -self * power } else { self * power }
    }

    fn half_ulp(self) -> f64 {
        if self == 0.0 { 0.0 } else { (self.abs().next_up() - self.abs()) / 2.0 }
    }

    fn magnitude(self) -> Self {
        self.abs()
    }
}

impl Rounded for f32 {
    fn quotient(numerator: u64, denominator: NonZeroU64) -> Self {
        // bits of an f64 that an f32 lacks, and their value half way between two neighbours
        const LOST: u64 = (1 << 29) - 1;
        const HALF: u64 = 1 << 28;
        let denominator = denominator.get();
        if numerator <= EXACT && denominator <= EXACT {
            let double = numerator as f64 / denominator as f64;
            // rounding is monotone and a half way point is an f64, so a double that is not one lies on
            // the same side of it as the exact quotient: rounding twice is then rounding once
            if double.to_bits() & LOST != HALF {
                return double as f32;
            }
        }
        let (quotient, exponent) = long_division(numerator, denominator);
        quotient as f32 * power_of_two(-exponent) as f32
    }

    fn scaled(self, negative: bool, power: f64) -> Self {
        if negative { -self * power as f32 } else { self * power as f32 }
    }

    fn half_ulp(self) -> f64 {
        if self == 0.0 { 0.0 } else { (f64::from(self.abs().next_up()) - f64::from(self.abs())) / 2.0 }
    }

    fn magnitude(self) -> Self {
        self.abs()
    }
}

/// ⌊numerator·2^k / denominator⌋ and k, with the last bit set where the division leaves a remainder.
/// The quotient has 63 to 127 bits (or is 0), so that bit lies far below the ones that are kept and
/// only tells a tie from a bit more than a tie.
fn long_division(numerator: u64, denominator: u64) -> (u128, i32) {
    let shift = numerator.leading_zeros() + 63;
    let scaled = u128::from(numerator) << shift;
    let denominator = u128::from(denominator);
    let (quotient, remainder) = (scaled / denominator, scaled % denominator);
    (quotient | u128::from(remainder > 0), shift as i32)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::Rounded;

    /// Numerator, denominator, bits of the f64 and of the f32; from CPython, whose `n / d` is correctly
    /// rounded, and from `fractions.Fraction` rounded by hand to 24 bits. Four of them are an f32 tie
    /// only after rounding to f64; the last four exceed a tie of f64 or f32 by less than 2^−86.
    const FROM_PYTHON: [(u64, u64, u64, u32); 22] = [
        (0, 7, 0x0000000000000000, 0x00000000),
        (1, 3, 0x3fd5555555555555, 0x3eaaaaab),
        (18446744073709551615, 1, 0x43f0000000000000, 0x5f800000),
        (18446744073709551615, 18446744073709551615, 0x3ff0000000000000, 0x3f800000),
        (1, 18446744073709551615, 0x3bf0000000000000, 0x1f800000),
        (9007199254740993, 1, 0x4340000000000000, 0x5a000000),
        (9007199254740995, 1, 0x4340000000000002, 0x5a000000),
        (9007199254740993, 3, 0x4325555555555556, 0x592aaaab),
        (16777217, 1, 0x4170000010000000, 0x4b800000),
        (16777219, 1, 0x4170000030000000, 0x4b800002),
        (5557412455682335, 8538709907911737, 0x3fe4d3c1b0000000, 0x3f269e0d),
        (3215258645316757, 5864195422889743, 0x3fe18b8ff0000000, 0x3f0c5c7f),
        (723801130260776, 775241757970649, 0x3fede06cf0000000, 0x3f6f0367),
        (4646525687596923, 7448719085657527, 0x3fe3f62f90000000, 0x3f1fb17d),
        (4118032072156385373, 1282595059382, 0x41487ee79aaad2aa, 0x4a43f73d),
        (1141153371300629929, 54054488822, 0x41742217f914c538, 0x4ba110c0),
        (18008728104892228252, 1527, 0x4344f3142f47facb, 0x5a2798a1),
        (15835947990754891582, 149, 0x43779967d12233b7, 0x5bbccb3f),
        (4875294814570276801, 7408625091460086399, 0x3fe50eccc3c23d41, 0x3f287666),
        (4976832765508294469, 5401004330257108331, 0x3fed7ca2bc2a445f, 0x3f6be516),
        (10707158639745887302, 12487244661159436127, 0x3feb703610000000, 0x3f5b81b1),
        (11563480662555435761, 13740673727174990587, 0x3feaedfcd0000000, 0x3f576fe7),
    ];

    #[test]
    fn quotients_agree_with_an_independent_implementation() {
        for (n, d, double, single) in FROM_PYTHON {
            let divisor = NonZeroU64::new(d).unwrap();
            assert_eq!(f64::quotient(n, divisor).to_bits(), double, "f64 of {n}/{d}");
            assert_eq!(f32::quotient(n, divisor).to_bits(), single, "f32 of {n}/{d}");
        }
    }

    #[test]
    fn half_ulp_is_half_the_gap_above() {
        assert_eq!(1.0f64.half_ulp(), f64::EPSILON / 2.0);
        assert_eq!((-3.0f64).half_ulp(), f64::EPSILON);
        assert_eq!(1.0f32.half_ulp(), f64::from(f32::EPSILON) / 2.0);
        assert_eq!(0.0f64.half_ulp(), 0.0);
        assert_eq!(0.0f32.half_ulp(), 0.0);
    }

    /// Whether n/d lies between the midpoints m ± ½ of the neighbours of m·2^e, in integers; `bits` of
    /// the significand. A tie must have an even m.
    fn is_nearest(n: u64, d: u64, result: f64, bits: u32) -> bool {
        let exponent = (result.to_bits() >> 52) as i32 - 1023 - (bits as i32 - 1);
        let m = (result * 2f64.powi(-exponent)) as u128;
        let (n, d) = (u128::from(n), u128::from(d));
        // n / (d·2^e) against (2m ± 1) / 2
        let (left, right) = if exponent <= 0 { (n << (1 - exponent), d) } else { (2 * n, d << exponent) };
        let (low, high) = ((2 * m - 1) * right, (2 * m + 1) * right);
        if m.is_multiple_of(2) { (low..=high).contains(&left) } else { low < left && left < high }
    }

    proptest! {
        #[test]
        fn quotients_are_the_nearest_floats(n in 1u64.., d in 1u64.., less_n in 0u32..63, less_d in 0u32..63) {
            let (n, d) = ((n >> less_n).max(1), (d >> less_d).max(1));
            let divisor = NonZeroU64::new(d).unwrap();
            prop_assert!(is_nearest(n, d, f64::quotient(n, divisor), 53));
            prop_assert!(is_nearest(n, d, f32::quotient(n, divisor).into(), 24));
        }
    }
}
