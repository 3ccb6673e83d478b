//! A session of an override command: its services, its directory, and whether it is in effect.

use super::format::{describe_active, human};
use super::{Failed, Target};
use crate::config;
use crate::overrides::store::{self, ALL, Locked};
use crate::overrides::{Kind, Now};
use crate::render::text::printable;
use crate::status::snapshot::{OverrideFault, OverrideStatus, ServiceStatus, Status};
use crate::status::{overview, snapshot};
use crate::sys::{clock, state_file};
use agentcheck_common::{BootId, ServiceName};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a command waits until it is in effect.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a command checks that.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The snapshot of a service.
pub(super) struct Seen<'s>(pub(super) &'s ServiceStatus);

impl Seen<'_> {
    /// Whether an override is active.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.overrides.iter().any(|one| one.id == id)
    }
}

/// The session of one command.
pub(super) struct Session<'t> {
    target: &'t Target,
    boot: BootId,
    /// The services of the command.
    services: Vec<String>,
}

impl<'t> Session<'t> {
    /// Opens a session. The services come from the status snapshot, or else from the configuration.
    pub(super) fn open(target: &'t Target) -> Result<Self, Failed> {
        let boot = clock::boot_id()
            .map_err(|error| Failed::new(format!("cannot read the boot id: {error}")))?;
        let known: Vec<String> = match snapshot::read_for_boot(&target.state.state_dir, &boot) {
            Some(status) => status.services.into_keys().collect(),
            None => config::load(&target.config.config)
                .map_err(|error| super::super::load_failure(&error))?
                .0
                .services
                .iter()
                .map(|service| service.name.to_string())
                .collect(),
        };
        for name in &target.services {
            if !known.contains(name) {
                let known = match known.as_slice() {
                    [] => "no service is configured".to_owned(),
                    known => format!("services: {}", known.join(", ")),
                };
                return Err(Failed::new(format!("no service {name:?}; {known}")));
            }
        }
        Ok(Self {
            target,
            boot,
            services: if target.all {
                known
            } else {
                target.services.clone()
            },
        })
    }

    /// The names of the scopes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.target.all.then_some(ALL);
        let named = self.target.services.iter().map(String::as_str);
        all.into_iter().chain(named)
    }

    pub(super) fn now(&self) -> Now<'_> {
        Now {
            boot: &self.boot,
            at: clock::now(),
            wall: clock::unix_seconds(),
        }
    }

    pub(super) fn id(&self) -> String {
        format!("{}-{}", clock::now().0, std::process::id())
    }

    pub(super) fn lock(&self) -> Result<Locked, Failed> {
        let directory = store::directory(&self.target.data.data_dir);
        store::lock(&directory, store::PATIENCE).map_err(|error| self.unwritten(&error))
    }

    /// The error of writing to the directory of overrides.
    pub(super) fn unwritten(&self, error: &io::Error) -> Failed {
        let directory = store::directory(&self.target.data.data_dir);
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; create it: sh /usr/lib/agentcheck/setup",
            _ => super::super::permission_hint(error),
        };
        let directory = directory.display();
        Failed::new(format!("cannot write to {directory}: {error}{remedy}"))
    }

    /// Compiles the expression of `--until`.
    pub(super) fn check_condition(&self, target: &Target, text: &str) -> Result<(), Failed> {
        let (config, _) = config::load(&target.config.config)
            .map_err(|error| super::super::load_failure(&error))?;
        let wanted = crate::expression::Type::Truth;
        let compiled = crate::expression::Expression::compile(text, wanted, &config.environment());
        let Err(faults) = compiled else { return Ok(()) };
        let mut lines = String::new();
        for fault in faults {
            let _ = writeln!(
                lines,
                "agentcheck: invalid --until {text:?}: {}",
                fault.message
            );
            if let Some(remedy) = fault.remedy {
                let _ = writeln!(lines, "  = {remedy}");
            }
        }
        Err(Failed(lines))
    }

    fn status(&self) -> Option<Status> {
        snapshot::read_for_boot(&self.target.state.state_dir, &self.boot)
    }

    /// The status snapshot of a running collector.
    fn live_status(&self) -> Option<Status> {
        let status = self.status()?;
        (!overview::is_unresponsive(&status, clock::now())).then_some(status)
    }

    /// Waits until snapshot and state files agree that the command is in effect; returns the replies.
    pub(super) fn wait_for(&self, wanted: &dyn Fn(&Seen<'_>) -> bool) -> Result<String, Failed> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let status = self.live_status();
            let missing = match &status {
                None => Some(self.no_collector()),
                Some(status) => self.missing(status, wanted),
            };
            match (missing, status) {
                (None, Some(status)) => return Ok(self.replies(&status)),
                (missing, _) if Instant::now() >= patience => {
                    let why = missing.unwrap_or_default();
                    return Err(Failed::new(format!("recorded, NOT in effect: {why}")));
                }
                _ => thread::sleep(CHECK_INTERVAL),
            }
        }
    }

    fn no_collector(&self) -> String {
        let directory = self.target.state.state_dir.display();
        format!("no collector is running in {directory}, or you cannot read its status.json")
    }

    /// Why the command is not in effect yet; none if it is.
    fn missing(&self, status: &Status, wanted: &dyn Fn(&Seen<'_>) -> bool) -> Option<String> {
        let is_ours = |fault: &&OverrideFault| {
            let name = fault.name.as_deref();
            name.is_some_and(|name| self.names().any(|ours| ours == name))
        };
        if let Some(fault) = status.override_faults.iter().find(is_ours) {
            return Some(fault.text.clone());
        }
        self.services.iter().find_map(|name| {
            let Some(known) = status.services.get(name) else {
                return Some(format!("the collector has no service {name}"));
            };
            if !wanted(&Seen(known)) {
                return Some(format!("the collector has not read it for {name}"));
            }
            let Some(reply) = &known.reply else {
                return None;
            };
            let current = self.current_reply(name);
            (current.as_ref() != Some(reply)).then(|| match current {
                Some(current) => format!("the state file of {name} contains {current}"),
                None => format!("{name} has no valid state file"),
            })
        })
    }

    fn current_reply(&self, name: &str) -> Option<String> {
        let name = ServiceName::parse(name.as_bytes())?;
        let directory: &Path = &self.target.state.state_dir;
        state_file::current_reply(directory, &name, &self.boot, clock::now())
            .map(|reply| reply.to_string())
    }

    /// The replies of the services, one line each.
    fn replies(&self, status: &Status) -> String {
        let mut text = String::new();
        for name in &self.services {
            let known = status.services.get(name);
            let reply = known.and_then(|known| known.reply.as_deref());
            let _ = writeln!(text, "{name}: {}", reply.unwrap_or("no reply yet"));
            let overrides = known.map(|known| known.overrides.as_slice());
            for one in overrides.unwrap_or_default() {
                if let (Some(until), Some(error)) = (&one.until, &one.until_error) {
                    let _ = writeln!(
                        text,
                        "{name}: warning: cannot evaluate --until {until:?}: {}; the drain lasts until the \
                         deadline",
                        printable(error)
                    );
                }
            }
        }
        text
    }

    /// The overrides that remain, each with the command that ends it: those of another kind, and those of the
    /// same `kind`, which keep the command from its aim.
    pub(super) fn remaining(&self, kind: Kind) -> (String, String) {
        let (mut others, mut same) = (String::new(), String::new());
        let Some(status) = self.status() else {
            return (others, same);
        };
        for name in &self.services {
            let known = status.services.get(name);
            let active = known.map(|known| known.overrides.as_slice());
            for one in active.unwrap_or_default() {
                let whose = if one.scope == "all" { "--all" } else { name };
                let command = match (one.scope.as_str(), one.action.kind()) {
                    ("file", _) => format!("rm {}", one.id),
                    (_, Kind::Limit) => format!("agentcheck limit {whose} --off"),
                    _ => format!("agentcheck resume {whose}"),
                };
                let active = describe_active(one);
                let _ = if one.action.kind() == kind {
                    writeln!(
                        same,
                        "agentcheck: {name} is still overridden: {active}; to end it: {command}"
                    )
                } else {
                    writeln!(others, "{name}: {active} remains; to end it: {command}")
                };
            }
        }
        (others, same)
    }

    /// Waits until the condition of the override's first stage is true.
    pub(super) fn wait_until(&self, id: &str, until: &str) -> Result<String, Failed> {
        let began = Instant::now();
        loop {
            let Some(status) = self.live_status() else {
                return Err(Failed::new(self.no_collector()));
            };
            let active: Vec<&OverrideStatus> = self
                .services
                .iter()
                .filter_map(|name| status.services.get(name))
                .flat_map(|known| known.overrides.iter().filter(|one| one.id == id))
                .collect();
            if active.len() < self.services.len() {
                return Err(Failed::new("another command replaced this one"));
            }
            if let Some(error) = active.iter().find_map(|one| one.until_error.as_ref()) {
                return Err(Failed::new(format!(
                    "cannot evaluate --until {until:?}: {error}; the server stays out; repeat the command \
                     with a correct expression"
                )));
            }
            if active.iter().all(|one| one.reached) {
                let passed = human(Duration::from_secs(began.elapsed().as_secs()));
                return Ok(format!("{until} is true, after {passed}\n"));
            }
            if active.iter().any(|one| one.stage > 0 && !one.reached) {
                return Err(Failed::new(format!(
                    "{until} is not true at the deadline; the server stays out"
                )));
            }
            thread::sleep(CHECK_INTERVAL * 5);
        }
    }
}
