//! Cgroups of version 2: where one is, and how much it uses of its limits (the kernel's
//! Documentation/admin-guide/cgroup-v2.rst).
//!
//! Not here: version 1, where each controller has a tree of its own; swap and I/O of a cgroup.

use super::{cpu, malformed, memory, read};
use crate::reading::{Failure, Numbers, Reason};
use crate::source::Deadline;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The parts of a cgroup's `cpu`: `user`, `system` and `throttled` in per cent, `cores` in cores.
pub(super) const CPU_PARTS: &[&str] = &["user", "system", "throttled", "cores"];

/// The cgroup of a metric: `cgroup = "self"`, or a path from the root of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroup {
    /// The collector's own, found again at each poll.
    Own,
    /// `/system.slice/nginx.service`, as /proc/PID/cgroup shows it.
    Path(String),
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("self"),
            Self::Path(path) => write!(f, "{path:?}"),
        }
    }
}

/// The directory of a cgroup.
#[derive(Debug, PartialEq)]
pub(super) struct Location {
    /// Where version 2 is mounted, with no slash at either end.
    mount: String,
    /// The names from there on.
    names: Vec<String>,
}

impl Location {
    /// The path of a file of this cgroup, below the root.
    pub(super) fn file(&self, name: &str) -> String {
        Self::at(&self.mount, &self.names, name)
    }

    /// The paths of that file in this cgroup and in its parents.
    fn files_upwards(&self, name: &str) -> impl Iterator<Item = String> {
        (0..=self.names.len())
            .rev()
            .filter_map(|depth| self.names.get(..depth))
            .map(move |names| Self::at(&self.mount, names, name))
    }

    fn at(mount: &str, names: &[String], file: &str) -> String {
        let mut path = mount.to_owned();
        for name in names.iter().map(String::as_str).chain([file]) {
            path.push('/');
            path.push_str(name);
        }
        path
    }
}

/// Finds a cgroup for the values of `controller`. It does not check that the cgroup exists: its files will.
pub(super) fn find(
    root: &Path,
    cgroup: &Cgroup,
    controller: &str,
    deadline: Deadline,
) -> Result<Location, Failure> {
    let mounts = parse_mounts(&read(root, "proc/self/mountinfo", deadline)?);
    let own = read(root, "proc/self/cgroup", deadline);
    if let Ok(own) = &own
        && is_of_version_1(own, controller)
    {
        let detail = format!(
            "the {controller} controller of this host is in a cgroup hierarchy of version 1, whose limits are \
             not read"
        );
        return Err(Failure::new(Reason::Missing, detail));
    }
    let path = match cgroup {
        Cgroup::Path(path) => path.clone(),
        Cgroup::Own => parse_own(&own?)?,
    };
    locate(&mounts, &path)
}

/// A mount of version 2.
#[derive(Debug, PartialEq)]
struct Mount {
    /// The cgroup that it shows at its mount point, as seen from this cgroup namespace.
    root: String,
    /// Its mount point, with no slash at either end.
    point: String,
}

/// The mounts of version 2, by proc_pid_mountinfo(5).
fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    // The kernel writes blanks of a path as octal numbers.
    let path = |text: &str| text.replace("\\040", " ");
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (kind.split(' ').next() == Some("cgroup2")).then_some(())?;
        let mut fields = mount.split(' ').skip(3);
        Some(Mount {
            root: path(fields.next()?),
            point: path(fields.next()?.trim_matches('/')),
        })
    });
    mounts.collect()
}

/// The directory of the cgroup with this path, as /proc/PID/cgroup shows it.
fn locate(mounts: &[Mount], path: &str) -> Result<Location, Failure> {
    let missing = |detail: String| Err(Failure::new(Reason::Missing, detail));
    if mounts.is_empty() {
        return missing("no cgroups of version 2 are mounted".to_owned());
    }
    let names = |path: &str| -> Vec<String> {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    let wanted = names(path);
    for mount in mounts {
        if let Some(below) = wanted.strip_prefix(names(&mount.root).as_slice()) {
            return Ok(Location {
                mount: mount.point.clone(),
                names: below.to_vec(),
            });
        }
    }
    let shown: Vec<&str> = mounts.iter().map(|mount| mount.root.as_str()).collect();
    missing(format!(
        "cgroup {path:?} is not in what is mounted: {}",
        shown.join(", ")
    ))
}

/// Whether a controller belongs to a hierarchy of version 1, by cgroups(7): lines `ID:CONTROLLERS:PATH`.
fn is_of_version_1(own: &str, controller: &str) -> bool {
    own.lines().any(|line| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        controllers.split(',').any(|name| name == controller)
    })
}

/// The collector's own cgroup of version 2, by cgroups(7): the line of hierarchy 0.
fn parse_own(cgroup: &str) -> Result<String, Failure> {
    let Some(path) = cgroup.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Err(Failure::new(
            Reason::Missing,
            "the collector is in no cgroup of version 2",
        ));
    };
    if path.split('/').any(|name| name == "..") {
        let detail = format!("the collector's cgroup {path:?} is outside of its cgroup namespace");
        return Err(Failure::new(Reason::Missing, detail));
    }
    Ok(path.to_owned())
}

/// The CPU time of a cgroup at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CpuSample {
    at: Instant,
    usage: CpuUsage,
    /// How many cores it may use.
    cores: f64,
}

/// A cgroup's cpu.stat: times in microseconds, and periods of its quota.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CpuUsage {
    usage: u64,
    user: u64,
    system: u64,
    periods: u64,
    throttled: u64,
}

pub(super) fn read_cpu(
    root: &Path,
    cgroup: &Cgroup,
    deadline: Deadline,
) -> Result<CpuSample, Failure> {
    let location = find(root, cgroup, "cpu", deadline)?;
    // Before the limits are read: that time must not count as the cgroup's.
    let stat = read(root, &location.file("cpu.stat"), deadline)?;
    let at = Instant::now();
    let usage = parse_cpu_stat(&stat)?;
    let mut cores = f64::from(cpu::read_online_cores(root, deadline)?);
    for file in location.files_upwards("cpu.max") {
        if let Some(max) = limit(root, &file, deadline)? {
            cores = cores.min(parse_cpu_max(&max)?.unwrap_or(f64::INFINITY));
        }
    }
    Ok(CpuSample { at, usage, cores })
}

impl CpuSample {
    /// The time used since `earlier`, in per cent (0 to 100) of what the cgroup may use, and [`CPU_PARTS`].
    /// `None` where no time passed, or where the cgroup was removed and made again: it counts from 0 then.
    pub(super) fn since(&self, earlier: &Self) -> Option<Numbers> {
        self.usage.since(
            &earlier.usage,
            self.at.saturating_duration_since(earlier.at),
            self.cores,
        )
    }
}

impl CpuUsage {
    fn since(&self, earlier: &Self, passed: Duration, cores: f64) -> Option<Numbers> {
        let usage = self.usage.checked_sub(earlier.usage)?;
        let might = passed.as_secs_f64() * 1e6 * cores;
        if might <= 0.0 {
            return None;
        }
        // A burst (cpu.max.burst), or a period that began before, may exceed the quota.
        let share = |time: u64| (100.0 * time as f64 / might).min(100.0);
        let periods = self.periods.saturating_sub(earlier.periods);
        let throttled = self.throttled.saturating_sub(earlier.throttled);
        let throttled = match periods {
            0 => 0.0,
            _ => (100.0 * throttled as f64 / periods as f64).min(100.0),
        };
        let parts = [
            share(self.user.saturating_sub(earlier.user)),
            share(self.system.saturating_sub(earlier.system)),
            throttled,
            cores,
        ];
        Some(Numbers {
            value: share(usage),
            parts: CPU_PARTS.iter().copied().zip(parts).collect(),
        })
    }
}

/// cpu.stat. Its periods are present only where the cpu controller is enabled.
fn parse_cpu_stat(stat: &str) -> Result<CpuUsage, Failure> {
    Ok(CpuUsage {
        usage: needed(stat, "cpu.stat", "usage_usec")?,
        user: number(stat, "cpu.stat", "user_usec")?.unwrap_or(0),
        system: number(stat, "cpu.stat", "system_usec")?.unwrap_or(0),
        periods: number(stat, "cpu.stat", "nr_periods")?.unwrap_or(0),
        throttled: number(stat, "cpu.stat", "nr_throttled")?.unwrap_or(0),
    })
}

/// cpu.max, `QUOTA PERIOD` in microseconds, as a number of cores; `None` for `max`.
fn parse_cpu_max(max: &str) -> Result<Option<f64>, Failure> {
    let wrong = || malformed(format_args!("cpu.max: {max:?}"));
    let (quota, period) = max.trim_end().split_once(' ').ok_or_else(wrong)?;
    if quota == "max" {
        return Ok(None);
    }
    match (quota.parse::<u64>(), period.parse::<u64>()) {
        (Ok(quota), Ok(period)) if quota > 0 && period > 0 => {
            Ok(Some(quota as f64 / period as f64))
        }
        _ => Err(wrong()),
    }
}

/// The memory of a cgroup in use, in per cent (0 to 100) of what it may use: the smallest `memory.max` of the
/// cgroup and its parents, or the machine's memory.
///
/// In use is `memory.current` without `inactive_file`, the page cache that the kernel reclaims first: the
/// "working set" by which Kubernetes evicts.
pub(super) fn read_memory(
    root: &Path,
    cgroup: &Cgroup,
    deadline: Deadline,
) -> Result<Numbers, Failure> {
    let location = find(root, cgroup, "memory", deadline)?;
    let current = read(root, &location.file("memory.current"), deadline)?;
    let current = parse_bytes("memory.current", &current)?.unwrap_or(u64::MAX);
    let stat = read(root, &location.file("memory.stat"), deadline)?;
    let inactive = needed(&stat, "memory.stat", "inactive_file")?;
    let mut total = memory::read_total(root, deadline)?;
    for file in location.files_upwards("memory.max") {
        if let Some(max) = limit(root, &file, deadline)? {
            total = total.min(parse_bytes("memory.max", &max)?.unwrap_or(u64::MAX));
        }
    }
    let used = current.saturating_sub(inactive);
    let left = total.saturating_sub(used);
    Ok(memory::used_of(total, left, memory::PARTS))
}

/// A file that sets a limit. It is absent in the root, and in a cgroup whose parent does not enable the
/// controller: there is no limit then.
fn limit(root: &Path, file: &str, deadline: Deadline) -> Result<Option<String>, Failure> {
    match read(root, file, deadline) {
        Ok(limit) => Ok(Some(limit)),
        Err(failure) if failure.reason == Reason::Missing => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A number of bytes; `None` for `max`.
fn parse_bytes(file: &str, content: &str) -> Result<Option<u64>, Failure> {
    match content.trim_end() {
        "max" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| malformed(format_args!("{file}: {number:?}"))),
    }
}

/// The number after `key` in a file of lines `KEY NUMBER`, where there is one.
fn number(content: &str, file: &str, key: &str) -> Result<Option<u64>, Failure> {
    let found = content.lines().find_map(|line| {
        let (name, number) = line.split_once(' ')?;
        (name == key).then_some(number)
    });
    found
        .map(|number| {
            let wrong = |_| malformed(format_args!("{file}: {key} {number:?}"));
            number.trim().parse().map_err(wrong)
        })
        .transpose()
}

fn needed(content: &str, file: &str, key: &str) -> Result<u64, Failure> {
    number(content, file, key)?.ok_or_else(|| malformed(format_args!("{file} has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(mountinfo: &str, path: &str) -> Result<String, Reason> {
        locate(&parse_mounts(mountinfo), path)
            .map(|location| location.file("cpu.max"))
            .map_err(|failure| failure.reason)
    }

    #[test]
    fn cgroup_is_below_the_mount_of_its_tree() {
        let found = |file: &str| Ok(file.to_owned());
        let unified = "24 1 0:22 / / rw - ext4 /dev/vda rw\n\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(located(unified, "/a/b"), found("sys/fs/cgroup/a/b/cpu.max"));
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(located(hybrid, "/"), found("sys/fs/cgroup/unified/cpu.max"));
        let blank = "41 31 0:38 / /a\\040b rw - cgroup2 none rw\n";
        assert_eq!(located(blank, "/"), found("a b/cpu.max"));
        // Docker with the host's cgroup namespace: the container's own cgroup is mounted, and no other.
        let docker =
            "700 690 0:26 /system.slice/docker-1.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own = "/system.slice/docker-1.scope";
        assert_eq!(located(docker, own), found("sys/fs/cgroup/cpu.max"));
        let below = "/system.slice/docker-1.scope/app";
        assert_eq!(located(docker, below), found("sys/fs/cgroup/app/cpu.max"));
        // unshare -C: what is mounted is outside of the namespace. The whole machine's numbers would be wrong.
        let unshared = "30 24 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        for (mountinfo, path) in [
            (docker, "/"),
            (docker, "/system.slice/docker-10.scope"),
            (unshared, "/"),
            ("", "/"),
            (" - cgroup2", "/"),
            ("1 2 3 4 /cgroup2 rw - tmpfs cgroup2 rw", "/"),
        ] {
            assert_eq!(
                located(mountinfo, path),
                Err(Reason::Missing),
                "{mountinfo:?} {path}"
            );
        }
        let both = format!("{unshared}31 24 0:26 / /mnt rw - cgroup2 cgroup2 rw\n");
        assert_eq!(located(&both, "/"), found("mnt/cpu.max"));
    }

    #[test]
    fn own_cgroup_is_that_of_hierarchy_0() {
        assert_eq!(parse_own("0::/a/b\n"), Ok("/a/b".to_owned()));
        assert_eq!(parse_own("9:cpu:/x\n0::/\n"), Ok("/".to_owned()));
        for none in ["", "9:cpu:/x\n", "0::/../b\n"] {
            let failure = parse_own(none).unwrap_err();
            assert_eq!(failure.reason, Reason::Missing, "{none:?}");
        }
        let hybrid = "9:name=systemd:/\n6:memory:/\n4:cpu,cpuacct:/x\n0::/\n";
        assert!(is_of_version_1(hybrid, "cpu") && is_of_version_1(hybrid, "memory"));
        assert!(!is_of_version_1(hybrid, "io") && !is_of_version_1("0::/cpu\n", "cpu"));
    }

    #[test]
    fn limits_are_read_from_the_cgroup_upwards() {
        let location = Location {
            mount: "sys/fs/cgroup".to_owned(),
            names: ["a", "b"].map(str::to_owned).to_vec(),
        };
        let files: Vec<String> = location.files_upwards("cpu.max").collect();
        let expected = [
            "sys/fs/cgroup/a/b/cpu.max",
            "sys/fs/cgroup/a/cpu.max",
            "sys/fs/cgroup/cpu.max",
        ];
        assert_eq!(files, expected);
        assert_eq!(location.file("cpu.max"), expected[0]);
    }

    #[test]
    fn quotas() {
        assert_eq!(parse_cpu_max("max 100000\n"), Ok(None));
        assert_eq!(parse_cpu_max("150000 100000\n"), Ok(Some(1.5)));
        for bad in ["", "max", "0 100000", "1 0", "-1 100000", "x y", "1 2 3"] {
            assert!(parse_cpu_max(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_bytes("memory.max", "max\n"), Ok(None));
        assert_eq!(parse_bytes("memory.max", "4096\n"), Ok(Some(4096)));
        assert!(parse_bytes("memory.max", "4k\n").is_err());
    }

    #[test]
    fn processor_time_of_a_quota() {
        let before = parse_cpu_stat("usage_usec 1000000\nuser_usec 600000\nsystem_usec 400000\n");
        let after = "usage_usec 2500000\nuser_usec 1800000\nsystem_usec 700000\n\
            core_sched.force_idle_usec 0\nnr_periods 20\nnr_throttled 5\nthrottled_usec 9\n";
        let (before, after) = (before.unwrap(), parse_cpu_stat(after).unwrap());
        let second = Duration::from_secs(1);
        let numbers = after.since(&before, second, 2.0).unwrap();
        let parts = [
            ("user", 60.0),
            ("system", 15.0),
            ("throttled", 25.0),
            ("cores", 2.0),
        ];
        assert_eq!((numbers.value, numbers.parts), (75.0, parts.to_vec()));
        // More than the quota is all of it.
        assert_eq!(after.since(&before, second, 0.5).unwrap().value, 100.0);
        // No time, and another cgroup of the same name.
        assert_eq!(after.since(&before, Duration::ZERO, 2.0), None);
        assert_eq!(before.since(&after, second, 2.0), None);
        for bad in ["", "usage_usec\n", "usage_usec x\n", "user_usec 1\n"] {
            assert!(parse_cpu_stat(bad).is_err(), "{bad:?}");
        }
    }
}
