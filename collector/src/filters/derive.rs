//! Numbers with memory: averages, rates and windows, as `[derive.NAME]` declares them. Pure: a number and its
//! time in, a number out. Expressions stay without memory, so that nothing is lost when a branch is not
//! evaluated.

use agentcheck_common::BootTime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The largest number of values in a window: a minute at ten per second, an hour at one every four seconds.
pub const MOST_NUMBERS: usize = 1000;

/// The largest number of values of a window that survive a restart.
pub const MOST_KEPT: usize = 60;

/// How a derived number follows from its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// Exponentially weighted moving average with this time constant: after it, 63% of a step have passed. The
    /// first number is taken as it is.
    Ewma(Duration),
    /// The rise of a counter per second, over the window. A counter that fell was reset and has risen from 0
    /// since, as in Prometheus.
    Rate(Duration),
    /// The smallest number in the window.
    Min(Duration),
    /// The largest number in the window.
    Max(Duration),
    /// The arithmetic mean of the numbers in the window.
    Mean(Duration),
    /// The number below which this share (in per cent, 0 to 100) of the window lies, by the nearest rank.
    Percentile(f64, Duration),
}

impl Aggregation {
    /// The age of the oldest relevant number: the window, or ten time constants, after which an average has
    /// forgotten.
    fn window(self) -> Duration {
        match self {
            Self::Ewma(tau) => tau * 10,
            Self::Rate(window)
            | Self::Min(window)
            | Self::Max(window)
            | Self::Mean(window)
            | Self::Percentile(_, window) => window,
        }
    }
}

/// A number that is being derived.
#[derive(Clone, Debug)]
pub struct Derivation {
    aggregation: Aggregation,
    /// The numbers of the window, oldest first; for an average the last result alone.
    numbers: VecDeque<(BootTime, f64)>,
}

impl Derivation {
    /// Without numbers.
    #[must_use]
    pub fn new(aggregation: Aggregation) -> Self {
        Self {
            aggregation,
            numbers: VecDeque::new(),
        }
    }

    /// Adds the number of a moment; returns the derived one. `None` where there is none yet (a rate needs two)
    /// or the result would not be finite. A moment that is not after the last changes nothing.
    pub fn observe(&mut self, at: BootTime, number: f64) -> Option<f64> {
        let last = self.numbers.back().copied();
        if number.is_finite() && last.is_none_or(|(before, _)| before < at) {
            self.take(at, number, last);
        }
        self.value().filter(|value| value.is_finite())
    }

    /// The numbers for a restarted collector: all of them or, above [`MOST_KEPT`], one for each small group,
    /// the smallest or largest where that matters.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(BootTime, f64)> {
        let few = self.numbers.len().div_ceil(MOST_KEPT).max(1);
        let numbers: Vec<(BootTime, f64)> = self.numbers.iter().copied().collect();
        let one = |few: &[(BootTime, f64)]| {
            let few = few.iter().copied();
            match self.aggregation {
                Aggregation::Min(_) => few.min_by(|a, b| a.1.total_cmp(&b.1)),
                Aggregation::Max(_) => few.max_by(|a, b| a.1.total_cmp(&b.1)),
                _ => few.last(),
            }
        };
        numbers.chunks(few).filter_map(one).collect()
    }

    /// Continues at `now` from kept numbers. It ignores numbers that are older than the window, in the future,
    /// not finite, or out of order: the file may have been changed.
    pub fn restore(&mut self, kept: &[(BootTime, f64)], now: BootTime) {
        let oldest = self.aggregation.window();
        for (at, number) in kept.iter().take(MOST_KEPT) {
            let last = self.numbers.back().copied();
            let in_order = *at <= now && last.is_none_or(|(before, _)| before < *at);
            if in_order && number.is_finite() && now.since(*at) <= oldest {
                self.take(*at, *number, last);
            }
        }
    }

    fn take(&mut self, at: BootTime, number: f64, last: Option<(BootTime, f64)>) {
        if let Aggregation::Ewma(tau) = self.aggregation {
            let smoothed = match last {
                Some((before, value)) => {
                    let passed = at.since(before).as_secs_f64();
                    let share = 1.0 - (-passed / tau.as_secs_f64()).exp();
                    // Two shares instead of a difference, which can overflow.
                    value * (1.0 - share) + number * share
                }
                None => number,
            };
            self.numbers.clear();
            self.numbers.push_back((at, smoothed));
            return;
        }
        let window = self.aggregation.window();
        self.numbers.push_back((at, number));
        // A rate keeps the number with which the window begins, for the rise since then.
        let rate = matches!(self.aggregation, Aggregation::Rate(_));
        let past = |numbers: &VecDeque<(BootTime, f64)>| match numbers.get(usize::from(rate)) {
            Some((oldest, _)) if rate => at.since(*oldest) >= window,
            Some((oldest, _)) => at.since(*oldest) > window,
            None => false,
        };
        while self.numbers.len() > MOST_NUMBERS || past(&self.numbers) {
            self.numbers.pop_front();
        }
    }

    fn value(&self) -> Option<f64> {
        let numbers = self.numbers.iter().map(|(_, number)| *number);
        let count = f64::from(u32::try_from(self.numbers.len()).ok()?);
        match self.aggregation {
            Aggregation::Ewma(_) => self.numbers.back().map(|(_, number)| *number),
            Aggregation::Rate(_) => self.rate(),
            Aggregation::Min(_) => numbers.reduce(f64::min),
            Aggregation::Max(_) => numbers.reduce(f64::max),
            // Divided before the sum, so that large numbers do not overflow.
            Aggregation::Mean(_) => numbers.map(|number| number / count).reduce(|a, b| a + b),
            Aggregation::Percentile(percent, _) => {
                let mut sorted: Vec<f64> = numbers.collect();
                sorted.sort_by(f64::total_cmp);
                let rank = (percent / 100.0 * count).ceil().clamp(1.0, count);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                // clamped to 1..=count
                let rank = rank as usize;
                sorted.get(rank - 1).copied()
            }
        }
    }

    fn rate(&self) -> Option<f64> {
        let (first, _) = self.numbers.front()?;
        let (last, _) = self.numbers.back()?;
        let passed = last.since(*first).as_secs_f64();
        let pairs = self.numbers.iter().zip(self.numbers.iter().skip(1));
        let risen: f64 = pairs
            .map(|((_, before), (_, after))| {
                if after >= before {
                    after - before
                } else {
                    *after
                }
            })
            .sum();
        (passed > 0.0).then(|| risen / passed)
    }
}

/// The largest number of series with a memory; further ones are ignored.
pub const MOST_COUNTERS: usize = 2_000;

/// Counters that belong together, each with a memory of its own: when one process of several restarts, its
/// counter falls, and their sum would look like a reset of all.
#[derive(Clone, Debug)]
pub struct Counters {
    window: Duration,
    counters: BTreeMap<String, Derivation>,
}

impl Counters {
    /// Without counters; rates are over `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            counters: BTreeMap::new(),
        }
    }

    /// Adds the counters' values at a moment; returns the rises per second that are known by now. A counter
    /// that is absent is forgotten.
    pub fn observe<'c>(&mut self, at: BootTime, shown: &[(&'c str, f64)]) -> Vec<(&'c str, f64)> {
        let present: BTreeSet<&str> = shown.iter().map(|(id, _)| *id).collect();
        self.counters.retain(|id, _| present.contains(id.as_str()));
        let mut rates = Vec::new();
        for (id, count) in shown.iter().take(MOST_COUNTERS) {
            let memory = Aggregation::Rate(self.window);
            let counter = self
                .counters
                .entry((*id).to_owned())
                .or_insert_with(|| Derivation::new(memory));
            if let Some(rate) = counter.observe(at, *count) {
                rates.push((*id, rate));
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The derived numbers, to a thousandth, for numbers at times in seconds.
    fn derived(aggregation: Aggregation, numbers: &[(u64, f64)]) -> Vec<Option<f64>> {
        let mut derivation = Derivation::new(aggregation);
        numbers
            .iter()
            .map(|(at, number)| {
                let value = derivation.observe(BootTime(at * 1_000_000_000), *number);
                value.map(|value| (value * 1000.0).round() / 1000.0)
            })
            .collect()
    }

    #[test]
    fn ewma_follows_irregular_steps() {
        let tau = Aggregation::Ewma(5 * SECOND);
        // After one time constant 63.2% of a step are through, in one step or in five.
        assert_eq!(derived(tau, &[(0, 0.0), (5, 100.0)])[1], Some(63.212));
        let many: Vec<_> = std::iter::once((0, 0.0))
            .chain((1..=5).map(|at| (at, 100.0)))
            .collect();
        assert_eq!(derived(tau, &many)[5], Some(63.212));
        // A constant is a fixed point; an eternity later only the new number counts.
        assert_eq!(derived(tau, &[(0, 7.0), (3, 7.0), (4, 7.0)])[2], Some(7.0));
        assert_eq!(derived(tau, &[(0, 7.0), (1_000_000, 1.0)])[1], Some(1.0));
    }

    #[test]
    fn rates_survive_resets() {
        let rate = Aggregation::Rate(10 * SECOND);
        assert_eq!(
            derived(rate, &[(0, 100.0), (2, 120.0), (4, 160.0), (6, 10.0)]),
            [None, Some(10.0), Some(15.0), Some(11.667)]
        );
        // Only the window counts, and the number with which it begins.
        assert_eq!(
            derived(rate, &[(0, 0.0), (20, 1000.0), (30, 1010.0), (40, 1030.0)]),
            [None, Some(50.0), Some(1.0), Some(2.0)]
        );
    }

    #[test]
    fn restored_derivation_continues() {
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        let minute = 60 * SECOND;
        let memories = [
            Aggregation::Ewma(5 * SECOND),
            Aggregation::Rate(minute),
            Aggregation::Min(minute),
            Aggregation::Max(minute),
            Aggregation::Mean(minute),
            Aggregation::Percentile(50.0, minute),
        ];
        for memory in memories {
            let mut one = Derivation::new(memory);
            for (second, number) in (0..).zip([3.0, 9.0, 4.0, 12.0, 7.0]) {
                one.observe(at(second), number);
            }
            let mut other = Derivation::new(memory);
            other.restore(&one.snapshot(), at(5));
            assert_eq!(
                other.observe(at(6), 8.0),
                one.observe(at(6), 8.0),
                "{memory:?}"
            );
            // Much later, nothing is left: everything is older than the window.
            let mut late = Derivation::new(memory);
            late.restore(&one.snapshot(), at(600));
            assert!(late.numbers.is_empty(), "{memory:?}");
        }
    }

    #[test]
    fn kept_numbers_are_bounded_and_checked() {
        let at = |tenth: u64| BootTime(tenth * 100_000_000);
        let full = |memory| {
            let mut full = Derivation::new(memory);
            for tenth in 0..1000_u32 {
                // Rises, but for one dip and one peak.
                let number = match tenth {
                    333 => -5.0,
                    444 => 5000.0,
                    _ => f64::from(tenth),
                };
                full.observe(at(u64::from(tenth)), number);
            }
            let kept = full.snapshot();
            assert!(kept.len() <= MOST_KEPT && kept.len() > MOST_KEPT / 2);
            let mut after = Derivation::new(memory);
            after.restore(&kept, at(1000));
            (full.value().unwrap(), after.value().unwrap())
        };
        let window = 1000 * SECOND;
        assert_eq!(full(Aggregation::Min(window)), (-5.0, -5.0));
        assert_eq!(full(Aggregation::Max(window)), (5000.0, 5000.0));
        for memory in [
            Aggregation::Mean(window),
            Aggregation::Percentile(50.0, window),
        ] {
            let (before, after) = full(memory);
            assert!((before - after).abs() < 20.0, "{memory:?} {before} {after}");
        }
        let mut suspicious = Derivation::new(Aggregation::Max(window));
        let long: Vec<_> = (0..500).map(|tenth| (at(tenth), 1.0)).collect();
        suspicious.restore(&long, at(1000));
        assert_eq!(suspicious.numbers.len(), MOST_KEPT);
        let strange = [
            (at(70), f64::NAN),
            (at(80), 2.0),
            (at(75), 9.0),
            (at(2000), 9.0),
        ];
        suspicious.restore(&strange, at(1000));
        assert_eq!(suspicious.value(), Some(2.0));
    }

    #[test]
    fn each_counter_resets_alone() {
        let mut counters = Counters::new(60 * SECOND);
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        assert_eq!(counters.observe(at(0), &[("a", 1000.0), ("b", 500.0)]), []);
        let rates = counters.observe(at(10), &[("a", 1100.0), ("b", 20.0)]);
        assert_eq!(rates, [("a", 10.0), ("b", 2.0)]);
        // An absent counter is forgotten, and a new one has no rate yet.
        let rates = counters.observe(at(20), &[("b", 40.0), ("c", 7.0)]);
        assert_eq!(rates, [("b", 2.0)]);
        let rates = counters.observe(at(30), &[("a", 2000.0), ("c", 17.0)]);
        assert_eq!(rates, [("c", 1.0)]);
    }

    #[test]
    fn windows() {
        let numbers = [(0, 5.0), (1, 1.0), (2, 9.0), (12, 3.0)];
        let over = 10 * SECOND;
        let last = |memory| derived(memory, &numbers)[3];
        assert_eq!(last(Aggregation::Min(over)), Some(3.0));
        assert_eq!(last(Aggregation::Max(over)), Some(9.0));
        assert_eq!(last(Aggregation::Mean(over)), Some(6.0));
        let hundred: Vec<_> = (1..=100_u32)
            .map(|n| (u64::from(n), f64::from(n)))
            .collect();
        let percentile = |percent| {
            let memory = Aggregation::Percentile(percent, 1000 * SECOND);
            derived(memory, &hundred)[99]
        };
        assert_eq!(percentile(95.0), Some(95.0));
        assert_eq!(percentile(0.0), Some(1.0));
        assert_eq!(percentile(100.0), Some(100.0));
    }

    #[test]
    fn results_are_always_finite() {
        let memories = [
            Aggregation::Ewma(SECOND),
            Aggregation::Rate(SECOND),
            Aggregation::Mean(SECOND),
            Aggregation::Percentile(50.0, SECOND),
        ];
        let strange = [1e308, -1e308, 1e308, f64::NAN, f64::INFINITY, 0.0, -0.0];
        for memory in memories {
            let mut derivation = Derivation::new(memory);
            for (at, number) in (0..).zip(strange.iter().cycle().take(5000)) {
                // Times that do not advance and that go back.
                let at = BootTime(at / 3 * 250_000_000 % 900_000_000_000);
                let value = derivation.observe(at, *number);
                assert!(value.is_none_or(f64::is_finite), "{memory:?}");
                assert!(derivation.numbers.len() <= MOST_NUMBERS);
            }
        }
    }
}
