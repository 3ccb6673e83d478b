//! The current reply of each service, what decided it, and whether a collector is running: from the state
//! files, `status.json` and the lock. Pure: the caller reads them.
//!
//! HAProxy gets the replies of the state files, so they come first. `status.json` explains them, and counts
//! only for this boot.

mod health_check;
mod json;
mod text;

pub use health_check::{HealthCheck, Level, health_check};
pub use json::{ascii_json, json_text, to_json};
pub use text::{NO_SERVICE, detail_table, summary_table};

use crate::status::snapshot::{OverrideStatus, ReloadStatus, ServiceStatus, SourceStatus, Status};
use agentcheck_common::schedule::{Schedule, StateFileError};
use agentcheck_common::{BootId, BootTime, Reply, ServiceName};
use std::collections::BTreeMap;
use std::time::Duration;

/// The greatest age of a running collector's snapshot: it writes one at least every two seconds.
const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(5);

/// Whether the snapshot is older than a running collector's snapshot can be.
#[must_use]
pub fn is_unresponsive(status: &Status, now: BootTime) -> bool {
    now.since(BootTime(status.at)) > MAX_SNAPSHOT_AGE
}

/// The content of a state directory.
#[derive(Clone, Debug)]
pub struct OverviewInput {
    /// When the files were read.
    pub now: BootTime,
    /// The boot id at that time.
    pub boot: BootId,
    /// The status snapshot.
    pub status: Result<Status, SnapshotError>,
    /// Whether a process has the lock.
    pub lock: LockState,
    /// The content of the state files, by service.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why there is no status snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// There is no such file.
    Missing,
    /// It cannot be read or parsed, for this reason.
    Unusable(String),
}

/// The lock of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// No process has it.
    Free,
    /// A process has it: its id, if that could be read.
    Held(Option<u32>),
    /// It cannot be checked, for this reason.
    Unknown(String),
}

/// Whether a collector is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It has the lock and its snapshot is recent.
    Running,
    /// It has the lock and has not written a snapshot yet.
    Starting,
    /// It has the lock, and its snapshot is this old.
    Unresponsive(Duration),
    /// It ran on this boot and has ended.
    Stopped,
    /// The snapshot is from another boot.
    OtherBoot,
    /// No snapshot and no lock holder.
    Absent,
    /// Lock or snapshot cannot be read, for this reason.
    Unknown(String),
}

impl Liveness {
    /// The name in JSON output.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Unresponsive(_) => "unresponsive",
            Self::Stopped => "stopped",
            Self::OtherBoot => "other-boot",
            Self::Absent => "absent",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether a collector process has the lock.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Running | Self::Starting | Self::Unresponsive(_))
    }
}

/// The state of a host's collector and services.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When the files were read.
    pub now: BootTime,
    /// Whether a collector is running.
    pub liveness: Liveness,
    /// The process that has the lock, or else the one that wrote the snapshot.
    pub pid: Option<u32>,
    /// When the collector that wrote the snapshot started, and when it wrote it.
    pub snapshot_times: Option<(BootTime, BootTime)>,
    /// The services, by name.
    pub services: Vec<ServiceOverview>,
    /// Overrides that cannot be used, with the reasons.
    pub override_faults: Vec<String>,
    /// When the current configuration was loaded.
    pub loaded_at: Option<BootTime>,
    /// The result of the latest reload.
    pub reload: Option<ReloadStatus>,
    /// The latest polls on this boot, by source.
    pub sources: BTreeMap<String, SourceStatus>,
}

/// The state of one service.
#[derive(Clone, Debug)]
pub struct ServiceOverview {
    /// The service's name.
    pub name: String,
    /// The reply that a probe gets, or the no-op reply.
    pub current: Result<CurrentReply, String>,
    /// Its part of the status snapshot, if that is of this boot.
    pub snapshot: Option<ServiceStatus>,
}

/// The reply of a valid state file.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentReply {
    /// The reply that a probe gets.
    pub reply: Reply,
    /// Until when it is fresh, or since when it is stale; none if it never expires.
    pub freshness: Option<Freshness>,
    /// When another reply follows, and which, if nothing renews this one.
    pub next: Option<(BootTime, Reply)>,
}

/// Whether a reply is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Fresh until then.
    Until(BootTime),
    /// Not renewed in time; stale since then.
    Stale(BootTime),
}

impl CurrentReply {
    /// Whether the reply was not renewed in time.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.freshness, Some(Freshness::Stale(_)))
    }
}

impl Overview {
    /// When a newer configuration was refused, and the first reason; none if the latest reload succeeded.
    #[must_use]
    pub fn refused(&self) -> Option<(BootTime, &str)> {
        let reload = self.reload.as_ref()?;
        Some((BootTime(reload.began_at), reload.refusal()?))
    }
}

impl ServiceOverview {
    /// Whether the reply takes the server out.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.current
            .as_ref()
            .is_ok_and(|current| current.reply.takes_server_out())
    }

    /// Whether the weight is at its floor, and the floor is below 100%.
    #[must_use]
    pub fn is_at_floor(&self) -> bool {
        let floor = self.snapshot.as_ref().and_then(|known| known.floor);
        let percent = self
            .current
            .as_ref()
            .ok()
            .and_then(|current| current.reply.percent);
        match (floor, percent) {
            (Some(floor), Some(percent)) => {
                let percent = percent.get();
                floor < 100 && 0 < percent && percent <= floor
            }
            _ => false,
        }
    }

    /// The overrides in effect.
    pub fn overrides(&self) -> impl Iterator<Item = &OverrideStatus> {
        let known = self.snapshot.iter().flat_map(|known| &known.overrides);
        known.filter(|one| one.counts)
    }

    /// `rule`, `weight`, `failure` or `override`, from the status snapshot.
    #[must_use]
    pub fn decided_by(&self) -> Option<&str> {
        self.snapshot.as_ref()?.decided_by.as_deref()
    }
}

/// Makes the overview of the services in `wanted`, or of all if that is empty.
///
/// # Errors
/// If a service does not exist.
pub fn overview(input: &OverviewInput, wanted: &[String]) -> Result<Overview, String> {
    let snapshot = input.status.as_ref().ok();
    let current_boot = snapshot.filter(|status| status.boot == input.boot.as_str());
    let liveness = liveness(input, current_boot);
    let none = BTreeMap::new();
    let known = current_boot.map(|status| &status.services);
    let mut names: Vec<&String> = known.unwrap_or(&none).keys().collect();
    names.extend(input.files.keys());
    names.sort();
    names.dedup();
    for name in wanted {
        if !names.contains(&name) {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Err(match names.as_slice() {
                [] => format!("no service {name}: no service is configured"),
                names => format!("no service {name}; services: {}", names.join(", ")),
            });
        }
    }
    let names = names
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.contains(name));
    let services = names.map(|name| {
        let known = known.and_then(|known| known.get(name)).cloned();
        ServiceOverview {
            current: current_reply(input, name, known.as_ref()),
            name: name.clone(),
            snapshot: known,
        }
    });
    let holder = match input.lock {
        LockState::Held(pid) => pid,
        LockState::Free | LockState::Unknown(_) => None,
    };
    Ok(Overview {
        now: input.now,
        pid: holder.or(current_boot.map(|status| status.pid)),
        snapshot_times: current_boot.map(|status| (BootTime(status.started), BootTime(status.at))),
        services: services.collect(),
        loaded_at: current_boot
            .and_then(|status| status.loaded_at)
            .map(BootTime),
        reload: current_boot.and_then(|status| status.reload.clone()),
        override_faults: current_boot.map_or_else(Vec::new, |status| {
            let faults = status.override_faults.iter();
            faults.map(|fault| fault.text.clone()).collect()
        }),
        sources: current_boot.map_or_else(BTreeMap::new, |status| status.sources.clone()),
        liveness,
    })
}

fn liveness(input: &OverviewInput, current_boot: Option<&Status>) -> Liveness {
    let held = match &input.lock {
        LockState::Held(pid) => Some(*pid),
        LockState::Free => None,
        LockState::Unknown(why) => return Liveness::Unknown(why.clone()),
    };
    if let Err(SnapshotError::Unusable(why)) = &input.status {
        return Liveness::Unknown(why.clone());
    }
    match (held, current_boot) {
        (Some(holder), Some(status)) => {
            if holder.is_some_and(|holder| holder != status.pid) {
                // The previous collector wrote the snapshot.
                Liveness::Starting
            } else if is_unresponsive(status, input.now) || input.now < BootTime(status.at) {
                Liveness::Unresponsive(input.now.since(BootTime(status.at)))
            } else {
                Liveness::Running
            }
        }
        (Some(_), None) => Liveness::Starting,
        (None, Some(_)) => Liveness::Stopped,
        (None, None) if input.status.is_ok() => Liveness::OtherBoot,
        (None, None) => Liveness::Absent,
    }
}

/// The reply that the responder prints for a state file, or its no-op reply as an error.
fn current_reply(
    input: &OverviewInput,
    name: &str,
    known: Option<&ServiceStatus>,
) -> Result<CurrentReply, String> {
    let file = input.files.get(name).ok_or(format!("unknown:{name}"))?;
    let refused = |refused| {
        let why = match refused {
            StateFileError::Malformed | StateFileError::OtherService => "bad-state",
            StateFileError::OtherBoot => "other-boot",
            StateFileError::Future => "future",
        };
        format!("{why}:{name}")
    };
    let service = ServiceName::parse(name.as_bytes()).ok_or(format!("unknown:{name}"))?;
    let picked =
        Schedule::current_reply(file, &service, &input.boot, input.now).map_err(refused)?;
    let schedule = Schedule::decode(file).map_err(refused)?;
    let parse = |line| Reply::parse(line).map_err(|_| format!("bad-state:{name}"));
    let first = schedule.reply_at(schedule.from).map_err(refused)?.until;
    // An override may last longer than the readings, and the snapshot may be older than the file.
    let until = first.map(|first| {
        let fresh_until = known.and_then(|known| known.until).map(BootTime);
        fresh_until.map_or(first, |until| until.max(first))
    });
    let next = match picked.until {
        Some(until) => Some((
            until,
            parse(schedule.reply_at(until).map_err(refused)?.line)?,
        )),
        None => None,
    };
    Ok(CurrentReply {
        reply: parse(picked.line)?,
        freshness: until.map(|until| {
            if input.now < until {
                Freshness::Until(until)
            } else {
                Freshness::Stale(until)
            }
        }),
        next,
    })
}
