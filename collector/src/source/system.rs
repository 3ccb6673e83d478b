//! The system source: numbers of this host's kernel.
//!
//! Each metric has a module, in which reading is apart from parsing. In a container /proc is the whole host's,
//! unless something like lxcfs is mounted over it.
//!
//! Not here: averages over time (`[derive.NAME]`); cgroups of version 1; UDP and unix sockets.

mod cgroup;
mod cpu;
mod disk;
mod load;
mod memory;
mod network;
mod pressure;
mod processes;
mod socket_table;

pub use cgroup::Cgroup;
pub use pressure::Resource;

use super::file::read_bounded;
use super::{Cancellation, Deadline, Found};
use crate::reading::{Content, Failure, Numbers, Reason};
use cgroup::CpuSample;
use cpu::CpuTimes;
use network::TrafficSample;
use std::fmt;
use std::path::{Path, PathBuf};

/// The largest file. /proc/stat has some hundred kilobytes on a machine with thousands of cores and interrupts.
const MAX_BYTES: usize = 4 << 20;

/// `[source.NAME.system]`, `metric = "..."`. Each metric has one main number, `value`, and the parts that are
/// listed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `cpu`: the busy time of all cores since the last poll, in per cent (0 to 100). The first poll takes two
    /// samples, 200 ms apart. Waiting for disks is idle; stolen time is busy.
    ///
    /// Parts: `user`, `nice`, `system`, `idle`, `iowait`, `irq`, `softirq`, `steal`, in per cent of the
    /// same time; together they are 100.
    ///
    /// Of a cgroup of version 2: the time used, in per cent (0 to 100) of what it may use: the smallest quota
    /// of the cgroup and its parents (`cpu.max`), or all online cores. Parts: `user`, `system`, in per cent of
    /// the same; `throttled`, the per cent of the quota's periods in which the kernel throttled it; `cores`,
    /// how many cores it may use.
    Cpu {
        /// Of which cgroup; `None` is the whole machine.
        cgroup: Option<Cgroup>,
    },
    /// `memory`: memory in use, in per cent (0 to 100) of all: what the kernel cannot make available without
    /// swapping. Linux 3.14 or later.
    ///
    /// Of a cgroup of version 2: `memory.current` without `inactive_file`, of the smallest `memory.max` of the
    /// cgroup and its parents, or of the machine's memory.
    ///
    /// Parts, in bytes: `total` (what may be used), `available` (what is left of it).
    Memory {
        /// Of which cgroup; `None` is the whole machine.
        cgroup: Option<Cgroup>,
    },
    /// `swap`: swap in use, in per cent (0 to 100); 0 without swap.
    ///
    /// Parts, in bytes: `total`, `free`.
    Swap,
    /// `pressure`: the share of the last 10 seconds in which at least one task waited for the resource, in per
    /// cent (0 to 100). Linux 4.20 or later.
    ///
    /// Parts, in per cent: `some_avg10`, `some_avg60`, `some_avg300`, and the share in which no task could run,
    /// `full_avg10`, `full_avg60`, `full_avg300`. The latter are absent for `cpu` before Linux 5.13.
    Pressure {
        /// The resource that tasks wait for.
        resource: Resource,
        /// The cgroup whose tasks count; `None` is the whole machine.
        cgroup: Option<Cgroup>,
    },
    /// `load`: the load average over one minute, per online core. 1.0 is one task per core; there is no upper
    /// bound.
    /// bound).
    ///
    /// Parts: `load1`, `load5`, `load15`, the averages of the whole machine over as many minutes, and
    /// `cores`, the number of cores online.
    Load,
    /// `disk`: space in use of the file system that holds a path, in per cent (0 to 100), as df(1) has
    /// it: of what users other than root could have.
    ///
    /// Parts: `total`, `available` (to others than root), in bytes; `inodes`, those in use, in per cent (0
    /// to 100; 0 where the file system has no limit); `inodes_total`, `inodes_available`.
    ///
    /// The one metric that can hang: see [`super::Poller::poll`].
    Disk {
        /// A path, absolute.
        path: PathBuf,
    },
    /// `connections`: how many TCP connections are established on a local port, IPv4 and IPv6, accepted or
    /// waiting to be.
    Connections {
        /// The local port.
        port: u16,
    },
    /// `backlog`: how many TCP connections wait to be accepted on a local port, over all its listening sockets.
    /// Without a listener a poll fails: [`Reason::Refused`].
    ///
    /// Parts: `limit`, how many may wait, over all sockets; `fullest`, the fill level of the fullest queue, in
    /// per cent (0 to 100) of its limit; `listeners`, the number of sockets. Without netlink only the last is
    /// present.
    Backlog {
        /// The local port.
        port: u16,
    },
    /// `network`: traffic since the last poll in the busier direction, in per cent (0 to 100) of the link's speed;
    /// in bytes a second where the kernel does not know the speed. The first poll takes two samples.
    ///
    /// Parts, in bytes a second: `received`, `sent`, and `speed`, which is absent where it is not known.
    Network {
        /// The interface; `None` is that of the default route.
        interface: Option<String>,
    },
    /// `processes`: the number of processes of a name, without threads and zombies.
    Processes {
        /// The process's own name, as ps(1) shows it, or the file name of its program.
        name: String,
    },
}

impl Metric {
    /// The word of the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu { .. } => "cpu",
            Self::Memory { .. } => "memory",
            Self::Swap => "swap",
            Self::Pressure { .. } => "pressure",
            Self::Load => "load",
            Self::Disk { .. } => "disk",
            Self::Connections { .. } => "connections",
            Self::Backlog { .. } => "backlog",
            Self::Network { .. } => "network",
            Self::Processes { .. } => "processes",
        }
    }

    /// The names of the parts, besides `value`.
    #[must_use]
    pub fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Cpu { cgroup: None } => cpu::PARTS,
            Self::Cpu { cgroup: Some(_) } => cgroup::CPU_PARTS,
            Self::Memory { .. } => memory::PARTS,
            Self::Swap => memory::SWAP_PARTS,
            Self::Pressure { .. } => pressure::PARTS,
            Self::Load => load::PARTS,
            Self::Disk { .. } => disk::PARTS,
            Self::Backlog { .. } => socket_table::BACKLOG_PARTS,
            Self::Network { .. } => network::PARTS,
            Self::Connections { .. } | Self::Processes { .. } => &[],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::Pressure { resource, .. } = self {
            write!(f, " on {}", resource.name())?;
        }
        match self {
            Self::Cpu { cgroup } | Self::Memory { cgroup } | Self::Pressure { cgroup, .. } => {
                match cgroup {
                    Some(cgroup) => write!(f, " of cgroup {cgroup}"),
                    None => Ok(()),
                }
            }
            Self::Disk { path } => write!(f, " {path:?}"),
            Self::Connections { port } | Self::Backlog { port } => write!(f, " on port {port}"),
            Self::Processes { name }
            | Self::Network {
                interface: Some(name),
            } => write!(f, " {name:?}"),
            Self::Network { interface: None } => f.write_str(" of the default route"),
            Self::Swap | Self::Load => Ok(()),
        }
    }
}

/// A system source in its running form.
#[derive(Debug)]
pub(super) struct Sampler {
    metric: Metric,
    /// The root below which /proc is.
    root: PathBuf,
    /// The processors' times at the poll before.
    latest: Option<CpuTimes>,
    /// The same of a cgroup.
    latest_of_cgroup: Option<CpuSample>,
    /// And an interface's.
    latest_traffic: Option<TrafficSample>,
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
            latest_of_cgroup: None,
            latest_traffic: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Cancellation) -> Found {
        let root = &self.root;
        let numbers = match &self.metric {
            Metric::Cpu { cgroup: None } => cpu::between_samples(
                &mut self.latest,
                || cpu::read_cpu_times(root, deadline),
                CpuTimes::since,
                "the counters of /proc/stat",
                deadline,
                stop,
            ),
            Metric::Cpu {
                cgroup: Some(cgroup),
            } => cpu::between_samples(
                &mut self.latest_of_cgroup,
                || cgroup::read_cpu(root, cgroup, deadline),
                CpuSample::since,
                "the cgroup's cpu.stat",
                deadline,
                stop,
            ),
            Metric::Memory { cgroup: None } => memory::read_memory(root, deadline),
            Metric::Memory {
                cgroup: Some(cgroup),
            } => cgroup::read_memory(root, cgroup, deadline),
            Metric::Swap => memory::read_swap(root, deadline),
            Metric::Pressure { resource, cgroup } => {
                pressure::read_pressure(root, *resource, cgroup.as_ref(), deadline)
            }
            Metric::Load => load::read_load(root, deadline),
            Metric::Disk { path } => disk::read_disk(path),
            Metric::Connections { port } => socket_table::read_connections(root, *port, deadline),
            Metric::Backlog { port } => socket_table::read_backlog(root, *port, deadline),
            Metric::Network { interface } => cpu::between_samples(
                &mut self.latest_traffic,
                || network::read_traffic(root, interface.as_deref(), deadline),
                TrafficSample::since,
                "the time",
                deadline,
                stop,
            ),
            Metric::Processes { name } => processes::read_processes(root, name, deadline),
        };
        if numbers.is_err() {
            // The cgroup may be made again under its name; then the old sample belongs to another one.
            self.latest_of_cgroup = None;
        }
        Found::outcome(numbers.and_then(finite))
    }
}

/// The kernel's numbers and their quotients are finite; this makes sure of it.
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
