//! When a source is polled. Pure: the daemon waits.
//!
//! Sources with the same `interval`, and hosts that start together, would poll at the same moments. So each
//! wait is shortened by a part of `jitter`, which depends on the names of source and host and on the number of
//! the poll. It is the same on every run, and differs between sources and hosts. A wait is never lengthened, so
//! a reading is never older than `interval` and `timeout` allow.
//!
//! The first polls of all sources are due within `jitter`, because replies wait for them. So that thousands of sources
//! do not stay that close together, the wait after the first poll is shortened by up to [`SPREAD`].

use super::Source;
use std::time::Duration;

/// The longest default jitter.
const LONGEST_DEFAULT: Duration = Duration::from_secs(1);

/// The default `jitter`: a tenth of `interval`, at most a second.
#[must_use]
pub fn default_jitter(interval: Duration) -> Duration {
    (interval / 10).min(LONGEST_DEFAULT)
}

/// The time over which the second polls are spread, at most `interval`.
const SPREAD: Duration = Duration::from_secs(1);

/// The poll times of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    interval: Duration,
    jitter: Duration,
    seed: u64,
}

impl PollSchedule {
    /// The schedule of `source` on the host `host`.
    #[must_use]
    pub fn new(source: &Source, host: &str) -> Self {
        let seed = [source.name.as_bytes(), b"@", host.as_bytes()]
            .into_iter()
            .flatten()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                // FNV-1a
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self {
            interval: source.interval,
            jitter: source.jitter.min(source.interval),
            seed,
        }
    }

    /// The interval between polls, without jitter.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The time from the collector's start to the first poll: at most `jitter`.
    #[must_use]
    pub fn first(&self) -> Duration {
        self.part(0, self.jitter)
    }

    /// The time from the due moment of poll `number`, counted from 1, to that of the next poll: from `interval`
    /// less `jitter` to `interval`, and after the first poll from `interval` less [`SPREAD`]. Always `interval` without
    /// jitter.
    #[must_use]
    pub fn after(&self, number: u64) -> Duration {
        let most = match number {
            1 if !self.jitter.is_zero() => self.jitter.max(SPREAD).min(self.interval),
            _ => self.jitter,
        };
        self.interval.saturating_sub(self.part(number, most))
    }

    /// A pseudo-random part of a span.
    fn part(&self, number: u64, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let mixed = mix(self
            .seed
            .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // The upper half of the product is below `nanos`; only the lower half is lost.
        let share = (u128::from(mixed) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
    }
}

/// The last steps of SplitMix64, which separate neighbouring seeds.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, system};
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);
    const JITTER: Duration = Duration::from_millis(200);

    fn pace(name: &str, host: &str, jitter: Duration) -> PollSchedule {
        let source = Source {
            name: name.to_owned(),
            interval: EVERY,
            timeout: EVERY,
            jitter,
            debounce: Default::default(),
            raw_text: false,
            kind: Kind::System(system::Metric::Load),
        };
        PollSchedule::new(&source, host)
    }

    #[test]
    fn waits_are_shortened_by_at_most_the_jitter() {
        for name in ["a", "b", "app"] {
            let pace = pace(name, "web1", JITTER);
            assert!(pace.first() <= JITTER);
            let second = pace.after(1);
            assert!(second <= EVERY && second >= EVERY - SPREAD, "{second:?}");
            for number in 2..1000 {
                let wait = pace.after(number);
                assert!(wait <= EVERY && wait >= EVERY - JITTER, "{wait:?}");
            }
        }
    }

    #[test]
    fn waits_repeat_for_one_source_and_differ_between_sources() {
        let waits = |name, host| -> Vec<Duration> {
            let pace = pace(name, host, JITTER);
            (1..50).map(|number| pace.after(number)).collect()
        };
        assert_eq!(waits("a", "web1"), waits("a", "web1"));
        assert_ne!(waits("a", "web1"), waits("b", "web1"));
        assert_ne!(waits("a", "web1"), waits("a", "web2"));
        let mut own = waits("a", "web1");
        own.sort();
        own.dedup();
        assert_eq!(own.len(), 49);
    }

    /// A hundred sources do not all start in the same tenth of the jitter.
    #[test]
    fn first_polls_are_spread() {
        let mut tenths = [0; 10];
        for number in 0..100 {
            let first = pace(&format!("source{number}"), "web1", JITTER).first();
            tenths[usize::try_from(first.as_millis() / 20).unwrap().min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|count| (1..=30).contains(count)),
            "{tenths:?}"
        );
    }

    /// Nor do a hundred second polls fall into the same tenth of a second.
    #[test]
    fn second_polls_are_spread() {
        let mut tenths = [0; 10];
        for number in 0..100 {
            let wait = pace(&format!("source{number}"), "web1", JITTER).after(1);
            let earlier = EVERY - wait;
            tenths[usize::try_from(earlier.as_millis() / 100).unwrap().min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|count| (1..=30).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn without_jitter_all_waits_are_equal() {
        let pace = pace("a", "web1", Duration::ZERO);
        assert_eq!((pace.first(), pace.after(7)), (Duration::ZERO, EVERY));
        assert_eq!(pace.after(1), EVERY);
        assert_eq!(default_jitter(EVERY), JITTER);
        assert_eq!(default_jitter(Duration::from_secs(86_400)), LONGEST_DEFAULT);
    }
}
