//! Text in fixed buffers, and lists of texts. A list is one text with newlines between its items. A table of strings would
//! contain addresses and lengths, which take more space than the texts.

/// Text in a fixed buffer. It drops bytes that do not fit. One size for all texts: every other size would need its own
/// copy of the functions.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone)]
pub struct Text {
    length: usize,
    bytes: [u8; Text::SIZE],
}

impl Text {
    /// The largest length of a text, in bytes.
    pub const SIZE: usize = 1024;

    /// An empty text.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::SIZE],
        length: 0,
    };

    /// Appends `text`.
    #[inline(never)]
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            self.push_byte(*byte);
        }
    }

    /// Appends `text`, with a `?` for each byte that is not printable ASCII.
    pub fn push_printable(&mut self, text: &[u8]) {
        for byte in text {
            let printable = matches!(byte, b' '..=b'~');
            self.push_byte(if printable { *byte } else { b'?' });
        }
    }

    /// Appends one byte.
    pub fn push_byte(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// Appends a number in decimal digits. If there is no room for all digits, they overwrite the end of the text.
    #[inline(never)]
    pub fn push_number(&mut self, number: u64) {
        let mut rest = number;
        loop {
            self.push_byte(b'0');
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put_number_before(self.length, number);
    }

    /// Overwrites the bytes before `end` with a number in decimal digits.
    pub fn put_number_before(&mut self, end: usize, number: u64) {
        let (mut at, mut rest) = (end, number);
        loop {
            at = at.wrapping_sub(1);
            if let Some(slot) = self.bytes.get_mut(at) {
                *slot = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                return;
            }
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Cuts the text to `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The text.
    #[must_use]
    #[inline(never)]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Copies as many bytes as both slices have. Not `copy_from_slice`: that can panic, and its call of memcpy goes through a
/// table of addresses.
#[inline(never)]
pub fn copy(to: &mut [u8], from: &[u8]) {
    for (slot, byte) in to.iter_mut().zip(from) {
        *slot = *byte;
    }
}

/// The item at `index` of a list with newlines between the items; the empty text after the last one.
#[must_use]
#[inline(never)]
pub fn item(list: &[u8], index: usize) -> &[u8] {
    let mut items = list.split(|byte| *byte == b'\n');
    items.nth(index).unwrap_or_default()
}

/// The index of `text` in a list with newlines between the items.
#[must_use]
#[inline(never)]
pub fn index_of(list: &[u8], text: &[u8]) -> Option<usize> {
    let mut items = list.split(|byte| *byte == b'\n');
    items.position(|item| item == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_are_found_by_index_and_by_text() {
        let list = b"up\ndrain\ndown";
        for (index, text) in ["up", "drain", "down"].into_iter().enumerate() {
            assert_eq!(item(list, index), text.as_bytes());
            assert_eq!(index_of(list, text.as_bytes()), Some(index));
        }
        assert_eq!(item(list, 3), b"");
        for missing in ["", "u", "upp", "up\ndrain"] {
            assert_eq!(index_of(list, missing.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_decimal_and_never_leave_the_buffer(number in any::<u64>(), before in "[a-z]{0,12}") {
            let before = "x".repeat(Text::SIZE - 16) + &before;
            let mut text = Text::EMPTY;
            text.push(before.as_bytes());
            text.push_number(number);
            let whole = format!("{before}{number}");
            if whole.len() <= Text::SIZE {
                prop_assert_eq!(text.as_bytes(), whole.as_bytes());
            } else {
                prop_assert_eq!(text.length(), Text::SIZE);
            }
            text.truncate(before.len());
            prop_assert_eq!(text.length(), before.len());
        }
    }
}
