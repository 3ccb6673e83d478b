//! What monitoring is told: one of four levels, why, and the numbers.

use super::{Liveness, Overview, ServiceOverview};
use crate::render::text::{counted, span};
use agentcheck_common::BootTime;
use std::fmt::Write as _;

/// How bad it is; the number is the exit status of a monitoring plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is as it should be.
    Ok = 0,
    /// Somebody should look at it.
    Warning = 1,
    /// Somebody has to look at it now.
    Critical = 2,
    /// That cannot be told.
    Unknown = 3,
}

impl Level {
    /// The word that monitoring shows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How bad it is.
    pub level: Level,
    /// Why; the worst first. Text of applications is in it: it has to be made printable.
    pub why: Vec<String>,
    /// The performance data, in the form of monitoring plugins.
    pub numbers: String,
}

/// Judges an account.
#[must_use]
pub fn judge(account: &Overview) -> Judgement {
    let mut found = vec![collector(account)];
    for service in &account.services {
        found.extend(replied(service, account.now));
    }
    found.extend(sources(account));
    let refused = account.refused();
    found.extend(refused.map(|(_, why)| {
        (
            Level::Warning,
            format!("a changed configuration was refused: {why}"),
        )
    }));
    let faults = account.faults.iter();
    found.extend(faults.map(|why| (Level::Warning, format!("an override cannot be used: {why}"))));
    if account.services.is_empty() && account.liveness == Liveness::Alive {
        found.push((Level::Warning, "no service".to_owned()));
    }
    // What cannot be told outweighs the rest only where nothing worse is certain.
    let rank = |level: Level| match level {
        Level::Ok => 0,
        Level::Warning => 1,
        Level::Unknown => 2,
        Level::Critical => 3,
    };
    found.sort_by_key(|(level, _)| std::cmp::Reverse(rank(*level)));
    let level = found.first().map_or(Level::Ok, |(level, _)| *level);
    let mut why: Vec<String> = found
        .into_iter()
        .filter(|(of, _)| level == Level::Ok || *of != Level::Ok)
        .map(|(_, why)| why)
        .collect();
    if level == Level::Ok {
        let services = counted(account.services.len(), "service");
        why.push(format!("{services} fresh"));
    }
    Judgement {
        level,
        why,
        numbers: numbers(account),
    }
}

fn collector(account: &Overview) -> (Level, String) {
    match &account.liveness {
        Liveness::Alive => (Level::Ok, "collector alive".to_owned()),
        Liveness::Starting => (
            Level::Warning,
            "collector without an account yet".to_owned(),
        ),
        Liveness::Unresponsive(old) => {
            let old = span(*old);
            (Level::Warning, format!("collector silent for {old}"))
        }
        Liveness::Dead => (Level::Critical, "no collector: it has ended".to_owned()),
        Liveness::OtherBoot => (Level::Critical, "no collector since the boot".to_owned()),
        Liveness::Absent => (Level::Critical, "no collector".to_owned()),
        Liveness::Unknown(why) => (Level::Unknown, format!("collector: {why}")),
    }
}

/// What is wrong with a reply; the worst alone.
fn replied(service: &ServiceOverview, now: BootTime) -> Option<(Level, String)> {
    let name = &service.name;
    let said = match &service.current {
        Ok(said) => said,
        // A service that a live collector has only just begun to poll.
        Err(word)
            if service
                .known
                .as_ref()
                .is_some_and(|known| known.reply.is_none()) =>
        {
            return Some((Level::Warning, format!("{name} has no reply yet: {word}")));
        }
        Err(word) => return Some((Level::Critical, format!("{name} is frozen: {word}"))),
    };
    if let Some(super::Freshness::Stale(since)) = said.fresh {
        let since = span(now.since(since));
        let reply = said.reply;
        return Some((
            Level::Critical,
            format!("{name} is stale for {since}: {reply}"),
        ));
    }
    let reply = said.reply;
    if service.is_out() && service.decided_by() == Some("override") {
        let why = format!("{name} is taken out by an operator: {reply}");
        return Some((Level::Warning, why));
    }
    if service.is_out() {
        return Some((Level::Critical, format!("{name} is taken out: {reply}")));
    }
    let known = service.known.as_ref()?;
    if known.decided_by.as_deref() == Some("failure") {
        let why = known.why.clone().unwrap_or_default();
        return Some((Level::Warning, format!("{name} cannot be decided: {why}")));
    }
    service
        .is_at_floor()
        .then(|| (Level::Warning, format!("{name} is at its floor: {reply}")))
}

/// The sources that the services rest on, and are failing.
fn sources(account: &Overview) -> Vec<(Level, String)> {
    let used = |name: &String| {
        let mut known = account.services.iter().filter_map(|one| one.known.as_ref());
        known.any(|known| known.sources.contains(name))
    };
    let failing = account
        .sources
        .iter()
        .filter(|(name, source)| !source.ok && used(name));
    failing
        .map(|(name, source)| {
            let error = source.error.as_deref().unwrap_or("other");
            let detail = source.detail.as_deref().map(|detail| format!(", {detail}"));
            let detail = detail.unwrap_or_default();
            (
                Level::Warning,
                format!("source {name} fails: {error}{detail}"),
            )
        })
        .collect()
}

/// `label=value[unit];warn;crit;min;max`, separated by blanks. Names of services need no quotes.
fn numbers(account: &Overview) -> String {
    let services = &account.services;
    let count =
        |holds: &dyn Fn(&ServiceOverview) -> bool| services.iter().filter(|one| holds(one)).count();
    let fresh = count(&|one| one.current.as_ref().is_ok_and(|said| !said.is_stale()));
    let out = count(&ServiceOverview::is_out);
    let failing = sources(account).len();
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
            .and_then(|said| said.reply.percent);
        // Writing to a String cannot fail.
        if let Some(percent) = percent {
            let _ = write!(numbers, " {name}_weight={}%;;;0", percent.get());
        }
        if let Some(of) = service
            .known
            .as_ref()
            .and_then(|known| known.oldest_reading_at)
        {
            let age = account.now.since(BootTime(of)).as_secs_f64();
            let _ = write!(numbers, " {name}_age={age:.3}s;;;0");
        }
    }
    numbers
}
