//! The time of this machine's cores, by /proc/stat.
//!
//! Units are the kernel's ticks. New columns are ignored; columns that an old kernel lacks are 0, which is true
//! there.
//!
//! Not here: single cores; frequencies; the times of a cgroup.

use super::{malformed, read};
use crate::reading::{Failure, Numbers, Reason};
use crate::source::{Cancellation, Deadline, stopped};
use std::path::Path;
use std::time::Duration;

/// The time between two samples of one poll: 20 ticks per core.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(200);

/// The shortest time to the deadline in which another sample is taken.
const LEAST_WAIT: Duration = Duration::from_millis(4);

/// The parts of the machine's `cpu`, in the order of /proc/stat's columns.
pub(super) const PARTS: &[&str] = &[
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// The aggregate line of /proc/stat, in ticks since the start, over all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    user: u64,
    nice: u64,
    system: u64,
    idle: u64,
    iowait: u64,
    irq: u64,
    softirq: u64,
    steal: u64,
}

impl CpuTimes {
    /// The time of the cores since `earlier`: busy, and each of [`PARTS`], in per cent (0 to 100); `None` where
    /// no time passed.
    ///
    /// Busy is all but idle and iowait, as in top and in node_exporter's usual queries. During iowait the core
    /// is free and a task waits. Steal is busy: another machine used the core while this one wanted to work.
    ///
    /// Some counters go backwards: iowait and idle by proc_stat(5) and when a core goes offline, all of them
    /// when a container is restored from a checkpoint. Such a counter counts as unchanged.
    pub(super) fn since(&self, earlier: &Self) -> Option<Numbers> {
        let passed = Self {
            user: self.user.saturating_sub(earlier.user),
            nice: self.nice.saturating_sub(earlier.nice),
            system: self.system.saturating_sub(earlier.system),
            idle: self.idle.saturating_sub(earlier.idle),
            iowait: self.iowait.saturating_sub(earlier.iowait),
            irq: self.irq.saturating_sub(earlier.irq),
            softirq: self.softirq.saturating_sub(earlier.softirq),
            steal: self.steal.saturating_sub(earlier.steal),
        };
        let Self {
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
        } = passed;
        let busy = sum(&[user, nice, system, irq, softirq, steal]);
        let all = busy.saturating_add(sum(&[idle, iowait]));
        // Ticks between two samples are far below 2^53, so nothing is lost.
        let share = |ticks: u64| 100.0 * ticks as f64 / all as f64;
        let columns = [user, nice, system, idle, iowait, irq, softirq, steal];
        (all > 0).then(|| Numbers {
            value: share(busy),
            parts: PARTS.iter().copied().zip(columns.map(share)).collect(),
        })
    }
}

fn sum(ticks: &[u64]) -> u64 {
    ticks.iter().copied().fold(0, u64::saturating_add)
}

/// The numbers since `latest`, from samples that only mean something in pairs.
///
/// Without an earlier sample, or where `since` returns nothing, this poll takes a second sample: a value is
/// never made up, and an old one is never returned as new. Counters that do not advance are a failure of their
/// own: `stuck` names them.
pub(super) fn between_samples<Sample>(
    latest: &mut Option<Sample>,
    sample: impl Fn() -> Result<Sample, Failure>,
    since: impl Fn(&Sample, &Sample) -> Option<Numbers>,
    stuck: &str,
    deadline: Deadline,
    stop: &Cancellation,
) -> Result<Numbers, Failure> {
    let is_stuck = || {
        let detail = format!("{stuck} did not advance during the poll");
        Err(Failure::new(Reason::Other, detail))
    };
    for round in 0.. {
        let now = match sample() {
            // The deadline, after a sample without progress.
            Err(failure) if round > 0 && failure.reason == Reason::Timeout => return is_stuck(),
            sampled => sampled?,
        };
        let passed = latest.as_ref().and_then(|latest| since(&now, latest));
        *latest = Some(now);
        if let Some(passed) = passed {
            return Ok(passed);
        }
        if deadline.remaining() < LEAST_WAIT {
            return is_stuck();
        }
        // Half of the remaining time, so that the second sample comes before the end.
        if stop.wait(BETWEEN_SAMPLES.min(deadline.remaining() / 2)) {
            return Err(stopped());
        }
    }
    is_stuck()
}

pub(super) fn read_cpu_times(root: &Path, deadline: Deadline) -> Result<CpuTimes, Failure> {
    parse_cpu_times(&read(root, "proc/stat", deadline)?)
}

/// The aggregate line of /proc/stat. guest and guest_nice are left out, because the kernel counts them in user
/// and nice too (`account_guest_time`).
fn parse_cpu_times(stat: &str) -> Result<CpuTimes, Failure> {
    let Some(line) = stat.lines().find_map(|line| line.strip_prefix("cpu ")) else {
        return Err(malformed("/proc/stat has no line for all cores"));
    };
    let columns = line
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
        .map_err(|error| malformed(format_args!("/proc/stat: {error}: {line:?}")))?;
    // Linux 2.4 had the first four; iowait, irq and softirq came with 2.6.0, steal with 2.6.11.
    let [user, nice, system, idle, ref later @ ..] = columns[..] else {
        return Err(malformed(format_args!("/proc/stat: too short: {line:?}")));
    };
    let later = |at: usize| later.get(at).copied().unwrap_or(0);
    Ok(CpuTimes {
        user,
        nice,
        system,
        idle,
        iowait: later(0),
        irq: later(1),
        softirq: later(2),
        steal: later(3),
    })
}

pub(super) fn read_online_cores(root: &Path, deadline: Deadline) -> Result<u32, Failure> {
    parse_online_cores(&read(root, "proc/stat", deadline)?)
}

/// The number of online cores: each has a line in /proc/stat, and offline cores have none.
fn parse_online_cores(stat: &str) -> Result<u32, Failure> {
    let cores = stat
        .lines()
        .filter_map(|line| line.strip_prefix("cpu"))
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        .count();
    match u32::try_from(cores) {
        Ok(cores) if cores > 0 => Ok(cores),
        _ => Err(malformed("/proc/stat has no line for any core")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(line: &str) -> CpuTimes {
        parse_cpu_times(line).unwrap()
    }

    fn busy(earlier: &CpuTimes, later: &CpuTimes) -> Option<f64> {
        later.since(earlier).map(|numbers| numbers.value)
    }

    #[test]
    fn busy_is_all_but_idle_and_iowait_with_guests_counted_once() {
        let before = times("cpu  0 0 0 0 0 0 0 0 0 0");
        for (after, expected) in [
            // user nice system idle iowait irq softirq steal guest guest_nice
            ("cpu 50 0 0 50", 50.0),
            ("cpu 0 25 0 75 0 0 0", 25.0),
            ("cpu 10 10 10 40 0 10 10 10 0 0", 60.0),
            ("cpu 0 0 0 50 50 0 0 0 0 0", 0.0),
            ("cpu 0 0 0 50 0 0 0 50 0 0", 50.0),
            ("cpu 40 20 0 40 0 0 0 0 40 20", 60.0),
            ("cpu 100 0 0 0 0 0 0 0 100 0", 100.0),
            ("cpu 1 0 0 1 0 0 0 0 0 0 7 7 7", 50.0),
        ] {
            assert_eq!(busy(&before, &times(after)), Some(expected), "{after}");
        }
    }

    #[test]
    fn parts_sum_to_the_whole() {
        let before = times("cpu 1000 1000 1000 1000 1000 1000 1000 1000 0 0");
        let after = times("cpu 1040 1005 1010 1020 1012 1001 1002 1010 30 0");
        let numbers = after.since(&before).unwrap();
        let expected = [
            ("user", 40.0),
            ("nice", 5.0),
            ("system", 10.0),
            ("idle", 20.0),
            ("iowait", 12.0),
            ("irq", 1.0),
            ("softirq", 2.0),
            ("steal", 10.0),
        ];
        assert_eq!(numbers.parts, expected);
        assert_eq!(numbers.value, 68.0);
        assert_eq!(expected.map(|(_, share)| share).iter().sum::<f64>(), 100.0);
        // A kernel without a column has none of that time.
        let old = times("cpu 50 0 0 50").since(&CpuTimes::default()).unwrap();
        assert_eq!(old.parts.last(), Some(&("steal", 0.0)));
    }

    #[test]
    fn no_time_is_no_value() {
        let sample = times("cpu 10 20 30 40 50 60 70 80 0 0");
        assert_eq!(sample.since(&sample), None);
        // All went backwards: a restored container.
        let restored = times("cpu 1 2 3 4 5 6 7 8 0 0");
        assert_eq!(restored.since(&sample), None);
    }

    #[test]
    fn backward_counter_counts_as_unchanged() {
        let before = times("cpu 100 0 0 1000 500 0 0 0");
        for (after, expected) in [
            ("cpu 150 0 0 1050 400 0 0 0", 50.0),
            ("cpu 150 0 0 900 550 0 0 0", 50.0),
            ("cpu 90 0 0 1100 500 0 0 0", 0.0),
        ] {
            assert_eq!(busy(&before, &times(after)), Some(expected), "{after}");
        }
        let most = u64::MAX;
        let absurd = times(&format!("cpu {most} {most} {most} {most} {most}"));
        let numbers = absurd.since(&before).unwrap();
        for (part, share) in [("busy", numbers.value)].iter().chain(&numbers.parts) {
            assert!((0.0..=100.0).contains(share), "{part} {share}");
        }
    }

    #[test]
    fn invalid_stat_is_malformed() {
        for bad in [
            "",
            "cpu",
            "cpu \n",
            "cpu0 1 2 3 4",
            "cpu 1 2 3",
            "cpu 1 2 3 x",
            "cpu 1 2 3 -4",
            "cpu 1 2 3 99999999999999999999",
            "intr 1 2 3 4",
        ] {
            let failure = parse_cpu_times(bad).unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed, "{bad:?}");
        }
        assert!(parse_online_cores("cpu 1 2 3 4\ncpufreq 1\n").is_err());
        let cores = parse_online_cores("cpu 1\ncpu0 1\ncpu17 1\nctxt 1\n");
        assert_eq!(cores, Ok(2));
    }
}
