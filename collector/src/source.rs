//! Sources: what is polled, and how a poll is made. They know readings, nothing of rules.
//!
//! A [`Source`] is what the configuration says; a [`Poller`] is its running form, which lives on a
//! thread of its own and keeps what one poll hands to the next (a CPU sample, an HTTP client).

pub mod command;
pub mod file;
pub mod http;
pub mod system;

use crate::reading::Content;
use std::time::Duration;

/// The largest body, file or output that is taken, in bytes, where `max_bytes` says nothing.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// One source of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name, an identifier of the expression language.
    pub name: String,
    /// From the start of one poll to the start of the next.
    pub every: Duration,
    /// How long one poll may take.
    pub timeout: Duration,
    /// What is polled.
    pub kind: Kind,
}

/// The kinds of sources.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `[source.NAME.http]`
    Http(http::Http),
    /// `[source.NAME.file]`
    File(file::File),
    /// `[source.NAME.command]`
    Command(command::Command),
    /// `[source.NAME.system]`
    System(system::Metric),
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `text`: UTF-8, as it is.
    #[default]
    Text,
    /// `number`: one finite number, blanks around it allowed.
    Number,
    /// `json`: one JSON document.
    Json,
}
