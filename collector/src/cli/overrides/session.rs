//! Where commands are taken and looked after: who it is about, where it is recorded, and whether it is in
//! effect.

use super::format::{human, standing_account};
use super::{Failed, Target};
use crate::config;
use crate::overrides::Now;
use crate::overrides::store::{self, ALL, LockedDir};
use crate::render::text::printable;
use crate::status::snapshot::{OverrideStatus, ServiceStatus, Status};
use crate::status::{overview, snapshot};
use crate::sys::{clock, state_file};
use agentcheck_common::{BootId, ServiceName};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a command waits until the state files say it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a command looks whether what it waits for has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the status tells of a service.
pub(super) struct Seen<'s>(pub(super) &'s ServiceStatus);

impl Seen<'_> {
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.overrides.iter().any(|one| one.id == id)
    }
}

/// Where commands are taken and looked after.
pub(super) struct Desk<'t> {
    target: &'t Target,
    boot: BootId,
    /// The services that it is about.
    services: Vec<String>,
}

impl<'t> Desk<'t> {
    /// Knows the services by the collector's status, or else by the configuration.
    pub(super) fn open(target: &'t Target) -> Result<Self, Failed> {
        let boot = clock::boot_id()
            .map_err(|error| Failed(format!("agentcheck: no boot id: {error}\n")))?;
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
                return Err(Failed(format!(
                    "agentcheck: there is no service {name:?}; there are: {}\n",
                    known.join(", ")
                )));
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

    /// The names under which files are kept.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.target.all.then_some(ALL);
        let named = self.target.services.iter().map(String::as_str);
        all.into_iter().chain(named)
    }

    pub(super) fn now(&self) -> Now<'_> {
        Now {
            boot: &self.boot,
            at: clock::now(),
            wall: clock::wall(),
        }
    }

    pub(super) fn id(&self) -> String {
        format!("{}-{}", clock::now().0, std::process::id())
    }

    pub(super) fn lock(&self) -> Result<LockedDir, Failed> {
        let directory = store::directory(&self.target.data.data_dir);
        store::lock(&directory, store::PATIENCE).map_err(|error| self.unwritten(&error))
    }

    pub(super) fn unwritten(&self, error: &io::Error) -> Failed {
        let directory = store::directory(&self.target.data.data_dir);
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => {
                "it has to be there, for the collector and for operators: systemd-tmpfiles --create \
                 makes it, or mkdir -p"
            }
            io::ErrorKind::PermissionDenied => {
                "operators are root and the members of the directory's group"
            }
            _ => "nothing was changed",
        };
        Failed(format!(
            "agentcheck: {} cannot be written to: {error}; {remedy}\n",
            directory.display()
        ))
    }

    /// The mistakes of a condition are told before it is recorded.
    pub(super) fn check_condition(&self, target: &Target, text: &str) -> Result<(), Failed> {
        let (config, _) = config::load(&target.config.config)
            .map_err(|error| super::super::load_failure(&error))?;
        let wanted = crate::expression::Type::Truth;
        let compiled = crate::expression::Expression::compile(text, wanted, &config.environment());
        let Err(faults) = compiled else { return Ok(()) };
        let mut said = String::new();
        for fault in faults {
            let _ = writeln!(said, "agentcheck: --until {text:?}: {}", fault.message);
            if let Some(remedy) = fault.remedy {
                let _ = writeln!(said, "  = {remedy}");
            }
        }
        Err(Failed(said))
    }

    fn status(&self) -> Option<Status> {
        snapshot::read_for_boot(&self.target.state.state_dir, &self.boot)
    }

    /// The status of a collector that is at work.
    fn live_status(&self) -> Option<Status> {
        let status = self.status()?;
        (!overview::is_unresponsive(&status, clock::now())).then_some(status)
    }

    /// Waits until the status has it and the state files say it; what they say.
    pub(super) fn wait_for(&self, wanted: &dyn Fn(&Seen<'_>) -> bool) -> Result<String, Failed> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let status = self.live_status();
            let missing = match &status {
                None => Some(self.silence()),
                Some(status) => self.missing(status, wanted),
            };
            match (missing, status) {
                (None, Some(status)) => return Ok(self.told(&status)),
                (missing, _) if Instant::now() >= patience => {
                    let why = missing.unwrap_or_default();
                    return Err(Failed(format!(
                        "agentcheck: recorded, NOT in effect: {why}\n"
                    )));
                }
                _ => thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn silence(&self) -> String {
        let directory = self.target.state.state_dir.display();
        format!("no collector is at work in {directory}, or its status.json cannot be read")
    }

    /// What is still missing, if anything.
    fn missing(&self, status: &Status, wanted: &dyn Fn(&Seen<'_>) -> bool) -> Option<String> {
        if let Some(fault) = status.override_faults.first() {
            let ours = self
                .names()
                .any(|name| fault.contains(&format!("/{name}.")));
            if ours {
                return Some(fault.clone());
            }
        }
        self.services.iter().find_map(|name| {
            let Some(known) = status.services.get(name) else {
                return Some(format!("the collector does not know the service {name}"));
            };
            if !wanted(&Seen(known)) {
                return Some(format!("the collector has not taken it in for {name}"));
            }
            let Some(reply) = &known.reply else {
                return None;
            };
            let said = self.said(name);
            (said.as_ref() != Some(reply)).then(|| match said {
                Some(said) => format!("the state file of {name} says {said}"),
                None => format!("there is no state file of {name} that can be used"),
            })
        })
    }

    fn said(&self, name: &str) -> Option<String> {
        let name = ServiceName::parse(name.as_bytes())?;
        let directory: &Path = &self.target.state.state_dir;
        state_file::said(directory, &name, &self.boot, clock::now()).map(|said| said.to_string())
    }

    fn told(&self, status: &Status) -> String {
        let mut said = String::new();
        for name in &self.services {
            let known = status.services.get(name);
            let reply = known.and_then(|known| known.reply.as_deref());
            let _ = writeln!(said, "{name}: {}", reply.unwrap_or("no reply yet"));
            let overrides = known.map(|known| known.overrides.as_slice());
            for one in overrides.unwrap_or_default() {
                if let (Some(until), Some(error)) = (&one.until, &one.until_error) {
                    let _ = writeln!(
                        said,
                        "{name}: warning: cannot evaluate --until {until:?}: {}; the drain lasts until the \
                         deadline",
                        printable(error)
                    );
                }
            }
        }
        said
    }

    /// Overrides that stand all the same, with the command that ends each.
    pub(super) fn others(&self) -> String {
        let mut said = String::new();
        let Some(status) = self.status() else {
            return said;
        };
        for name in &self.services {
            let standing = status
                .services
                .get(name)
                .map(|known| known.overrides.as_slice());
            for one in standing.unwrap_or_default() {
                let end = match one.scope.as_str() {
                    "all" => "agentcheck resume --all".to_owned(),
                    "file" => format!("rm {}", one.id),
                    _ => format!("agentcheck resume {name}"),
                };
                let _ = writeln!(
                    said,
                    "agentcheck: {name} is still overridden: {}; {end} ends that",
                    standing_account(one)
                );
            }
        }
        said
    }

    /// Waits until the condition of the override's first stage was seen to hold.
    pub(super) fn wait_until(&self, id: &str, until: &str) -> Result<String, Failed> {
        let began = Instant::now();
        loop {
            let Some(status) = self.live_status() else {
                return Err(Failed(format!("agentcheck: {}\n", self.silence())));
            };
            let standing: Vec<&OverrideStatus> = self
                .services
                .iter()
                .filter_map(|name| status.services.get(name))
                .flat_map(|known| known.overrides.iter().filter(|one| one.id == id))
                .collect();
            if standing.len() < self.services.len() {
                return Err(Failed(
                    "agentcheck: another command has replaced this one meanwhile\n".to_owned(),
                ));
            }
            if let Some(error) = standing.iter().find_map(|one| one.until_error.as_ref()) {
                return Err(Failed::new(format!(
                    "cannot evaluate --until {until:?}: {error}; the server stays out; repeat the command \
                     with a correct expression"
                )));
            }
            if standing.iter().all(|one| one.reached) {
                let passed = human(Duration::from_secs(began.elapsed().as_secs()));
                return Ok(format!("{until} holds, after {passed}\n"));
            }
            if standing.iter().any(|one| one.stage > 0 && !one.reached) {
                return Err(Failed(format!(
                    "agentcheck: the deadline has passed and {until} does not hold; the server stays out\n"
                )));
            }
            thread::sleep(LOOK_EVERY * 5);
        }
    }
}
