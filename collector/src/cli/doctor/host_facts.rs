//! What the host shows: processes, listening sockets, launchers' files.

use super::{collector_user, exists, source_checks};
use crate::setup::doctor::http_probe::HttpLauncher;
use crate::setup::doctor::listener::{self, Listener};
use crate::setup::doctor::{Finding, systemd, xinetd};
use crate::sys::state_file::read_bounded;
use agentcheck_common::ServiceName;
use std::ffi::OsStr;
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

/// The name of a process.
pub(super) fn name_of(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim().to_owned())
}

/// The launchers of this host.
pub(super) struct Launchers {
    /// systemd's socket units.
    units: Vec<systemd::Unit>,
    /// The services that the socket units start.
    services: Vec<systemd::Unit>,
    entries: Vec<xinetd::Entry>,
    xinetd_runs: bool,
}

impl Launchers {
    /// Reads the launchers of all services, and those of services with a port of their own.
    pub(super) fn read(own: &[ServiceName]) -> Self {
        let own = own.iter().map(systemd::own_unit);
        let names: Vec<String> = systemd::UNITS
            .map(str::to_owned)
            .into_iter()
            .chain(own)
            .collect();
        let units = units(systemd::PROPERTIES, &names);
        let services: Vec<String> = units.iter().filter_map(systemd::service_of).collect();
        Self {
            services: match services.is_empty() {
                true => Vec::new(),
                false => self::units(systemd::SERVICE_PROPERTIES, &services),
            },
            units,
            entries: xinetd::parse(&xinetd_files()),
            xinetd_runs: pids().any(|pid| name_of(pid).is_some_and(|name| name == "xinetd")),
        }
    }

    /// The address of all services: a launcher's, or else that of any listener on `port`.
    pub(super) fn shared(&self, port: u16) -> Option<SocketAddr> {
        self.address(port, None)
    }

    /// The address of the service with this port of its own.
    pub(super) fn own(&self, port: u16) -> Option<SocketAddr> {
        self.address(port, Some(port))
    }

    fn address(&self, port: u16, own: Option<u16>) -> Option<SocketAddr> {
        let mut known = systemd::addresses(&self.units, own);
        if self.xinetd_runs {
            let entries = xinetd::addresses(&self.entries, port).into_iter();
            known.extend(entries.filter(|one| own.is_none_or(|own| one.port() == own)));
        }
        listener::choose(&known).or_else(|| {
            let all: Vec<SocketAddr> = listeners(&[port]).iter().map(|one| one.address).collect();
            listener::choose(&all)
        })
    }

    /// The findings about the agents' addresses and their launchers, and the launchers with `--http`. `agents` begins
    /// with the address of all services, if any service needs it.
    pub(super) fn examine(
        &self,
        agents: &[SocketAddr],
        probes: u64,
    ) -> (Vec<Finding>, Vec<HttpLauncher>) {
        let ports: Vec<u16> = agents.iter().map(SocketAddr::port).collect();
        let mut listeners = listeners(&ports);
        find_holders(&mut listeners);
        let each = agents
            .iter()
            .map(|agent| listener::findings(&listeners, *agent));
        let mut found: Vec<Finding> = each.flatten().collect();
        let host = xinetd::Host {
            can_run: &can_run,
            has_user: &collector_user::is_known,
            is_running: self.xinetd_runs,
            probes,
        };
        found.extend(xinetd::findings(&self.entries, &ports, &host));
        found.extend(systemd::findings(&self.units, probes));
        let mut http = processes_with_http(&listeners);
        http.extend(systemd::http_launchers(&self.units, &self.services));
        if self.xinetd_runs {
            let port = ports.first().copied().unwrap_or_default();
            http.extend(xinetd::http_launchers(&self.entries, port));
        }
        (found, http)
    }
}

/// The running responders with `--http`.
fn processes_with_http(listeners: &[Listener]) -> Vec<HttpLauncher> {
    let mut found: Vec<HttpLauncher> = Vec::new();
    for listener in listeners {
        let responder = listener
            .holders
            .iter()
            .find(|(_, name)| name.starts_with("agentcheck-resp"));
        let Some((pid, _)) = responder else {
            continue;
        };
        let arguments = arguments(*pid);
        if HttpLauncher::has_http(arguments.iter().map(String::as_str)) {
            found.push(HttpLauncher {
                name: format!("agentcheck-responder ({pid})"),
                addresses: vec![listener.address],
            });
        }
    }
    found
}

/// The command line of a process.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let line = read_bounded(Path::new(&format!("/proc/{pid}/cmdline")), MAX_FILE);
    let line = line.unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The properties of units; empty where systemd does not run.
pub(super) fn units<S: AsRef<OsStr>>(properties: &str, units: &[S]) -> Vec<systemd::Unit> {
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

/// The listeners on these ports, without their processes.
fn listeners(ports: &[u16]) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let mut text = Vec::new();
        let read =
            fs::File::open(table).and_then(|file| file.take(MAX_TABLE).read_to_end(&mut text));
        if read.is_ok() {
            listeners.extend(listener::parse(&String::from_utf8_lossy(&text), ports));
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
