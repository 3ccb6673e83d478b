//! How numbers and counts are written for people.

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

#[cfg(test)]
mod tests {
    use super::*;

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
