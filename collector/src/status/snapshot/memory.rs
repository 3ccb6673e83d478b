//! What a service remembers, as it stands in the status snapshot: a restarted collector goes on from there.

use super::RuleStatus;
use crate::config::Service;
use crate::decision::evaluate::{FractionWatch, ServiceMemory};
use crate::expression::Simple;
use crate::filters::{capacity, shape};
use agentcheck_common::{BootTime, Reply};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A number and the moment that it is of.
type Dated = (f64, u64);

/// [`Memory`] but for the last reply, which the state file has, and the truths of rules, which are told by
/// the rules' names.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Default)]
#[serde(default)]
pub struct MemoryStatus {
    /// The last reply that a rule or the weight led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Whether the server was taken out and its weight has not decided since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub out: bool,
    /// For how many seconds that stands without a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_for: Option<f64>,
    /// The average of the weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothed: Option<Dated>,
    /// Since when the server comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<u64>,
    /// Where the steps of the weight are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stepped: Option<Dated>,
    /// The percentage that the weight led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<u16>,
    /// Since when there is traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_since: Option<u64>,
    /// When there was traffic last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_seen: Option<u64>,
    /// The last weight by capacity that was trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Dated>,
    /// When the application was started, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// The same, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_text: Option<String>,
    /// What counts since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<f64>,
    /// Until when the balancers' drain and maint are lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_window: Option<u64>,
}

fn written(dated: Option<(f64, BootTime)>) -> Option<Dated> {
    dated.map(|(number, at)| (number, at.0))
}

/// Nothing but finite numbers of moments that have passed is believed: the file may be anybody's.
fn read(dated: Option<Dated>, now: BootTime) -> Option<(f64, BootTime)> {
    dated
        .filter(|(number, at)| number.is_finite() && *at <= now.0)
        .map(|(number, at)| (number, BootTime(at)))
}

fn passed(at: Option<u64>, now: BootTime) -> Option<BootTime> {
    at.filter(|at| *at <= now.0).map(BootTime)
}

impl MemoryStatus {
    /// What is to be written of a memory.
    #[must_use]
    pub fn of(memory: &ServiceMemory) -> Self {
        let (start, start_text) = match &memory.start {
            Some(Simple::Number(number)) => (Some(*number), None),
            Some(Simple::Text(text)) => (None, Some(text.clone())),
            Some(Simple::Truth(_)) | None => (None, None),
        };
        Self {
            last: memory.last.map(|last| last.to_string()),
            ready_window: memory.ready_window.map(|lift| lift.0),
            out: memory.was_out,
            hold_for: memory.hold_for.map(|time| time.as_secs_f64()),
            smoothed: written(memory.shape.smoothed),
            ramp: memory.shape.ramp.map(|since| since.0),
            stepped: written(memory.shape.stepped),
            said: memory.shape.last_percent,
            traffic_since: memory.capacity.since.map(|since| since.0),
            traffic_seen: memory.capacity.seen.map(|seen| seen.0),
            capacity: written(memory.capacity.held),
            start,
            start_text,
            counter: memory.counter,
        }
    }

    /// The last reply that is remembered.
    #[must_use]
    pub fn last(&self) -> Option<Reply> {
        Reply::parse(self.last.as_ref()?.as_bytes()).ok()
    }

    /// The memory of a restarted collector: this, the rules that are still the same, and `last`, the reply
    /// that rules and weight led to.
    #[must_use]
    pub fn restored(
        &self,
        service: &Service,
        rules: &[RuleStatus],
        last: Option<Reply>,
        now: BootTime,
    ) -> ServiceMemory {
        let rule_states = service.rules.iter().map(|rule| {
            rules
                .iter()
                .find(|known| known.name == rule.name && known.when == rule.when.text())
                .and_then(RuleStatus::rule_state)
        });
        let text = self.start_text.clone().map(Simple::Text);
        ServiceMemory {
            last,
            hold_for: self
                .hold_for
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            rule_states: rule_states.collect(),
            was_out: self.out || last.is_some_and(|last| last.takes_out()),
            shape: shape::ShapeMemory {
                smoothed: read(self.smoothed, now),
                ramp: passed(self.ramp, now),
                stepped: read(self.stepped, now),
                last_percent: self.said,
            },
            capacity: capacity::CapacityMemory {
                since: passed(self.traffic_since, now),
                held: read(self.capacity, now),
                seen: passed(self.traffic_seen, now),
            },
            start: self.start.map(Simple::Number).or(text),
            counter: self.counter,
            fraction: FractionWatch::default(),
            // A restarted collector has seen none of them.
            last_shown: Vec::new(),
            // A minute at most: no file makes it longer.
            ready_window: self
                .ready_window
                .map(|lift| BootTime(lift).min(now.after(crate::decision::decide::READY_WINDOW))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_common::ServiceName;

    #[test]
    fn what_is_written_is_read_back() {
        let memory = ServiceMemory {
            was_out: true,
            hold_for: Some(Duration::from_secs(60)),
            shape: shape::ShapeMemory {
                smoothed: Some((70.5, BootTime(3))),
                ramp: Some(BootTime(4)),
                stepped: Some((69.5, BootTime(5))),
                last_percent: Some(69),
            },
            capacity: capacity::CapacityMemory {
                since: Some(BootTime(6)),
                held: Some((50.0, BootTime(7))),
                seen: Some(BootTime(8)),
            },
            start: Some(Simple::Text("2026-11-21T10:00:00Z".to_owned())),
            counter: Some(12.0),
            ..ServiceMemory::default()
        };
        let json = serde_json::to_string(&MemoryStatus::of(&memory)).unwrap();
        let status: MemoryStatus = serde_json::from_str(&json).unwrap();
        let service = Service::new(ServiceName::parse(b"web").unwrap());
        assert_eq!(status.restored(&service, &[], None, BootTime(9)), memory);
        // Of a time to come, and of no number, nothing is believed.
        let restored = status.restored(&service, &[], None, BootTime(4));
        assert_eq!(restored.shape.stepped, None);
        assert_eq!(restored.capacity, capacity::CapacityMemory::default());
        // A reply of another time than the memory: out is out.
        let drained = Reply::parse(b"up 0%").unwrap();
        let unknown = MemoryStatus::default();
        assert!(
            unknown
                .restored(&service, &[], Some(drained), BootTime(9))
                .was_out
        );
    }
}
