//! The system source: how busy this machine is, by what its kernel counts.
//!
//! Each metric has a room of its own, in which reading stands apart from parsing; here is what they have
//! in common. In a container /proc is the whole machine's, unless something like lxcfs is mounted over it.
//!
//! Not here: pressure, disks, connections, processes, cgroups (a later version).

mod cpu;
mod load;
mod memory;

use super::file::read_bounded;
use super::{Deadline, Found, Stop};
use crate::reading::{Content, Failure, Numbers, Reason};
use cpu::CpuTimes;
use std::fmt;
use std::path::{Path, PathBuf};

/// /proc/stat on a machine of thousands of cores and interrupts is some hundred kilobytes.
const MAX_BYTES: usize = 4 << 20;

/// `[source.NAME.system]`, `metric = "..."`. Each gives one main number, `value`, and the parts that are
/// named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `cpu`: how busy all cores together were since the poll before, in per cent (0 to 100). The first
    /// poll looks twice, 200 ms apart. Waiting for disks is idle, time stolen by other virtual machines
    /// is busy.
    ///
    /// Parts: `user`, `nice`, `system`, `idle`, `iowait`, `irq`, `softirq`, `steal`, in per cent of the
    /// same time; together they are 100.
    Cpu,
    /// `memory`: in use, in per cent (0 to 100) of all: what the kernel could not make available without
    /// swapping. Linux 3.14 or later.
    ///
    /// Parts, in bytes: `total`, `available`.
    Memory,
    /// `swap`: in use, in per cent (0 to 100) of all; 0 where there is none.
    ///
    /// Parts, in bytes: `total`, `free`.
    Swap,
    /// `load`: the load average over one minute, per online core (1.0 is one task per core; no upper
    /// bound).
    ///
    /// Parts: `load1`, `load5`, `load15`, the averages of the whole machine over as many minutes, and
    /// `cores`, the number of cores online.
    Load,
}

impl Metric {
    /// The word of the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Load => "load",
        }
    }

    /// The names of the parts, besides `value`.
    #[must_use]
    pub fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Cpu => cpu::PARTS,
            Self::Memory => memory::PARTS,
            Self::Swap => memory::SWAP_PARTS,
            Self::Load => load::PARTS,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A system source that is being polled.
#[derive(Debug)]
pub(super) struct Sampler {
    metric: Metric,
    /// Where /proc is.
    root: PathBuf,
    /// The processors' times at the poll before.
    latest: Option<CpuTimes>,
}

impl Sampler {
    pub(super) fn new(metric: Metric) -> Self {
        Self::under(Path::new("/"), metric)
    }

    fn under(root: &Path, metric: Metric) -> Self {
        Self {
            metric,
            root: root.to_owned(),
            latest: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Stop) -> Found {
        let root = &self.root;
        let numbers = match &self.metric {
            Metric::Cpu => cpu::between_samples(
                &mut self.latest,
                || cpu::read_cpu_times(root, deadline),
                CpuTimes::since,
                deadline,
                stop,
            ),
            Metric::Memory => memory::read_memory(root, deadline),
            Metric::Swap => memory::read_swap(root, deadline),
            Metric::Load => load::read_load(root, deadline),
        };
        Found::outcome(numbers.and_then(finite))
    }
}

/// The numbers of the kernel are finite, and so are the quotients; nothing else may ever leave here.
fn finite(numbers: Numbers) -> Result<Content, Failure> {
    let parts = numbers.parts.iter().map(|(_, part)| *part);
    if parts.chain([numbers.value]).all(f64::is_finite) {
        Ok(Content::Numbers(numbers))
    } else {
        Err(malformed("not a finite number"))
    }
}

fn read(root: &Path, name: &str, deadline: Deadline) -> Result<String, Failure> {
    let content = read_bounded(&root.join(name), MAX_BYTES, deadline)?;
    String::from_utf8(content).map_err(|_| malformed(format_args!("/{name} is not UTF-8")))
}

fn malformed(detail: impl fmt::Display) -> Failure {
    Failure::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests;
