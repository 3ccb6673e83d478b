//! When a source is polled. Pure: the daemon waits.
//!
//! Many sources with the same `every`, and many hosts that start at once, would all poll at the same
//! moments. So every wait is shortened by a part of `jitter` that depends on the source's name, the host's
//! and the number of the poll: the same on every run, and another one for everybody else. A wait is never
//! lengthened, so that a reading is never older than `every` and `timeout` say.

use super::Source;
use std::time::Duration;

/// The longest jitter where the configuration says nothing.
const LONGEST_DEFAULT: Duration = Duration::from_secs(1);

/// The `jitter` of a source where the configuration says nothing: a tenth of `every`, at most a second.
#[must_use]
pub fn default_jitter(every: Duration) -> Duration {
    (every / 10).min(LONGEST_DEFAULT)
}

/// The pace of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    every: Duration,
    jitter: Duration,
    seed: u64,
}

impl PollSchedule {
    /// The pace of `source` on the host of that name.
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
            every: source.interval,
            jitter: source.jitter.min(source.interval),
            seed,
        }
    }

    /// From one poll to the next, without jitter.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// From the start of the collector to the first poll: at most `jitter`.
    #[must_use]
    pub fn first(&self) -> Duration {
        self.part(0)
    }

    /// From the moment for which poll `number`, counted from 1, was due to that of the next: at most
    /// `every`, and at least `every` without `jitter`.
    #[must_use]
    pub fn after(&self, number: u64) -> Duration {
        self.every.saturating_sub(self.part(number))
    }

    /// A part of the jitter, as good as random.
    fn part(&self, number: u64) -> Duration {
        let nanos = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        let mixed = mix(self
            .seed
            .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // The upper half of the product is below `nanos`, so that the lower one is all that is lost.
        let share = (u128::from(mixed) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
    }
}

/// The last steps of SplitMix64, which make neighbours strangers.
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
            kind: Kind::System(system::Metric::Load),
        };
        PollSchedule::new(&source, host)
    }

    #[test]
    fn waits_are_shortened_by_at_most_the_jitter_and_never_lengthened() {
        for name in ["a", "b", "app"] {
            let pace = pace(name, "web1", JITTER);
            assert!(pace.first() <= JITTER);
            for number in 1..1000 {
                let wait = pace.after(number);
                assert!(wait <= EVERY && wait >= EVERY - JITTER, "{wait:?}");
            }
        }
    }

    #[test]
    fn the_same_for_one_and_different_for_each() {
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

    /// A hundred sources do not all begin in the same tenth of the jitter.
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

    #[test]
    fn without_jitter_it_is_a_clock() {
        let pace = pace("a", "web1", Duration::ZERO);
        assert_eq!((pace.first(), pace.after(7)), (Duration::ZERO, EVERY));
        assert_eq!(default_jitter(EVERY), JITTER);
        assert_eq!(default_jitter(Duration::from_secs(86_400)), LONGEST_DEFAULT);
    }
}
