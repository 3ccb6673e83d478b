//! The monitoring plugin's result: one of four levels, the reasons, and performance data.

use super::{Liveness, Overview, ServiceOverview};
use crate::render::text::{counted, span};
use agentcheck_common::BootTime;
use std::fmt::Write as _;
use std::time::Duration;

/// How long a collector may take to start, and a service to get its first reply, before that is CRITICAL.
const STARTUP: Duration = Duration::from_secs(60);

/// A level of the monitoring plugins; its number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The collector runs and every reply is fresh.
    Ok = 0,
    /// Degraded, or an operator's intention.
    Warning = 1,
    /// A server is out, a reply is stale, or no collector runs.
    Critical = 2,
    /// The state cannot be read.
    Unknown = 3,
}

impl Level {
    /// The level's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The rank of the level: UNKNOWN outranks WARNING, but not a certain CRITICAL.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Unknown => 2,
            Self::Critical => 3,
        }
    }
}

/// The result of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The worst level found; CRITICAL outranks UNKNOWN, UNKNOWN outranks WARNING.
    pub level: Level,
    /// The reasons, the worst first. They contain text of applications that is not printable.
    pub reasons: Vec<String>,
    /// Performance data in the format of the monitoring plugins.
    pub performance_data: String,
}

/// Checks an overview.
#[must_use]
pub fn health_check(overview: &Overview) -> HealthCheck {
    let mut found = vec![collector_level(overview)];
    for service in &overview.services {
        found.extend(reply_problem(service, overview));
    }
    found.extend(failing_sources(overview));
    let refused = overview.refused();
    found.extend(refused.map(|(_, why)| (Level::Warning, format!("reload refused: {why}"))));
    let faults = overview.override_faults.iter();
    found.extend(faults.map(|why| (Level::Warning, format!("override ignored: {why}"))));
    if overview.services.is_empty() && overview.liveness == Liveness::Running {
        found.push((Level::Warning, "no service is configured".to_owned()));
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(level.rank()));
    let level = found.first().map_or(Level::Ok, |(level, _)| *level);
    let mut why: Vec<String> = found
        .into_iter()
        .filter(|(of, _)| level == Level::Ok || *of != Level::Ok)
        .map(|(_, why)| why)
        .collect();
    if level == Level::Ok {
        let services = counted(overview.services.len(), "service");
        why.push(format!("{services} fresh"));
    }
    HealthCheck {
        level,
        reasons: why,
        performance_data: performance_data(overview),
    }
}

fn collector_level(overview: &Overview) -> (Level, String) {
    match &overview.liveness {
        Liveness::Running => (Level::Ok, "collector running".to_owned()),
        Liveness::Starting => {
            // Another process may have the lock: an old snapshot shows that no collector renews it.
            let age = overview
                .snapshot_times
                .map(|(_, at)| overview.now.since(at));
            let level = level_after(age.unwrap_or_default());
            (
                level,
                "collector starting: no status snapshot yet".to_owned(),
            )
        }
        Liveness::Unresponsive(age) => {
            let text = format!("collector unresponsive: last update {} ago", span(*age));
            (level_after(*age), text)
        }
        Liveness::Stopped => (Level::Critical, "collector not running".to_owned()),
        Liveness::OtherBoot => (
            Level::Critical,
            "collector not running since the boot".to_owned(),
        ),
        Liveness::Absent => (Level::Critical, "collector not running".to_owned()),
        Liveness::Unknown(why) => (Level::Unknown, format!("collector: {why}")),
    }
}

/// WARNING for a state that may pass, CRITICAL once it has lasted longer than [`STARTUP`].
fn level_after(age: Duration) -> Level {
    if age > STARTUP {
        Level::Critical
    } else {
        Level::Warning
    }
}

/// The worst problem of a service's reply, if there is one.
fn reply_problem(service: &ServiceOverview, overview: &Overview) -> Option<(Level, String)> {
    let now = overview.now;
    let name = &service.name;
    let current = match &service.current {
        Ok(current) => current,
        // The collector has not evaluated it yet.
        Err(word)
            if service
                .snapshot
                .as_ref()
                .is_some_and(|known| known.reply.is_none()) =>
        {
            let started = overview
                .snapshot_times
                .map(|(started, _)| now.since(started));
            let level = level_after(started.unwrap_or_default());
            return Some((level, format!("{name}: no reply yet ({word})")));
        }
        Err(word) => return Some((Level::Critical, format!("{name}: no valid reply ({word})"))),
    };
    if let Some(super::Freshness::Stale(since)) = current.freshness {
        let since = span(now.since(since));
        let reply = current.reply;
        return Some((
            Level::Critical,
            format!("{name}: stale for {since}: {reply}"),
        ));
    }
    let reply = current.reply;
    if service.is_out() && service.decided_by() == Some("override") {
        let why = format!("{name}: taken out by an operator: {reply}");
        return Some((Level::Warning, why));
    }
    if service.is_out() {
        return Some((Level::Critical, format!("{name}: out: {reply}")));
    }
    let known = service.snapshot.as_ref()?;
    if known.decided_by.as_deref() == Some("failure") {
        let why = known.why.clone().unwrap_or_default();
        return Some((Level::Warning, format!("{name}: on_failure decides: {why}")));
    }
    service
        .is_at_floor()
        .then(|| (Level::Warning, format!("{name}: at its floor: {reply}")))
}

/// The failing sources that a service uses.
fn failing_sources(overview: &Overview) -> Vec<(Level, String)> {
    let used = |name: &String| {
        let mut known = overview
            .services
            .iter()
            .filter_map(|one| one.snapshot.as_ref());
        known.any(|known| known.sources.contains(name))
    };
    let failing = overview
        .sources
        .iter()
        .filter(|(name, source)| !source.ok && used(name));
    failing
        .map(|(name, source)| {
            let error = source.error.as_deref().unwrap_or("other");
            let detail = source.detail.as_deref().map(|detail| format!(", {detail}"));
            let detail = detail.unwrap_or_default();
            (Level::Warning, format!("source {name}: {error}{detail}"))
        })
        .collect()
}

/// `label=value[unit];warn;crit;min;max`, separated by blanks. Service names need no quotes.
fn performance_data(overview: &Overview) -> String {
    let services = &overview.services;
    let count = |matches: &dyn Fn(&ServiceOverview) -> bool| {
        services.iter().filter(|one| matches(one)).count()
    };
    let fresh = count(&|one| {
        one.current
            .as_ref()
            .is_ok_and(|current| !current.is_stale())
    });
    let out = count(&ServiceOverview::is_out);
    let failing = failing_sources(overview).len();
    let mut numbers = format!(
        "services={};;;0 fresh={fresh};;;0 out={out};;;0 failing_sources={failing};;;0",
        services.len()
    );
    for service in services {
        let name = &service.name;
        let percent = service
            .current
            .as_ref()
            .ok()
            .and_then(|current| current.reply.percent);
        // Writing to a String cannot fail.
        if let Some(percent) = percent {
            let _ = write!(numbers, " {name}_weight={}%;;;0", percent.get());
        }
        if let Some(of) = service
            .snapshot
            .as_ref()
            .and_then(|known| known.oldest_reading_at)
        {
            let age = overview.now.since(BootTime(of)).as_secs_f64();
            let _ = write!(numbers, " {name}_age={age:.3}s;;;0");
        }
    }
    numbers
}
