//! What remembers: smoothing, rates and windows over a number, as `[derive.NAME]` declares them. Pure:
//! a number and its time in, a number out. Expressions stay without memory, so that nothing is lost when
//! a branch of one is not taken.

use agentcheck_common::BootTime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The most numbers that a window holds: a minute at ten a second, an hour at one every four seconds.
pub const MOST_NUMBERS: usize = 1000;

/// How a derived number follows from the one it is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Memory {
    /// Exponentially weighted moving average with this time constant: after it, 63% of a step are
    /// through. The first number is taken as it is.
    Ewma(Duration),
    /// By how much a counter rises a second, over the window; a counter that fell was reset, and has
    /// risen from 0 since, as Prometheus has it.
    Rate(Duration),
    /// The least number in the window.
    Min(Duration),
    /// The greatest number in the window.
    Max(Duration),
    /// The arithmetic mean of the numbers in the window.
    Mean(Duration),
    /// The number below which this share (in per cent, 0 to 100) of those in the window lie, by the
    /// nearest rank.
    Percentile(f64, Duration),
}

/// A number that is being derived.
#[derive(Clone, Debug)]
pub struct Derivation {
    memory: Memory,
    /// The numbers of the window, oldest first; for an average the last result alone.
    numbers: VecDeque<(BootTime, f64)>,
}

impl Derivation {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(memory: Memory) -> Self {
        Self {
            memory,
            numbers: VecDeque::new(),
        }
    }

    /// Takes in the number of a moment; gives the derived one, `None` where there is none yet (a rate
    /// needs two) or the result would not be finite. A moment that is not after the last changes
    /// nothing.
    pub fn observe(&mut self, at: BootTime, number: f64) -> Option<f64> {
        let last = self.numbers.back().copied();
        if number.is_finite() && last.is_none_or(|(before, _)| before < at) {
            self.take(at, number, last);
        }
        self.value().filter(|value| value.is_finite())
    }

    fn take(&mut self, at: BootTime, number: f64, last: Option<(BootTime, f64)>) {
        let window = match self.memory {
            Memory::Ewma(tau) => {
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
            Memory::Rate(window)
            | Memory::Min(window)
            | Memory::Max(window)
            | Memory::Mean(window)
            | Memory::Percentile(_, window) => window,
        };
        self.numbers.push_back((at, number));
        // A rate keeps the number with which the window begins, to see the rise since then.
        let rate = matches!(self.memory, Memory::Rate(_));
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
        match self.memory {
            Memory::Ewma(_) => self.numbers.back().map(|(_, number)| *number),
            Memory::Rate(_) => self.rate(),
            Memory::Min(_) => numbers.reduce(f64::min),
            Memory::Max(_) => numbers.reduce(f64::max),
            // Divided before summing, so that large numbers do not overflow.
            Memory::Mean(_) => numbers.map(|number| number / count).reduce(|a, b| a + b),
            Memory::Percentile(percent, _) => {
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

/// The most series whose rises are remembered; what is beyond is passed over.
pub const MOST_COUNTERS: usize = 2_000;

/// Counters that belong together, each with a memory of its own: where one process of several is started
/// again, its counter falls, and their sum would look like a reset of all.
#[derive(Clone, Debug)]
pub struct Counters {
    window: Duration,
    counters: BTreeMap<String, Derivation>,
}

impl Counters {
    /// Nothing seen yet; rates are over `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            counters: BTreeMap::new(),
        }
    }

    /// Takes in what the counters show at a moment; gives by how much each rises a second, as far as that
    /// is known yet. A counter that is not shown any more is forgotten.
    pub fn observe<'c>(&mut self, at: BootTime, shown: &[(&'c str, f64)]) -> Vec<(&'c str, f64)> {
        let there: BTreeSet<&str> = shown.iter().map(|(id, _)| *id).collect();
        self.counters.retain(|id, _| there.contains(id.as_str()));
        let mut rates = Vec::new();
        for (id, count) in shown.iter().take(MOST_COUNTERS) {
            let memory = Memory::Rate(self.window);
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

    /// The derived numbers, to a thousandth, for numbers at seconds.
    fn derived(memory: Memory, numbers: &[(u64, f64)]) -> Vec<Option<f64>> {
        let mut derivation = Derivation::new(memory);
        numbers
            .iter()
            .map(|(at, number)| {
                let value = derivation.observe(BootTime(at * 1_000_000_000), *number);
                value.map(|value| (value * 1000.0).round() / 1000.0)
            })
            .collect()
    }

    #[test]
    fn ewma_with_irregular_steps() {
        let tau = Memory::Ewma(5 * SECOND);
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
        let rate = Memory::Rate(10 * SECOND);
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
    fn counters_are_reset_one_by_one() {
        let mut counters = Counters::new(60 * SECOND);
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        assert_eq!(counters.observe(at(0), &[("a", 1000.0), ("b", 500.0)]), []);
        let rates = counters.observe(at(10), &[("a", 1100.0), ("b", 20.0)]);
        assert_eq!(rates, [("a", 10.0), ("b", 2.0)]);
        // What is gone is forgotten, what is new has no rate yet.
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
        assert_eq!(last(Memory::Min(over)), Some(3.0));
        assert_eq!(last(Memory::Max(over)), Some(9.0));
        assert_eq!(last(Memory::Mean(over)), Some(6.0));
        let hundred: Vec<_> = (1..=100_u32)
            .map(|n| (u64::from(n), f64::from(n)))
            .collect();
        let percentile = |percent| {
            let memory = Memory::Percentile(percent, 1000 * SECOND);
            derived(memory, &hundred)[99]
        };
        assert_eq!(percentile(95.0), Some(95.0));
        assert_eq!(percentile(0.0), Some(1.0));
        assert_eq!(percentile(100.0), Some(100.0));
    }

    #[test]
    fn nothing_strange_comes_out() {
        let memories = [
            Memory::Ewma(SECOND),
            Memory::Rate(SECOND),
            Memory::Mean(SECOND),
            Memory::Percentile(50.0, SECOND),
        ];
        let strange = [1e308, -1e308, 1e308, f64::NAN, f64::INFINITY, 0.0, -0.0];
        for memory in memories {
            let mut derivation = Derivation::new(memory);
            for (at, number) in (0..).zip(strange.iter().cycle().take(5000)) {
                // Times that stand still, and that go back.
                let at = BootTime(at / 3 * 250_000_000 % 900_000_000_000);
                let value = derivation.observe(at, *number);
                assert!(value.is_none_or(f64::is_finite), "{memory:?}");
                assert!(derivation.numbers.len() <= MOST_NUMBERS);
            }
        }
    }
}
