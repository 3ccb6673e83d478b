//! What one poll of a source found: the only thing that sources hand on, and all that evaluation sees
//! of the context.

pub mod prometheus;

use crate::reading::prometheus::Exposition;
use agentcheck_common::BootTime;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One finished poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the poll was sent. A reading is as old as its question, not as its answer.
    pub sent: BootTime,
    /// How long the poll took.
    pub latency: Duration,
    /// The HTTP status, where an HTTP response came.
    pub status: Option<u16>,
    /// The exit status of a command that exited by itself.
    pub exit: Option<i32>,
    /// The body, the file's content or the command's output, whenever one arrived, also where it could
    /// not be read as what it should be.
    pub text: Option<String>,
    /// What is known of a file besides its content.
    pub file: Option<FileFacts>,
    /// What it was worth.
    pub outcome: Result<Content, Failure>,
}

impl Reading {
    /// Whether the source gave what it should.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    /// The reading of a poll that failed before there was anything to show.
    #[must_use]
    pub fn failed(sent: BootTime, latency: Duration, failure: Failure) -> Self {
        Self {
            sent,
            latency,
            status: None,
            exit: None,
            text: None,
            file: None,
            outcome: Err(failure),
        }
    }
}

/// What is known of a file besides its content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileFacts {
    /// Whether it is there.
    pub exists: bool,
    /// Where it is: how long ago it was changed last, in seconds, not below 0. By the wall clock, since that
    /// is what files have.
    pub mtime_age: Option<f64>,
}

/// What a source gave, read as its `format` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text, as it is in [`Reading::text`].
    Text,
    /// A finite number.
    Number(f64),
    /// Several finite numbers of one thing.
    Numbers(Numbers),
    /// What the performance data of a monitoring plugin says, by label. All are finite.
    Perf(BTreeMap<String, f64>),
    /// Nothing, and nothing was to be given: a connection, a file that is only looked at, or one that may
    /// be missing and is.
    Nothing,
    /// A JSON document.
    Json(serde_json::Value),
    /// A Prometheus scrape.
    Metrics(Arc<Exposition>),
}

impl Content {
    /// The one main number, where there is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Numbers(numbers) => Some(numbers.value),
            Self::Text | Self::Json(_) | Self::Metrics(_) | Self::Perf(_) | Self::Nothing => None,
        }
    }
}

/// Numbers that were found together. All are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The main one.
    pub value: f64,
    /// The others, by the names that expressions give them.
    pub parts: Vec<(&'static str, f64)>,
}

/// Why a poll gave nothing: the reason for programs and rules, the detail for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, from a closed list.
    pub reason: Reason,
    /// One line for people, bounded, with no control characters in it.
    pub detail: String,
}

impl Failure {
    /// The longest detail, in bytes.
    pub const MAX_DETAIL: usize = 200;

    /// A failure for `reason`; of `detail` the first 200 bytes are kept, control characters become
    /// blanks, so that no application can forge a line of a log.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let mut kept = String::new();
        for character in detail.to_string().chars() {
            let character = if character.is_control() {
                ' '
            } else {
                character
            };
            if kept.len() + character.len_utf8() > Self::MAX_DETAIL {
                break;
            }
            kept.push(character);
        }
        Self {
            reason,
            detail: kept.trim().to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            write!(f, "{}", self.reason)
        } else {
            write!(f, "{}: {}", self.reason, self.detail)
        }
    }
}

/// The closed list of reasons for which a poll fails. Expressions see the word (`app.error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `timeout`: not finished within the source's `timeout`.
    Timeout,
    /// `refused`: nothing listens there, or it takes no more connections.
    Refused,
    /// `unreachable`: the name does not resolve, or there is no way to the address.
    Unreachable,
    /// `broken`: the connection, the file or the pipe broke half-way.
    Broken,
    /// `tls`: no TLS to be had: a certificate that is not believed, or not ours to use, a name that it is
    /// not for, a server that speaks something else.
    Tls,
    /// `status`: an HTTP status that is not a success.
    Status,
    /// `redirect`: a redirect that was not to be followed, or one too many.
    Redirect,
    /// `exit`: the command exited with another status than 0.
    Exit,
    /// `signal`: the command was ended by a signal.
    Signal,
    /// `too-large`: more than `max_bytes`.
    TooLarge,
    /// `malformed`: not what `format` says.
    Malformed,
    /// `missing`: no such file, directory or program.
    Missing,
    /// `denied`: the rights do not suffice.
    Denied,
    /// `overdue`: no poll has finished for longer than a reading is good for.
    Overdue,
    /// `other`: the detail says what.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Timeout,
        Self::Refused,
        Self::Unreachable,
        Self::Broken,
        Self::Tls,
        Self::Status,
        Self::Redirect,
        Self::Exit,
        Self::Signal,
        Self::TooLarge,
        Self::Malformed,
        Self::Missing,
        Self::Denied,
        Self::Overdue,
        Self::Other,
    ];

    /// The word that expressions, replies and logs show.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Tls => "tls",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Overdue => "overdue",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
