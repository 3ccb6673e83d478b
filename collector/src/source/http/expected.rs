//! The statuses that are a success. Pure.

use std::fmt;

/// The statuses that are a success; `200-299` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// First and last of each range.
    ranges: Vec<(u16, u16)>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            ranges: vec![(200, 299)],
        }
    }
}

impl Statuses {
    /// Parses a list of statuses and ranges, as in `200-299,401`.
    ///
    /// # Errors
    /// The error, as the rest of a sentence that begins with the list.
    pub fn parse(text: &str) -> Result<Self, String> {
        let status = |word: &str| -> Result<u16, String> {
            let word = word.trim();
            let digits = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
            word.parse()
                .ok()
                .filter(|status| digits && (200..=599).contains(status))
                .ok_or_else(|| format!("has {word:?} where a status from 200 to 599 should be"))
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (status(first)?, status(last)?);
            if first > last {
                return Err(format!(
                    "has a range that ends before it begins: {first}-{last}"
                ));
            }
            ranges.push((first, last));
        }
        Ok(Self { ranges })
    }

    /// Whether `status` is in the list.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl fmt::Display for Statuses {
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
    fn lists_and_ranges() {
        for (text, shown) in [
            ("200", "200"),
            ("200-299,401", "200-299,401"),
            (" 200 - 204 , 503 ", "200-204,503"),
            ("301-301", "301"),
        ] {
            assert_eq!(Statuses::parse(text).unwrap().to_string(), shown);
        }
        let statuses = Statuses::parse("200-204,401").unwrap();
        let within: Vec<u16> = (0..1000).filter(|s| statuses.contains(*s)).collect();
        assert_eq!(within, [200, 201, 202, 203, 204, 401]);
        assert_eq!(Statuses::default().to_string(), "200-299");
    }

    #[test]
    fn invalid_lists_are_refused() {
        for (text, wrong) in [
            ("", r#"has "" where a status from 200 to 599 should be"#),
            (
                "2xx",
                r#"has "2xx" where a status from 200 to 599 should be"#,
            ),
            ("200,", r#"has "" where a status from 200 to 599 should be"#),
            (
                "100",
                r#"has "100" where a status from 200 to 599 should be"#,
            ),
            (
                "+200",
                r#"has "+200" where a status from 200 to 599 should be"#,
            ),
            (
                "0200",
                r#"has "0200" where a status from 200 to 599 should be"#,
            ),
            ("200-", r#"has "" where a status from 200 to 599 should be"#),
            (
                "200-299-300",
                r#"has "299-300" where a status from 200 to 599 should be"#,
            ),
            ("299-200", "has a range that ends before it begins: 299-200"),
        ] {
            assert_eq!(Statuses::parse(text), Err(wrong.to_owned()), "{text:?}");
        }
    }
}
