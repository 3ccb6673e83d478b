//! Composes the reply line from the target service and the content of its state file. No other module composes
//! no-op replies.
//!
//! A no-op reply is a line that HAProxy does not understand. HAProxy changes nothing, logs nothing, and shows the
//! line in its statistics as "agent reports an error", where the operator reads the cause. A no-op reply is never a
//! word that HAProxy knows: it contains a hyphen, or is `future:`, `unreadable:` or `unknown:` and a name.
//!
//! Not here: I/O and timeouts.

use crate::name::NameRef;
use agentcheck_common::reply::{self, MAX_LINE};
use agentcheck_common::schedule::Schedule;
use agentcheck_common::{BootId, BootTime};

/// One line for HAProxy, including its newline: 2 to [`MAX_LINE`] bytes.
#[derive(Clone)]
pub struct Line {
    bytes: [u8; MAX_LINE],
    length: usize,
}

impl Line {
    /// Joins the parts. Each part is cut before its first control byte, except tabs, which HAProxy reads as blanks.
    fn of(parts: &[&[u8]]) -> Self {
        let mut line = Self {
            bytes: [0; MAX_LINE],
            length: 0,
        };
        for part in parts {
            let clean = part
                .iter()
                .take_while(|byte| **byte >= b' ' || **byte == b'\t');
            for byte in clean {
                // The last byte is reserved for the newline.
                if line.length < MAX_LINE - 1 {
                    line.push(*byte);
                }
            }
        }
        line.push(b'\n');
        line
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// The whole line. The caller sends it with one write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The value of `--fallback`: the reply when there is no valid state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback<'a>(&'a [u8]);

impl<'a> Fallback<'a> {
    /// Returns `line` as a fallback, or `None` if HAProxy would not understand it. `line` has no newline.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        // A line end would split it into two lines.
        let one_line = line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
        (one_line && reply::check(line).is_ok()).then_some(Self(line))
    }
}

/// The service to answer for, and where its name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'n> {
    /// The service of the command line or of the socket's name, or that of `--default-service` for a client that sent
    /// nothing.
    Configured(NameRef<'n>),
    /// The service that the client named.
    FromClient(NameRef<'n>),
    /// There is no usable name.
    Unnamed(NoName<'n>),
}

/// Why there is no usable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoName<'n> {
    /// Neither the command line nor the socket names a service.
    NotConfigured,
    /// The client had to send a name and sent nothing, or an empty line.
    NotSent,
    /// The client's line had no end at the timeout, so the name may be incomplete.
    Unterminated(NameRef<'n>),
    /// The client sent a line that is not a service name.
    Invalid,
    /// The command line is invalid.
    BadArguments,
}

/// Why the state file could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// There is no file of that name.
    Absent,
    /// It is not a regular file.
    NotAFile,
    /// It is longer than a state file can be.
    TooLong,
    /// The process or the system has no file descriptor left.
    NoDescriptor,
    /// Any other error of the kernel, by its number.
    Error(usize),
}

/// Why an answer does not come from a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no usable name.
    NoName,
    /// The file could not be read.
    ReadError(ReadError),
    /// The file is not a valid schedule, or belongs to another service.
    BadState,
    /// The kernel's boot id could not be read.
    NoBootId,
    /// The file was written on another boot.
    OtherBoot,
    /// The file was written later than now.
    Future,
}

/// The line for HAProxy and where it comes from.
#[derive(Clone)]
pub struct Answer {
    /// The line.
    pub line: Line,
    /// `None` if the line comes from a valid state file.
    pub reason: Option<Reason>,
}

/// Composes the answer for `target`.
///
/// `file` is the content of its state file. `boot` is the kernel's boot id, or `None` if it could not be read. The
/// caller reads the clock (`now`) after the file: a file written in between would otherwise appear to come from the
/// future.
#[must_use]
pub fn compose(
    target: &Target<'_>,
    file: Result<&[u8], ReadError>,
    boot: Option<&BootId>,
    now: BootTime,
    fallback: Option<Fallback<'_>>,
) -> Answer {
    let reason = match current_reply(target, file, boot, now) {
        Ok(line) => {
            return Answer {
                line: Line::of(&[line]),
                reason: None,
            };
        }
        Err(reason) => reason,
    };
    let line = match fallback {
        Some(Fallback(line)) if fallback_applies(target, reason) => Line::of(&[line]),
        _ => no_op_line(target, reason),
    };
    Answer {
        line,
        reason: Some(reason),
    }
}

/// The reply that a valid state file schedules for `now`.
fn current_reply<'a>(
    target: &Target<'_>,
    file: Result<&'a [u8], ReadError>,
    boot: Option<&BootId>,
    now: BootTime,
) -> Result<&'a [u8], Reason> {
    let name = match target {
        Target::Configured(name) | Target::FromClient(name) => name,
        Target::Unnamed(_) => return Err(Reason::NoName),
    };
    let file = file.map_err(Reason::ReadError)?;
    let schedule = Schedule::decode(file).map_err(|_| Reason::BadState)?;
    if schedule.name != name.as_bytes() {
        return Err(Reason::BadState);
    }
    let boot = boot.ok_or(Reason::NoBootId)?;
    if schedule.boot != boot.as_bytes() {
        return Err(Reason::OtherBoot);
    }
    match schedule.pick(now) {
        Ok(picked) => Ok(picked.line),
        Err(_) => Err(Reason::Future),
    }
}

/// Returns whether `--fallback` applies.
///
/// It applies where the configuration selects the service, or should have selected one. For a service that the
/// client named, it applies only if a state file of that name exists and is not valid. A client whose name is
/// missing, invalid or unknown receives a no-op reply: the fallback may be meant for another service.
fn fallback_applies(target: &Target<'_>, reason: Reason) -> bool {
    match (target, reason) {
        (Target::Unnamed(cause), _) => *cause == NoName::NotConfigured,
        (Target::FromClient(_), Reason::ReadError(error)) => error == ReadError::TooLong,
        _ => true,
    }
}

fn no_op_line(target: &Target<'_>, reason: Reason) -> Line {
    let (name, word): (&[u8], &[u8]) = match target {
        Target::Unnamed(NoName::NotConfigured | NoName::NotSent) => (b"", b"no-name"),
        Target::Unnamed(NoName::Invalid) => (b"", b"bad-name"),
        Target::Unnamed(NoName::BadArguments) => (b"", b"bad-arguments"),
        Target::Unnamed(NoName::Unterminated(name)) => (name.as_bytes(), b"no-newline"),
        Target::FromClient(name) if reason == Reason::ReadError(ReadError::Absent) => {
            (name.as_bytes(), b"unknown")
        }
        Target::Configured(name) | Target::FromClient(name) => (name.as_bytes(), word(reason)),
    };
    let colon: &[u8] = if name.is_empty() { b"" } else { b":" };
    Line::of(&[word, colon, name])
}

/// The no-op word for a state file that cannot be used.
fn word(reason: Reason) -> &'static [u8] {
    match reason {
        Reason::NoName => b"no-name",
        Reason::ReadError(ReadError::Absent) => b"no-state",
        Reason::ReadError(ReadError::NotAFile | ReadError::Error(_)) => b"unreadable",
        Reason::ReadError(ReadError::NoDescriptor) => b"no-descriptor",
        Reason::ReadError(ReadError::TooLong) | Reason::BadState => b"bad-state",
        Reason::NoBootId => b"no-boot-id",
        Reason::OtherBoot => b"other-boot",
        Reason::Future => b"future",
    }
}

#[cfg(test)]
#[path = "reply/tests.rs"]
mod tests;
