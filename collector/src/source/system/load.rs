//! The load average, by /proc/loadavg.
//!
//! Linux counts tasks that run or are ready to run, and tasks in uninterruptible sleep: waiting for a disk or a
//! dead mount is load, too.

use super::{cpu, malformed, read};
use crate::reading::{Failure, Numbers};
use crate::source::Deadline;
use std::path::Path;

/// The parts of `load`: the averages as every tool shows them, and the number of cores online.
pub(super) const PARTS: &[&str] = &["load1", "load5", "load15", "cores"];

/// The load average over one minute for each core, and [`PARTS`].
pub(super) fn read_load(root: &Path, deadline: Deadline) -> Result<Numbers, Failure> {
    let load = parse_load(&read(root, "proc/loadavg", deadline)?)?;
    let cores = f64::from(cpu::read_online_cores(root, deadline)?);
    let [load1, load5, load15] = load;
    let all = [load1, load5, load15, cores];
    Ok(Numbers {
        value: load1 / cores,
        parts: PARTS.iter().copied().zip(all).collect(),
    })
}

/// The averages over 1, 5 and 15 minutes.
fn parse_load(loadavg: &str) -> Result<[f64; 3], Failure> {
    let mut columns = loadavg.split_ascii_whitespace();
    let mut next = || {
        let column = columns.next().unwrap_or_default();
        match column.parse::<f64>() {
            Ok(load) if load.is_finite() && load >= 0.0 => Ok(load),
            _ => Err(malformed(format_args!("/proc/loadavg: {column:?}"))),
        }
    };
    Ok([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reason;

    #[test]
    fn load() {
        let load = parse_load("3.75 2.10 1.05 4/512 2915\n");
        assert_eq!(load, Ok([3.75, 2.1, 1.05]));
        for bad in [
            "", "\n", "x 1 2", "1 x 2", "1 2", "nan 1 2", "1 2 inf", "-1.0 1 1",
        ] {
            let failure = parse_load(bad).unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed, "{bad:?}");
        }
    }
}
