//! The result of one poll: the only thing that sources pass on, and all that evaluation knows of the
//! application.

pub(crate) mod names;
pub mod prometheus;

use crate::reading::prometheus::Exposition;
use crate::render::text::printable;
use agentcheck_common::BootTime;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One finished poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the poll was sent. A reading is as old as its request, not as its response.
    pub sent: BootTime,
    /// How long the poll took.
    pub latency: Duration,
    /// The HTTP status, if an HTTP response arrived.
    pub status: Option<u16>,
    /// The exit status of a command that exited by itself.
    pub exit: Option<i32>,
    /// The body, the file's content or the command's output, whenever one arrived, also where it does not have
    /// its format. Without the final line end, and with LF instead of CRLF, unless the source keeps it raw.
    pub text: Option<String>,
    /// The facts about a file besides its content.
    pub file: Option<FileFacts>,
    /// The content, or why there is none.
    pub outcome: Result<Content, Failure>,
}

impl Reading {
    /// Whether the poll succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    /// The reading of a poll that failed before anything arrived.
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

/// The facts about a file besides its content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileFacts {
    /// Whether it exists.
    pub exists: bool,
    /// The time since its last change in seconds, at least 0, by the wall clock that file systems use. `None`
    /// where it is absent.
    pub mtime_age: Option<f64>,
}

/// The content of a poll, in the source's format.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text, which is in [`Reading::text`].
    Text,
    /// A finite number.
    Number(f64),
    /// Several finite numbers of one metric.
    Numbers(Numbers),
    /// The performance data of a monitoring plugin, by label. All numbers are finite.
    Perf(BTreeMap<String, f64>),
    /// No content, and none was expected: a connection, a file that is only checked, or an absent file that may
    /// be absent.
    Nothing,
    /// A JSON document.
    Json(serde_json::Value),
    /// The rows of a table: a list of maps from column to number or text.
    Rows(serde_json::Value),
    /// A Prometheus scrape.
    Metrics(Arc<Exposition>),
}

impl Content {
    /// The main number, if there is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Numbers(numbers) => Some(numbers.value),
            Self::Text
            | Self::Json(_)
            | Self::Rows(_)
            | Self::Metrics(_)
            | Self::Perf(_)
            | Self::Nothing => None,
        }
    }
}

/// Numbers of one poll. All are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The main number.
    pub value: f64,
    /// The others, by their names in expressions.
    pub parts: Vec<(&'static str, f64)>,
}

/// Why a poll failed: the reason for programs and rules, the detail for people.
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

    /// A failure for `reason`. Of `detail` the first 200 bytes are kept, and unprintable characters become `?`
    /// or a blank, so that no application can forge a log line.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let mut kept = String::new();
        let detail = detail.to_string().replace(['\n', '\r'], " ");
        for character in printable(&detail).chars() {
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

/// The closed list of reasons for a failed poll. Expressions see the word (`app.error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `timeout`: not finished within the source's `timeout`.
    Timeout,
    /// `refused`: nothing listens there, or the queue of connections is full.
    Refused,
    /// `unreachable`: the name does not resolve, or there is no route to the address.
    Unreachable,
    /// `broken`: the connection, the file or the pipe broke before its end.
    Broken,
    /// `tls`: TLS failed: an untrusted certificate, an unusable one of our own, another name, or another
    /// protocol.
    Tls,
    /// `status`: an unexpected HTTP status.
    Status,
    /// `redirect`: a redirect that must not be followed, or one too many.
    Redirect,
    /// `exit`: an unexpected exit status.
    Exit,
    /// `signal`: a signal ended the command.
    Signal,
    /// `too-large`: more than `max_bytes`.
    TooLarge,
    /// `malformed`: the content does not have its `format`.
    Malformed,
    /// `missing`: no such file, directory or program.
    Missing,
    /// `denied`: the permissions do not suffice.
    Denied,
    /// `overdue`: no poll has finished for longer than a reading is valid.
    Overdue,
    /// `other`: see the detail.
    Other,
}

impl Reason {
    /// All reasons.
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

    /// The word in expressions, replies and logs.
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
