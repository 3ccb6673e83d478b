//! Where numbers become integers, and arithmetic that keeps short decimals exact. Pure.
//!
//! A double cannot represent 0.8, so `(1 - 0.8) * 1000` is 199.99999999999994 by the rules of IEEE 754, and rounded
//! down it is 199. Operators read from configurations have decimals in mind: a result that is a decimal of at most
//! 12 digits but for the rounding error of the operation is that decimal.

/// How far below an integer a number still counts as that integer: the one tolerance of the collector.
pub const TOLERANCE: f64 = 1e-6;

/// The rounding error of one operation and of its two operands, relative to the largest of them.
const ERROR: f64 = 4.0 * f64::EPSILON;

/// The greatest integer that is not above `number`.
#[must_use]
pub fn floor(number: f64) -> f64 {
    (number + TOLERANCE).floor()
}

/// The least integer that is not below `number`.
#[must_use]
pub fn ceil(number: f64) -> f64 {
    (number - TOLERANCE).ceil()
}

/// The nearest integer; a half rounds away from 0.
#[must_use]
pub fn round(number: f64) -> f64 {
    (number + TOLERANCE.copysign(number)).round()
}

/// `number` without its fraction.
#[must_use]
pub fn truncate(number: f64) -> f64 {
    (number + TOLERANCE.copysign(number)).trunc()
}

/// `left + right`
#[must_use]
pub fn add(left: f64, right: f64) -> f64 {
    decimal(left + right, left.abs().max(right.abs()))
}

/// `left - right`
#[must_use]
pub fn subtract(left: f64, right: f64) -> f64 {
    decimal(left - right, left.abs().max(right.abs()))
}

/// `left * right`
#[must_use]
pub fn multiply(left: f64, right: f64) -> f64 {
    decimal(left * right, 0.0)
}

/// `left / right`
#[must_use]
pub fn divide(left: f64, right: f64) -> f64 {
    decimal(left / right, 0.0)
}

/// The decimal of at most 12 digits that `result` is but for rounding errors; `result` if there is none. The
/// operands are not above `operands`.
fn decimal(result: f64, operands: f64) -> f64 {
    let scale = operands.max(result.abs());
    if result.fract() == 0.0 || !(1e-6..1e12).contains(&scale) {
        return result;
    }
    let mut grid = 1e12;
    let mut bound = 1.0;
    while bound < scale {
        bound *= 10.0;
        grid /= 10.0;
    }
    let nearest = (result * grid).round() / grid;
    if (result - nearest).abs() <= ERROR * scale {
        nearest
    } else {
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[allow(clippy::float_cmp)] // exactness is the claim
    fn short_decimals_are_exact() {
        assert_eq!(multiply(subtract(1.0, 0.8), 1000.0), 200.0);
        assert_eq!(add(0.1, 0.2), 0.3);
        assert_eq!(multiply(0.29, 100.0), 29.0);
        assert_eq!(multiply(divide(1.0, 3.0), 3.0), 1.0);
        assert_eq!(subtract(1e15, 0.3), 1e15 - 0.3);
        assert_eq!(divide(1.0, 3.0), 1.0 / 3.0);
        assert!(add(f64::NAN, 1.0).is_nan() && multiply(f64::MAX, 2.0).is_infinite());
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn integers_have_one_tolerance() {
        assert_eq!((floor(199.999_999_9), ceil(200.000_000_1)), (200.0, 200.0));
        assert_eq!((floor(199.99), ceil(200.01)), (199.0, 201.0));
        assert_eq!((round(2.5), round(-2.5), round(2.4)), (3.0, -3.0, 2.0));
        assert_eq!((truncate(-1.9), truncate(1.999_999_99)), (-1.0, 2.0));
    }

    proptest! {
        /// Every percentage with two decimals, of every small limit, is exact.
        #[test]
        fn hundredths_subtract_exactly(left in 0_i32..1_000_000, right in 0_i32..1_000_000) {
            let [a, b, difference] = [left, right, left - right].map(|hundredths| f64::from(hundredths) / 100.0);
            prop_assert_eq!(subtract(a, b), difference);
        }

        /// A result never moves by more than the rounding error.
        #[test]
        fn results_stay_within_the_rounding_error(left in -1e9..1e9_f64, right in -1e9..1e9_f64) {
            let scale = left.abs().max(right.abs());
            prop_assert!((add(left, right) - (left + right)).abs() <= ERROR * (2.0 * scale));
        }
    }
}
