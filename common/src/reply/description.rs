//! The description of a reply: text for people, without effect on HAProxy.

use core::fmt;
use core::hash::{Hash, Hasher};

/// The text after the `#` of a reply: 0 to 100 bytes of printable ASCII, without a space at either end.
///
/// HAProxy keeps about 108 bytes of it in its statistics.
#[derive(Clone, Copy, Eq)]
pub struct Description {
    bytes: [u8; Description::MAX],
    len: u8,
}

impl Description {
    /// The largest length of a description, in bytes.
    pub const MAX: usize = 100;

    /// The description without text.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };

    /// Makes a description of any text. It removes white space at both ends, replaces a tab by a space and every other
    /// character that is not printable ASCII by `?`, and cuts the text at [`Description::MAX`] bytes.
    ///
    /// So hostile text adds no line and no word to a reply.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut description = Self::EMPTY;
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
        description
    }

    /// Returns `text` unchanged, or `None` if it is not a description.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !Self::is_description(text) {
            return None;
        }
        let mut description = Self::EMPTY;
        for byte in text {
            description.push(*byte);
        }
        Some(description)
    }

    /// Whether `text` is a description: at most [`Description::MAX`] bytes of printable ASCII, without a space at either end.
    pub(super) fn is_description(text: &[u8]) -> bool {
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let has_outer_space = text.first() == Some(&b' ') || text.last() == Some(&b' ');
        text.len() <= Self::MAX && printable && !has_outer_space
    }

    /// Appends a byte. Returns false if the description is full.
    fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    fn trim_end(&mut self) {
        let length = self.as_bytes().trim_ascii_end().len();
        // The unused bytes are always 0.
        for byte in self.bytes.iter_mut().skip(length) {
            *byte = 0;
        }
        self.len = u8::try_from(length).unwrap_or(self.len);
    }

    /// Whether the description has no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the text; all are printable ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It cannot fail: `push` gets only ASCII.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Compares only the bytes of the text: most compared descriptions are empty.
impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Hash for Description {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
