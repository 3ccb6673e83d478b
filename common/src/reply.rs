//! The agent reply: one line for HAProxy as a type, which prints only lines that HAProxy reads as intended; and the
//! parser of such lines.
//!
//! The grammar is HAProxy's own, the same from 1.8 to 3.5-dev5 (`agent-check` in the configuration
//! manual, `tcpcheck_agent_expect_connect` in its source):
//!
//! ```ebnf
//! line    = {sep} , [word , {sep,{sep},word}] , {sep} , [ "#" , {SP|HT} , text ] ;
//! sep     = SP | HT | "," ;
//! word    = "up" | "down" | "stopped" | "fail" | "ready" | "drain" | "maint"
//!         | DIGIT,{DIGIT},"%" | "weight:",DIGIT,{DIGIT}
//!         | "maxconn:",DIGIT,{DIGIT} ;                         (* case-insensitive *)
//! ```
//!
//! The last word of a category replaces the others, a missing category changes nothing, and a `#` must start a word:
//! in `up#x` HAProxy sees one unknown word. HAProxy knows `weight:` from 3.1 on; before, it is an unknown word.

mod description;
mod words;

pub use description::Description;
pub use words::Word;

use crate::decimal::digits;
use core::fmt;
use words::Words;

/// The longest line that may go to HAProxy, its newline included, in bytes. HAProxy takes 16,383; a
/// short line always travels in one segment, and a split line is misread by many versions.
pub const MAX_LINE: usize = 500;

/// The operational state: whether the agent thinks that the server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operational {
    /// `up`: undoes `down`, `stopped` and `fail` if the health check agrees.
    Up,
    /// `down`
    Down,
    /// `stopped`: down; HAProxy logs it as stopped by an administrator.
    Stopped,
    /// `fail`: down; HAProxy logs it as failed.
    Fail,
}

impl Operational {
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

/// The administrative state, whose bits the agent shares with the operators at the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Administrative {
    /// `ready`: undoes `drain` and `maint`, also those of operators.
    Ready,
    /// `drain`: no new sessions; existing sessions continue.
    Drain,
    /// `maint`: out of service, its health no longer checked.
    Maint,
}

impl Administrative {
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

/// A percentage of the weight that is configured on the server line. HAProxy takes
/// floor(weight x percent / 100), at most 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    /// No new sessions.
    pub const ZERO: Self = Self(0);
    /// The configured weight.
    pub const FULL: Self = Self(100);
    /// The largest that can make a difference: it lifts a weight of 1 to HAProxy's limit of 256.
    pub const MAX: u16 = 25_600;

    /// `percent`, in percent, or `None` above [`Percent::MAX`].
    #[must_use]
    pub const fn new(percent: u16) -> Option<Self> {
        if percent <= Self::MAX {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// The number before the percent sign.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A limit of concurrent connections, per balancer; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Maxconn(u32);

impl Maxconn {
    /// The largest that HAProxy keeps: it stores a C int.
    pub const MAX: u32 = i32::MAX.unsigned_abs();

    /// `limit` connections, or `None` above [`Maxconn::MAX`].
    #[must_use]
    pub fn new(limit: u32) -> Option<Self> {
        (limit <= Self::MAX).then_some(Self(limit))
    }

    /// The number of connections.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// One reply: at most one word of each category and a description. [`fmt::Display`] gives the line
/// without its newline, always in the order operational, administrative, weight, maxconn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// Whether the server works.
    pub operational: Option<Operational>,
    /// What the administrators want of it.
    pub administrative: Option<Administrative>,
    /// How much of its configured weight it can take.
    pub percent: Option<Percent>,
    /// Whether `percent` is the weight itself, `weight:N`, and not a share of the configured weight (HAProxy 3.1 and
    /// later).
    pub absolute: bool,
    /// How many connections at most, per balancer.
    pub maxconn: Option<Maxconn>,
    /// Why.
    pub description: Description,
}

impl Reply {
    /// A reply without words. Set its fields before use.
    pub const NOTHING: Self = Self {
        operational: None,
        administrative: None,
        percent: None,
        absolute: false,
        maxconn: None,
        description: Description::NONE,
    };

    /// Whether there is no word in it, so that HAProxy would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operational.is_none()
            && self.administrative.is_none()
            && self.percent.is_none()
            && self.maxconn.is_none()
    }

    /// Whether it takes the server out of service, in one way or another: no new sessions, not working,
    /// or in maintenance.
    #[must_use]
    pub fn takes_out(&self) -> bool {
        self.percent == Some(Percent::ZERO)
            || self
                .operational
                .is_some_and(|state| state != Operational::Up)
            || self
                .administrative
                .is_some_and(|state| state != Administrative::Ready)
    }

    /// The same reply with another description.
    #[must_use]
    pub fn described(self, description: Description) -> Self {
        Self {
            description,
            ..self
        }
    }

    /// Reads one line, without its line end, as HAProxy does. Refuses a line of which HAProxy would ignore, report or
    /// cut off a part.
    ///
    /// # Errors
    /// The fault of the line, and its position.
    pub fn parse(line: &[u8]) -> Result<Self, NotAReply> {
        let mut reply = Self::NOTHING;
        let text = walk(line, |word| match word {
            Word::Operational(state) => reply.operational = Some(state),
            Word::Administrative(state) => reply.administrative = Some(state),
            Word::Percent(percent) => (reply.percent, reply.absolute) = (Some(percent), false),
            Word::Weight(weight) => (reply.percent, reply.absolute) = (Some(weight), true),
            Word::Maxconn(limit) => reply.maxconn = Some(limit),
        })?;
        reply.description = Description::exact(text).ok_or(NotAReply::BadDescription)?;
        Ok(reply)
    }
}

/// Whether [`Reply::parse`] accepts this line, without the cost of making a reply.
///
/// # Errors
/// The fault of the line, and its position.
pub fn check(line: &[u8]) -> Result<(), NotAReply> {
    walk(line, |_| ()).map(|_| ())
}

/// Hands over the words of a line one by one; its description, if all of the line is as it should be.
fn walk(line: &[u8], mut take: impl FnMut(Word)) -> Result<&[u8], NotAReply> {
    if line.len() >= MAX_LINE {
        return Err(NotAReply::TooLong);
    }
    let mut words = Words { line, at: 0 };
    let mut is_empty = true;
    while let Some((at, word)) = words.next_word() {
        let len = word.len();
        take(Word::of(word).ok_or(NotAReply::UnknownWord { at, len })?);
        is_empty = false;
    }
    let text = words.description();
    if !Description::fits(text) {
        return Err(NotAReply::BadDescription);
    }
    if is_empty {
        return Err(NotAReply::NoWord);
    }
    Ok(text)
}

impl Reply {
    /// Passes the line to `put`, in pieces of ASCII and without newline.
    pub(crate) fn write(&self, mut put: impl FnMut(&[u8]) -> fmt::Result) -> fmt::Result {
        let mut blank = b"".as_slice();
        let operational = self.operational.map(|state| state.word());
        let administrative = self.administrative.map(|state| state.word());
        for word in [operational, administrative].into_iter().flatten() {
            put(blank)?;
            put(word.as_bytes())?;
            blank = b" ";
        }
        let mut buffer = [0; 20];
        if let Some(percent) = self.percent {
            put(blank)?;
            if self.absolute {
                put(b"weight:")?;
            }
            put(digits(percent.get().into(), &mut buffer))?;
            if !self.absolute {
                put(b"%")?;
            }
            blank = b" ";
        }
        if let Some(limit) = self.maxconn {
            put(blank)?;
            put(b"maxconn:")?;
            put(digits(limit.get().into(), &mut buffer))?;
            blank = b" ";
        }
        if !self.description.is_empty() {
            // The blank before the sharp makes it a description and not part of a word.
            put(blank)?;
            put(b"# ")?;
            put(self.description.as_str().as_bytes())?;
        }
        Ok(())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(|piece| f.write_str(core::str::from_utf8(piece).map_err(|_| fmt::Error)?))
    }
}

/// Why a line is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAReply {
    /// It has [`MAX_LINE`] bytes or more.
    TooLong,
    /// HAProxy does not know this word: its offset and length in bytes.
    UnknownWord {
        /// Offset of the word's first byte.
        at: usize,
        /// Length of the word.
        len: usize,
    },
    /// The description is longer than [`Description::MAX`] or not printable ASCII.
    BadDescription,
    /// There is no word in it.
    NoWord,
}

impl fmt::Display for NotAReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the line has {MAX_LINE} bytes or more"),
            Self::UnknownWord { at, .. } => {
                write!(f, "HAProxy does not know the word at byte {at}")
            }
            Self::BadDescription => write!(
                f,
                "a description is at most {} bytes of printable ASCII",
                Description::MAX
            ),
            Self::NoWord => f.write_str("there is no word in it that changes anything"),
        }
    }
}

#[cfg(test)]
mod tests;
