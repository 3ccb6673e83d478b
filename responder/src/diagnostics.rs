//! Writes messages to standard error, but only if standard error cannot be a connection. Under inetd all three
//! standard descriptors are the connection, and a message would become the reply.
//!
//! No function here blocks: a message that does not fit is lost.

use crate::state_log::Message;
use crate::sys::{self, Descriptor, Errno, Ready, Status};
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

    /// Writes the message, if that is possible without blocking.
    pub fn log(self, message: &Message) {
        let prefix: &[u8] = match self {
            Self::Disabled => return,
            Self::Stream => b"agentcheck-responder: ",
            // The journal's prefix for a warning; the journal adds the program's name.
            Self::Journal => b"<4>",
        };
        let text = message.as_bytes();
        let line = Message::of(&[prefix, text.strip_suffix(b"\n".as_slice()).unwrap_or(text)]);
        let sent = sys::send(Descriptor::STDERR, line.as_bytes());
        let no_wait = Duration::ZERO;
        if sent == Err(Errno::NOTSOCK)
            && sys::wait(Descriptor::STDERR, Ready::ToWrite, no_wait) == Ok(1)
        {
            sys::block(&sys::Signals::PIPE);
            let _ = sys::write(Descriptor::STDERR, line.as_bytes());
        }
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
    fn journal_stream_must_match_device_and_inode() {
        assert!(names_file(b"8:12345", 8, 12345));
        for other in ["8:12346", "9:12345", "8", "", "8:12345:1", "8:x", ":"] {
            assert!(!names_file(other.as_bytes(), 8, 12345), "{other:?}");
        }
    }
}
