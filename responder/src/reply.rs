//! Composes the reply line from the target service and the content of its state file. No other module composes
//! no-op replies.
//!
//! A no-op reply is a line that HAProxy does not understand. HAProxy changes nothing, logs nothing, and shows the
//! line in its statistics as "agent reports an error", where the operator reads the cause. A no-op reply is never a
//! word that HAProxy knows: it contains a hyphen, or is `future:`, `unreadable:` or `unknown:` and a name.
//!
//! Not here: I/O and timeouts.

use crate::name::NameRef;
use crate::sys::Errno;
use crate::text::{Text, item};
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

/// Why an answer does not come from a valid state file: the number of the kernel's error, or a number of this program,
/// which is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub usize);

#[rustfmt::skip]
impl Reason {
    /// There is no file of that name.
    pub const ABSENT: Self = Self(Errno::NOENT.0);
    /// The process has no file descriptor left.
    pub const NO_DESCRIPTOR: Self = Self(Errno::MFILE.0);
    /// There is no usable name.
    pub const NO_NAME: Self = Self(4096);
    /// It is not a regular file.
    pub const NOT_A_FILE: Self = Self(4097);
    /// It is longer than a state file can be.
    pub const TOO_LONG: Self = Self(4098);
    /// The file is not a valid schedule, or belongs to another service.
    pub const BAD_STATE: Self = Self(4099);
    /// The kernel's boot id could not be read.
    pub const NO_BOOT_ID: Self = Self(4100);
    /// The file was written on another boot.
    pub const OTHER_BOOT: Self = Self(4101);
    /// The file was written later than now.
    pub const FUTURE: Self = Self(4102);

    /// The index of its text in a list: 0 for an error of the kernel without a text of its own.
    #[must_use]
    pub fn index(self) -> usize {
        match Errno(self.0) {
            Errno::NOENT => 1,
            Errno::MFILE | Errno::NFILE => 2,
            Errno(number) => match number.checked_sub(Self::NO_NAME.0) {
                Some(own) => own + 3,
                None => 0,
            },
        }
    }
}

impl From<Errno> for Reason {
    fn from(error: Errno) -> Self {
        Self(error.0)
    }
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
        self.reason == Some(Reason::ABSENT) && !self.fallback_applies
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
    file: Result<&'a [u8], Reason>,
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
    file: Result<&'a [u8], Reason>,
    boot: Option<&BootId>,
    now: BootTime,
) -> Result<ScheduledReply<'a>, Reason> {
    let name = match target {
        Target::Configured(name) | Target::FromClient(name) => name,
        Target::Unnamed(_) => return Err(Reason::NO_NAME),
    };
    let schedule = Schedule::decode(file?).map_err(|_| Reason::BAD_STATE)?;
    if schedule.name != name.as_bytes() {
        return Err(Reason::BAD_STATE);
    }
    let boot = boot.ok_or(Reason::NO_BOOT_ID)?;
    if schedule.boot != boot.as_bytes() {
        return Err(Reason::OTHER_BOOT);
    }
    schedule.reply_at(now).map_err(|_| Reason::FUTURE)
}

/// Returns whether `--fallback` applies.
///
/// It applies where the configuration selects the service, or should have selected one. For a service that the
/// client named, it applies only if a state file of that name exists and is not valid. A client whose name is
/// missing, invalid or unknown receives a no-op reply: the fallback may be meant for another service.
fn fallback_applies(target: &Target<'_>, reason: Reason) -> bool {
    match target {
        Target::Configured(_) => true,
        Target::FromClient(_) => reason.0 >= Reason::TOO_LONG.0,
        Target::Unnamed(cause) => *cause == NoName::NotConfigured,
    }
}

/// The words of no-op replies, in the order of [`Reason::index`]. The words after them are for targets.
const WORDS: &[u8] =
    b"unreadable\nno-state\nno-descriptor\nno-name\nunreadable\nbad-state\nbad-state\n\
    no-boot-id\nother-boot\nfuture\nbad-name\nbad-arguments\nno-newline\nunknown";

/// The word of a no-op reply, and the name that follows it.
fn no_op<'n>(target: &Target<'n>, reason: Reason) -> (&'static [u8], &'n [u8]) {
    let (index, name): (_, &[u8]) = match target {
        Target::Unnamed(NoName::NotConfigured | NoName::NotSent) => (3, b""),
        Target::Unnamed(NoName::Invalid) => (10, b""),
        Target::Unnamed(NoName::BadArguments) => (11, b""),
        Target::Unnamed(NoName::Unterminated(name)) => (12, name.as_bytes()),
        Target::FromClient(name) if reason == Reason::ABSENT => (13, name.as_bytes()),
        Target::Configured(name) | Target::FromClient(name) => (reason.index(), name.as_bytes()),
    };
    (item(WORDS, index), name)
}

#[cfg(test)]
#[path = "reply/tests.rs"]
mod tests;
