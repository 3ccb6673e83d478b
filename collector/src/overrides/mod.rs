//! Operators' orders, which precede the rules: drain, maint, down, force-up, a limit, or a ready window that lifts
//! the balancers' own drain and maint. The types, the active order at a moment, and which of several orders decides.
//!
//! Pure, but for [`store`] and [`watch`]. Imports `sys`.
//!
//! A scope (all services, one service, a flag file) has one override of each [`Kind`]: the last command of a
//! kind replaces the one before, and never one of another kind. Of the outages and force-ups of several scopes
//! the widest decides. Of the limits the least counts. A limit never raises a weight, and never lets in a server
//! that an outage keeps out.

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

/// A moment on two clocks: the boot-time clock of one boot, which cannot be set, and the wall clock, which also
/// counts after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// The id of the boot that `at` belongs to.
    pub boot: String,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub at: u64,
    /// Seconds since 1970, UTC.
    pub wall: u64,
}

/// The present on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now<'b> {
    /// The boot.
    pub boot: &'b BootId,
    /// `CLOCK_BOOTTIME`.
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
    /// The moment on the clock of this boot, at most [`MAX_SPAN`] from now. After a reboot the wall clock counts.
    /// A wall clock before `set`, when the moment was chosen, is wrong: the moment is then as far away as when
    /// it was set.
    fn here(&self, set: &Self, now: &Now<'_>) -> BootTime {
        if self.boot == now.boot.as_str() {
            return BootTime(self.at).min(now.at.after(MAX_SPAN));
        }
        let whole = self.wall.saturating_sub(set.wall);
        let left = self.wall.saturating_sub(now.wall).min(whole);
        now.at.after(Duration::from_secs(left).min(MAX_SPAN))
    }
}

/// The kinds of orders. A scope has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An outage (drain, maint, down) or a force-up.
    Outage,
    /// A ceiling on the weight.
    Limit,
    /// A window in which replies lift the balancers' own drain and maint.
    Ready,
}

/// An operator's action on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// No new sessions.
    Drain,
    /// Out of service, on purpose.
    Maint,
    /// Not working.
    Down,
    /// In service, without regard to the rules.
    ForceUp,
    /// At most this many percent.
    #[serde(untagged)]
    Limit {
        /// 1 to 100.
        percent: u16,
    },
}

impl Action {
    /// The kind of override that has this action.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Drain | Self::Maint | Self::Down | Self::ForceUp => Kind::Outage,
            Self::Limit { .. } => Kind::Limit,
        }
    }

    /// The ceiling of a limit.
    fn ceiling(self) -> Option<Percent> {
        match self {
            Self::Limit { percent } => Percent::new(percent),
            Self::Drain | Self::Maint | Self::Down | Self::ForceUp => None,
        }
    }

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

/// One stage of an override. The next stage begins when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideStage {
    /// The action.
    pub action: Action,
    /// An expression that ends the stage when it is true.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// When the stage ends at the latest; `None` means never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Moment>,
}

/// One override, as its file has it. The name of the file is the service and the [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// [`VERSION`]
    pub version: u32,
    /// Distinguishes it from the override that it replaces, in the same file only.
    pub id: String,
    /// When it was set.
    pub set: Moment,
    /// The stages in their order; at least one and at most [`MAX_STAGES`].
    pub stages: Vec<OverrideStage>,
    /// The operator's reason; at most [`MAX_REASON`] bytes.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// The operator: the owner of the file.
    #[serde(skip)]
    pub by: String,
}

/// An order to lift the balancers' own drain and maint until a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyWindow {
    /// [`VERSION`]
    pub version: u32,
    /// Distinguishes it from the order that it replaces.
    pub id: String,
    /// When it was set.
    pub set: Moment,
    /// When it ends.
    pub end: Moment,
}

impl ReadyWindow {
    /// When it ends, on the clock of this boot.
    #[must_use]
    pub fn ends(&self, now: &Now<'_>) -> BootTime {
        self.end.here(&self.set, now)
    }
}

/// The services that an override is for, from the narrowest scope to the widest.
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

/// The stage of an override that is active now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOverride<'o> {
    /// The services that it is for.
    pub scope: Scope,
    /// The whole override.
    pub order: &'o Override,
    /// The index of the stage.
    pub stage: usize,
    /// The action now.
    pub action: Action,
    /// When this stage ends at the latest.
    pub ends: Option<BootTime>,
    /// When the whole override ends.
    pub expires: Option<BootTime>,
}

impl Override {
    /// The stage that is active now; `None` after the end. `reached`: the condition of the first stage was true.
    #[must_use]
    pub fn active(&self, scope: Scope, reached: bool, now: &Now<'_>) -> Option<ActiveOverride<'_>> {
        let end = |stage: &OverrideStage| stage.end.as_ref().map(|end| end.here(&self.set, now));
        let expires = self.stages.last().and_then(end);
        let (stage, found) = self.stages.iter().enumerate().find(|(at, stage)| {
            let passed = end(stage).is_some_and(|end| end <= now.at);
            let done = *at == 0 && reached && stage.until.is_some();
            !passed && !done
        })?;
        // The last stage bounds the ones before it.
        if expires.is_some_and(|expires| expires <= now.at) {
            return None;
        }
        Some(ActiveOverride {
            scope,
            order: self,
            stage,
            action: found.action,
            ends: end(found),
            expires,
        })
    }

    /// Why a file of `kind` cannot have this content, if so.
    #[must_use]
    pub fn fault(&self, kind: Kind) -> Option<String> {
        let actions = || self.stages.iter().map(|stage| stage.action);
        let out_of_range = actions().any(
            |action| matches!(action, Action::Limit { percent } if !(1..=100).contains(&percent)),
        );
        let ends = self.stages.last().is_some_and(|last| last.end.is_some());
        if self.stages.is_empty() || self.stages.len() > MAX_STAGES {
            let stages = self.stages.len();
            Some(format!(
                "invalid number of stages {stages}: 1 to {MAX_STAGES}"
            ))
        } else if let Some(action) = actions().find(|action| action.kind() != kind) {
            Some(format!("{action} does not belong into this file"))
        } else if out_of_range {
            Some("invalid limit: 1 to 100 percent".to_owned())
        } else if actions().any(|action| action == Action::ForceUp) && !ends {
            Some("force-up without an end".to_owned())
        } else if self.reason.len() > MAX_REASON {
            Some(format!("the reason is longer than {MAX_REASON} bytes"))
        } else {
            None
        }
    }
}

/// The orders that count for one service, now and after the first of them has ended. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective<'o> {
    /// Outages and force-ups, the widest scope first.
    pub outages: Vec<ActiveOverride<'o>>,
    /// Limits, the least first.
    pub limits: Vec<ActiveOverride<'o>>,
    /// Until when replies lift the balancers' own drain and maint, on the boot-time clock.
    pub ready_until: Option<BootTime>,
}

impl<'o> Effective<'o> {
    /// Sorts all active overrides, given in any order.
    pub fn of(active: impl IntoIterator<Item = ActiveOverride<'o>>) -> Self {
        let (mut limits, mut outages): (Vec<_>, Vec<_>) = active
            .into_iter()
            .partition(|one| one.action.kind() == Kind::Limit);
        outages.sort_by_key(|one| std::cmp::Reverse(one.scope));
        limits.sort_by_key(|one| one.action.ceiling());
        Self {
            outages,
            limits,
            ready_until: None,
        }
    }

    /// The outage or force-up of the widest scope: it decides in place of rules and weight.
    #[must_use]
    pub fn outage(&self) -> Option<&ActiveOverride<'o>> {
        self.outages.first()
    }

    /// The least limit: a ceiling on the decided weight.
    #[must_use]
    pub fn limit(&self) -> Option<&ActiveOverride<'o>> {
        self.limits.first()
    }

    /// The least limit that is still active at a moment from now on, and its percentage.
    #[must_use]
    pub fn limit_at(&self, at: BootTime) -> Option<(&ActiveOverride<'o>, Percent)> {
        let mut limits = self.limits.iter();
        let active = limits.find(|one| one.ends.is_none_or(|ends| ends > at))?;
        Some((active, active.action.ceiling()?))
    }

    /// When the first of them ends or enters its next stage.
    #[must_use]
    pub fn changes(&self) -> Option<BootTime> {
        let overrides = self.outages.iter().chain(&self.limits);
        let ends = overrides.filter_map(|one| one.ends);
        ends.chain(self.ready_until).min()
    }
}

#[cfg(test)]
mod tests;
