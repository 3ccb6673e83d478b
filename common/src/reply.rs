//! The agent reply: what one line says to HAProxy, as a type from which only lines that HAProxy reads
//! as meant can be produced, and the parser of such lines.
//!
//! The grammar is HAProxy's own, the same from 1.8 to 3.5-dev5 (`agent-check` in the configuration
//! manual, `tcpcheck_agent_expect_connect` in its source):
//!
//! ```ebnf
//! line    = {sep} , [word , {sep,{sep},word}] , {sep} , [ "#" , {SP|HT} , text ] ;
//! sep     = SP | HT | "," ;
//! word    = "up" | "down" | "stopped" | "fail" | "ready" | "drain" | "maint"
//!         | DIGIT,{DIGIT},"%" | "maxconn:",DIGIT,{DIGIT} ;     (* case-insensitive *)
//! ```
//!
//! The last word of a category wins, what is not said is not changed, and a `#` must start a word: in
//! `up#x` HAProxy sees one unknown word. `weight:`, known to HAProxy 3.1 and later only, is no word
//! here: on older versions it is an error.

use crate::decimal::decimal;
use core::fmt;

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
    /// `ready`: undoes `drain` and `maint`, whoever set them.
    Ready,
    /// `drain`: no new sessions, existing ones go on.
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

/// Why: the text after the `#`, for people. At most 100 bytes of printable ASCII, no blank at either
/// end; HAProxy keeps about 108 bytes in its statistics.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Description {
    bytes: [u8; Description::MAX],
    len: u8,
}

impl Description {
    /// The longest description, in bytes.
    pub const MAX: usize = 100;

    /// Nothing to say.
    pub const NONE: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };

    /// What of `text` can be shown: a character that is not printable ASCII becomes a `?` (a tab a blank),
    /// white space at the ends goes, and what is too long is cut. Safe for hostile text: it can
    /// add neither a line nor a word.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut shown = Self::NONE;
        for character in text.trim().chars() {
            let byte = match u8::try_from(character) {
                Ok(byte @ b' '..=b'~') => byte,
                Ok(b'\t') => b' ',
                _ => b'?',
            };
            if !shown.push(byte) {
                break;
            }
        }
        shown.trim_end();
        shown
    }

    /// `text` as it is, or `None` where it could not be shown as it is.
    #[must_use]
    pub fn exact(text: &[u8]) -> Option<Self> {
        if !Self::fits(text) {
            return None;
        }
        let mut shown = Self::NONE;
        for byte in text {
            shown.push(*byte);
        }
        Some(shown)
    }

    /// Whether `text` can be shown as it is.
    fn fits(text: &[u8]) -> bool {
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let blank_end = text.first() == Some(&b' ') || text.last() == Some(&b' ');
        text.len() <= Self::MAX && printable && !blank_end
    }

    fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    fn trim_end(&mut self) {
        let kept = self.as_bytes().trim_ascii_end().len();
        for byte in self.bytes.iter_mut().skip(kept) {
            *byte = 0;
        }
        self.len = u8::try_from(kept).unwrap_or(self.len);
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text as bytes of printable ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so the other branch is never taken.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
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
    /// How many connections at most, per balancer.
    pub maxconn: Option<Maxconn>,
    /// Why.
    pub description: Description,
}

impl Reply {
    /// A reply that says nothing, to be filled in.
    pub const NOTHING: Self = Self {
        operational: None,
        administrative: None,
        percent: None,
        maxconn: None,
        description: Description::NONE,
    };

    /// Whether there is no word in it, so that HAProxy would change nothing.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
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

    /// Reads one line, without its line end, as HAProxy does, and refuses what HAProxy would ignore,
    /// complain about or cut off, so that nothing is said that is not heard.
    ///
    /// # Errors
    /// What is wrong with the line, and where.
    pub fn parse(line: &[u8]) -> Result<Self, NotAReply> {
        let mut reply = Self::NOTHING;
        let text = walk(line, |word| match word {
            Word::Operational(state) => reply.operational = Some(state),
            Word::Administrative(state) => reply.administrative = Some(state),
            Word::Percent(percent) => reply.percent = Some(percent),
            Word::Maxconn(limit) => reply.maxconn = Some(limit),
        })?;
        reply.description = Description::exact(text).ok_or(NotAReply::BadDescription)?;
        Ok(reply)
    }
}

/// Whether [`Reply::parse`] takes this line; the same, without making a reply of it.
///
/// # Errors
/// What is wrong with the line, and where.
pub fn check(line: &[u8]) -> Result<(), NotAReply> {
    walk(line, |_| ()).map(|_| ())
}

/// Hands over the words of a line one by one; its description, if all of the line is as it should be.
fn walk(line: &[u8], mut take: impl FnMut(Word)) -> Result<&[u8], NotAReply> {
    if line.len() >= MAX_LINE {
        return Err(NotAReply::TooLong);
    }
    let mut words = Words { line, at: 0 };
    let mut says_nothing = true;
    while let Some((at, word)) = words.next_word() {
        let len = word.len();
        take(Word::of(word).ok_or(NotAReply::UnknownWord { at, len })?);
        says_nothing = false;
    }
    let text = words.description();
    if !Description::fits(text) {
        return Err(NotAReply::BadDescription);
    }
    if says_nothing {
        return Err(NotAReply::SaysNothing);
    }
    Ok(text)
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        if let Some(state) = self.operational {
            f.write_str(state.word())?;
            blank = " ";
        }
        if let Some(state) = self.administrative {
            write!(f, "{blank}{}", state.word())?;
            blank = " ";
        }
        if let Some(percent) = self.percent {
            write!(f, "{blank}{}%", percent.get())?;
            blank = " ";
        }
        if let Some(limit) = self.maxconn {
            write!(f, "{blank}maxconn:{}", limit.get())?;
            blank = " ";
        }
        if !self.description.is_empty() {
            // The blank before the sharp is what makes it a description and not part of a word.
            write!(f, "{blank}# {}", self.description.as_str())?;
        }
        Ok(())
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
    SaysNothing,
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
            Self::SaysNothing => f.write_str("there is no word in it that changes anything"),
        }
    }
}

/// One word that HAProxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Operational state.
    Operational(Operational),
    /// Administrative state.
    Administrative(Administrative),
    /// Relative weight.
    Percent(Percent),
    /// Connection limit.
    Maxconn(Maxconn),
}

impl Word {
    /// The meaning of `word`; `None` where HAProxy has none for it, or would keep another number than
    /// is written.
    #[must_use]
    pub fn of(word: &[u8]) -> Option<Self> {
        // Leading zeros as strtol allows them.
        if let Some(digits) = word.strip_suffix(b"%".as_slice()) {
            let percent = u16::try_from(decimal(digits)?).ok()?;
            return Percent::new(percent).map(Self::Percent);
        }
        let (start, digits) = word.split_at_checked(MAXCONN.len()).unwrap_or((word, b""));
        let start = packed(start);
        if start == packed(MAXCONN) {
            let limit = u32::try_from(decimal(digits)?).ok()?;
            return Maxconn::new(limit).map(Self::Maxconn);
        }
        let mut states = STATES.iter().filter(|_| digits.is_empty());
        states
            .find(|(known, _)| *known == start)
            .map(|(_, meaning)| *meaning)
    }
}

const MAXCONN: &[u8] = b"maxconn:";

/// The words that are always the same. Their letters are packed into a number each, for a table of texts
/// would be one of addresses and lengths, twice the size.
static STATES: [(u64, Word); 7] = {
    use {Administrative as A, Operational as O};
    const fn operational(state: O) -> (u64, Word) {
        (packed(state.word().as_bytes()), Word::Operational(state))
    }
    const fn administrative(state: A) -> (u64, Word) {
        (packed(state.word().as_bytes()), Word::Administrative(state))
    }
    [
        operational(O::Up),
        operational(O::Down),
        operational(O::Stopped),
        operational(O::Fail),
        administrative(A::Ready),
        administrative(A::Drain),
        administrative(A::Maint),
    ]
};

/// At most eight letters, in lower case, as one number. What has a NUL in it, and nothing else, is 0, so
/// that no two words are the same number.
const fn packed(mut word: &[u8]) -> u64 {
    let mut number = 0;
    while let [byte, rest @ ..] = word {
        if *byte == 0 {
            return 0;
        }
        number = number << 8 | byte.to_ascii_lowercase() as u64;
        word = rest;
    }
    number
}

/// Walks the words of a line in HAProxy's way.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The next word and its offset; `None` at the end of the line or where the description starts.
    fn next_word(&mut self) -> Option<(usize, &'a [u8])> {
        self.at += self.rest().iter().take_while(|b| separates(**b)).count();
        let rest = self.rest();
        if rest.first().is_none_or(|byte| *byte == b'#') {
            return None;
        }
        let len = rest.iter().take_while(|b| !separates(**b)).count();
        let at = self.at;
        self.at += len;
        Some((at, rest.get(..len).unwrap_or_default()))
    }

    /// The text after the `#`, once there are no more words, without blanks at its ends. (Blanks only: a
    /// line end would be the start of another line.)
    fn description(&self) -> &'a [u8] {
        let Some(mut text) = self.rest().strip_prefix(b"#".as_slice()) else {
            return b"";
        };
        while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
            text = rest;
        }
        text
    }
}

fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        Reply::parse(line.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn reads_as_haproxy_does() {
        for (line, canonical) in [
            ("up", "up"),
            ("UP", "up"),
            ("30% ready up", "up ready 30%"),
            ("up,ready,30%", "up ready 30%"),
            ("  up\t73% ", "up 73%"),
            ("up 300%", "up 300%"),
            ("050%", "50%"),
            ("up down", "down"),
            ("maint ready", "ready"),
            ("75%,maxconn:30,maint,down", "down maint 75% maxconn:30"),
            ("MaxConn:0", "maxconn:0"),
            ("down 100% # disk full", "down 100% # disk full"),
            ("down #disk", "down # disk"),
            ("down #", "down"),
            ("up # a # b, c", "up # a # b, c"),
            ("stopped 100% #\t x", "stopped 100% # x"),
        ] {
            assert_eq!(shown(line), canonical, "{line:?}");
        }
    }

    #[test]
    fn refuses_what_haproxy_ignores_or_reads_otherwise() {
        use NotAReply::*;
        let unknown = |at, len| UnknownWord { at, len };
        for (line, why) in [
            ("", SaysNothing),
            (" ,\t", SaysNothing),
            ("# up", SaysNothing),
            ("down#x", unknown(0, 6)),
            ("up failed", unknown(3, 6)),
            ("stop", unknown(0, 4)),
            ("up;ready", unknown(0, 8)),
            ("50", unknown(0, 2)),
            ("-5%", unknown(0, 3)),
            ("%", unknown(0, 1)),
            ("50.5%", unknown(0, 5)),
            ("50%%", unknown(0, 4)),
            ("25601%", unknown(0, 6)),
            ("99999999999%", unknown(0, 12)),
            ("maxconn:", unknown(0, 8)),
            ("maxconn:-1", unknown(0, 10)),
            ("maxconn:30x", unknown(0, 11)),
            ("maxconn:2147483648", unknown(0, 18)),
            ("weight:42", unknown(0, 9)),
            ("\u{feff}down", unknown(0, 7)),
            ("up\0", unknown(0, 3)),
            ("up\n", unknown(0, 3)),
            ("up\r", unknown(0, 3)),
            ("up # \u{7f}", BadDescription),
            ("up # é", BadDescription),
            ("up # a\nb", BadDescription),
            ("up # a\n", BadDescription),
            ("up # a\r", BadDescription),
            ("up #\n", BadDescription),
        ] {
            assert_eq!(Reply::parse(line.as_bytes()), Err(why), "{line:?}");
        }
        let long = format!("up # {}", "x".repeat(101));
        assert_eq!(Reply::parse(long.as_bytes()), Err(BadDescription));
        let blanks = format!("up{}", " ".repeat(MAX_LINE));
        assert_eq!(Reply::parse(blanks.as_bytes()), Err(TooLong));
    }

    #[test]
    fn what_takes_a_server_out() {
        for (line, out) in [
            ("up 100%", false),
            ("up ready 1%", false),
            ("maxconn:30", false),
            ("up 0%", true),
            ("down 100%", true),
            ("stopped", true),
            ("fail", true),
            ("up drain 100%", true),
            ("maint", true),
        ] {
            let reply = Reply::parse(line.as_bytes()).unwrap();
            assert_eq!(reply.takes_out(), out, "{line}");
        }
    }

    #[test]
    fn the_longest_reply_fits() {
        let reply = Reply {
            operational: Some(Operational::Stopped),
            administrative: Some(Administrative::Ready),
            percent: Percent::new(Percent::MAX),
            maxconn: Maxconn::new(Maxconn::MAX),
            description: Description::lossy(&"x".repeat(200)),
        };
        let line = reply.to_string();
        assert_eq!(line.len(), 142);
        assert_eq!(Reply::parse(line.as_bytes()), Ok(reply));
    }

    #[test]
    fn hostile_text_stays_a_description() {
        let text = "x\nmaint\r\n\0 \u{1b}[2J ü up # 0%";
        let reply = Reply {
            operational: Some(Operational::Up),
            description: Description::lossy(text),
            ..Reply::NOTHING
        };
        assert_eq!(reply.to_string(), "up # x?maint??? ?[2J ? up # 0%");
        assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
        assert!(Description::lossy(" \t\n ").is_empty());
    }
}
