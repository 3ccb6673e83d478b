//! `drain`, `maint`, `down`, `force-up`, `limit`, `resume`, `release`: what operators say over the rules.

mod format;
mod session;

use super::{ConfigFile, DataDir, Failed, Output, StateDir};
use crate::overrides::store::Key;
use crate::overrides::{Action, Kind, MAX_REASON, Override, ReadyWindow, Stage, VERSION};
use clap::Args;
use format::{account, human, shown};
use session::Desk;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

/// For whom, and where.
#[derive(Args)]
pub(super) struct Target {
    /// The services
    #[arg(value_name = "SERVICE", required_unless_present = "all")]
    services: Vec<String>,
    /// All services: a scope of its own, before each
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
    /// Why; whoever can connect can read it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    #[command(flatten)]
    heard: Heard,
}

/// Whether to wait until the balancers have heard it.
#[derive(Args)]
pub(super) struct Heard {
    /// Wait for two agent intervals of the balancers
    #[arg(long)]
    wait: bool,
    /// The balancers' agent-inter
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = super::span)]
    agent_inter: Duration,
}

impl Heard {
    /// Waits, where that is wanted, and says for what.
    pub(super) fn wait(&self) -> String {
        if !self.wait {
            return String::new();
        }
        thread::sleep(self.agent_inter * 2);
        let every = human(self.agent_inter);
        format!("all balancers that ask every {every} have it\n")
    }
}

#[derive(Args)]
pub(super) struct Plain {
    #[command(flatten)]
    common: Common,
    /// How long; for ever without it
    #[arg(long = "for", value_name = "TIME", value_parser = super::span)]
    time: Option<Duration>,
}

#[derive(Args)]
pub(super) struct Drain {
    #[command(flatten)]
    plain: Plain,
    /// What follows
    #[arg(long, value_name = "STATE", value_parser = ["maint", "down"])]
    then: Option<String>,
    /// When that follows
    #[arg(long, value_name = "TIME", value_parser = super::span, requires = "then", conflicts_with = "until")]
    after: Option<Duration>,
    /// Drained where this expression holds
    #[arg(
        long,
        value_name = "EXPRESSION",
        requires = "deadline",
        conflicts_with = "time"
    )]
    until: Option<String>,
    /// How long that is waited for
    #[arg(long, value_name = "TIME", value_parser = super::span, requires = "until")]
    deadline: Option<Duration>,
}

#[derive(Args)]
pub(super) struct ForceUp {
    #[command(flatten)]
    common: Common,
    /// How long
    #[arg(long = "for", value_name = "TIME", value_parser = super::span)]
    time: Duration,
}

#[derive(Args)]
pub(super) struct Limit {
    #[command(flatten)]
    plain: Plain,
    /// The highest weight
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    #[arg(required_unless_present = "off", conflicts_with = "off")]
    percent: Option<u16>,
    /// Remove the limit
    #[arg(long, conflicts_with_all = ["time", "reason"])]
    off: bool,
}

#[derive(Args)]
pub(super) struct Ready {
    #[command(flatten)]
    target: Target,
    /// How long: a few agent intervals
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
        match self.percent {
            Some(percent) => self.plain.set(Action::Limit { percent }),
            None => end(&self.plain.common.target, Kind::Limit),
        }
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
        // All stages of a command are of one kind.
        let kind = stages
            .first()
            .map_or(Kind::Outage, |(action, _)| action.kind());
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
            let key = Key::new(name, kind);
            let before = locked.read(&key);
            locked
                .set(&key, &new)
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

/// Ends the outage or force-up of a scope.
pub(super) fn resume(target: &Target) -> Result<Output, Failed> {
    end(target, Kind::Outage)
}

/// Removes the overrides of one kind, and reports what remains.
fn end(target: &Target, kind: Kind) -> Result<Output, Failed> {
    let desk = Desk::open(target)?;
    let mut said = String::new();
    let locked = desk.lock()?;
    let mut ids = Vec::new();
    for name in desk.names() {
        let key = Key::new(name, kind);
        let before = locked.read(&key);
        let removed = locked
            .remove(&key)
            .map_err(|error| desk.unwritten(&error))?;
        let name = shown(name);
        let _ = match before {
            Ok(Some(before)) => {
                let ended = account(&before);
                ids.push(before.id);
                writeln!(said, "{name}: ended {ended}")
            }
            Err(error) if removed => writeln!(said, "{name}: removed an unusable file: {error}"),
            _ if kind == Kind::Limit => writeln!(said, "{name}: no limit was set"),
            _ => writeln!(said, "{name}: no override was set"),
        };
    }
    drop(locked);
    said.push_str(&desk.wait_for(&|service| ids.iter().all(|id| !service.has(id)))?);
    let (remaining, still_out) = desk.remaining(kind);
    said.push_str(&remaining);
    if still_out.is_empty() {
        Ok(said.into())
    } else {
        Err(Failed(format!("{said}{still_out}")))
    }
}

/// Has the balancers' own drain and maint lifted for a while.
pub(super) fn release(given: &Ready) -> Result<Output, Failed> {
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
