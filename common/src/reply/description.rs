//! The text of a reply, of which nothing but its reader makes anything.

use core::fmt;
use core::hash::{Hash, Hasher};

/// Why: the text after the `#`, for people. At most 100 bytes of printable ASCII, no blank at either
/// end; HAProxy keeps about 108 bytes in its statistics.
#[derive(Clone, Copy, Eq)]
pub struct Description {
    bytes: [u8; Description::MAX],
    len: u8,
}

impl Description {
    /// The longest description, in bytes.
    pub const MAX: usize = 100;

    /// Nothing to say.
    pub const NONE: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };

    /// What of `text` can be shown: a character that is not printable ASCII becomes a `?` (a tab a blank),
    /// white space at the ends goes, and what is too long is cut. Safe for hostile text: it can
    /// add neither a line nor a word.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut shown = Self::NONE;
        for character in text.trim().chars() {
            let byte = match u8::try_from(character) {
                Ok(byte @ b' '..=b'~') => byte,
                Ok(b'\t') => b' ',
                _ => b'?',
            };
            if !shown.push(byte) {
                break;
            }
        }
        shown.trim_end();
        shown
    }

    /// `text` as it is, or `None` where it could not be shown as it is.
    #[must_use]
    pub fn exact(text: &[u8]) -> Option<Self> {
        if !Self::fits(text) {
            return None;
        }
        let mut shown = Self::NONE;
        for byte in text {
            shown.push(*byte);
        }
        Some(shown)
    }

    /// Whether `text` can be shown as it is.
    pub(super) fn fits(text: &[u8]) -> bool {
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let blank_end = text.first() == Some(&b' ') || text.last() == Some(&b' ');
        text.len() <= Self::MAX && printable && !blank_end
    }

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
        let kept = self.as_bytes().trim_ascii_end().len();
        for byte in self.bytes.iter_mut().skip(kept) {
            *byte = 0;
        }
        self.len = u8::try_from(kept).unwrap_or(self.len);
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text as bytes of printable ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so the other branch is never taken.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// By the text alone: the bytes behind it are all the same, and most descriptions that are compared are empty.
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
