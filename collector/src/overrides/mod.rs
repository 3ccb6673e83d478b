//! What operators say over the rules: drain, maint, down, up by force, a limit, or that the balancers' own
//! drain and maint be lifted. The types, what stands at a moment, and which of several wins. Pure; the files
//! are in [`store`].
//!
//! There is one override per scope, and the last command wins. Between scopes: all services over one service
//! over a flag file. Limits are apart from that: each of them is a ceiling on whatever else decides, and so
//! none of them can let in what another override keeps out.

pub mod store;
pub mod watch;

use agentcheck_common::{BootId, BootTime, Percent};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The version of the files' format.
pub const VERSION: u32 = 1;

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 200;

/// The most stages that one override has.
pub const MAX_STAGES: usize = 4;

/// The longest that an override is set for.
pub const MAX_SPAN: Duration = Duration::from_secs(366 * 86_400);

/// A moment on two clocks: the one that nobody can set, of one boot, and the one that goes on when that
/// boot is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// The boot whose clock `at` is of.
    pub boot: String,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub at: u64,
    /// Seconds since 1970, UTC.
    pub wall: u64,
}

/// What time it is, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now<'b> {
    /// The boot.
    pub boot: &'b BootId,
    /// Its clock.
    pub at: BootTime,
    /// Seconds since 1970, UTC.
    pub wall: u64,
}

impl Now<'_> {
    /// The moment `span` from now.
    #[must_use]
    pub fn after(&self, span: Duration) -> Moment {
        Moment {
            boot: self.boot.to_string(),
            at: self.at.after(span).0,
            wall: self.wall.saturating_add(span.as_secs()),
        }
    }
}

impl Moment {
    /// The moment on the clock of this boot. After a reboot by the wall clock; where that is before `set`,
    /// when the moment was chosen, it is wrong, and the moment is as far away as it was then. Never more than
    /// a year away: commands set none that is.
    fn here(&self, set: &Self, now: &Now<'_>) -> BootTime {
        if self.boot == now.boot.as_str() {
            return BootTime(self.at).min(now.at.after(MAX_SPAN));
        }
        let whole = self.wall.saturating_sub(set.wall);
        let left = self.wall.saturating_sub(now.wall).min(whole);
        now.at.after(Duration::from_secs(left).min(MAX_SPAN))
    }
}

/// What an operator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// No new sessions.
    Drain,
    /// Out of service, on purpose.
    Maint,
    /// Not working.
    Down,
    /// In, whatever the rules say.
    ForceUp,
    /// At most this many per cent.
    #[serde(untagged)]
    Limit {
        /// 1 to 100.
        percent: u16,
    },
}

impl Action {
    /// The word of the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Maint => "maint",
            Self::Down => "down",
            Self::ForceUp => "force-up",
            Self::Limit { .. } => "limit",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { percent } => write!(f, "limit {percent}%"),
            other => f.write_str(other.word()),
        }
    }
}

/// One stage of an override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What is wanted.
    pub action: Action,
    /// An expression: where it holds, the next stage begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// When it ends at the latest; none is never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Moment>,
}

/// One override as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// [`VERSION`]
    pub version: u32,
    /// Which one it is: no two are the same.
    pub id: String,
    /// When it was set.
    pub set: Moment,
    /// One after the other.
    pub stages: Vec<Stage>,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// Who set it: the owner of the file, never what stands in it.
    #[serde(skip)]
    pub by: String,
}

/// A command that the balancers' own drain and maint be lifted, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyWindow {
    /// [`VERSION`]
    pub version: u32,
    /// Which one it is.
    pub id: String,
    /// When it was set.
    pub set: Moment,
    /// When it ends.
    pub end: Moment,
}

impl ReadyWindow {
    /// Until when it lasts, on the clock of this boot.
    #[must_use]
    pub fn ends(&self, now: &Now<'_>) -> BootTime {
        self.end.here(&self.set, now)
    }
}

/// For whom an override is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A flag file of configuration management.
    Flag,
    /// One service.
    Service,
    /// All services.
    All,
}

impl Scope {
    /// The word of logs and status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Flag => "file",
            Self::Service => "service",
            Self::All => "all",
        }
    }
}

/// The stage of an override that stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOverride<'o> {
    /// For whom it is.
    pub scope: Scope,
    /// The whole of it.
    pub order: &'o Override,
    /// Which stage.
    pub stage: usize,
    /// What is wanted.
    pub action: Action,
    /// When this stage ends at the latest.
    pub ends: Option<BootTime>,
    /// When all of it is over.
    pub expires: Option<BootTime>,
}

impl Override {
    /// The stage that stands now; none where it is over. `reached` is whether the first stage's condition
    /// was seen to hold.
    #[must_use]
    pub fn active(&self, scope: Scope, reached: bool, now: &Now<'_>) -> Option<ActiveOverride<'_>> {
        let end = |stage: &Stage| stage.end.as_ref().map(|end| end.here(&self.set, now));
        let over = self.stages.last().and_then(end);
        let (stage, found) = self.stages.iter().enumerate().find(|(at, stage)| {
            let passed = end(stage).is_some_and(|end| end <= now.at);
            let done = *at == 0 && reached && stage.until.is_some();
            !passed && !done
        })?;
        // A later stage does not outlive the last one.
        if over.is_some_and(|over| over <= now.at) {
            return None;
        }
        Some(ActiveOverride {
            scope,
            order: self,
            stage,
            action: found.action,
            ends: end(found),
            expires: over,
        })
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let limits = self.stages.iter().any(|stage| {
            matches!(stage.action, Action::Limit { percent } if !(1..=100).contains(&percent))
        });
        let forced = self
            .stages
            .iter()
            .any(|stage| stage.action == Action::ForceUp);
        let ends = self.stages.last().is_some_and(|last| last.end.is_some());
        if self.version != VERSION {
            Some(format!(
                "version {}, this program knows {VERSION}",
                self.version
            ))
        } else if self.stages.is_empty() || self.stages.len() > MAX_STAGES {
            Some(format!("1 to {MAX_STAGES} stages"))
        } else if limits {
            Some("a limit goes from 1 to 100".to_owned())
        } else if forced && !ends {
            Some("force-up needs an end".to_owned())
        } else if self.reason.len() > MAX_REASON {
            Some(format!("a reason has at most {MAX_REASON} bytes"))
        } else {
            None
        }
    }
}

/// What of several overrides counts: the action of the widest scope, and the least of the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective<'o> {
    /// What decides in the place of the rules.
    pub forced: Option<ActiveOverride<'o>>,
    /// The ceiling on whatever decides.
    pub limit: Option<ActiveOverride<'o>>,
}

impl<'o> Effective<'o> {
    /// Out of all that stand, in any order.
    pub fn of(standing: impl IntoIterator<Item = ActiveOverride<'o>>) -> Self {
        let mut effective = Self::default();
        for one in standing {
            match one.action {
                Action::Limit { percent } => {
                    let least = effective
                        .percent()
                        .is_none_or(|least| percent < least.get());
                    if least {
                        effective.limit = Some(one);
                    }
                }
                _ => {
                    let wider = |before: &ActiveOverride<'_>| one.scope > before.scope;
                    if effective.forced.as_ref().is_none_or(wider) {
                        effective.forced = Some(one);
                    }
                }
            }
        }
        effective
    }

    /// The ceiling.
    #[must_use]
    pub fn percent(&self) -> Option<Percent> {
        match self.limit.as_ref()?.action {
            Action::Limit { percent } => Percent::new(percent),
            _ => None,
        }
    }

    /// When something of it changes without a command.
    #[must_use]
    pub fn changes(&self) -> Option<BootTime> {
        let ends = [&self.forced, &self.limit];
        ends.into_iter().flatten().filter_map(|one| one.ends).min()
    }
}

#[cfg(test)]
mod tests;
