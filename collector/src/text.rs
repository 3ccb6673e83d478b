//! How numbers, counts and spans of time are written for people.

use std::time::Duration;

/// A number as a description shows it: short, and the same for the same number.
#[must_use]
pub fn number(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude >= 1e12 {
        format!("{number:.3e}")
    } else if number.fract() == 0.0 {
        format!("{number:.0}")
    } else if magnitude >= 100.0 {
        format!("{number:.1}")
    } else if magnitude >= 1.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
}

/// A count of things: `1 rule`, `2 rules`.
#[must_use]
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// A span of time: `3ms`, `0.8s`, `12s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{part}"),
    };
    match seconds {
        0 if span.as_millis() < 100 => format!("{}ms", span.as_millis()),
        0..10 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (millis, text) in [
            (0, "0ms"),
            (99, "99ms"),
            (870, "0.8s"),
            (9_990, "9.9s"),
            (59_999, "59s"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (7_200_000, "2h"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (1890.0, "1890"),
            (97.254, "97.25"),
            (0.123_456, "0.1235"),
            (1234.56, "1234.6"),
            (-0.5, "-0.5000"),
            (1.8e19, "1.800e19"),
            (0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
