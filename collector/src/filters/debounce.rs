//! How many polls make a failure or a recovery of a source: `fail_after` and `recover_after`. Pure.

use std::fmt;

/// A number of polls out of the latest polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// How many polls must agree.
    pub required: u8,
    /// Out of how many of the latest.
    pub window: u8,
}

impl Threshold {
    /// One poll.
    pub const ONE: Self = Self {
        required: 1,
        window: 1,
    };

    /// The largest number of polls.
    pub const MAX: u8 = 100;

    /// Parses `3` (three in a row) or `3 of 5`; `None` for anything else, and for numbers below 1 or above
    /// [`Threshold::MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (required, window) = text.split_once(" of ").unwrap_or((text, text));
        let count = Self {
            required: required.trim().parse().ok()?,
            window: window.trim().parse().ok()?,
        };
        let fits = (1..=Self::MAX).contains(&count.required)
            && (count.required..=Self::MAX).contains(&count.window);
        fits.then_some(count)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.required, self.window)
    }
}

/// When a source counts as failed, and when as good again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebouncePolicy {
    /// How many failed polls make a failure.
    pub fail_after: Threshold,
    /// How many good polls make a recovery.
    pub recover_after: Threshold,
}

impl Default for DebouncePolicy {
    /// Every poll counts.
    fn default() -> Self {
        Self {
            fail_after: Threshold::ONE,
            recover_after: Threshold::ONE,
        }
    }
}

/// The health of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceHealth {
    /// Too few polls have failed, and none was good.
    #[default]
    Unknown,
    /// Good: a single failed poll may be ignored.
    Good,
    /// Failed: a single good poll may be ignored.
    Failed,
}

/// The latest polls of one source, and the health that follows.
#[derive(Clone, Debug, Default)]
pub struct Debouncer {
    health: SourceHealth,
    /// The results of the polls since the health changed, one bit for each, the latest lowest; 1 is good.
    polls: u128,
    /// How many there are, at most [`Threshold::MAX`].
    count: u8,
}

impl Debouncer {
    /// Adds the result of the latest poll; returns the health from now on.
    pub fn observe(&mut self, policy: &DebouncePolicy, good: bool) -> SourceHealth {
        self.polls = self.polls << 1 | u128::from(good);
        self.count = (self.count + 1).min(Threshold::MAX);
        let enough = |threshold: Threshold, wanted: bool| {
            let agreeing = if wanted { self.polls } else { !self.polls };
            // Threshold::MAX is less than the number of bits.
            let latest = (1 << threshold.window.min(self.count)) - 1;
            (agreeing & latest).count_ones() >= u32::from(threshold.required)
        };
        let next = match self.health {
            // Nothing contradicts the first good poll.
            SourceHealth::Unknown if good => SourceHealth::Good,
            SourceHealth::Unknown | SourceHealth::Good if enough(policy.fail_after, false) => {
                SourceHealth::Failed
            }
            SourceHealth::Failed if enough(policy.recover_after, true) => SourceHealth::Good,
            same => same,
        };
        if next != self.health {
            // Polls before a change do not count towards the next one.
            self.count = 0;
            self.health = next;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character per poll: `+` good, `-` failed. Returns the health after each.
    fn played(fail_after: &str, recover_after: &str, polls: &str) -> String {
        let policy = DebouncePolicy {
            fail_after: Threshold::parse(fail_after).unwrap(),
            recover_after: Threshold::parse(recover_after).unwrap(),
        };
        let mut debouncer = Debouncer::default();
        polls
            .chars()
            .map(|poll| match debouncer.observe(&policy, poll == '+') {
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
    fn threshold_counts_polls_in_a_row() {
        assert_eq!(played("3", "2", "+--+---++"), "ggggggffg");
        assert_eq!(played("3", "2", "+---+-++"), "gggffffg");
        assert_eq!(played("3", "2", "--+"), "??g");
        assert_eq!(played("3", "2", "---+"), "??ff");
    }

    #[test]
    fn threshold_counts_polls_of_a_window() {
        assert_eq!(played("3 of 5", "1", "+-+-+-"), "gggggf");
        // After the recovery it takes three failures again.
        assert_eq!(played("3 of 5", "1", "+---+--+-"), "gggfggggf");
        assert_eq!(played("1", "2 of 3", "-+-+"), "fffg");
    }

    #[test]
    fn thresholds_are_parsed() {
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
            let parsed = Threshold::parse(text).map(|count| (count.required, count.window));
            assert_eq!(parsed, count, "{text}");
        }
    }
}
