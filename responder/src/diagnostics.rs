//! Writes messages to standard error, but only if standard error cannot be a connection. Under inetd all three
//! standard descriptors are the connection, and a message would become the reply.
//!
//! No function here blocks: a message that does not fit is lost.

use crate::sys::{self, Descriptor, Errno, Ready, Status};
use crate::text::{Text, item};
use agentcheck_common::decimal::parse_decimal;
use core::time::Duration;

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diagnostics {
    /// Nowhere: standard error is closed or may be a connection.
    Disabled,
    /// To standard error, which is not a connection.
    Stream,
    /// To the systemd journal, which JOURNAL_STREAM identifies.
    Journal,
}

/// The texts of common errors. The first one is for all other errors, and their number follows.
const ERRORS: &[u8] = b": error \n: permission denied\n: address already in use\n\
    : this host does not have the address";

impl Diagnostics {
    /// For an accept loop, which has no connection yet. Disabled if standard error is a listening socket, or a socket
    /// while standard input is a connection. Call it before opening anything: if standard error is closed, its number
    /// may become a connection.
    pub fn for_accept_loop<'a>(environment: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::detect(environment, |_| {
            match sys::is_listening(Descriptor::STDERR) {
                Some(true) => false,
                Some(false) => sys::is_listening(Descriptor::STDIN) != Some(false),
                None => true,
            }
        })
    }

    /// For one answer on standard output. Disabled if standard error is a socket or the same pipe as standard output.
    /// The same terminal is allowed: a person reads it.
    pub fn for_single<'a>(environment: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::detect(environment, |own| {
            sys::is_listening(Descriptor::STDERR).is_none()
                && match sys::status(Descriptor::STDOUT) {
                    Ok(other) => own.is_character_device() || !own.is_same_file(&other),
                    Err(_) => true,
                }
        })
    }

    #[inline(never)]
    fn detect<'a>(
        mut environment: impl Iterator<Item = &'a [u8]>,
        is_safe: fn(&Status) -> bool,
    ) -> Self {
        let Ok(status) = sys::status(Descriptor::STDERR) else {
            return Self::Disabled;
        };
        let is_journal = environment.any(|variable| {
            variable
                .strip_prefix(b"JOURNAL_STREAM=".as_slice())
                .is_some_and(|stream| names_file(stream, status.device, status.inode))
        });
        match is_journal {
            true => Self::Journal,
            false if is_safe(&status) => Self::Stream,
            false => Self::Disabled,
        }
    }

    /// As [`Diagnostics::log`], with one part. Not inlined: for an array of a constant, the program would contain a table of
    /// addresses.
    #[inline(never)]
    pub fn log_text(self, text: &[u8], error: Option<Errno>) {
        self.log(&[text], error);
    }

    /// Writes a message, which has these parts and the text of an error, if that is possible without blocking.
    pub fn log(self, parts: &[&[u8]], error: Option<Errno>) {
        if self == Self::Disabled {
            return;
        }
        let mut line = Text::EMPTY;
        self.compose(parts, error, &mut line);
        let sent = sys::send(Descriptor::STDERR, line.as_bytes());
        let no_wait = Duration::ZERO;
        if sent == Err(Errno::NOTSOCK)
            && sys::wait(Descriptor::STDERR, Ready::ToWrite, no_wait) == Ok(1)
        {
            sys::block(&sys::Signals::PIPE);
            let _ = sys::write(Descriptor::STDERR, line.as_bytes());
        }
    }

    /// Composes a line of at most 200 bytes including its newline. Text that is too long is cut; each byte that is not
    /// printable ASCII becomes a `?`.
    fn compose(self, parts: &[&[u8]], error: Option<Errno>, line: &mut Text) {
        // The journal's prefix is that for a warning; the journal adds the program's name.
        line.push(item(b"\nagentcheck-responder: \n<4>", self as usize));
        for part in parts {
            line.push_printable(part);
        }
        if let Some(Errno(number)) = error {
            // The numbers of asm/errno.h.
            let index = match number {
                13 => 1,
                98 => 2,
                99 => 3,
                _ => 0,
            };
            line.push(item(ERRORS, index));
            if index == 0 {
                line.push_number(number as u64);
            }
        }
        line.truncate(199);
        line.push_byte(b'\n');
    }
}

/// Whether `stream`, which has the form `DEVICE:INODE` in decimal digits, names this file.
fn names_file(stream: &[u8], device: u64, inode: u64) -> bool {
    let Some(colon) = stream.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let number = |digits: Option<&[u8]>| digits.and_then(parse_decimal);
    number(stream.get(..colon)) == Some(device) && number(stream.get(colon + 1..)) == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_printable_line() {
        let long = [b'\n'; 500];
        let mut line = Text::EMPTY;
        Diagnostics::Journal.compose(&[b"\xff", &long], None, &mut line);
        let text = line.as_bytes();
        assert_eq!(text.len(), 200);
        assert!(text.starts_with(b"<4>???"));
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    #[test]
    fn message_ends_with_the_text_of_the_error() {
        for (number, expected) in [
            (13, "permission denied"),
            (98, "address already in use"),
            (99, "this host does not have the address"),
            (4095, "error 4095"),
        ] {
            let mut line = Text::EMPTY;
            Diagnostics::Stream.compose(&[b"web", b": x"], Some(Errno(number)), &mut line);
            let expected = format!("agentcheck-responder: web: x: {expected}\n");
            assert_eq!(line.as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn journal_stream_must_match_device_and_inode() {
        assert!(names_file(b"8:12345", 8, 12345));
        for other in ["8:12346", "9:12345", "8", "", "8:12345:1", "8:x", ":"] {
            assert!(!names_file(other.as_bytes(), 8, 12345), "{other:?}");
        }
    }
}
