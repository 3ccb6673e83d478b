//! What is being said for each service right now, by whom it was decided, and whether a collector is alive
//! to change it: from the state files, `status.json` and the lock. Pure: the shell reads them.
//!
//! What HAProxy hears is what the state files say, so that is what is told first; `status.json` explains it,
//! and is believed only for this boot.

mod health_check;
mod json;
mod text;

pub use health_check::{Judgement, Level, judge};
pub use json::{listed, written};
pub use text::{brief, detailed};

use crate::status::snapshot::{OverrideStatus, ReloadStatus, ServiceStatus, SourceStatus, Status};
use agentcheck_common::schedule::{Refused, Schedule};
use agentcheck_common::{BootId, BootTime, Reply, ServiceName};
use std::collections::BTreeMap;
use std::time::Duration;

/// After how long without a word the account of a live collector is late: it writes one at least every two
/// seconds.
const LATE: Duration = Duration::from_secs(5);

/// Whether the account of a collector is older, `now`, than that of a live one ever is.
#[must_use]
pub fn is_unresponsive(status: &Status, now: BootTime) -> bool {
    now.since(BootTime(status.at)) > LATE
}

/// What was read of a state directory.
#[derive(Clone, Debug)]
pub struct OverviewInput {
    /// When.
    pub now: BootTime,
    /// On which boot.
    pub boot: BootId,
    /// The collector's account.
    pub status: Result<Status, SnapshotError>,
    /// Whether a process has the lock.
    pub lock: LockState,
    /// The content of the state files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why there is no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// There is no such file.
    Missing,
    /// It cannot be read or understood: why.
    Unusable(String),
}

/// The lock of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Nobody has it.
    Free,
    /// A process has it; its id, where that could be read.
    Held(Option<u32>),
    /// It cannot be looked at: why.
    Unknown(String),
}

/// Whether there is a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// At work.
    Alive,
    /// It has the lock and has written no account yet, or cannot.
    Starting,
    /// It has the lock, and its account is this old.
    Unresponsive(Duration),
    /// It was there on this boot, and is not any more.
    Dead,
    /// The account is of another boot.
    OtherBoot,
    /// There is no trace of one.
    Absent,
    /// That cannot be told: why.
    Unknown(String),
}

impl Liveness {
    /// The word that programs see.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Alive => "running",
            Self::Starting => "starting",
            Self::Unresponsive(_) => "unresponsive",
            Self::Dead => "stopped",
            Self::OtherBoot => "other-boot",
            Self::Absent => "absent",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether a process is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Alive | Self::Starting | Self::Unresponsive(_))
    }
}

/// The whole account.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When it was made.
    pub now: BootTime,
    /// Whether there is a collector.
    pub liveness: Liveness,
    /// Who has the lock, or who wrote the account.
    pub pid: Option<u32>,
    /// When the collector that wrote the account was started, and when it wrote that.
    pub written: Option<(BootTime, BootTime)>,
    /// The services, by name.
    pub services: Vec<ServiceOverview>,
    /// Overrides that cannot be used, and why.
    pub faults: Vec<String>,
    /// When the configuration that is in force was loaded.
    pub loaded: Option<BootTime>,
    /// How the latest attempt to load another one ended.
    pub reload: Option<ReloadStatus>,
    /// The latest polls, of this boot.
    pub sources: BTreeMap<String, SourceStatus>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceOverview {
    /// Its name.
    pub name: String,
    /// What the responder says, or the word by which it changes nothing.
    pub current: Result<CurrentReply, String>,
    /// What the collector of this boot told of it.
    pub known: Option<ServiceStatus>,
}

/// What is being said.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentReply {
    /// The reply.
    pub reply: Reply,
    /// Until when it is fresh, or since when it is not; none where it has no end.
    pub fresh: Option<Freshness>,
    /// What is said next, and when.
    pub next: Option<(BootTime, Reply)>,
}

/// How long a reply is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Good until then.
    Until(BootTime),
    /// Not renewed in time: stale since then.
    Stale(BootTime),
}

impl CurrentReply {
    /// Whether nobody has renewed it in time.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.fresh, Some(Freshness::Stale(_)))
    }
}

impl Overview {
    /// Where a configuration was refused since the one in force was loaded: when, and the first reason.
    #[must_use]
    pub fn refused(&self) -> Option<(BootTime, &str)> {
        let reload = self.reload.as_ref()?;
        Some((BootTime(reload.began), reload.refused()?))
    }
}

impl ServiceOverview {
    /// Whether it takes the server out of service.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.current
            .as_ref()
            .is_ok_and(|said| said.reply.takes_out())
    }

    /// Whether the weight is as low as it may be, and that is not all of it.
    #[must_use]
    pub fn is_at_floor(&self) -> bool {
        let floor = self.known.as_ref().and_then(|known| known.floor);
        let percent = self
            .current
            .as_ref()
            .ok()
            .and_then(|said| said.reply.percent);
        match (floor, percent) {
            (Some(floor), Some(percent)) => {
                let percent = percent.get();
                floor < 100 && 0 < percent && percent <= floor
            }
            _ => false,
        }
    }

    /// The overrides that count for it.
    pub fn overrides(&self) -> impl Iterator<Item = &OverrideStatus> {
        let known = self.known.iter().flat_map(|known| &known.overrides);
        known.filter(|one| one.counts)
    }

    /// Who decided, as the collector tells.
    #[must_use]
    pub fn decided_by(&self) -> Option<&str> {
        self.known.as_ref()?.decided_by.as_deref()
    }
}

/// Puts together what was read, for the services in `wanted`, or all where that is empty.
///
/// # Errors
/// A service that nobody knows.
pub fn overview(look: &OverviewInput, wanted: &[String]) -> Result<Overview, String> {
    let written = look.status.as_ref().ok();
    let ours = written.filter(|status| status.boot == look.boot.as_str());
    let life = life(look, ours);
    let none = BTreeMap::new();
    let known = ours.map(|status| &status.services);
    let mut names: Vec<&String> = known.unwrap_or(&none).keys().collect();
    names.extend(look.files.keys());
    names.sort();
    names.dedup();
    for name in wanted {
        if !names.contains(&name) {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Err(match names.as_slice() {
                [] => format!("there is no service {name}, and no other"),
                names => format!("there is no service {name}; there is {}", names.join(", ")),
            });
        }
    }
    let names = names
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.contains(name));
    let services = names.map(|name| {
        let known = known.and_then(|known| known.get(name)).cloned();
        ServiceOverview {
            current: current_reply(look, name, known.as_ref()),
            name: name.clone(),
            known,
        }
    });
    let holder = match look.lock {
        LockState::Held(pid) => pid,
        LockState::Free | LockState::Unknown(_) => None,
    };
    Ok(Overview {
        now: look.now,
        pid: holder.or(ours.map(|status| status.pid)),
        written: ours.map(|status| (BootTime(status.started), BootTime(status.at))),
        services: services.collect(),
        loaded: ours.and_then(|status| status.loaded).map(BootTime),
        reload: ours.and_then(|status| status.reload.clone()),
        faults: ours.map_or_else(Vec::new, |status| {
            status
                .override_faults
                .iter()
                .map(|fault| fault.text.clone())
                .collect()
        }),
        sources: ours.map_or_else(BTreeMap::new, |status| status.sources.clone()),
        liveness: life,
    })
}

fn life(look: &OverviewInput, ours: Option<&Status>) -> Liveness {
    let held = match &look.lock {
        LockState::Held(pid) => Some(*pid),
        LockState::Free => None,
        LockState::Unknown(why) => return Liveness::Unknown(why.clone()),
    };
    if let Err(SnapshotError::Unusable(why)) = &look.status {
        return Liveness::Unknown(why.clone());
    }
    match (held, ours) {
        (Some(holder), Some(status)) => {
            if holder.is_some_and(|holder| holder != status.pid) {
                // The account is that of the collector before.
                Liveness::Starting
            } else if is_unresponsive(status, look.now) || look.now < BootTime(status.at) {
                Liveness::Unresponsive(look.now.since(BootTime(status.at)))
            } else {
                Liveness::Alive
            }
        }
        (Some(_), None) => Liveness::Starting,
        (None, Some(_)) => Liveness::Dead,
        (None, None) if look.status.is_ok() => Liveness::OtherBoot,
        (None, None) => Liveness::Absent,
    }
}

/// What the responder says of a state file; as an error the word by which it changes nothing.
fn current_reply(
    look: &OverviewInput,
    name: &str,
    known: Option<&ServiceStatus>,
) -> Result<CurrentReply, String> {
    let file = look.files.get(name).ok_or(format!("no-state:{name}"))?;
    let refused = |refused| {
        let why = match refused {
            Refused::Malformed | Refused::OtherName => "bad-state",
            Refused::OtherBoot => "other-boot",
            Refused::Future => "future",
        };
        format!("{why}:{name}")
    };
    let service = ServiceName::parse(name.as_bytes()).ok_or(format!("unknown:{name}"))?;
    let picked = Schedule::pick_from(file, &service, &look.boot, look.now).map_err(refused)?;
    let schedule = Schedule::decode(file).map_err(refused)?;
    let parse = |line| Reply::parse(line).map_err(|_| format!("bad-state:{name}"));
    let first = schedule.pick(schedule.from).map_err(refused)?.until;
    // An override may reach further than the readings, and the account may be a moment older than the file.
    let until = first.map(|first| {
        let told = known.and_then(|known| known.until).map(BootTime);
        told.map_or(first, |told| told.max(first))
    });
    let next = match picked.until {
        Some(until) => Some((until, parse(schedule.pick(until).map_err(refused)?.line)?)),
        None => None,
    };
    Ok(CurrentReply {
        reply: parse(picked.line)?,
        fresh: until.map(|until| {
            if look.now < until {
                Freshness::Until(until)
            } else {
                Freshness::Stale(until)
            }
        }),
        next,
    })
}
