//! The override commands: `drain`, `maint`, `down`, `force-up`, `limit`, `resume`, `ready`.

mod format;
mod session;

use super::{ConfigFile, DataDir, Failed, Output, StateDir};
use crate::overrides::{Action, MAX_REASON, Override, ReadyWindow, Stage, VERSION};
use clap::Args;
use format::{account, human, shown};
use session::Desk;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

/// The services of a command, and the directories.
#[derive(Args)]
pub(super) struct Target {
    /// The services
    #[arg(value_name = "SERVICE", required_unless_present = "all")]
    services: Vec<String>,
    /// All services of this host: a separate scope
    #[arg(long, conflicts_with = "services")]
    all: bool,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
}

/// The options of all overrides.
#[derive(Args)]
pub(super) struct Common {
    #[command(flatten)]
    target: Target,
    /// Reason; every client can read it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    #[command(flatten)]
    heard: Wait,
}

/// Whether to wait until the balancers have polled.
#[derive(Args)]
pub(super) struct Wait {
    /// Wait until every balancer has polled
    #[arg(long)]
    wait: bool,
    /// The balancers' agent-inter
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = super::span)]
    agent_inter: Duration,
}

impl Wait {
    /// Waits two agent intervals, if requested, and reports that.
    pub(super) fn wait(&self) -> String {
        if !self.wait {
            return String::new();
        }
        thread::sleep(self.agent_inter * 2);
        let every = human(self.agent_inter);
        format!("waited two agent intervals ({every}): every balancer has polled\n")
    }
}

#[derive(Args)]
pub(super) struct Plain {
    #[command(flatten)]
    common: Common,
    /// Duration [default: no end]
    #[arg(long = "for", value_name = "TIME", value_parser = super::span)]
    time: Option<Duration>,
}

#[derive(Args)]
pub(super) struct Drain {
    #[command(flatten)]
    plain: Plain,
    /// State that follows: maint or down
    #[arg(long, value_name = "STATE", value_parser = ["maint", "down"])]
    then: Option<String>,
    /// Time until --then
    #[arg(long, value_name = "TIME", value_parser = super::span, requires = "then", conflicts_with = "until")]
    after: Option<Duration>,
    /// Drain until this expression is true
    #[arg(
        long,
        value_name = "EXPRESSION",
        requires = "deadline",
        conflicts_with = "time"
    )]
    until: Option<String>,
    /// The longest time to wait for --until
    #[arg(long, value_name = "TIME", value_parser = super::span, requires = "until")]
    deadline: Option<Duration>,
}

#[derive(Args)]
pub(super) struct ForceUp {
    #[command(flatten)]
    common: Common,
    /// Duration
    #[arg(long = "for", value_name = "TIME", value_parser = super::span)]
    time: Duration,
}

#[derive(Args)]
pub(super) struct Limit {
    #[command(flatten)]
    plain: Plain,
    /// The limit, 1 to 100
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    percent: u16,
}

#[derive(Args)]
pub(super) struct Ready {
    #[command(flatten)]
    target: Target,
    /// Duration: several agent intervals
    #[arg(long = "for", value_name = "TIME", value_parser = super::span, default_value = "30s")]
    time: Duration,
}

impl Plain {
    pub(super) fn set(&self, action: Action) -> Result<Output, Failed> {
        self.common.set(&[(action, self.time)], None)
    }
}

impl ForceUp {
    pub(super) fn set(&self) -> Result<Output, Failed> {
        self.common.set(&[(Action::ForceUp, Some(self.time))], None)
    }
}

impl Limit {
    pub(super) fn set(&self) -> Result<Output, Failed> {
        let percent = self.percent;
        self.plain.set(Action::Limit { percent })
    }
}

impl Drain {
    pub(super) fn set(&self) -> Result<Output, Failed> {
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
    ) -> Result<Output, Failed> {
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
        match until {
            Some(until) if self.heard.wait => said.push_str(&desk.wait_until(&new.id, until)?),
            _ => said.push_str(&self.heard.wait()),
        }
        Ok(said.into())
    }
}

/// Takes the overrides of a scope away.
pub(super) fn resume(target: &Target) -> Result<Output, Failed> {
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
pub(super) fn ready(given: &Ready) -> Result<Output, Failed> {
    let desk = Desk::open(&given.target)?;
    let now = desk.now();
    let lift = ReadyWindow {
        version: VERSION,
        id: desk.id(),
        set: now.after(Duration::ZERO),
        end: now.after(given.time),
    };
    let locked = desk.lock()?;
    for name in desk.names() {
        locked
            .set_ready_window(name, &lift)
            .map_err(|error| desk.unwritten(&error))?;
    }
    drop(locked);
    let said =
        desk.wait_for(&|service| service.0.ready_window.as_deref() == Some(lift.id.as_str()))?;
    let span = human(given.time);
    Ok(format!(
        "{said}ready is said for {span}: drain and maint that were set on the balancers end\n"
    )
    .into())
}
