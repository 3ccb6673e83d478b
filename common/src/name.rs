//! Service names. A name is part of a file name and of a reply, so it cannot contain a character that leaves the
//! directory or adds a word to the reply.

use crate::ascii::Ascii;
use core::fmt;

/// The name of a service: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
///
/// So a name is never empty, hidden, `..`, or a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Ascii<{ ServiceName::MAX }>);

impl ServiceName {
    /// The largest length of a name, in bytes.
    pub const MAX: usize = 64;

    /// Parses a name: 1 to 64 ASCII letters, digits, dots, underscores and hyphens, the first of them a letter or a digit.
    /// Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !Self::is_name(text) {
            return None;
        }
        Ascii::new(text).map(Self)
    }

    /// Whether [`ServiceName::parse`] accepts `text`.
    #[must_use]
    #[inline(never)]
    pub fn is_name(text: &[u8]) -> bool {
        let first_is_valid = text.first().is_some_and(u8::is_ascii_alphanumeric);
        let mut bytes = text.iter();
        let is_valid =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        first_is_valid && text.len() <= Self::MAX && bytes.all(is_valid)
    }

    /// The bytes of the name; all are ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_other_text_is_rejected() {
        for good in ["web", "a", "0", "web.v2_blue-1", &"x".repeat(64)] {
            assert_eq!(
                ServiceName::parse(good.as_bytes()).unwrap().as_str(),
                good,
                "{good:?}"
            );
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "-x",
            "_x",
            "a/b",
            "../web",
            "/web",
            "we b",
            "web\n",
            "web\0",
            "wéb",
            "a#b",
            "a,b",
            &"x".repeat(65),
        ] {
            assert_eq!(ServiceName::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
