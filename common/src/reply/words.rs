//! Splits a line into words as HAProxy does, and parses a word.

use super::{AdministrativeState, Maxconn, OperationalState, Percent};
use crate::decimal::parse_decimal;

/// A word that HAProxy knows, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The operational state: `up`, `down`, `stopped` or `fail`.
    Operational(OperationalState),
    /// The administrative state: `ready`, `drain` or `maint`.
    Administrative(AdministrativeState),
    /// `N%`: a percentage of the weight on the server line.
    Percent(Percent),
    /// `weight:N`: the weight itself, 0 to 256. HAProxy 3.1 and later.
    Weight(Percent),
    /// `maxconn:N`: the connection limit.
    Maxconn(Maxconn),
}

impl Word {
    /// Parses a word. Upper and lower case are equal.
    ///
    /// Returns `None` if HAProxy does not know the word, or would use another number than the word contains.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        // Leading zeros are allowed: HAProxy uses strtol.
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
            .find(|(letters, _)| *letters == start)
            .map(|(_, word)| *word)
    }
}

const MAXCONN: &[u8] = b"maxconn:";
const WEIGHT: &[u8] = b"weight:";

/// The words without a number. The letters of each word are packed into one number. A table of strings would contain
/// addresses and lengths, and take twice the space.
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

/// Packs at most eight letters, in lower case, into one number. Different words give different numbers: a word that
/// contains a NUL gives 0, and no other word does.
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

/// Splits a line into words as HAProxy does.
pub(super) struct Words<'a> {
    pub(super) line: &'a [u8],
    /// The offset of the first byte that is not read yet.
    pub(super) at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The offset of the next word, and the word. Returns `None` at the end of the line and at the description.
    pub(super) fn next_word(&mut self) -> Option<(usize, &'a [u8])> {
        self.at += self
            .rest()
            .iter()
            .take_while(|byte| is_separator(**byte))
            .count();
        let rest = self.rest();
        if rest.first().is_none_or(|byte| *byte == b'#') {
            return None;
        }
        let len = rest.iter().take_while(|byte| !is_separator(**byte)).count();
        let at = self.at;
        self.at += len;
        Some((at, rest.get(..len).unwrap_or_default()))
    }

    /// The text after the `#`, without spaces and tabs at its ends; empty if there is none. Call it after the last word.
    ///
    /// It keeps other white space: a line end would begin another line, so the caller must see it.
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

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',')
}
