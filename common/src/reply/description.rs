//! The description of a reply: text for people, without effect on HAProxy.

use crate::ascii::Ascii;
use core::fmt;

/// The text after the `#` of a reply: 0 to 100 bytes of printable ASCII, without a space at either end.
///
/// HAProxy keeps about 108 bytes of it in its statistics.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Description(Ascii<{ Description::MAX }>);

impl Description {
    /// The largest length of a description, in bytes.
    pub const MAX: usize = 100;

    /// The description without text.
    pub const EMPTY: Self = Self(Ascii::EMPTY);

    /// Makes a description of any text. It removes white space at both ends, replaces a tab by a space and every other
    /// character that is not printable ASCII by `?`, and cuts the text at [`Description::MAX`] bytes.
    ///
    /// So hostile text adds no line and no word to a reply.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut description = Ascii::EMPTY;
        for character in text.trim().chars() {
            let byte = match u8::try_from(character) {
                Ok(byte @ b' '..=b'~') => byte,
                Ok(b'\t') => b' ',
                _ => b'?',
            };
            if !description.push(byte) {
                break;
            }
        }
        description.trim_end();
        Self(description)
    }

    /// Returns `text` unchanged, or `None` if it is not a description.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !Self::is_description(text) {
            return None;
        }
        Ascii::new(text).map(Self)
    }

    /// Whether `text` is a description: at most [`Description::MAX`] bytes of printable ASCII, without a space at either end.
    pub(super) fn is_description(text: &[u8]) -> bool {
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let has_outer_space = text.first() == Some(&b' ') || text.last() == Some(&b' ');
        text.len() <= Self::MAX && printable && !has_outer_space
    }

    /// Whether the description has no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The bytes of the text; all are printable ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
