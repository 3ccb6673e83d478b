//! The status snapshot, `status.json` in the state directory: the collector's own account of readings,
//! rules and verdicts. Nobody on the probe path reads it; a restarted collector takes the truths of its
//! rules from it.

mod memory;

pub use memory::MemoryStatus;

use crate::config::{Config, Service};
use crate::decision::evaluate::{DecisionSource, RuleState, Verdict, Weighed};
use crate::decision::observations::DerivedMemory;
use crate::filters::capacity::Basis;
use crate::overrides::{Action, ActiveOverride};
use crate::reading::Reading;
use crate::render::text;
use agentcheck_common::{BootId, BootTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name in the state directory.
pub const FILE: &str = "status.json";

/// Its rights: what it shows of applications is for the collector's user and group.
pub const MODE: u32 = 0o640;

/// The version of its format.
pub const VERSION: u32 = 1;

/// The largest snapshot that is read back, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The whole snapshot. Times are nanoseconds of `CLOCK_BOOTTIME`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Status {
    /// [`VERSION`]
    pub version: u32,
    /// The boot whose clock the times are of.
    pub boot: String,
    /// The collector's process id.
    pub pid: u32,
    /// When the collector started.
    pub started: u64,
    /// When this was written.
    pub at: u64,
    /// The sources, by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// The services, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// What derived numbers remember, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub derived: BTreeMap<String, DerivedStatus>,
    /// Overrides that cannot be used, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub override_faults: Vec<OverrideFault>,
    /// When the configuration that is in force was loaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loaded: Option<u64>,
    /// How the latest attempt to load another configuration ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reload: Option<ReloadStatus>,
    /// Services that are not in the configuration any more, and when their state files are removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub pending_removals: BTreeMap<String, u64>,
}

/// An attempt to load another configuration.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ReloadStatus {
    /// When it began: what was in the files before is not older than that.
    pub began: u64,
    /// Whether it is in force; if not, the one of before is.
    pub ok: bool,
    /// What has changed, or every reason why it is not in force.
    pub said: String,
}

impl ReloadStatus {
    /// The first reason why it is not in force; none where it is.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        (!self.ok).then(|| self.said.lines().next().unwrap_or_default())
    }
}

/// What a derived number remembers; that of series is not kept.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct DerivedStatus {
    /// Tells it from one that is made otherwise.
    pub definition: String,
    /// The numbers of its window, or the average, each with when the newest poll that it is of was sent; the
    /// oldest first, at most [`crate::filters::derive::MOST_KEPT`].
    pub numbers: Vec<(f64, u64)>,
}

impl DerivedStatus {
    /// The account of what is kept.
    #[must_use]
    pub fn of(kept: DerivedMemory) -> Self {
        let numbers = kept.numbers.into_iter();
        Self {
            definition: kept.definition,
            numbers: numbers.map(|(at, number)| (number, at.0)).collect(),
        }
    }

    /// What a restarted collector goes on from.
    #[must_use]
    pub fn kept(&self) -> DerivedMemory {
        let numbers = self.numbers.iter();
        DerivedMemory {
            definition: self.definition.clone(),
            numbers: numbers
                .map(|(number, at)| (BootTime(*at), *number))
                .collect(),
        }
    }
}

/// The latest poll of a source.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SourceStatus {
    /// When it was sent.
    pub sent: u64,
    /// How long it took, in seconds.
    pub latency: f64,
    /// Whether it gave what it should.
    pub ok: bool,
    /// Why not, as the word that expressions see.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The exit status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit: Option<i32>,
    /// The number, for a source that gives one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
}

/// What is said for a service, and why.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Default)]
pub struct ServiceStatus {
    /// The line for HAProxy; none where nothing could be said yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply: Option<String>,
    /// `rule`, `weight` or `failure`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<String>,
    /// The rule's name, the number that the weight gave, or what failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// When the oldest poll that it rests on was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_reading_at: Option<u64>,
    /// When it stops being fresh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<u64>,
    /// When what is said, its description aside, last changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<u64>,
    /// The stages of the weight, where it decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<WeightStatus>,
    /// The sources that it rests on.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The least weight that load may lead to, in per cent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<u16>,
    /// The limit of connections of a server that nothing limits, where the agent manages it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub maxconn_normal: Option<u32>,
    /// The rules' last rule_states, in the rules' order.
    pub rules: Vec<RuleStatus>,
    /// The overrides that stand for it, whether they count or another comes first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overrides: Vec<OverrideStatus>,
    /// The lift of the balancers' own drain and maint that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready_window: Option<String>,
    /// What else is remembered.
    #[serde(default)]
    pub memory: MemoryStatus,
}

/// A file of overrides that cannot be used.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OverrideFault {
    /// The service, or `@all`; none where it is a file of neither.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Path and reason.
    pub text: String,
}

/// An override that stands for a service.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OverrideStatus {
    /// Which one it is.
    pub id: String,
    /// For whom it is: `all`, `service` or `file`.
    pub scope: String,
    /// What the operator wants now.
    pub action: Action,
    /// Whether it counts; another one comes first where it does not.
    pub counts: bool,
    /// Which of its stages stands, from 0.
    pub stage: usize,
    /// Who set it: the owner of its file.
    pub by: String,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// When it was set, in seconds since 1970, UTC.
    pub set: u64,
    /// When this stage ends at the latest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<u64>,
    /// What else ends its first stage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// Whether that was seen to hold.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub reached: bool,
}

impl OverrideStatus {
    /// The account of one; `counts` and `reached` are said apart.
    #[must_use]
    pub fn of(standing: &ActiveOverride<'_>, counts: bool, reached: bool) -> Self {
        let first = standing.order.stages.first();
        Self {
            id: standing.order.id.clone(),
            scope: standing.scope.word().to_owned(),
            action: standing.action,
            counts,
            stage: standing.stage,
            by: standing.order.by.clone(),
            reason: standing.order.reason.clone(),
            set: standing.order.set.wall,
            ends: standing.ends.map(|ends| ends.0),
            until: first.and_then(|first| first.until.clone()),
            reached,
        }
    }
}

/// A weight from what its expression gave to what is said, in per cent.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WeightStatus {
    /// What the expression or the capacity gave.
    pub raw: f64,
    /// After the average.
    pub smoothed: f64,
    /// After the ramp.
    pub ramped: f64,
    /// Between floor and ceiling.
    pub bounded: f64,
    /// After the largest step.
    pub stepped: f64,
    /// What is said.
    pub percent: u16,
    /// Whether the server is on its way back.
    pub ramping: bool,
    /// Where a weight by capacity comes from: `measured`, `held` or `unmeasured`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basis: Option<String>,
}

impl WeightStatus {
    fn of(weighed: &Weighed) -> Self {
        let shaped = &weighed.shaped;
        let basis = weighed.basis.map(|basis| match basis {
            Basis::Measured => "measured",
            Basis::Held => "held",
            Basis::Unmeasured => "unmeasured",
        });
        Self {
            raw: shaped.raw,
            smoothed: shaped.smoothed,
            ramped: shaped.ramped,
            bounded: shaped.bounded,
            stepped: shaped.stepped,
            percent: shaped.percent.get(),
            ramping: weighed.ramping,
            basis: basis.map(str::to_owned),
        }
    }
}

/// The last truth of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// Whether it held; none where that was never known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub active: Option<bool>,
    /// When the oldest poll that said so was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed_at: Option<u64>,
    /// Since when its condition says that this is to change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending_since: Option<u64>,
}

impl SourceStatus {
    /// The account of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let failure = reading.outcome.as_ref().err();
        Self {
            sent: reading.sent.0,
            latency: reading.latency.as_secs_f64(),
            ok: reading.is_ok(),
            error: failure.map(|failure| failure.reason.word().to_owned()),
            detail: failure
                .map(|failure| failure.detail.clone())
                .filter(|detail| !detail.is_empty()),
            status: reading.status,
            exit: reading.exit,
            value: reading
                .outcome
                .as_ref()
                .ok()
                .and_then(crate::reading::Content::number),
        }
    }
}

impl ServiceStatus {
    /// Takes over what the configuration says of a service.
    pub fn configured(&mut self, config: &Config, service: &Service) {
        let sources = config.polled_for(service);
        let sources = sources
            .iter()
            .filter_map(|index| config.sources.get(*index));
        self.sources = sources.map(|source| source.name.clone()).collect();
        self.floor = Some(service.shaping.floor.get());
        let limit = service.maxconn.as_ref();
        self.maxconn_normal = limit.map(|limit| limit.normal.get());
    }

    /// Takes a verdict over; `rules` are the names of the service's rules.
    pub fn set(&mut self, verdict: &Verdict, rules: &[crate::config::Rule]) {
        let (by, why) = match &verdict.decided {
            DecisionSource::Rule { index, .. } => (
                "rule",
                rules
                    .get(*index)
                    .map_or_else(String::new, |rule| rule.name.clone()),
            ),
            DecisionSource::Weight(weighed) => ("weight", text::number(weighed.shaped.raw)),
            DecisionSource::Failure(why) => ("failure", why.reason.clone()),
            DecisionSource::Override(forced) => ("override", forced.action.to_string()),
        };
        self.weight = match &verdict.decided {
            DecisionSource::Weight(weighed) => Some(WeightStatus::of(weighed)),
            _ => None,
        };
        self.reply = Some(verdict.reply.to_string());
        self.decided_by = Some(by.to_owned());
        self.why = Some(why);
        self.oldest_reading_at = Some(verdict.oldest_reading_at.0);
        self.until = Some(verdict.until.0);
    }
}

impl RuleStatus {
    /// The truth, as evaluation remembers it.
    #[must_use]
    pub fn rule_state(&self) -> Option<RuleState> {
        Some(RuleState {
            active: self.active?,
            observed_at: BootTime(self.observed_at?),
            // Nobody looked meanwhile: what was to change has to wait again.
            pending_since: None,
        })
    }
}

/// The snapshot that an earlier collector left on this boot, if there is one that can be read. None is
/// no error: everything in it can be found out again.
#[must_use]
pub fn left_behind(directory: &Path, boot: &BootId) -> Option<Status> {
    let content = crate::sys::state_file::read_bounded(&directory.join(FILE), MAX_BYTES).ok()?;
    let status: Status = serde_json::from_slice(&content).ok()?;
    (status.version == VERSION && status.boot == boot.as_str()).then_some(status)
}
