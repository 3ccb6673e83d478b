//! Composes the reply line from the target service and the content of its state file. No other module composes
//! no-op replies.
//!
//! A no-op reply is a line that HAProxy does not understand. HAProxy changes nothing, logs nothing, and shows the
//! line in its statistics as "agent reports an error", where the operator reads the cause. A no-op reply is never a
//! word that HAProxy knows: it contains a hyphen, or is `future:`, `unreadable:` or `unknown:` and a name.
//!
//! Not here: I/O and timeouts.

use crate::name::NameRef;
use crate::text::Text;
use agentcheck_common::reply;
use agentcheck_common::schedule::{Schedule, ScheduledReply};
use agentcheck_common::{BootId, BootTime};

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
    Error(u16),
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

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A valid state file, which the collector renews.
    Fresh,
    /// The last line of a valid state file: the collector has not renewed it in time.
    Stale,
    /// `--fallback`
    Fallback,
    /// None: the line is a no-op reply.
    NoOp,
}

/// The line for HAProxy and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The line without its newline; of a no-op reply only the word.
    pub text: &'a [u8],
    /// The name that follows the word of a no-op reply; empty if none follows.
    pub name: &'a [u8],
    /// Where the line comes from.
    pub source: Source,
    /// `None` if the line comes from a valid state file.
    pub reason: Option<Reason>,
    /// Whether a fallback applies, given or not.
    pub fallback_applies: bool,
}

impl Answer<'_> {
    /// Whether the client named a service that has no state file.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        let absent = Reason::ReadError(ReadError::Absent);
        self.reason == Some(absent) && !self.fallback_applies
    }

    /// Appends the line for HAProxy, which the caller sends with one write. It has at most [`reply::MAX_LINE`] bytes:
    /// the text is a valid reply, or a word that a name follows.
    pub fn push_line(&self, out: &mut Text) {
        out.push(self.text);
        if !self.name.is_empty() {
            out.push_byte(b':');
            out.push(self.name);
        }
        out.push_byte(b'\n');
    }
}

/// Composes the answer for `target`.
///
/// `file` is the content of its state file. `boot` is the kernel's boot id, or `None` if it could not be read. The
/// caller reads the clock (`now`) after the file: a file written in between would otherwise appear to come from the
/// future.
#[must_use]
pub fn compose<'a>(
    target: &Target<'a>,
    file: Result<&'a [u8], ReadError>,
    boot: Option<&BootId>,
    now: BootTime,
    fallback: Option<Fallback<'a>>,
) -> Answer<'a> {
    let reason = match current_reply(target, file, boot, now) {
        Ok(picked) => {
            return Answer {
                text: picked.line,
                name: b"",
                source: match picked.until {
                    Some(_) => Source::Fresh,
                    None => Source::Stale,
                },
                reason: None,
                fallback_applies: false,
            };
        }
        Err(reason) => reason,
    };
    let fallback_applies = fallback_applies(target, reason);
    let (text, name, source): (&[u8], &[u8], _) = match fallback {
        Some(Fallback(line)) if fallback_applies => (line, b"", Source::Fallback),
        _ => {
            let (word, name) = no_op(target, reason);
            (word, name, Source::NoOp)
        }
    };
    Answer {
        text,
        name,
        source,
        reason: Some(reason),
        fallback_applies,
    }
}

/// The reply that a valid state file schedules for `now`.
fn current_reply<'a>(
    target: &Target<'_>,
    file: Result<&'a [u8], ReadError>,
    boot: Option<&BootId>,
    now: BootTime,
) -> Result<ScheduledReply<'a>, Reason> {
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
    schedule.reply_at(now).map_err(|_| Reason::Future)
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

/// The word of a no-op reply, and the name that follows it.
fn no_op<'n>(target: &Target<'n>, reason: Reason) -> (&'static [u8], &'n [u8]) {
    match target {
        Target::Unnamed(NoName::NotConfigured | NoName::NotSent) => (b"no-name", b""),
        Target::Unnamed(NoName::Invalid) => (b"bad-name", b""),
        Target::Unnamed(NoName::BadArguments) => (b"bad-arguments", b""),
        Target::Unnamed(NoName::Unterminated(name)) => (b"no-newline", name.as_bytes()),
        Target::FromClient(name) if reason == Reason::ReadError(ReadError::Absent) => {
            (b"unknown", name.as_bytes())
        }
        Target::Configured(name) | Target::FromClient(name) => (word(reason), name.as_bytes()),
    }
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
