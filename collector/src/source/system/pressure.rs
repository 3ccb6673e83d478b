//! Pressure stall information: the share of time in which tasks waited for a resource (the kernel's
//! Documentation/accounting/psi.rst).
//!
//! Not here: triggers, by which the kernel itself reports pressure; the counters of stalled time.

use super::cgroup::{self, Cgroup};
use super::{malformed, read};
use crate::reading::{Failure, Numbers, Reason};
use crate::source::Deadline;
use std::path::Path;

/// The parts of `pressure`. The last three are absent for `cpu` before Linux 5.13.
pub(super) const PARTS: &[&str] = &[
    "some_avg10",
    "some_avg60",
    "some_avg300",
    "full_avg10",
    "full_avg60",
    "full_avg300",
];

/// The resource that tasks wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A core.
    Cpu,
    /// Memory: reclaim, and pages that were evicted and are needed again.
    Memory,
    /// A disk.
    Io,
}

impl Resource {
    /// The name in the configuration and in the kernel.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Io => "io",
        }
    }
}

/// The pressure of the machine or of a cgroup.
pub(super) fn read_pressure(
    root: &Path,
    resource: Resource,
    cgroup: Option<&Cgroup>,
    deadline: Deadline,
) -> Result<Numbers, Failure> {
    let name = resource.name();
    let file = match cgroup {
        None => format!("proc/pressure/{name}"),
        Some(cgroup) => {
            cgroup::find(root, cgroup, "psi", deadline)?.file(&format!("{name}.pressure"))
        }
    };
    match read(root, &file, deadline) {
        Ok(pressure) => parse_pressure(&pressure),
        // Where PSI is built in and off, the directory is absent, or the files of a cgroup are not supported.
        Err(failure) if matches!(failure.reason, Reason::Missing | Reason::Other) => {
            Err(Failure::new(
                Reason::Missing,
                format_args!("{} (it needs Linux 4.20, and psi=1)", failure.detail),
            ))
        }
        Err(failure) => Err(failure),
    }
}

/// A pressure file: a line `some` (at least one task waited), and mostly one `full` (no task could run), each
/// with averages over 10, 60 and 300 seconds, in per cent.
fn parse_pressure(pressure: &str) -> Result<Numbers, Failure> {
    let some = averages(pressure, "some")?;
    let full = averages(pressure, "full")?;
    let some = some.ok_or_else(|| malformed("pressure without a line for some"))?;
    let all = some.into_iter().chain(full.into_iter().flatten());
    let [value, ..] = some;
    Ok(Numbers {
        value,
        parts: PARTS.iter().copied().zip(all).collect(),
    })
}

/// The three averages of a line; `None` without such a line.
fn averages(pressure: &str, which: &str) -> Result<Option<[f64; 3]>, Failure> {
    let Some(line) = pressure
        .lines()
        .find(|line| line.split_ascii_whitespace().next() == Some(which))
    else {
        return Ok(None);
    };
    let average = |key: &str| {
        let mut words = line.split_ascii_whitespace();
        match words
            .find_map(|word| word.strip_prefix(key))
            .map(str::parse::<f64>)
        {
            Some(Ok(share)) if (0.0..=100.0).contains(&share) => Ok(share),
            _ => Err(malformed(format_args!("pressure: {line:?}"))),
        }
    };
    Ok(Some([
        average("avg10=")?,
        average("avg60=")?,
        average("avg300=")?,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_and_full() {
        let both = "some avg10=36.52 avg60=51.78 avg300=34.17 total=802148126\n\
                    full avg10=0.50 avg60=0.25 avg300=100.00 total=0\n";
        let numbers = parse_pressure(both).unwrap();
        assert_eq!(numbers.value, 36.52);
        let values = [36.52, 51.78, 34.17, 0.5, 0.25, 100.0];
        let parts: Vec<_> = PARTS.iter().copied().zip(values).collect();
        assert_eq!(numbers.parts, parts);
    }

    #[test]
    fn kernel_without_full_has_three_parts() {
        let some = parse_pressure("some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n").unwrap();
        let parts = [
            ("some_avg10", 1.0),
            ("some_avg60", 2.0),
            ("some_avg300", 3.0),
        ];
        assert_eq!(some.parts, parts);
    }

    #[test]
    fn invalid_pressure_is_malformed() {
        for bad in [
            "",
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            "some\n",
            "some avg10=0.00 avg60=0.00 total=0\n",
            "some avg10=x avg60=0.00 avg300=0.00 total=0\n",
            "some avg10=nan avg60=0.00 avg300=0.00 total=0\n",
            "some avg10=-1 avg60=0.00 avg300=0.00 total=0\n",
            "some avg10=1e9 avg60=0.00 avg300=0.00 total=0\n",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull\n",
        ] {
            let failure = parse_pressure(bad).unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed, "{bad:?}");
        }
    }
}
