//! The status snapshot, `status.json` in the state directory: readings, rules, timers and decisions of the
//! collector. The responder does not read it; commands and a restarted collector do.

mod memory;

pub use memory::MemoryStatus;

use crate::config::{Config, Service};
use crate::decision::evaluate::{DecisionSource, RuleState, Verdict, Weighed};
use crate::decision::observations::DerivedMemory;
use crate::filters::capacity::Basis;
use crate::overrides::{Action, ActiveOverride};
use crate::reading::Reading;
use crate::render::text;
use agentcheck_common::{BootId, BootTime, Description, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The file's name in the state directory.
pub const FILE: &str = "status.json";

/// Its mode: only the collector's user and group may read details of applications.
pub const MODE: u32 = 0o640;

/// The version of its format.
pub const VERSION: u32 = 1;

/// The largest snapshot that is read back, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The snapshot. Times are nanoseconds of `CLOCK_BOOTTIME`. It is written by [`Frame`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Status {
    /// [`VERSION`]
    pub version: u32,
    /// The boot id; the times are on the clock of this boot.
    pub boot: String,
    /// The collector's process id.
    pub pid: u32,
    /// When the collector started.
    pub started: u64,
    /// When the snapshot was written.
    pub at: u64,
    /// The sources, by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// The services, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// The memory of derived numbers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub derived: BTreeMap<String, DerivedStatus>,
    /// Overrides that cannot be used, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub override_faults: Vec<OverrideFault>,
    /// When the current configuration was loaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loaded_at: Option<u64>,
    /// The result of the latest reload.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reload: Option<ReloadStatus>,
    /// Removed services, and when their state files will be removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub pending_removals: BTreeMap<String, u64>,
}

/// The text of a snapshot around the entries of sources and services, so that thousands of them are never in memory
/// together, and are written piece by piece.
#[derive(Debug)]
pub struct Frame {
    before: String,
    after: String,
}

impl Frame {
    const SOURCES: &str = "\"sources\":{";
    const SERVICES: &str = "},\"services\":{";

    /// The frame of a snapshot, whose own sources and services do not count.
    ///
    /// # Errors
    /// None that a snapshot leads to.
    pub fn new(status: Status) -> serde_json::Result<Self> {
        let empty = Status {
            sources: BTreeMap::new(),
            services: BTreeMap::new(),
            ..status
        };
        let text = serde_json::to_string(&empty)?;
        let maps = [Self::SOURCES, Self::SERVICES].concat();
        // No text before them contains a quotation mark that is not escaped.
        let (before, after) = text.split_once(&maps).unwrap_or_default();
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// Adds the text before the first source.
    pub fn begin(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.before.as_bytes());
        text.extend_from_slice(Self::SOURCES.as_bytes());
    }

    /// Adds the text between the last source and the first service.
    pub fn begin_services(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(Self::SERVICES.as_bytes());
    }

    /// Adds the text after the last service.
    pub fn end(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.after.as_bytes());
    }

    /// Adds a source or a service.
    ///
    /// # Errors
    /// None that a status leads to.
    pub fn add(text: &mut Vec<u8>, name: &str, status: &impl Serialize) -> serde_json::Result<()> {
        if !text.ends_with(b"{") {
            text.push(b',');
        }
        serde_json::to_writer(Pieces(text), name)?;
        text.push(b':');
        serde_json::to_writer(Pieces(text), status)
    }
}

/// A text that gets many short pieces, such as quotation marks. To call a function that copies takes longer than to copy
/// them.
struct Pieces<'t>(&'t mut Vec<u8>);

impl io::Write for Pieces<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() < 16 {
            for byte in piece {
                self.0.push(*byte);
            }
        } else {
            self.0.extend_from_slice(piece);
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a reload.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ReloadStatus {
    /// When it began; the files were read after that.
    pub began_at: u64,
    /// Whether the new configuration is in effect; otherwise the previous one remains.
    pub ok: bool,
    /// What changed, or all errors, one or more lines.
    pub message: String,
}

impl ReloadStatus {
    /// The first error; none if the reload succeeded.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        (!self.ok).then(|| self.message.lines().next().unwrap_or_default())
    }
}

/// The memory of a derived number; that of series is not kept.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct DerivedStatus {
    /// Identifies its definition: after a change, the memory is dropped.
    pub definition: String,
    /// The numbers of its window, or the average, each with the time of its newest poll; the oldest first, at
    /// most [`crate::filters::derive::MOST_KEPT`].
    pub numbers: Vec<(f64, u64)>,
}

impl DerivedStatus {
    /// The serializable form.
    #[must_use]
    pub fn from_memory(memory: DerivedMemory) -> Self {
        let numbers = memory.numbers.into_iter();
        Self {
            definition: memory.definition,
            numbers: numbers.map(|(at, number)| (number, at.0)).collect(),
        }
    }

    /// The memory for a restarted collector.
    #[must_use]
    pub fn to_memory(&self) -> DerivedMemory {
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
    /// When the poll was sent.
    pub sent: u64,
    /// Its duration in seconds.
    pub latency: f64,
    /// Whether it succeeded.
    pub ok: bool,
    /// The reason of the failure, as in the field `error` of expressions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Details of the failure, as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The exit status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit: Option<i32>,
    /// The number, if the source has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
}

/// The reply of a service, and what decided it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Default)]
pub struct ServiceStatus {
    /// The line for HAProxy; none before the first reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply: Option<String>,
    /// `rule`, `weight`, `failure` or `override`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<String>,
    /// The rule's name, the raw weight, the failure, or the override's action.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// When the oldest poll behind the reply was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_reading_at: Option<u64>,
    /// Until when the reply is fresh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<u64>,
    /// When the reply last changed, apart from its description.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<u64>,
    /// The stages of the weight, if it decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<WeightStatus>,
    /// The names of the sources that it uses.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The floor of the weight in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<u16>,
    /// The `maxconn` of a server that nothing limits, if the agent manages it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub maxconn_normal: Option<u32>,
    /// The states of the rules, in their order.
    pub rules: Vec<RuleStatus>,
    /// The active overrides, in effect or outranked.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overrides: Vec<OverrideStatus>,
    /// The id of the `ready` command in effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready_window: Option<String>,
    /// The rest of the service's memory.
    #[serde(default)]
    pub memory: MemoryStatus,
}

/// A file of overrides that cannot be used.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OverrideFault {
    /// The service, or `@all`; none for a file of neither.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Path and reason.
    pub text: String,
}

/// An active override of a service.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OverrideStatus {
    /// Its id.
    pub id: String,
    /// Its scope: `all`, `service` or `file`.
    pub scope: String,
    /// Its current action.
    pub action: Action,
    /// Whether it is in effect; otherwise another override outranks it.
    pub counts: bool,
    /// The index of its current stage.
    pub stage: usize,
    /// The user who set it: the owner of its file.
    pub by: String,
    /// The operator's reason.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// When it was set, in seconds since 1970, UTC.
    pub set: u64,
    /// When this stage ends at the latest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<u64>,
    /// The condition that ends its first stage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// Why that condition cannot be evaluated, though its sources have fresh readings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until_error: Option<String>,
    /// Whether that condition was true once.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub reached: bool,
}

impl OverrideStatus {
    /// The serializable form of an override.
    #[must_use]
    pub fn new(active: &ActiveOverride<'_>, counts: bool, reached: bool) -> Self {
        let first = active.order.stages.first();
        Self {
            id: active.order.id.clone(),
            scope: active.scope.word().to_owned(),
            action: active.action,
            counts,
            stage: active.stage,
            by: active.order.by.clone(),
            reason: active.order.reason.clone(),
            set: active.order.set.wall,
            ends: active.ends.map(|ends| ends.0),
            until: first.and_then(|first| first.until.clone()),
            until_error: None,
            reached,
        }
    }
}

/// A weight from its expression to the reply, in percent.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WeightStatus {
    /// The value of the expression or of the capacity.
    pub raw: f64,
    /// After the average.
    pub smoothed: f64,
    /// After the ramp.
    pub ramped: f64,
    /// Between floor and ceiling.
    pub bounded: f64,
    /// After the largest step.
    pub stepped: f64,
    /// The percentage in the reply.
    pub percent: u16,
    /// Whether the ramp is running.
    pub ramping: bool,
    /// The basis of a weight by capacity: `measured`, `held` or `unmeasured`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basis: Option<String>,
}

impl WeightStatus {
    fn from_weighed(weighed: &Weighed) -> Self {
        let shaped = &weighed.shaped;
        let basis = weighed.capacity.map(|weight| match weight.basis {
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

/// The state of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RuleStatus {
    /// The rule's name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// Whether it is active; none if that was never known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub active: Option<bool>,
    /// When the oldest poll behind this state was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed_at: Option<u64>,
    /// Since when a change of this state is pending.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending_since: Option<u64>,
}

impl SourceStatus {
    /// The serializable form of a reading.
    #[must_use]
    pub fn from_reading(reading: &Reading) -> Self {
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
    /// Sets the fields that the configuration determines.
    pub fn set_configuration(&mut self, config: &Config, service: &Service) {
        let sources = config.polled_for(service);
        let sources = sources
            .iter()
            .filter_map(|source| config.sources.get(source.0));
        self.sources = sources.map(|source| source.name.clone()).collect();
        self.floor = Some(service.shaping.floor.get());
        let limit = service.maxconn.as_ref();
        self.maxconn_normal = limit.map(|limit| limit.normal.get());
    }

    /// Sets the fields that the verdict determines; `rules` are the service's rules.
    pub fn set_verdict(&mut self, verdict: &Verdict, rules: &[crate::config::Rule]) {
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
            DecisionSource::Weight(weighed) => Some(WeightStatus::from_weighed(weighed)),
            _ => None,
        };
        self.reply = Some(line(&verdict.reply));
        self.decided_by = Some(by.to_owned());
        self.why = Some(why);
        self.oldest_reading_at = Some(verdict.oldest_reading_at.0);
        self.until = Some(verdict.until.0);
    }
}

/// The line of a reply.
fn line(reply: &Reply) -> String {
    // So that it does not grow piece by piece.
    let mut line = String::with_capacity(Description::MAX);
    // A string takes everything.
    let _ = write!(line, "{reply}");
    line
}

impl RuleStatus {
    /// The state for the evaluation of a restarted collector.
    #[must_use]
    pub fn rule_state(&self) -> Option<RuleState> {
        Some(RuleState {
            active: self.active?,
            observed_at: BootTime(self.observed_at?),
            // No collector polled meanwhile: the timer starts again.
            pending_since: None,
        })
    }
}

/// Reads the snapshot of this boot. None, if there is none that can be read: a collector then starts without
/// memory.
#[must_use]
pub fn read_for_boot(directory: &Path, boot: &BootId) -> Option<Status> {
    let content = crate::sys::state_file::read_bounded(&directory.join(FILE), MAX_BYTES).ok()?;
    let status: Status = serde_json::from_slice(&content).ok()?;
    (status.version == VERSION && status.boot == boot.as_str()).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_by_pieces_is_read_back() {
        let source = |sent| SourceStatus {
            sent,
            latency: 0.5,
            ok: false,
            error: Some("timeout".to_owned()),
            detail: None,
            status: Some(503),
            exit: None,
            value: None,
        };
        let sources = [("b", source(2)), ("a", source(1))];
        let service = ServiceStatus {
            reply: Some("up 73% # \"x\"".to_owned()),
            ..ServiceStatus::default()
        };
        let frame = Frame::new(Status {
            version: VERSION,
            boot: "boot".to_owned(),
            pid: 1,
            started: 2,
            at: 3,
            sources: BTreeMap::new(),
            services: BTreeMap::new(),
            derived: BTreeMap::new(),
            override_faults: Vec::new(),
            loaded_at: Some(4),
            reload: None,
            pending_removals: BTreeMap::new(),
        });
        let (frame, mut text) = (frame.unwrap(), Vec::new());
        frame.begin(&mut text);
        for (name, status) in &sources {
            Frame::add(&mut text, name, status).unwrap();
        }
        frame.begin_services(&mut text);
        Frame::add(&mut text, "web", &service).unwrap();
        frame.end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let read: Status = serde_json::from_str(&text).unwrap();
        assert_eq!(read.sources["a"], sources[1].1);
        assert_eq!(read.sources["b"], sources[0].1);
        assert_eq!((read.sources.len(), read.services.len()), (2, 1));
        assert_eq!(read.services["web"], service);
        assert_eq!(
            (read.version, read.at, read.loaded_at),
            (VERSION, 3, Some(4))
        );
    }
}
