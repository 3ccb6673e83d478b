//! What is said: from the service that is wanted and what could be read of its state file to the bytes
//! of one line. The only place where freezing words are made.
//!
//! A freezing word is a line that HAProxy does not understand. It changes nothing, logs nothing, and is
//! shown in HAProxy's statistics as "agent reports an error", so that an operator reads there what is
//! wrong. No freezing word is ever a word that HAProxy knows: each has a hyphen, or is `future:`,
//! `unreadable:` or `unknown:` and a name.
//!
//! Not here: reading anything, and how long a name is waited for.

use crate::name::Name;
use agentcheck_common::reply::{self, MAX_LINE};
use agentcheck_common::schedule::Schedule;
use agentcheck_common::{BootId, BootTime};

/// One line for HAProxy, its newline included: 2 to [`MAX_LINE`] bytes.
#[derive(Clone)]
pub struct Line {
    bytes: [u8; MAX_LINE],
    length: usize,
}

impl Line {
    /// The line of these parts. Control bytes cannot be in it: a part ends before the first of them, but
    /// for tabs, which HAProxy takes for blanks.
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
                // The last byte is kept for the newline.
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

    /// All of it, to be sent in one piece.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What `--fallback` says where there is no valid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback<'a>(&'a [u8]);

impl<'a> Fallback<'a> {
    /// A line that HAProxy understands, without its newline; `None` for anything else.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        // A line end would make it two.
        let one_line = line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
        (one_line && reply::check(line).is_ok()).then_some(Self(line))
    }
}

/// Whose reply is wanted, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'n> {
    /// The service that the command line or the socket's name is for, or `--ask-default` for a client
    /// that sent nothing.
    Configured(Name<'n>),
    /// The service that the client asked for.
    Asked(Name<'n>),
    /// None: there is no usable name.
    Nobody(NoName<'n>),
}

/// Why there is no usable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoName<'n> {
    /// Neither the command line nor the socket names a service.
    NotConfigured,
    /// The client was to name one and sent nothing, or an empty line.
    NotAsked,
    /// The client's line did not end in time, so that it may be the beginning of a longer name.
    NoNewline(Name<'n>),
    /// What the client sent is no name.
    BadName,
    /// The command line cannot be understood.
    BadArguments,
}

/// Why the state file could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is none of that name.
    Absent,
    /// It is not a regular file.
    NotAFile,
    /// It is longer than a state file can be.
    TooLong,
    /// There is no descriptor left to open it with.
    NoDescriptor,
    /// The kernel refused, with this error number.
    Error(usize),
}

/// Why what is said is not from a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no usable name.
    NoName,
    /// The file could not be read.
    Unread(Unread),
    /// The file is not a valid schedule, or that of another service.
    BadState,
    /// The kernel's id of this boot could not be read.
    NoBootId,
    /// The file is of another boot.
    OtherBoot,
    /// The file is from the future.
    Future,
}

/// What is said, and why if not from a state file.
#[derive(Clone)]
pub struct Answer {
    /// The line.
    pub line: Line,
    /// `None` where it is the reply of a valid state file.
    pub reason: Option<Reason>,
}

/// The answer for `wanted`, whose state file is `file`, on the boot `boot` (`None` where it could not be
/// read) at `now`, which has to be read after the file: a file must not look like one of the future.
#[must_use]
pub fn answer(
    wanted: &Wanted<'_>,
    file: Result<&[u8], Unread>,
    boot: Option<&BootId>,
    now: BootTime,
    fallback: Option<Fallback<'_>>,
) -> Answer {
    let reason = match picked(wanted, file, boot, now) {
        Ok(line) => {
            return Answer {
                line: Line::of(&[line]),
                reason: None,
            };
        }
        Err(reason) => reason,
    };
    let line = match fallback {
        Some(Fallback(line)) if covered(wanted, reason) => Line::of(&[line]),
        _ => freezing_line(wanted, reason),
    };
    Answer {
        line,
        reason: Some(reason),
    }
}

fn picked<'a>(
    wanted: &Wanted<'_>,
    file: Result<&'a [u8], Unread>,
    boot: Option<&BootId>,
    now: BootTime,
) -> Result<&'a [u8], Reason> {
    let name = match wanted {
        Wanted::Configured(name) | Wanted::Asked(name) => name,
        Wanted::Nobody(_) => return Err(Reason::NoName),
    };
    let file = file.map_err(Reason::Unread)?;
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

/// Whether `--fallback` speaks in this case: where the operator's own configuration picked the service
/// (or forgot to), and for a service that a client asked for by a name that has a state file, though
/// not a valid one. A client whose name is missing, bad or unknown hears nothing but a freezing word:
/// the fallback might be meant for any service but the one it is about.
fn covered(wanted: &Wanted<'_>, reason: Reason) -> bool {
    match (wanted, reason) {
        (Wanted::Nobody(why), _) => *why == NoName::NotConfigured,
        (Wanted::Asked(_), Reason::Unread(why)) => why == Unread::TooLong,
        _ => true,
    }
}

fn freezing_line(wanted: &Wanted<'_>, reason: Reason) -> Line {
    let (name, word): (&[u8], &[u8]) = match wanted {
        Wanted::Nobody(NoName::NotConfigured | NoName::NotAsked) => (b"", b"no-name"),
        Wanted::Nobody(NoName::BadName) => (b"", b"bad-name"),
        Wanted::Nobody(NoName::BadArguments) => (b"", b"bad-arguments"),
        Wanted::Nobody(NoName::NoNewline(name)) => (name.as_bytes(), b"no-newline"),
        Wanted::Asked(name) if reason == Reason::Unread(Unread::Absent) => {
            (name.as_bytes(), b"unknown")
        }
        Wanted::Configured(name) | Wanted::Asked(name) => (name.as_bytes(), word(reason)),
    };
    let colon: &[u8] = if name.is_empty() { b"" } else { b":" };
    Line::of(&[word, colon, name])
}

/// What is wrong with the file of a service.
fn word(reason: Reason) -> &'static [u8] {
    match reason {
        Reason::NoName => b"no-name",
        Reason::Unread(Unread::Absent) => b"no-state",
        Reason::Unread(Unread::NotAFile | Unread::Error(_)) => b"unreadable",
        Reason::Unread(Unread::NoDescriptor) => b"no-descriptor",
        Reason::Unread(Unread::TooLong) | Reason::BadState => b"bad-state",
        Reason::NoBootId => b"no-boot-id",
        Reason::OtherBoot => b"other-boot",
        Reason::Future => b"future",
    }
}

#[cfg(test)]
#[path = "answer/tests.rs"]
mod tests;
