//! Memory and swap of this machine, by /proc/meminfo.
//!
//! Not here: a cgroup's memory; huge pages, which count as in use once they are set aside.

use super::{malformed, read};
use crate::reading::{Failure, Numbers};
use crate::source::Deadline;
use std::path::Path;

/// The parts of `memory`, in bytes, of the machine as of a cgroup.
pub(super) const PARTS: &[&str] = &["total", "available"];
/// The parts of `swap`, in bytes.
pub(super) const SWAP_PARTS: &[&str] = &["total", "free"];

pub(super) fn read_memory(root: &Path, deadline: Deadline) -> Result<Numbers, Failure> {
    parse_memory(&read(root, "proc/meminfo", deadline)?)
}

pub(super) fn read_swap(root: &Path, deadline: Deadline) -> Result<Numbers, Failure> {
    parse_swap(&read(root, "proc/meminfo", deadline)?)
}

pub(super) fn read_total(root: &Path, deadline: Deadline) -> Result<u64, Failure> {
    bytes(&read(root, "proc/meminfo", deadline)?, "MemTotal:")
}

/// Memory in use, in per cent (0 to 100): what the kernel cannot make available without swapping.
///
/// By MemAvailable alone: free memory means little, because the kernel uses what is left as cache, and the old
/// estimate of free plus buffers plus cached counts what cannot be reclaimed.
fn parse_memory(meminfo: &str) -> Result<Numbers, Failure> {
    let total = bytes(meminfo, "MemTotal:")?;
    let available = bytes(meminfo, "MemAvailable:")?;
    if total == 0 {
        return Err(malformed("/proc/meminfo: MemTotal is 0"));
    }
    // Some containers show more available than total memory.
    Ok(used_of(total, available.min(total), PARTS))
}

/// Swap in use, in per cent (0 to 100). Without swap it is 0, so that rules have a value.
fn parse_swap(meminfo: &str) -> Result<Numbers, Failure> {
    let total = bytes(meminfo, "SwapTotal:")?;
    let free = bytes(meminfo, "SwapFree:")?;
    Ok(used_of(total, free.min(total), SWAP_PARTS))
}

/// The used part of `total`, in per cent, if `left` is free; with both as parts of these names.
pub(super) fn used_of(total: u64, left: u64, names: &[&'static str]) -> Numbers {
    let used = total.saturating_sub(left);
    // Real machines have less than 2^53 bytes; beyond that the last digits do not matter.
    let share = if total == 0 {
        0.0
    } else {
        100.0 * used as f64 / total as f64
    };
    Numbers {
        value: share,
        parts: names
            .iter()
            .copied()
            .zip([total as f64, left as f64])
            .collect(),
    }
}

fn bytes(meminfo: &str, key: &str) -> Result<u64, Failure> {
    let Some(value) = meminfo.lines().find_map(|line| line.strip_prefix(key)) else {
        let since = match key {
            "MemAvailable:" => " (it needs Linux 3.14)",
            _ => "",
        };
        return Err(malformed(format_args!("/proc/meminfo has no {key}{since}")));
    };
    let number = value.strip_suffix("kB").unwrap_or(value).trim();
    let kilobytes: u64 = number
        .parse()
        .map_err(|_| malformed(format_args!("/proc/meminfo: {key} {number:?}")))?;
    Ok(kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory() {
        let meminfo = |total: &str, available: &str| {
            parse_memory(&format!(
                "MemTotal: {total}\nMemFree: 1 kB\nMemAvailable: {available}\n"
            ))
        };
        for (total, available, used) in [
            ("1000 kB", "250 kB", 75.0),
            ("1000 kB", "0 kB", 100.0),
            ("1000 kB", "2000 kB", 0.0),
            ("18446744073709551615 kB", "0 kB", 100.0),
        ] {
            let numbers = meminfo(total, available).unwrap();
            assert_eq!(numbers.value, used, "{total} {available}");
        }
        let numbers = meminfo("1000 kB", "250 kB").unwrap();
        let parts = [("total", 1_024_000.0), ("available", 256_000.0)];
        assert_eq!(numbers.parts, parts);
        for (total, available) in [("0 kB", "0 kB"), ("x", "1"), ("1", "-1"), ("", "")] {
            assert!(
                meminfo(total, available).is_err(),
                "{total:?} {available:?}"
            );
        }
        let old = parse_memory("MemTotal: 10 kB\nMemFree: 1 kB\n").unwrap_err();
        assert_eq!(
            old.to_string(),
            "malformed: /proc/meminfo has no MemAvailable: (it needs Linux 3.14)"
        );
    }

    #[test]
    fn swap() {
        let swap = |total: u32, free: u32| {
            parse_swap(&format!("SwapTotal: {total} kB\nSwapFree: {free} kB\n")).unwrap()
        };
        assert_eq!(swap(4000, 1000).value, 75.0);
        let parts = [("total", 4_096_000.0), ("free", 1_024_000.0)];
        assert_eq!(swap(4000, 1000).parts, parts);
        assert_eq!(swap(1000, 1000).value, 0.0);
        assert_eq!(swap(0, 0).value, 0.0);
        assert!(parse_swap("MemTotal: 1 kB\nSwapTotal: 1 kB\n").is_err());
    }
}
