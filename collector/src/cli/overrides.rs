//! The override commands: `drain`, `maint`, `down`, `force-up`, `limit`, `resume`, `ready`.

mod format;
mod session;

use super::{ConfigFile, DataDir, Failed, Output, StateDir};
use crate::overrides::store::Key;
use crate::overrides::{Action, Kind, MAX_REASON, Override, OverrideStage, ReadyWindow, VERSION};
use clap::Args;
use format::{describe, human, shown};
use session::Session;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

/// The services of a command, and the directories.
#[derive(Args)]
pub(super) struct Target {
    /// Apply to these services
    #[arg(value_name = "SERVICE", required_unless_present = "all")]
    services: Vec<String>,
    /// Apply to all services of this host, by one override
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
    wait: Wait,
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
    pub(super) fn poll_twice(&self) -> String {
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
    /// State after the drain
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
            // The server stays out in both cases.
            (Some(_), Some(deadline), _) => {
                vec![(Action::Drain, Some(deadline)), (then, None)]
            }
            (_, _, Some(after)) => {
                if whole.is_some_and(|whole| whole <= after) {
                    return Err(Failed::new(
                        "--for must be longer than --after, or --then never begins",
                    ));
                }
                vec![(Action::Drain, Some(after)), (then, whole)]
            }
            _ if self.then.is_some() => {
                return Err(Failed::new(
                    "--then needs --after TIME, or --until EXPRESSION and --deadline TIME",
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
            return Err(Failed::new(format!(
                "the reason has more than {MAX_REASON} bytes"
            )));
        }
        let session = Session::open(&self.target)?;
        if let Some(until) = until {
            session.check_condition(&self.target, until)?;
        }
        // All stages of a command are of one kind.
        let kind = stages
            .first()
            .map_or(Kind::Outage, |(action, _)| action.kind());
        let mut text = String::new();
        let now = session.now();
        let mut stages: Vec<OverrideStage> = stages
            .iter()
            .map(|(action, span)| OverrideStage {
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
            id: session.id(),
            set: now.after(Duration::ZERO),
            stages,
            reason: self.reason.clone(),
            by: String::new(),
        };
        let locked = session.lock()?;
        for name in session.names() {
            let key = Key::new(name, kind);
            let before = locked.read(&key);
            locked
                .set(&key, &new)
                .map_err(|error| session.unwritten(&error))?;
            match before {
                Ok(Some(before)) => {
                    let _ = writeln!(text, "{}: replaces {}", shown(name), describe(&before));
                }
                Ok(None) => {}
                Err(error) => {
                    let _ = writeln!(text, "{}: replaces an unusable file: {error}", shown(name));
                }
            }
        }
        drop(locked);
        text.push_str(&session.wait_for(&|service| service.has(&new.id))?);
        match until {
            Some(until) if self.wait.wait => text.push_str(&session.wait_until(&new.id, until)?),
            _ => text.push_str(&self.wait.poll_twice()),
        }
        Ok(text.into())
    }
}

/// Ends the outage or force-up of a scope.
pub(super) fn resume(target: &Target) -> Result<Output, Failed> {
    end(target, Kind::Outage)
}

/// Removes the overrides of one kind, and reports what remains.
fn end(target: &Target, kind: Kind) -> Result<Output, Failed> {
    let session = Session::open(target)?;
    let mut text = String::new();
    let locked = session.lock()?;
    let mut ids = Vec::new();
    for name in session.names() {
        let key = Key::new(name, kind);
        let before = locked.read(&key);
        let removed = locked
            .remove(&key)
            .map_err(|error| session.unwritten(&error))?;
        let name = shown(name);
        let _ = match before {
            Ok(Some(before)) => {
                let ended = describe(&before);
                ids.push(before.id);
                writeln!(text, "{name}: ended {ended}")
            }
            Err(error) if removed => writeln!(text, "{name}: removed an unusable file: {error}"),
            _ if kind == Kind::Limit => writeln!(text, "{name}: no limit was set"),
            _ => writeln!(text, "{name}: no override was set"),
        };
    }
    drop(locked);
    text.push_str(&session.wait_for(&|service| ids.iter().all(|id| !service.has(id)))?);
    let (remaining, still_out) = session.remaining(kind);
    text.push_str(&remaining);
    if still_out.is_empty() {
        Ok(text.into())
    } else {
        Err(Failed(format!("{text}{still_out}")))
    }
}

/// Makes replies contain `ready` for a time.
pub(super) fn ready(given: &Ready) -> Result<Output, Failed> {
    let session = Session::open(&given.target)?;
    let now = session.now();
    let window = ReadyWindow {
        version: VERSION,
        id: session.id(),
        set: now.after(Duration::ZERO),
        end: now.after(given.time),
    };
    let locked = session.lock()?;
    for name in session.names() {
        locked
            .set_ready_window(name, &window)
            .map_err(|error| session.unwritten(&error))?;
    }
    drop(locked);
    let text = session
        .wait_for(&|service| service.0.ready_window.as_deref() == Some(window.id.as_str()))?;
    let span = human(given.time);
    Ok(format!(
        "{text}replies contain ready for {span}: a drain or maintenance set on the balancers ends\n"
    )
    .into())
}
