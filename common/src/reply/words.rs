//! From the bytes of a line to its words, in HAProxy's way, and from a word to what it means.

use super::{AdministrativeState, Maxconn, OperationalState, Percent};
use crate::decimal::parse_decimal;

/// One word that HAProxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Operational state.
    Operational(OperationalState),
    /// Administrative state.
    Administrative(AdministrativeState),
    /// Relative weight.
    Percent(Percent),
    /// The weight itself, 0 to 256.
    Weight(Percent),
    /// Connection limit.
    Maxconn(Maxconn),
}

impl Word {
    /// The meaning of `word`; `None` where HAProxy has none for it, or would keep another number than
    /// is written.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        // Leading zeros as strtol allows them.
        if let Some(digits) = word.strip_suffix(b"%".as_slice()) {
            let percent = u16::try_from(parse_decimal(digits)?).ok()?;
            return Percent::new(percent).map(Self::Percent);
        }
        let (start, digits) = word.split_at_checked(WEIGHT.len()).unwrap_or((word, b""));
        if packed(start) == packed(WEIGHT) {
            let weight = u16::try_from(parse_decimal(digits)?).ok()?;
            return Percent::new(weight)
                .filter(|_| weight <= 256)
                .map(Self::Weight);
        }
        let (start, digits) = word.split_at_checked(MAXCONN.len()).unwrap_or((word, b""));
        let start = packed(start);
        if start == packed(MAXCONN) {
            let limit = u32::try_from(parse_decimal(digits)?).ok()?;
            return Maxconn::new(limit).map(Self::Maxconn);
        }
        let mut states = STATES.iter().filter(|_| digits.is_empty());
        states
            .find(|(known, _)| *known == start)
            .map(|(_, meaning)| *meaning)
    }
}

const MAXCONN: &[u8] = b"maxconn:";
const WEIGHT: &[u8] = b"weight:";

/// The words that are always the same. Their letters are packed into a number each, for a table of texts
/// would be one of addresses and lengths, twice the size.
static STATES: [(u64, Word); 7] = {
    use {AdministrativeState as A, OperationalState as O};
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
pub(super) struct Words<'a> {
    pub(super) line: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The next word and its offset; `None` at the end of the line or where the description starts.
    pub(super) fn next_word(&mut self) -> Option<(usize, &'a [u8])> {
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
    pub(super) fn description(&self) -> &'a [u8] {
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
