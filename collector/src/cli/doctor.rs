//! `agentcheck doctor`: looks, asks and connects; what that means is told by `doctor`.

mod balancer;
mod collector_user;
mod host_facts;
pub(super) mod probe_client;
mod required_paths;
mod source_checks;

use super::{ConfigFile, DataDir, Failed, Output, StateDir};
use crate::config::{self, Config, LoadError, Service};
use crate::setup::doctor::directory::{self, Role};
use crate::setup::doctor::host::{self, Known};
use crate::setup::doctor::{Finding, Report};
use crate::setup::doctor::{haproxy, listener};
use crate::simulation::blind_spots;
use crate::status::snapshot;
use crate::sys::{clock, state_file};
use agentcheck_common::schedule::MAX_FILE;
use agentcheck_common::{BootId, DEFAULT_PORT, Reply, ServiceName};
use clap::Args;
use collector_user::CollectorUser;
use probe_client::Way;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How many probes a second a service is expected to get at most: from four balancers, each every second.
const PROBES: u64 = 4;

/// How many services are probed at most; one after the other, each takes as long as its answer.
const MAX_PROBED: usize = 50;

#[derive(Args)]
pub(super) struct Doctor {
    /// The services; all of the configuration without any
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    /// Where HAProxy asks [default: the launcher's address]
    #[arg(long, value_name = "ADDR:PORT")]
    agent: Option<SocketAddr>,
    /// HAProxy's stats socket: a path, or HOST:PORT
    #[arg(long, value_name = "SOCKET")]
    haproxy: Option<String>,
    /// The collector's user: its own, or agentcheck
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For programs: one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Looks at everything.
    pub(super) fn look(&self) -> Result<Output, Failed> {
        let look = source_checks::Look {
            config: &self.config.config,
            state_dir: &self.state.state_dir,
            services: &self.services,
        };
        if source_checks::is_for_another() {
            return Ok(look.as_json().into());
        }
        let boot = clock::boot_id()
            .map_err(|error| Failed(format!("agentcheck: no boot id: {error}\n")))?;
        let mut found = Vec::new();
        let config = self.configuration(&mut found);
        let names = self.names(config.as_ref(), &mut found);

        let status = snapshot::read_for_boot(&self.state.state_dir, &boot);
        let live = status
            .as_ref()
            .and_then(|status| host_facts::process(status.pid));
        let account = match collector_user::choose(self.user.as_deref(), live) {
            Ok(account) => account,
            Err(what) => {
                found.push(Finding::error("user", what, "--user names another"));
                None
            }
        };
        if let Some(config) = &config {
            found.extend(source_checks::findings(&look, account.as_ref()));
            let pid = status.as_ref().map(|status| status.pid);
            let sources = look.sources(config);
            let pid = pid.filter(|_| live.is_some());
            found.extend(required_paths::findings(&sources, &look.meant(config), pid));
        }
        self.directories(account.as_ref(), &mut found);

        let file = self.state.state_dir.join(snapshot::FILE);
        let known = Known {
            denied: status.is_none()
                && std::fs::File::open(file)
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied),
            process: live.is_some(),
            changed: status
                .as_ref()
                .zip(config.as_ref())
                .and_then(|(status, config)| {
                    changed_after(config, status.loaded_at.unwrap_or(status.started))
                }),
            status: status.as_ref(),
            now: clock::now(),
        };
        let all: Vec<String> = names.iter().map(ToString::to_string).collect();
        found.extend(host::collector(&known, &all));
        for name in &names {
            found.push(self.state_file(name, &boot).0);
        }

        let probes = PROBES * u64::try_from(names.len()).unwrap_or(1).max(1);
        let launchers = host_facts::Launchers::seen();
        let way = self.way(&launchers, &mut found);
        found.extend(launchers.findings(way.to, probes));
        self.probes(config.as_ref(), way, &names, &boot, &mut found);
        for name in &names {
            found.push(server_line(config.as_ref(), way.to, name));
        }
        if let Some(socket) = &self.haproxy {
            let services = names.iter().map(|name| haproxy::ServedService {
                name: name.to_string(),
                floor: floor(config.as_ref(), name),
                reply: self.said(name, &boot),
            });
            let services: Vec<haproxy::ServedService> = services.collect();
            found.extend(balancer::findings(socket, &services));
        }

        let report = Report::new(found);
        Ok(Output {
            text: if self.json {
                report.json()
            } else {
                report.text()
            },
            status: u8::from(!report.is_healthy()),
        })
    }

    fn configuration(&self, found: &mut Vec<Finding>) -> Option<Config> {
        const ABOUT: &str = "configuration";
        let file = self.config.config.display();
        match config::load_with(&self.config.config, blind_spots::find) {
            Ok((config, warnings)) => {
                for warning in &warnings.rendered {
                    found.push(Finding::warning(
                        ABOUT,
                        first_line(warning),
                        remedy_of(warning),
                    ));
                }
                if warnings.rendered.is_empty() {
                    found.push(Finding::ok(ABOUT, format!("{file} loads")));
                }
                Some(config)
            }
            Err(LoadError::Unreadable(_, error)) => {
                let what = format!("{file} cannot be read: {error}");
                found.push(Finding::error(
                    ABOUT,
                    what,
                    "write one (see examples), or name it: --config FILE",
                ));
                None
            }
            Err(LoadError::Wrong(report)) => {
                for error in &report.rendered {
                    found.push(Finding::error(ABOUT, first_line(error), remedy_of(error)));
                }
                None
            }
        }
    }

    /// The services that are looked at: those that were named, or all.
    fn names(&self, config: Option<&Config>, found: &mut Vec<Finding>) -> Vec<ServiceName> {
        let known: Vec<ServiceName> = config
            .iter()
            .flat_map(|config| config.services.iter().map(|service| service.name))
            .collect();
        if self.services.is_empty() {
            return known;
        }
        let mut names = Vec::new();
        for given in &self.services {
            match ServiceName::parse(given.as_bytes()) {
                Some(name) if config.is_none() || known.contains(&name) => names.push(name),
                _ => found.push(Finding::error(
                    "configuration",
                    format!("there is no service {given:?}"),
                    format!(
                        "add [service.{given}], or see agentcheck check for those that there are"
                    ),
                )),
            }
        }
        names
    }

    fn directories(&self, account: Option<&CollectorUser>, found: &mut Vec<Finding>) {
        let owner = account.map(|account| (account.uid, account.gid));
        let data = &self.data.data_dir;
        let overrides = crate::overrides::store::directory(data);
        for (role, path) in [
            (Role::State, self.state.state_dir.as_path()),
            (Role::Data, data),
            (Role::Overrides, &overrides),
        ] {
            let path_shown = path.display().to_string();
            found.push(directory::finding(
                role,
                &path_shown,
                host_facts::rights(path),
                owner,
            ));
        }
    }

    fn state_file(&self, name: &ServiceName, boot: &BootId) -> (Finding, Option<Reply>) {
        let path = state_file::path(&self.state.state_dir, name);
        let content = state_file::read_bounded(&path, MAX_FILE);
        host::state_file(name, content.as_deref(), boot, clock::now())
    }

    fn said(&self, name: &ServiceName, boot: &BootId) -> Option<Reply> {
        state_file::said(&self.state.state_dir, name, boot, clock::now())
    }

    /// Where to probe: where it is told to; else where the launcher listens; else the default.
    fn way(&self, launchers: &host_facts::Launchers, found: &mut Vec<Finding>) -> Way {
        if let Some(to) = self.agent {
            return Way { to, from: None };
        }
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        let to = launchers.agent(DEFAULT_PORT).unwrap_or(usual);
        if to.ip().is_loopback() {
            return Way { to, from: None };
        }
        found.push(listener::chosen(to));
        Way::within(to)
    }

    fn probes(
        &self,
        config: Option<&Config>,
        way: Way,
        names: &[ServiceName],
        boot: &BootId,
        found: &mut Vec<Finding>,
    ) {
        for name in names.iter().take(MAX_PROBED) {
            let said = || self.said(name, boot);
            let at = way.port(port_of(config, way.to, name));
            let whom = match own_port(config, name) {
                Some(_) => probe_client::For::Port(name),
                None => probe_client::For::Name(name),
            };
            found.push(probe_client::probe(at, whom, &said).finding());
        }
        if names.len() > MAX_PROBED {
            let what = format!("the first {MAX_PROBED} services only; others by name");
            found.push(Finding::note("probe", what));
        }
        found.push(probe_client::probe(way, probe_client::For::Nobody, &|| None).finding());
    }
}

/// Where a service is answered for: on a port of its own, or on that of all.
fn port_of(config: Option<&Config>, agent: SocketAddr, name: &ServiceName) -> u16 {
    own_port(config, name).map_or(agent.port(), NonZeroU16::get)
}

fn server_line(config: Option<&Config>, agent: SocketAddr, name: &ServiceName) -> Finding {
    let port = port_of(config, agent, name);
    let ask = match own_port(config, name) {
        Some(_) => String::new(),
        None => format!(" agent-send \"{name}\\n\""),
    };
    let host = match agent.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => "ADDRESS".to_owned(),
        ip => ip.to_string(),
    };
    Finding::note(
        "haproxy.cfg",
        format!(
            "server {name} {host}:PORT check weight 100 agent-check agent-port {port} agent-inter 2s{ask}"
        ),
    )
}

fn service<'c>(config: Option<&'c Config>, name: &ServiceName) -> Option<&'c Service> {
    let services = config.map_or(&[][..], |config| &config.services);
    services.iter().find(|service| service.name == *name)
}

fn own_port(config: Option<&Config>, name: &ServiceName) -> Option<NonZeroU16> {
    service(config, name).and_then(|service| service.port)
}

fn floor(config: Option<&Config>, name: &ServiceName) -> u16 {
    service(config, name).map_or(1, |service| service.shaping.floor.get())
}

/// By how much a file of the configuration was changed after a moment.
fn changed_after(config: &Config, started: u64) -> Option<Duration> {
    let ago = clock::now().since(agentcheck_common::BootTime(started));
    let started = SystemTime::now().checked_sub(ago)?;
    let files = config.files.iter();
    let changed = files.filter_map(|file| std::fs::metadata(file).ok()?.modified().ok());
    changed.max()?.duration_since(started).ok()
}

fn first_line(rendered: &str) -> &str {
    rendered.lines().next().unwrap_or_default()
}

/// What would be right, as a rendered mistake ends with it.
fn remedy_of(rendered: &str) -> String {
    let last = rendered.lines().last().unwrap_or_default().trim();
    match last.strip_prefix("= ") {
        Some(remedy) => remedy.to_owned(),
        None => "agentcheck check shows the place".to_owned(),
    }
}

/// Whether a path is there at all, for whoever looks.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
