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
