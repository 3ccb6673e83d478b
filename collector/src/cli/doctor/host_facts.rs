//! What the host shows: processes, listening sockets, launchers' files.

use super::{collector_user, exists, source_checks};
use crate::setup::doctor::listener::{self, Listener};
use crate::setup::doctor::{Finding, systemd, xinetd};
use crate::sys::state_file::read_bounded;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The largest file of a launcher, in bytes, and how many of them are read.
const MAX_FILE: usize = 256 << 10;
const MAX_FILES: usize = 200;

/// The largest table of sockets, in bytes: some hundred thousand sockets.
const MAX_TABLE: u64 = 32 << 20;

/// The time limit of systemctl.
const PATIENCE: Duration = Duration::from_secs(5);

/// User and group of a process, where it runs and is a collector.
pub(super) fn process(pid: u32) -> Option<(u32, u32)> {
    if name_of(pid)? != "agentcheck" {
        return None;
    }
    let data = fs::metadata(format!("/proc/{pid}")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A zombie has ended.
    let state = status.rsplit(')').next()?.trim_start();
    (!state.starts_with(['Z', 'X'])).then(|| (data.uid(), data.gid()))
}

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim().to_owned())
}

/// The launchers of this host.
pub(super) struct Launchers {
    /// systemd's socket units.
    units: Vec<BTreeMap<String, String>>,
    entries: Vec<xinetd::Entry>,
    xinetd_runs: bool,
}

impl Launchers {
    pub(super) fn read() -> Self {
        Self {
            units: units(systemd::PROPERTIES, &systemd::UNITS),
            entries: xinetd::parse(&xinetd_files()),
            xinetd_runs: pids().any(|pid| name_of(pid).is_some_and(|name| name == "xinetd")),
        }
    }

    /// The address to probe: a launcher's, or else that of any listener on `port`.
    pub(super) fn agent(&self, port: u16) -> Option<SocketAddr> {
        let mut known = systemd::addresses(&self.units);
        if self.xinetd_runs {
            known.extend(xinetd::addresses(&self.entries, port));
        }
        listener::choose(&known).or_else(|| {
            let all: Vec<SocketAddr> = listeners(port).iter().map(|one| one.address).collect();
            listener::choose(&all)
        })
    }

    /// The findings about the agents' port and its launchers.
    pub(super) fn findings(&self, agent: SocketAddr, probes: u64) -> Vec<Finding> {
        let mut listeners = listeners(agent.port());
        find_holders(&mut listeners);
        let mut found = listener::findings(&listeners, agent);
        let host = xinetd::Host {
            can_run: &can_run,
            has_user: &collector_user::is_known,
            is_running: self.xinetd_runs,
            probes,
        };
        found.extend(xinetd::findings(&self.entries, agent.port(), &host));
        found.extend(systemd::findings(&self.units, probes));
        found
    }
}

/// The properties of units; empty where systemd does not run.
pub(super) fn units(properties: &str, units: &[&str]) -> Vec<BTreeMap<String, String>> {
    if !exists(Path::new("/run/systemd/system")) {
        return Vec::new();
    }
    let mut command = Command::new("systemctl");
    command
        .args(["show", "--no-pager", "--property", properties])
        .args(units);
    let output = source_checks::output(&mut command, PATIENCE);
    output.map(|text| systemd::parse(&text)).unwrap_or_default()
}

/// The listeners on a port, without their processes.
fn listeners(port: u16) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let mut text = Vec::new();
        let read =
            fs::File::open(table).and_then(|file| file.take(MAX_TABLE).read_to_end(&mut text));
        if read.is_ok() {
            listeners.extend(listener::parse(&String::from_utf8_lossy(&text), port));
        }
    }
    listeners
}

fn can_run(program: &str) -> bool {
    fs::metadata(program).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o001 != 0)
}

/// `xinetd.conf` and what is in `xinetd.d`, in the order in which xinetd reads it.
fn xinetd_files() -> Vec<(String, String)> {
    let mut paths = vec![PathBuf::from("/etc/xinetd.conf")];
    if let Ok(entries) = fs::read_dir("/etc/xinetd.d") {
        let mut more: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            // xinetd reads no file with a dot in its name or a tilde at its end.
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                !name.contains('.') && !name.ends_with('~')
            })
            .take(MAX_FILES)
            .collect();
        more.sort();
        paths.extend(more);
    }
    let files = paths.iter().filter_map(|path| {
        let path = fs::canonicalize(path).ok()?;
        let content = read_bounded(&path, MAX_FILE).ok()?;
        Some((
            path.display().to_string(),
            String::from_utf8_lossy(&content).into_owned(),
        ))
    });
    files.collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

fn find_holders(listeners: &mut [Listener]) {
    if listeners.is_empty() {
        return;
    }
    for pid in pids() {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            let inode = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            let Some(inode) = inode.and_then(|inode| inode.parse::<u64>().ok()) else {
                continue;
            };
            for one in listeners.iter_mut().filter(|one| one.inode == inode) {
                one.holders.push((pid, name_of(pid).unwrap_or_default()));
            }
        }
    }
}
