//! Finds the end of a request head: an empty line. It counts the header fields, and evaluates only `Connection: close`.

/// The largest head after the request line, in bytes.
pub const MAX_BYTES: u16 = 16_384;

/// The largest number of header lines.
pub const MAX_LINES: u8 = 100;

/// The field of a client that sends nothing after its request, in lower case.
const CLOSE: &[u8] = b"connection: close";

/// The part of a request head that follows the request line, as far as it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    bytes: u16,
    lines: u8,
    /// Whether the current line has no content so far.
    line_is_empty: bool,
    /// The number of bytes of the current line, if they are the beginning of [`CLOSE`]; otherwise [`OTHER`].
    matching: u8,
    /// Whether a line was `Connection: close`.
    pub closes: bool,
}

/// The value of `matching` for a line that does not begin as [`CLOSE`].
const OTHER: u8 = u8::MAX;

/// The state of a head after one more byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Further bytes are needed.
    Incomplete,
    /// The empty line has arrived.
    Complete,
    /// The head is too long or contains a control byte.
    Invalid,
}

impl Head {
    /// The head after a request line that ended with `line_end`. The LF after a CR belongs to the request line.
    #[must_use]
    pub fn after(line_end: u8) -> Self {
        Self {
            bytes: 0,
            lines: 0,
            line_is_empty: line_end == b'\n',
            matching: 0,
            closes: false,
        }
    }

    /// Adds one byte.
    pub fn push(&mut self, byte: u8) -> Progress {
        self.bytes += 1;
        match byte {
            b'\n' if self.line_is_empty => return Progress::Complete,
            b'\n' => {
                self.lines += 1;
                self.line_is_empty = true;
                self.closes |= usize::from(self.matching) == CLOSE.len();
                self.matching = 0;
            }
            b'\r' => {}
            b'\t' | b' '..=b'~' | 0x80.. => {
                self.line_is_empty = false;
                self.matching = match CLOSE.get(usize::from(self.matching)) {
                    Some(expected) if *expected == byte.to_ascii_lowercase() => self.matching + 1,
                    _ => OTHER,
                };
            }
            _ => return Progress::Invalid,
        }
        if self.bytes > MAX_BYTES || self.lines > MAX_LINES {
            return Progress::Invalid;
        }
        Progress::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last progress and the number of bytes that were pushed.
    fn push_all(line_end: u8, bytes: &[u8]) -> (Progress, usize) {
        let mut head = Head::after(line_end);
        for (at, byte) in bytes.iter().enumerate() {
            match head.push(*byte) {
                Progress::Incomplete => {}
                other => return (other, at + 1),
            }
        }
        (Progress::Incomplete, bytes.len())
    }

    #[test]
    fn empty_line_ends_the_head() {
        for (line_end, bytes) in [
            (b'\r', "\n\r\n"),
            (b'\n', "\n"),
            (b'\n', "\r\n"),
            (b'\r', "\nHost: a\r\n\r\n"),
            (b'\n', "Host: a\nB: \t\u{e9}\n\n"),
        ] {
            let result = push_all(line_end, format!("{bytes}GET").as_bytes());
            assert_eq!(result, (Progress::Complete, bytes.len()), "{bytes:?}");
        }
        for bytes in ["", "\n", "\n\r", "\nHost: a\r\n", "\nHost: a\r\n \r\n"] {
            let result = push_all(b'\r', bytes.as_bytes());
            assert_eq!(result.0, Progress::Incomplete, "{bytes:?}");
        }
    }

    #[test]
    fn connection_close_is_found_in_any_case() {
        for (bytes, expected) in [
            ("\nConnection: close\r\n\r\n", true),
            ("\nconnection: Close\n\n", true),
            ("\nHost: a\r\nCONNECTION: CLOSE\r\nA: b\r\n\r\n", true),
            ("\n\r\n", false),
            ("\nConnection: keep-alive\r\n\r\n", false),
            ("\nConnection: close, upgrade\r\n\r\n", false),
            ("\nConnection: clos\r\n\r\n", false),
            ("\nX-Connection: close\r\n\r\n", false),
        ] {
            let mut head = Head::after(b'\r');
            let last = bytes.bytes().map(|byte| head.push(byte)).last();
            assert_eq!(
                (last, head.closes),
                (Some(Progress::Complete), expected),
                "{bytes:?}"
            );
        }
        // Longer than a counter of one byte.
        let mut head = Head::after(b'\r');
        for byte in "connection: close".repeat(40).bytes().chain(*b"\n\n") {
            head.push(byte);
        }
        assert!(!head.closes);
    }

    #[test]
    fn long_heads_and_control_bytes_are_invalid() {
        let lines = format!("\n{}", "a:\r\n".repeat(usize::from(MAX_LINES) - 1));
        let longest = format!("{lines}\r\n");
        assert_eq!(push_all(b'\r', longest.as_bytes()).0, Progress::Complete);
        let longer = format!("{lines}a:\r\n\r\n");
        assert_eq!(push_all(b'\r', longer.as_bytes()).0, Progress::Invalid);
        let line = [b'x'; MAX_BYTES as usize + 1];
        assert_eq!(
            push_all(b'\r', &line),
            (Progress::Invalid, MAX_BYTES as usize + 1)
        );
        for byte in [0, 7, 0x1b, 0x7f] {
            assert_eq!(push_all(b'\r', &[b'\n', b'a', byte]).0, Progress::Invalid);
        }
    }
}
