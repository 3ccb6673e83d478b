//! Standard error, used only where it is certain not to be a connection: under inetd and its like all
//! three standard descriptors are the client, and a message there would be the reply.
//!
//! Nothing here ever waits: a message that does not fit is lost.

use crate::journal::Message;
use crate::sys::{self, Descriptor, Errno, Ready, Status};
use agentcheck_common::decimal::decimal;
use core::time::Duration;

/// What standard error turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// Closed, or perhaps a connection.
    Silent,
    /// Somewhere else.
    Open,
    /// The systemd journal, by its own word.
    Journal,
}

impl Stderr {
    /// For an accept loop, whose connections all come later: anything but a listening socket, or a
    /// socket beside a standard input that is a connection. To be asked before anything is opened:
    /// a closed standard error must not come to be a connection.
    pub fn of_loop<'a>(environment: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::of(environment, |_| {
            match sys::is_listening(Descriptor::STDERR) {
                Ok(true) => false,
                Ok(false) => sys::is_listening(Descriptor::STDIN) != Ok(false),
                Err(_) => true,
            }
        })
    }

    /// For one answer that goes to standard output: no socket, and not the same pipe. (The same terminal
    /// is where people look.)
    pub fn beside_stdout<'a>(environment: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::of(environment, |own| {
            sys::is_listening(Descriptor::STDERR).is_err()
                && match sys::status(Descriptor::STDOUT) {
                    Ok(other) => own.is_character_device() || !own.is_same_file(&other),
                    Err(_) => true,
                }
        })
    }

    #[inline(never)]
    fn of<'a>(
        mut environment: impl Iterator<Item = &'a [u8]>,
        is_elsewhere: fn(&Status) -> bool,
    ) -> Self {
        let Ok(status) = sys::status(Descriptor::STDERR) else {
            return Self::Silent;
        };
        let is_journal = environment.any(|variable| {
            variable
                .strip_prefix(b"JOURNAL_STREAM=".as_slice())
                .is_some_and(|stream| names_file(stream, status.device, status.inode))
        });
        match is_journal {
            true => Self::Journal,
            false if is_elsewhere(&status) => Self::Open,
            false => Self::Silent,
        }
    }

    /// Says it, if it can be said here and now.
    pub fn say(self, message: &Message) {
        let prefix: &[u8] = match self {
            Self::Silent => return,
            Self::Open => b"agentcheck-responder: ",
            // What the journal takes for a warning; it knows the program itself.
            Self::Journal => b"<4>",
        };
        let text = message.as_bytes();
        let line = Message::of(&[prefix, text.strip_suffix(b"\n".as_slice()).unwrap_or(text)]);
        let sent = sys::send(Descriptor::STDERR, line.as_bytes());
        let no_wait = Duration::ZERO;
        if sent == Err(Errno::NOTSOCK)
            && sys::wait(Descriptor::STDERR, Ready::ToWrite, no_wait) == Ok(true)
        {
            sys::block(&sys::Signals::PIPE);
            let _ = sys::write(Descriptor::STDERR, line.as_bytes());
        }
    }
}

/// Whether `stream`, `DEVICE:INODE` in decimal digits, is this file.
fn names_file(stream: &[u8], device: u64, inode: u64) -> bool {
    let Some(colon) = stream.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let number = |digits: Option<&[u8]>| digits.and_then(decimal);
    number(stream.get(..colon)) == Some(device) && number(stream.get(colon + 1..)) == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_names_its_stream() {
        assert!(names_file(b"8:12345", 8, 12345));
        for other in ["8:12346", "9:12345", "8", "", "8:12345:1", "8:x", ":"] {
            assert!(!names_file(other.as_bytes(), 8, 12345), "{other:?}");
        }
    }
}
