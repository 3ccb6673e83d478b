//! The reply: one line that HAProxy's agent-check reads.
//!
//! [`Reply`] has a field for each part of the line. HAProxy understands every line that it writes, and gives it the same
//! meaning. [`Reply::parse`] accepts only such lines.
//!
//! The grammar is HAProxy's, from 1.8 to 3.5-dev5 (`agent-check` in its configuration manual,
//! `tcpcheck_agent_expect_connect` in its source):
//!
//! ```ebnf
//! line    = {sep} , [word , {sep,{sep},word}] , {sep} , [ "#" , {SP|HT} , text ] ;
//! sep     = SP | HT | "," ;
//! word    = "up" | "down" | "stopped" | "fail" | "ready" | "drain" | "maint"
//!         | DIGIT,{DIGIT},"%" | "weight:",DIGIT,{DIGIT}
//!         | "maxconn:",DIGIT,{DIGIT} ;                         (* case-insensitive *)
//! ```
//!
//! The categories are operational state, administrative state, weight and connection limit. The last word of a category
//! replaces the earlier ones. A category without a word changes nothing. A `#` begins the description only at the start of
//! a word: `up#x` is one unknown word. HAProxy 3.1 and later know `weight:`; for older versions it is an unknown word.

mod description;
mod words;

pub use description::Description;
pub use words::Word;

use crate::decimal::format_decimal;
use core::fmt;
use words::Words;

/// The largest length of a line for HAProxy, with its newline, in bytes.
///
/// HAProxy accepts 16,383 bytes. But many versions misread a line that arrives in two segments, and a short line always
/// fits into one.
pub const MAX_LINE: usize = 500;

/// The operational state of a server: HAProxy's `up` and `down`, which checks set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationalState {
    /// `up`: ends `down`, `stopped` and `fail`, if HAProxy's own health check agrees.
    Up,
    /// `down`: the server gets no sessions.
    Down,
    /// `stopped`: as `down`, but HAProxy logs that an administrator stopped the server.
    Stopped,
    /// `fail`: as `down`, but HAProxy logs that the server failed.
    Fail,
}

impl OperationalState {
    /// The word that HAProxy reads.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Fail => "fail",
        }
    }
}

/// The administrative state of a server: HAProxy's `ready`, `drain` and `maint`, which operators set on the balancer too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdministrativeState {
    /// `ready`: ends `drain` and `maint`, also those that an operator set.
    Ready,
    /// `drain`: no new sessions; existing sessions continue.
    Drain,
    /// `maint`: no sessions and no health checks.
    Maint,
}

impl AdministrativeState {
    /// The word that HAProxy reads.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// A percentage of the weight on the server line: 0 to [`Percent::MAX`]. HAProxy uses the weight
/// floor(weight x percent / 100), at most 256.
///
/// In an absolute weight, the same type contains the weight itself: 0 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    /// 0%: no new sessions.
    pub const ZERO: Self = Self(0);
    /// 100%: the weight on the server line.
    pub const FULL: Self = Self(100);
    /// The largest percentage. It raises a weight of 1 to 256, which is HAProxy's largest weight.
    pub const MAX: u16 = 25_600;

    /// Returns this percentage, or `None` above [`Percent::MAX`].
    #[must_use]
    pub const fn new(percent: u16) -> Option<Self> {
        if percent <= Self::MAX {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// The number before the percent sign: 0 to [`Percent::MAX`].
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A limit of concurrent connections for each balancer: 0 to [`Maxconn::MAX`]. 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Maxconn(u32);

impl Maxconn {
    /// The largest limit that HAProxy can store, in a C `int`.
    pub const MAX: u32 = i32::MAX.unsigned_abs();

    /// Returns this limit, or `None` above [`Maxconn::MAX`].
    #[must_use]
    pub fn new(limit: u32) -> Option<Self> {
        (limit <= Self::MAX).then_some(Self(limit))
    }

    /// The number of connections: 0 to [`Maxconn::MAX`].
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A reply: at most one word of each category, and a description.
///
/// [`fmt::Display`] writes the line without its newline. The order is always: operational state, administrative state,
/// weight, connection limit, description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The operational state, or `None` to leave it unchanged.
    pub operational: Option<OperationalState>,
    /// The administrative state, or `None` to leave it unchanged.
    pub administrative: Option<AdministrativeState>,
    /// The weight, or `None` to leave it unchanged.
    pub percent: Option<Percent>,
    /// Whether `percent` is the weight itself, as `weight:N`, and not a percentage of the weight on the server line. HAProxy
    /// 3.1 and later. Its `percent` is at most 256.
    pub absolute: bool,
    /// The connection limit, or `None` to leave it unchanged.
    pub maxconn: Option<Maxconn>,
    /// The text after the `#`, for people; empty if the line has none.
    pub description: Description,
}

impl Reply {
    /// The reply without words and description.
    pub const EMPTY: Self = Self {
        operational: None,
        administrative: None,
        percent: None,
        absolute: false,
        maxconn: None,
        description: Description::EMPTY,
    };

    /// Whether the reply contains no word, so HAProxy changes nothing.
    #[must_use]
    pub fn has_no_words(&self) -> bool {
        self.operational.is_none()
            && self.administrative.is_none()
            && self.percent.is_none()
            && self.maxconn.is_none()
    }

    /// Whether the reply takes the server out: it contains a weight of 0, `drain`, `maint`, `down`, `stopped` or `fail`.
    #[must_use]
    pub fn takes_server_out(&self) -> bool {
        self.percent == Some(Percent::ZERO)
            || self
                .operational
                .is_some_and(|state| state != OperationalState::Up)
            || self
                .administrative
                .is_some_and(|state| state != AdministrativeState::Ready)
    }

    /// Returns this reply with another description.
    #[must_use]
    pub fn with_description(self, description: Description) -> Self {
        Self {
            description,
            ..self
        }
    }

    /// Parses a line as HAProxy does. The line has no newline.
    ///
    /// # Errors
    /// If HAProxy would ignore a part of the line, report an error for it, or cut it off.
    pub fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let mut reply = Self::EMPTY;
        let description = parse_words(line, |word| match word {
            Word::Operational(state) => reply.operational = Some(state),
            Word::Administrative(state) => reply.administrative = Some(state),
            Word::Percent(percent) => (reply.percent, reply.absolute) = (Some(percent), false),
            Word::Weight(weight) => (reply.percent, reply.absolute) = (Some(weight), true),
            Word::Maxconn(limit) => reply.maxconn = Some(limit),
        })?;
        reply.description = Description::parse(description).ok_or(ReplyError::BadDescription)?;
        Ok(reply)
    }
}

/// Checks a line as [`Reply::parse`] does, without making a [`Reply`] of it.
///
/// # Errors
/// Those of [`Reply::parse`].
pub fn check(line: &[u8]) -> Result<(), ReplyError> {
    parse_words(line, |_| ()).map(|_| ())
}

/// Calls `on_word` for each word of a line. Returns the description of the line, or the error of [`Reply::parse`].
fn parse_words(line: &[u8], mut on_word: impl FnMut(Word)) -> Result<&[u8], ReplyError> {
    if line.len() >= MAX_LINE {
        return Err(ReplyError::TooLong);
    }
    let mut words = Words { line, at: 0 };
    let mut has_no_words = true;
    while let Some((at, word)) = words.next_word() {
        let len = word.len();
        on_word(Word::parse(word).ok_or(ReplyError::UnknownWord { at, len })?);
        has_no_words = false;
    }
    let description = words.description();
    if !Description::is_description(description) {
        return Err(ReplyError::BadDescription);
    }
    if has_no_words {
        return Err(ReplyError::NoWords);
    }
    Ok(description)
}

impl Reply {
    /// Passes the line without its newline to `push`, in pieces of ASCII.
    pub(crate) fn write(&self, mut push: impl FnMut(&[u8]) -> fmt::Result) -> fmt::Result {
        let mut separator = b"".as_slice();
        let operational = self.operational.map(|state| state.word());
        let administrative = self.administrative.map(|state| state.word());
        for word in [operational, administrative].into_iter().flatten() {
            push(separator)?;
            push(word.as_bytes())?;
            separator = b" ";
        }
        let mut buffer = [0; 20];
        if let Some(percent) = self.percent {
            push(separator)?;
            if self.absolute {
                push(b"weight:")?;
            }
            push(format_decimal(percent.get().into(), &mut buffer))?;
            if !self.absolute {
                push(b"%")?;
            }
            separator = b" ";
        }
        if let Some(limit) = self.maxconn {
            push(separator)?;
            push(b"maxconn:")?;
            push(format_decimal(limit.get().into(), &mut buffer))?;
            separator = b" ";
        }
        if !self.description.is_empty() {
            // The space before the `#` ends the word.
            push(separator)?;
            push(b"# ")?;
            push(self.description.as_str().as_bytes())?;
        }
        Ok(())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(|piece| f.write_str(core::str::from_utf8(piece).map_err(|_| fmt::Error)?))
    }
}

/// Why a line is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The line has [`MAX_LINE`] bytes or more without its newline.
    TooLong,
    /// HAProxy does not know a word.
    UnknownWord {
        /// The offset of the word's first byte in the line.
        at: usize,
        /// The length of the word in bytes, at least 1.
        len: usize,
    },
    /// The description has more than [`Description::MAX`] bytes, or is not printable ASCII.
    BadDescription,
    /// The line contains no word.
    NoWords,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it has {MAX_LINE} bytes or more"),
            Self::UnknownWord { at, .. } => {
                write!(f, "HAProxy does not know the word at byte {at}")
            }
            Self::BadDescription => write!(
                f,
                "the description is not printable ASCII of at most {} bytes",
                Description::MAX
            ),
            Self::NoWords => f.write_str("it contains no word, such as up, drain or 50%"),
        }
    }
}

#[cfg(test)]
mod tests;
