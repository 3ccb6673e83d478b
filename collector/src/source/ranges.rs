//! Lists of numbers and ranges, as in `200-299,401`: expected HTTP statuses and exit statuses. Pure.

use std::fmt;
use std::ops::RangeInclusive;

/// Numbers and ranges of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// First and last of each range.
    ranges: Vec<(u16, u16)>,
}

impl Ranges {
    /// The default HTTP statuses that are a success: `200-299`.
    #[must_use]
    pub fn success() -> Self {
        Self {
            ranges: vec![(200, 299)],
        }
    }

    /// The default exit status that is a success: `0`.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            ranges: vec![(0, 0)],
        }
    }

    /// Parses HTTP statuses from 200 to 599.
    ///
    /// # Errors
    /// The error, as the rest of a sentence that begins with the list.
    pub fn statuses(text: &str) -> Result<Self, String> {
        Self::parse(text, 200..=599, "a status")
    }

    /// Parses exit statuses from 0 to 255.
    ///
    /// # Errors
    /// The error, as the rest of a sentence that begins with the list.
    pub fn exits(text: &str) -> Result<Self, String> {
        Self::parse(text, 0..=255, "an exit status")
    }

    fn parse(text: &str, bounds: RangeInclusive<u16>, noun: &str) -> Result<Self, String> {
        let number = |word: &str| -> Result<u16, String> {
            let word = word.trim();
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits && (word == "0" || !word.starts_with('0'));
            let (least, most) = (bounds.start(), bounds.end());
            word.parse()
                .ok()
                .filter(|number| plain && bounds.contains(number))
                .ok_or_else(|| format!("has {word:?} instead of {noun} from {least} to {most}"))
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!(
                    "has a range that ends before it begins: {first}-{last}"
                ));
            }
            ranges.push((first, last));
        }
        Ok(Self { ranges })
    }

    /// Whether `number` is in the list.
    #[must_use]
    pub fn contains(&self, number: u16) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&number))
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_parsed() {
        for (text, shown) in [
            ("200", "200"),
            ("200-299,401", "200-299,401"),
            (" 200 - 204 , 503 ", "200-204,503"),
            ("301-301", "301"),
        ] {
            assert_eq!(Ranges::statuses(text).unwrap().to_string(), shown);
        }
        let statuses = Ranges::statuses("200-204,401").unwrap();
        let within: Vec<u16> = (0..1000).filter(|s| statuses.contains(*s)).collect();
        assert_eq!(within, [200, 201, 202, 203, 204, 401]);
        assert_eq!(Ranges::success().to_string(), "200-299");
        let exits = Ranges::exits("0,3-4").unwrap();
        let within: Vec<u16> = (0..300).filter(|s| exits.contains(*s)).collect();
        assert_eq!(within, [0, 3, 4]);
        for wrong in ["256", "-1", "00", "03", "zero"] {
            assert!(Ranges::exits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn invalid_lists_are_refused() {
        for (text, wrong) in [
            ("", r#"has "" instead of a status from 200 to 599"#),
            ("2xx", r#"has "2xx" instead of a status from 200 to 599"#),
            ("200,", r#"has "" instead of a status from 200 to 599"#),
            ("100", r#"has "100" instead of a status from 200 to 599"#),
            ("+200", r#"has "+200" instead of a status from 200 to 599"#),
            ("0200", r#"has "0200" instead of a status from 200 to 599"#),
            ("200-", r#"has "" instead of a status from 200 to 599"#),
            (
                "200-299-300",
                r#"has "299-300" instead of a status from 200 to 599"#,
            ),
            ("299-200", "has a range that ends before it begins: 299-200"),
        ] {
            assert_eq!(Ranges::statuses(text), Err(wrong.to_owned()), "{text:?}");
        }
    }
}
