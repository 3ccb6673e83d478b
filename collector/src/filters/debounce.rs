//! How many polls it takes to believe that a source has failed, or is back: `fail_after` and
//! `recover_after`. Pure.

use std::collections::VecDeque;
use std::fmt;

/// So many of the last so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// How many must agree.
    pub needed: u8,
    /// Out of how many, the latest among them.
    pub of: u8,
}

impl Threshold {
    /// One is enough.
    pub const ONE: Self = Self { needed: 1, of: 1 };

    /// The largest number of polls that are looked back at.
    pub const MAX: u8 = 100;

    /// The count in `text`: `3` (three in a row) or `3 of 5`; `None` for anything else, and for numbers
    /// below 1 or above [`Count::MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (needed, of) = text.split_once(" of ").unwrap_or((text, text));
        let count = Self {
            needed: needed.trim().parse().ok()?,
            of: of.trim().parse().ok()?,
        };
        let fits = (1..=Self::MAX).contains(&count.needed)
            && (count.needed..=Self::MAX).contains(&count.of);
        fits.then_some(count)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.needed, self.of)
    }
}

/// When a source counts as failed, and when as back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebouncePolicy {
    /// So many failed polls make it failed.
    pub fail_after: Threshold,
    /// So many good polls make it good again.
    pub recover_after: Threshold,
}

impl Default for DebouncePolicy {
    /// Every poll is believed.
    fn default() -> Self {
        Self {
            fail_after: Threshold::ONE,
            recover_after: Threshold::ONE,
        }
    }
}

/// What a source counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceHealth {
    /// Not enough polls have failed to say so, and none was good.
    #[default]
    Unknown,
    /// Good: a failed poll is passed over.
    Good,
    /// Failed: a good poll is passed over.
    Failed,
}

/// The latest polls of one source, and what they make of it.
#[derive(Clone, Debug, Default)]
pub struct Debouncer {
    standing: SourceHealth,
    /// Whether each was good, the latest last; since the standing last changed.
    polls: VecDeque<bool>,
}

impl Debouncer {
    /// Takes in whether the latest poll was good; gives what the source counts as from now on.
    pub fn observe(&mut self, confirm: &DebouncePolicy, good: bool) -> SourceHealth {
        self.polls.push_back(good);
        while self.polls.len() > usize::from(Threshold::MAX) {
            self.polls.pop_front();
        }
        let enough = |count: Threshold, wanted: bool| {
            let latest = self.polls.iter().rev().take(usize::from(count.of));
            latest.filter(|good| **good == wanted).count() >= usize::from(count.needed)
        };
        let next = match self.standing {
            // Nothing speaks against the first good poll.
            SourceHealth::Unknown if good => SourceHealth::Good,
            SourceHealth::Unknown | SourceHealth::Good if enough(confirm.fail_after, false) => {
                SourceHealth::Failed
            }
            SourceHealth::Failed if enough(confirm.recover_after, true) => SourceHealth::Good,
            same => same,
        };
        if next != self.standing {
            // What led here does not count for the way back.
            self.polls.clear();
            self.standing = next;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character a poll: `+` good, `-` failed; and what the source counts as after each.
    fn played(fail_after: &str, recover_after: &str, polls: &str) -> String {
        let confirm = DebouncePolicy {
            fail_after: Threshold::parse(fail_after).unwrap(),
            recover_after: Threshold::parse(recover_after).unwrap(),
        };
        let mut confirmation = Debouncer::default();
        polls
            .chars()
            .map(|poll| match confirmation.observe(&confirm, poll == '+') {
                SourceHealth::Unknown => '?',
                SourceHealth::Good => 'g',
                SourceHealth::Failed => 'f',
            })
            .collect()
    }

    #[test]
    fn every_poll_counts_by_default() {
        assert_eq!(played("1", "1", "+-+--+"), "gfgffg");
        assert_eq!(played("1", "1", "-+"), "fg");
    }

    #[test]
    fn so_many_in_a_row() {
        assert_eq!(played("3", "2", "+--+---++"), "ggggggffg");
        assert_eq!(played("3", "2", "+---+-++"), "gggffffg");
        assert_eq!(played("3", "2", "--+"), "??g");
        assert_eq!(played("3", "2", "---+"), "??ff");
    }

    #[test]
    fn so_many_of_so_many() {
        assert_eq!(played("3 of 5", "1", "+-+-+-"), "gggggf");
        // After the way back it takes three failures again.
        assert_eq!(played("3 of 5", "1", "+---+--+-"), "gggfggggf");
        assert_eq!(played("1", "2 of 3", "-+-+"), "fffg");
    }

    #[test]
    fn counts() {
        for (text, count) in [
            ("1", Some((1, 1))),
            ("3 of 5", Some((3, 5))),
            ("5 of 3", None),
            ("0", None),
            ("101", None),
            ("3 of", None),
            ("three", None),
            ("-1", None),
        ] {
            let parsed = Threshold::parse(text).map(|count| (count.needed, count.of));
            assert_eq!(parsed, count, "{text}");
        }
    }
}
