//! `drain`, `maint`, `down`, `force-up`, `limit`, `resume`, `release`: what operators say over the rules.

use super::{ConfigFile, DataDir, Failed, Said, StateDir};
use crate::overrides::store::{self, ALL, Locked};
use crate::overrides::{Action, Lift, MAX_REASON, Moment, Now, Override, Stage, VERSION};
use crate::status::{OverrideStatus, ServiceStatus, Status};
use crate::{clock, config, state_file, status};
use agentcheck_common::{BootId, ServiceName};
use clap::Args;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How long a command waits until the state files say it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How old the status of a live collector may be; it writes one a second.
const ALIVE: Duration = Duration::from_secs(5);

/// How often a command looks whether what it waits for has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// For whom, and where.
#[derive(Args)]
pub(super) struct Target {
    /// The services
    #[arg(value_name = "SERVICE", required_unless_present = "all")]
    services: Vec<String>,
    /// All services, in a scope of its own that comes before that of each
    #[arg(long, conflicts_with = "services")]
    all: bool,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
}

/// What all overrides may say.
#[derive(Args)]
pub(super) struct Common {
    #[command(flatten)]
    target: Target,
    /// Why, for everybody who looks; it can be read by whoever can connect
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Wait until all balancers must have asked: two of their agent intervals
    #[arg(long)]
    wait: bool,
    /// The longest agent-inter of the balancers
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span)]
    agent_inter: Duration,
}

#[derive(Args)]
pub(super) struct Plain {
    #[command(flatten)]
    common: Common,
    /// How long; for ever without it
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    time: Option<Duration>,
}

#[derive(Args)]
pub(super) struct Drain {
    #[command(flatten)]
    plain: Plain,
    /// What follows the drain
    #[arg(long, value_name = "STATE", value_parser = ["maint", "down"])]
    then: Option<String>,
    /// When that follows
    #[arg(long, value_name = "TIME", value_parser = span, requires = "then", conflicts_with = "until")]
    after: Option<Duration>,
    /// An expression as in the configuration: where it holds, the server is drained
    #[arg(
        long,
        value_name = "EXPRESSION",
        requires = "deadline",
        conflicts_with = "time"
    )]
    until: Option<String>,
    /// How long that is waited for
    #[arg(long, value_name = "TIME", value_parser = span, requires = "until")]
    deadline: Option<Duration>,
}

#[derive(Args)]
pub(super) struct ForceUp {
    #[command(flatten)]
    common: Common,
    /// How long
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    time: Duration,
}

#[derive(Args)]
pub(super) struct Limit {
    #[command(flatten)]
    plain: Plain,
    /// The greatest weight
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    percent: u16,
}

#[derive(Args)]
pub(super) struct Release {
    #[command(flatten)]
    target: Target,
    /// How long ready is said: a few agent intervals of the balancers
    #[arg(long = "for", value_name = "TIME", value_parser = span, default_value = "30s")]
    time: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(span) if span >= Duration::from_millis(100) && span <= YEAR => Ok(span),
        Ok(_) => Err("it goes from 100ms to a year".to_owned()),
        Err(_) => Err("a time looks like 30s, 10m, 1h 30m".to_owned()),
    }
}

const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl Plain {
    pub(super) fn set(&self, action: Action) -> Result<Said, Failed> {
        self.common.set(&[(action, self.time)], None)
    }
}

impl ForceUp {
    pub(super) fn set(&self) -> Result<Said, Failed> {
        self.common.set(&[(Action::ForceUp, Some(self.time))], None)
    }
}

impl Limit {
    pub(super) fn set(&self) -> Result<Said, Failed> {
        let percent = self.percent;
        self.plain.set(Action::Limit { percent })
    }
}

impl Drain {
    pub(super) fn set(&self) -> Result<Said, Failed> {
        let whole = self.plain.time;
        let then = match self.then.as_deref() {
            Some("maint") => Action::Maint,
            Some(_) => Action::Down,
            None => Action::Drain,
        };
        let stages = match (&self.until, self.deadline, self.after) {
            // Drained or not, nobody is let in again by that.
            (Some(_), Some(deadline), _) => {
                vec![(Action::Drain, Some(deadline)), (then, None)]
            }
            (_, _, Some(after)) => {
                if whole.is_some_and(|whole| whole <= after) {
                    return Err(Failed(
                        "agentcheck: --for is not longer than --after: the second stage would never be\n"
                            .to_owned(),
                    ));
                }
                vec![(Action::Drain, Some(after)), (then, whole)]
            }
            _ if self.then.is_some() => {
                return Err(Failed(
                    "agentcheck: --then needs --after TIME, or --until EXPRESSION with --deadline TIME\n"
                        .to_owned(),
                ));
            }
            _ => vec![(Action::Drain, whole)],
        };
        self.plain.common.set(&stages, self.until.as_deref())
    }
}

impl Common {
    fn set(
        &self,
        stages: &[(Action, Option<Duration>)],
        until: Option<&str>,
    ) -> Result<Said, Failed> {
        if self.reason.len() > MAX_REASON {
            let message = format!("agentcheck: the reason has more than {MAX_REASON} bytes\n");
            return Err(Failed(message));
        }
        let desk = Desk::open(&self.target)?;
        if let Some(until) = until {
            desk.check_condition(&self.target, until)?;
        }
        let mut said = String::new();
        let now = desk.now();
        let mut stages: Vec<Stage> = stages
            .iter()
            .map(|(action, span)| Stage {
                action: *action,
                until: None,
                end: span.map(|span| now.after(span)),
            })
            .collect();
        if let Some(first) = stages.first_mut() {
            first.until = until.map(str::to_owned);
        }
        let new = Override {
            version: VERSION,
            id: desk.id(),
            set: now.after(Duration::ZERO),
            stages,
            reason: self.reason.clone(),
            by: String::new(),
        };
        let locked = desk.lock()?;
        for name in desk.names() {
            let before = locked.read(name);
            locked
                .set(name, &new)
                .map_err(|error| desk.unwritten(&error))?;
            match before {
                Ok(Some(before)) => {
                    let _ = writeln!(said, "{}: replaces {}", shown(name), account(&before));
                }
                Ok(None) => {}
                Err(error) => {
                    let _ = writeln!(
                        said,
                        "{}: replaces what could not be used: {error}",
                        shown(name)
                    );
                }
            }
        }
        drop(locked);
        said.push_str(&desk.wait_for(&|service| service.has(&new.id))?);
        if self.wait {
            match until {
                Some(until) => said.push_str(&desk.wait_until(&new.id, until)?),
                None => {
                    thread::sleep(self.agent_inter * 2);
                    let _ = writeln!(
                        said,
                        "all balancers that ask every {} have it",
                        human(self.agent_inter)
                    );
                }
            }
        }
        Ok(said.into())
    }
}

/// Takes the overrides of a scope away.
pub(super) fn resume(target: &Target) -> Result<Said, Failed> {
    let desk = Desk::open(target)?;
    let mut said = String::new();
    let locked = desk.lock()?;
    let mut ids = Vec::new();
    for name in desk.names() {
        let before = locked.read(name);
        let removed = locked
            .remove(name)
            .map_err(|error| desk.unwritten(&error))?;
        match before {
            Ok(Some(before)) => {
                let _ = writeln!(said, "{}: no longer {}", shown(name), account(&before));
                ids.push(before.id);
            }
            Err(error) if removed => {
                let _ = writeln!(
                    said,
                    "{}: removed what could not be used: {error}",
                    shown(name)
                );
            }
            _ => {
                let _ = writeln!(said, "{}: there was no override", shown(name));
            }
        }
    }
    drop(locked);
    said.push_str(&desk.wait_for(&|service| ids.iter().all(|id| !service.has(id)))?);
    let others = desk.others();
    if !others.is_empty() {
        return Err(Failed(format!("{said}{others}")));
    }
    Ok(said.into())
}

/// Has the balancers' own drain and maint lifted for a while.
pub(super) fn release(given: &Release) -> Result<Said, Failed> {
    let desk = Desk::open(&given.target)?;
    let now = desk.now();
    let lift = Lift {
        version: VERSION,
        id: desk.id(),
        set: now.after(Duration::ZERO),
        end: now.after(given.time),
    };
    let locked = desk.lock()?;
    for name in desk.names() {
        locked
            .lift(name, &lift)
            .map_err(|error| desk.unwritten(&error))?;
    }
    drop(locked);
    let said = desk.wait_for(&|service| service.0.lift.as_deref() == Some(lift.id.as_str()))?;
    let span = human(given.time);
    Ok(format!(
        "{said}ready is said for {span}: drain and maint that were set on the balancers end\n"
    )
    .into())
}

/// What the status tells of a service.
struct Seen<'s>(&'s ServiceStatus);

impl Seen<'_> {
    fn has(&self, id: &str) -> bool {
        self.0.overrides.iter().any(|one| one.id == id)
    }
}

/// Where commands are taken and looked after.
struct Desk<'t> {
    target: &'t Target,
    boot: BootId,
    /// The services that it is about.
    services: Vec<String>,
}

impl<'t> Desk<'t> {
    /// Knows the services by the collector's status, or else by the configuration.
    fn open(target: &'t Target) -> Result<Self, Failed> {
        let boot = clock::boot_id()
            .map_err(|error| Failed(format!("agentcheck: no boot id: {error}\n")))?;
        let known: Vec<String> = match status::left_behind(&target.state.state_dir, &boot) {
            Some(status) => status.services.into_keys().collect(),
            None => config::load(&target.config.config)
                .map_err(|error| super::not_loaded(&error))?
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
    fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.target.all.then_some(ALL);
        let named = self.target.services.iter().map(String::as_str);
        all.into_iter().chain(named)
    }

    fn now(&self) -> Now<'_> {
        Now {
            boot: &self.boot,
            at: clock::now(),
            wall: clock::wall(),
        }
    }

    fn id(&self) -> String {
        format!("{}-{}", clock::now().0, std::process::id())
    }

    fn lock(&self) -> Result<Locked, Failed> {
        let directory = store::directory(&self.target.data.data_dir);
        store::lock(&directory).map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &io::Error) -> Failed {
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
    fn check_condition(&self, target: &Target, text: &str) -> Result<(), Failed> {
        let (config, _) =
            config::load(&target.config.config).map_err(|error| super::not_loaded(&error))?;
        let wanted = crate::expression::Type::Truth;
        let compiled = crate::expression::Expression::compile(text, wanted, &config.vocabulary());
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
        status::left_behind(&self.target.state.state_dir, &self.boot)
    }

    /// Waits until the status has it and the state files say it; what they say.
    fn wait_for(&self, wanted: &dyn Fn(&Seen<'_>) -> bool) -> Result<String, Failed> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            let missing = match &status {
                None => Some(self.silence()),
                Some(status)
                    if clock::now().since(agentcheck_common::BootTime(status.at)) > ALIVE =>
                {
                    Some(self.silence())
                }
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
            let _ = writeln!(said, "{name}: {}", reply.unwrap_or("nothing to say yet"));
        }
        said
    }

    /// Overrides that stand all the same, with the command that ends each.
    fn others(&self) -> String {
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
    fn wait_until(&self, id: &str, until: &str) -> Result<String, Failed> {
        let began = Instant::now();
        loop {
            let Some(status) = self.status() else {
                return Err(Failed(format!("agentcheck: {}\n", self.silence())));
            };
            let alive = clock::now().since(agentcheck_common::BootTime(status.at)) <= ALIVE;
            let standing: Vec<&OverrideStatus> = self
                .services
                .iter()
                .filter_map(|name| status.services.get(name))
                .flat_map(|known| known.overrides.iter().filter(|one| one.id == id))
                .collect();
            if !alive {
                return Err(Failed(format!("agentcheck: {}\n", self.silence())));
            }
            if standing.len() < self.services.len() {
                return Err(Failed(
                    "agentcheck: another command has replaced this one meanwhile\n".to_owned(),
                ));
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

fn shown(name: &str) -> &str {
    if name == ALL { "all" } else { name }
}

fn human(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

fn at(moment: &Moment) -> String {
    time(moment.wall)
}

fn time(wall: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(wall)) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "a time that is none".to_owned(),
    }
}

/// An override in words.
fn account(one: &Override) -> String {
    let stages: Vec<String> = one
        .stages
        .iter()
        .map(|stage| stage.action.to_string())
        .collect();
    let mut said = format!(
        "{} by {} since {}",
        stages.join(", then "),
        one.by,
        at(&one.set)
    );
    if let Some(end) = one.stages.last().and_then(|last| last.end.as_ref()) {
        let _ = write!(said, " until {}", at(end));
    }
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}

fn standing_account(one: &OverrideStatus) -> String {
    let mut said = format!("{} by {} since {}", one.action, one.by, time(one.set));
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}

/// A reason was written by another operator: no control characters on this one's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
