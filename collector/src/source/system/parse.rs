//! The kernel's own words into numbers. Pure.
//!
//! Units are those of the kernel (ticks, kB); columns and lines that a kernel adds are passed over, and
//! those that an old one does not have yet count as 0 where that is the truth.

use crate::reading::{Failure, Reason};
use std::fmt;

/// The aggregate line of /proc/stat, in ticks since the start, over all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    /// user, nice, system, irq, softirq, steal.
    busy: [u64; 6],
    /// idle, iowait.
    idle: [u64; 2],
}

impl CpuTimes {
    /// How busy the cores were since `earlier`, in per cent (0 to 100); `None` where no time passed.
    ///
    /// Some counters are known to go backwards: iowait and idle by proc_stat(5) and where a core goes
    /// offline, all of them where a container is restored from a checkpoint. One that went backwards
    /// tells nothing of the time between, so it counts as standing still.
    pub(super) fn busy_since(&self, earlier: &Self) -> Option<f64> {
        let busy = passed(&earlier.busy, &self.busy);
        let all = busy.saturating_add(passed(&earlier.idle, &self.idle));
        // Ticks between two samples are far below 2^53, so nothing is lost.
        (all > 0).then(|| 100.0 * busy as f64 / all as f64)
    }
}

fn passed(earlier: &[u64], later: &[u64]) -> u64 {
    let each = earlier.iter().zip(later);
    each.map(|(earlier, later)| later.saturating_sub(*earlier))
        .fold(0, u64::saturating_add)
}

/// The aggregate line of /proc/stat.
///
/// Busy is all but idle and iowait, as top, node_exporter's users and gopsutil have it. iowait is idle: the
/// core is free, and a task waits. Steal is busy: it is time in which this machine wanted to work and
/// another one had the core, so it is not there for more requests. guest and guest_nice are left out,
/// since the kernel counts them in user and nice already (`account_guest_time`).
pub(super) fn parse_cpu_times(stat: &str) -> Result<CpuTimes, Failure> {
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
    let (iowait, irq, softirq, steal) = (later(0), later(1), later(2), later(3));
    Ok(CpuTimes {
        busy: [user, nice, system, irq, softirq, steal],
        idle: [idle, iowait],
    })
}

/// How many cores are online: each has a line of its own in /proc/stat, and those offline have none.
pub(super) fn parse_online_cores(stat: &str) -> Result<u32, Failure> {
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

/// Memory in use, in per cent (0 to 100) of all: what could not be had without swapping.
///
/// By MemAvailable alone: free memory says nothing, since the kernel uses what nobody else does, and the
/// old guess of free plus buffers plus cached counts what cannot be given back.
pub(super) fn parse_memory(meminfo: &str) -> Result<f64, Failure> {
    let total = kilobytes(meminfo, "MemTotal:")?;
    let available = kilobytes(meminfo, "MemAvailable:")?;
    if total == 0 {
        return Err(malformed("/proc/meminfo: MemTotal is 0"));
    }
    // Some containers are shown more available than there is in total.
    let used = total.saturating_sub(available);
    Ok(100.0 * used as f64 / total as f64)
}

fn kilobytes(meminfo: &str, key: &str) -> Result<u64, Failure> {
    let Some(value) = meminfo.lines().find_map(|line| line.strip_prefix(key)) else {
        return Err(malformed(format_args!(
            "/proc/meminfo has no {key} (MemAvailable needs Linux 3.14)"
        )));
    };
    let number = value.strip_suffix("kB").unwrap_or(value).trim();
    number
        .parse()
        .map_err(|_| malformed(format_args!("/proc/meminfo: {key} {number:?}")))
}

/// The load average over one minute, of /proc/loadavg: runnable and uninterruptible tasks.
pub(super) fn parse_load(loadavg: &str) -> Result<f64, Failure> {
    let first = loadavg.split_ascii_whitespace().next().unwrap_or_default();
    match first.parse::<f64>() {
        Ok(load) if load.is_finite() && load >= 0.0 => Ok(load),
        _ => Err(malformed(format_args!("/proc/loadavg: {first:?}"))),
    }
}

fn malformed(detail: impl fmt::Display) -> Failure {
    Failure::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(line: &str) -> CpuTimes {
        parse_cpu_times(line).unwrap()
    }

    #[test]
    fn busy_is_all_but_idle_and_iowait_with_guests_counted_once() {
        let before = times("cpu  0 0 0 0 0 0 0 0 0 0");
        for (after, busy) in [
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
            assert_eq!(times(after).busy_since(&before), Some(busy), "{after}");
        }
    }

    #[test]
    fn no_time_is_no_value() {
        let sample = times("cpu 10 20 30 40 50 60 70 80 0 0");
        assert_eq!(sample.busy_since(&sample), None);
        // All went backwards: a restored container.
        let restored = times("cpu 1 2 3 4 5 6 7 8 0 0");
        assert_eq!(restored.busy_since(&sample), None);
    }

    #[test]
    fn a_counter_that_went_backwards_counts_as_standing_still() {
        let before = times("cpu 100 0 0 1000 500 0 0 0");
        assert_eq!(
            times("cpu 150 0 0 1050 400 0 0 0").busy_since(&before),
            Some(50.0)
        );
        assert_eq!(
            times("cpu 150 0 0 900 550 0 0 0").busy_since(&before),
            Some(50.0)
        );
        assert_eq!(
            times("cpu 90 0 0 1100 500 0 0 0").busy_since(&before),
            Some(0.0)
        );
        let most = u64::MAX;
        let absurd = times(&format!("cpu {most} {most} {most} {most} {most}"));
        let busy = absurd.busy_since(&before).unwrap();
        assert!((0.0..=100.0).contains(&busy), "{busy}");
    }

    #[test]
    fn what_is_no_stat_is_malformed() {
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
            assert_eq!(
                parse_cpu_times(bad).unwrap_err().reason,
                Reason::Malformed,
                "{bad:?}"
            );
        }
        assert!(parse_online_cores("cpu 1 2 3 4\ncpufreq 1\n").is_err());
        assert_eq!(
            parse_online_cores("cpu 1\ncpu0 1\ncpu17 1\nctxt 1\n"),
            Ok(2)
        );
    }

    #[test]
    fn memory() {
        let meminfo = |total: &str, available: &str| {
            parse_memory(&format!(
                "MemTotal: {total}\nMemFree: 1 kB\nMemAvailable: {available}\n"
            ))
        };
        assert_eq!(meminfo("1000 kB", "250 kB"), Ok(75.0));
        assert_eq!(meminfo("1000 kB", "0 kB"), Ok(100.0));
        assert_eq!(meminfo("1000 kB", "2000 kB"), Ok(0.0));
        for (total, available) in [("0 kB", "0 kB"), ("x", "1"), ("1", "-1"), ("", "")] {
            assert!(
                meminfo(total, available).is_err(),
                "{total:?} {available:?}"
            );
        }
        let old = parse_memory("MemTotal: 10 kB\nMemFree: 1 kB\n").unwrap_err();
        assert_eq!(
            old.to_string(),
            "malformed: /proc/meminfo has no MemAvailable: (MemAvailable needs Linux 3.14)"
        );
    }

    #[test]
    fn load() {
        assert_eq!(parse_load("3.75 2.10 1.05 4/512 2915\n"), Ok(3.75));
        for bad in ["", "\n", "x 1 2", "nan 1 2", "inf", "-1.0 1 1"] {
            assert_eq!(
                parse_load(bad).unwrap_err().reason,
                Reason::Malformed,
                "{bad:?}"
            );
        }
    }
}
