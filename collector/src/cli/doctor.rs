//! `agentcheck doctor`: reads files, asks programs and connects. `setup::doctor` judges the facts.

mod balancer;
mod collector_user;
mod endpoints;
mod host_facts;
pub(super) mod probe_client;
mod required_paths;
mod rights;
mod source_checks;

use super::{ConfigFile, DataDir, Failed, Output, StateDir};
use crate::config::{self, Config, LoadError, Service};
use crate::reply::state::WeightForm;
use crate::setup::doctor::directory::{self, Role};
use crate::setup::doctor::host::{self, CollectorFacts};
use crate::setup::doctor::{Finding, Report, haproxy};
use crate::simulation::blind_spots;
use crate::status::snapshot;
use crate::sys::{clock, state_file};
use agentcheck_common::schedule::MAX_FILE;
use agentcheck_common::{BootId, Reply, ServiceName};
use clap::Args;
use collector_user::CollectorUser;
use endpoints::Endpoints;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The expected number of probes a second and service: from four balancers, one a second each.
const PROBES: u64 = 4;

#[derive(Args)]
pub(super) struct Doctor {
    /// Check these services [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    /// Probe this address [default: the port's listener]
    #[arg(long, value_name = "ADDR:PORT")]
    agent: Option<SocketAddr>,
    /// HAProxy's stats socket: a path, or HOST:PORT
    #[arg(long, value_name = "SOCKET")]
    haproxy: Option<String>,
    /// Check as this user [default: the collector's]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Checks everything, and prints the report. The status is 1 where there is an error or a warning.
    pub(super) fn run(&self) -> Result<Output, Failed> {
        let checks = source_checks::SourceChecks {
            config: &self.config.config,
            state_dir: &self.state.state_dir,
            services: &self.services,
        };
        if source_checks::is_child() {
            // Commands of a less trusted user must not reach root's terminal. The child leads no group, so this works.
            let _ = rustix::process::setsid();
            return Ok(checks.as_json().into());
        }
        let boot = clock::boot_id()
            .map_err(|error| Failed(format!("agentcheck: cannot read the boot id: {error}\n")))?;
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
                found.push(Finding::error(
                    "user",
                    what,
                    "name another user: --user NAME",
                ));
                None
            }
        };
        if let Some(config) = &config {
            found.extend(source_checks::findings(&checks, account.as_ref()));
            let pid = status.as_ref().map(|status| status.pid);
            let sources = checks.sources(config);
            let pid = pid.filter(|_| live.is_some());
            found.extend(required_paths::findings(
                &sources,
                &checks.services_of(config),
                pid,
            ));
        }
        self.directories(account.as_ref(), &mut found);

        let file = self.state.state_dir.join(snapshot::FILE);
        let facts = CollectorFacts {
            is_denied: status.is_none()
                && rustix::fs::access(file, rustix::fs::Access::READ_OK)
                    == Err(rustix::io::Errno::ACCESS),
            is_running: live.is_some(),
            changed_after: status
                .as_ref()
                .zip(config.as_ref())
                .and_then(|(status, config)| {
                    changed_after(config, status.loaded_at.unwrap_or(status.started))
                }),
            status: status.as_ref(),
            now: clock::now(),
        };
        let all: Vec<String> = names.iter().map(ToString::to_string).collect();
        found.extend(host::collector(&facts, &all));
        for name in &names {
            found.push(self.state_file(name, &boot).0);
        }

        let probes = PROBES * u64::try_from(names.len()).unwrap_or(1).max(1);
        let own = names
            .iter()
            .filter(|name| own_port(config.as_ref(), name).is_some());
        let own: Vec<ServiceName> = own.copied().collect();
        let launchers = host_facts::Launchers::read(&own);
        let current = |name: &ServiceName| self.current_reply(name, &boot);
        let config = config.as_ref();
        let mut endpoints = Endpoints::choose(self.agent, &launchers, config, &names, &mut found);
        endpoints.examine(&launchers, probes, &mut found);
        endpoints.probe(&current, &mut found);
        found.extend(endpoints.server_lines());
        if let Some(socket) = &self.haproxy {
            let services = || {
                let services = endpoints
                    .ports()
                    .map(|(name, port)| haproxy::ServedService {
                        name: name.to_string(),
                        floor: floor(config, name),
                        port,
                        has_maxconn: service(config, name).is_some_and(|one| one.maxconn.is_some()),
                        has_absolute_weight: service(config, name)
                            .is_some_and(|service| service.weight_form == WeightForm::Absolute),
                        replies: current(name).into_iter().collect(),
                    });
                services.collect()
            };
            let (findings, checks) = balancer::examine(socket, &services);
            found.extend(findings);
            endpoints.probe_checks(&checks, &current, &mut found);
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
                let what = format!("cannot read {file}: {error}");
                found.push(Finding::error(
                    ABOUT,
                    what,
                    "write the file (see the examples), or name another one: --config FILE",
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

    /// The services to check: the named ones, or all.
    fn names(&self, config: Option<&Config>, found: &mut Vec<Finding>) -> Vec<ServiceName> {
        let known: Vec<ServiceName> = config
            .iter()
            .flat_map(|config| config.services.iter().map(|service| service.name))
            .collect();
        if self.services.is_empty() {
            return known;
        }
        let mut names = Vec::new();
        for requested in &self.services {
            match ServiceName::parse(requested.as_bytes()) {
                Some(name) if config.is_none() || known.contains(&name) => names.push(name),
                _ => found.push(Finding::error(
                    "configuration",
                    format!("unknown service {requested:?}"),
                    format!("add [service.{requested}]; agentcheck check lists the services"),
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
            let text = path.display().to_string();
            found.push(directory::finding(role, &text, rights::rights(path), owner));
        }
    }

    fn state_file(&self, name: &ServiceName, boot: &BootId) -> (Finding, Option<Reply>) {
        let path = state_file::path(&self.state.state_dir, name);
        let content = state_file::read_bounded(&path, MAX_FILE);
        host::state_file(name, content.as_deref(), boot, clock::now())
    }

    fn current_reply(&self, name: &ServiceName, boot: &BootId) -> Option<Reply> {
        state_file::current_reply(&self.state.state_dir, name, boot, clock::now())
    }
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

/// How long after `started` a file of the configuration was changed; `None` where none was.
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

/// The remedy, which is the last line of a rendered error.
fn remedy_of(rendered: &str) -> String {
    let last = rendered.lines().last().unwrap_or_default().trim();
    match last.strip_prefix("= ") {
        Some(remedy) => remedy.to_owned(),
        None => "see agentcheck check".to_owned(),
    }
}

/// Whether a path exists, for this user.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
