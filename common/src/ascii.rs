//! A short text of ASCII without allocation.

use core::fmt;
use core::hash::{Hash, Hasher};

/// Up to `MAX` bytes of ASCII, at most 255. The unused bytes are always 0.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub(crate) struct Ascii<const MAX: usize> {
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> Ascii<MAX> {
    /// The empty text.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; MAX],
        len: 0,
    };

    /// The text in `bytes`, which are ASCII; `None` if they are too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = Self::EMPTY;
        text.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        text.len = u8::try_from(bytes.len()).ok()?;
        Some(text)
    }

    /// Appends a byte of ASCII. Returns false if the text is full.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Removes white space at the end.
    pub(crate) fn trim_end(&mut self) {
        let length = self.as_bytes().trim_ascii_end().len();
        for byte in self.bytes.iter_mut().skip(length) {
            *byte = 0;
        }
        self.len = u8::try_from(length).unwrap_or(self.len);
    }

    /// The bytes; all are ASCII.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // It cannot fail: the text gets only ASCII.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Compares only the bytes in use: most compared texts are short.
impl<const MAX: usize> PartialEq for Ascii<MAX> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const MAX: usize> Hash for Ascii<MAX> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl<const MAX: usize> fmt::Debug for Ascii<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
