//! The memory of a service in the status snapshot, for a restarted collector.

use super::RuleStatus;
use crate::config::Service;
use crate::decision::evaluate::{FractionWatch, ServiceMemory};
use crate::expression::Simple;
use crate::filters::{capacity, shape};
use crate::reply::words::ReplyWords;
use agentcheck_common::{BootTime, Reply};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A number and its time.
type Dated = (f64, u64);

/// [`ServiceMemory`] without the rule states, which are listed by rule.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Default)]
#[serde(default)]
pub struct MemoryStatus {
    /// The last reply that a rule or the weight led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Whether the server was taken out, and the weight has not decided since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub out: bool,
    /// For how many seconds that reply remains without a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_for: Option<f64>,
    /// The average of the weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothed: Option<Dated>,
    /// When the ramp began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<u64>,
    /// The weight after `max_rise` and `max_fall`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stepped: Option<Dated>,
    /// The percentage of the last reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_percent: Option<u16>,
    /// Since when there is traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_since: Option<u64>,
    /// When there was traffic for the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_seen: Option<u64>,
    /// The last measured weight by capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Dated>,
    /// The application's start, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// The application's start, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_text: Option<String>,
    /// The application's counter at the last poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<f64>,
    /// Until when replies contain `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_window: Option<u64>,
}

fn to_dated(dated: Option<(f64, BootTime)>) -> Option<Dated> {
    dated.map(|(number, at)| (number, at.0))
}

/// Accepts only finite numbers with a time in the past: the file is not trusted.
fn from_dated(dated: Option<Dated>, now: BootTime) -> Option<(f64, BootTime)> {
    dated
        .filter(|(number, at)| number.is_finite() && *at <= now.0)
        .map(|(number, at)| (number, BootTime(at)))
}

fn passed(at: Option<u64>, now: BootTime) -> Option<BootTime> {
    at.filter(|at| *at <= now.0).map(BootTime)
}

impl MemoryStatus {
    /// The serializable form.
    #[must_use]
    pub fn from_memory(memory: &ServiceMemory) -> Self {
        let (start, start_text) = match &memory.start {
            Some(Simple::Number(number)) => (Some(*number), None),
            Some(Simple::Text(text)) => (None, Some(text.clone())),
            Some(Simple::Truth(_)) | None => (None, None),
        };
        Self {
            last: memory.last.map(|last| super::line(&last.bare())),
            ready_window: memory.ready_window.map(|end| end.0),
            out: memory.was_out,
            hold_for: memory.hold_for.map(|time| time.as_secs_f64()),
            smoothed: to_dated(memory.shape.smoothed),
            ramp: memory.shape.ramp.map(|since| since.0),
            stepped: to_dated(memory.shape.stepped),
            last_percent: memory.shape.last_percent,
            traffic_since: memory.capacity.since.map(|since| since.0),
            traffic_seen: memory.capacity.seen.map(|seen| seen.0),
            capacity: to_dated(memory.capacity.held),
            start,
            start_text,
            counter: memory.counter,
        }
    }

    /// The last reply of a rule or the weight.
    #[must_use]
    pub fn last_reply(&self) -> Option<Reply> {
        Reply::parse(self.last.as_ref()?.as_bytes()).ok()
    }

    /// The memory for a restarted collector: this, the states of unchanged rules, and `last`, the last reply of
    /// rules and weight.
    #[must_use]
    pub fn restore(
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
            last: last.as_ref().map(ReplyWords::of),
            hold_for: self
                .hold_for
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            rule_states: rule_states.collect(),
            was_out: self.out || last.is_some_and(|last| last.takes_server_out()),
            shape: shape::ShapeMemory {
                smoothed: from_dated(self.smoothed, now),
                ramp: passed(self.ramp, now),
                stepped: from_dated(self.stepped, now),
                last_percent: self.last_percent,
            },
            capacity: capacity::CapacityMemory {
                since: passed(self.traffic_since, now),
                held: from_dated(self.capacity, now),
                seen: passed(self.traffic_seen, now),
            },
            start: self.start.map(Simple::Number).or(text),
            counter: self.counter,
            fraction: FractionWatch::default(),
            // A restarted collector has seen none of them.
            last_shown: Vec::new(),
            // Bounded, because the file is not trusted.
            ready_window: self
                .ready_window
                .map(|end| BootTime(end).min(now.after(crate::decision::decide::READY_WINDOW))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_common::ServiceName;

    #[test]
    fn memory_survives_serialization() {
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
        let json = serde_json::to_string(&MemoryStatus::from_memory(&memory)).unwrap();
        let status: MemoryStatus = serde_json::from_str(&json).unwrap();
        let service = Service::new(ServiceName::parse(b"web").unwrap());
        assert_eq!(status.restore(&service, &[], None, BootTime(9)), memory);
        // Times in the future are dropped.
        let restored = status.restore(&service, &[], None, BootTime(4));
        assert_eq!(restored.shape.stepped, None);
        assert_eq!(restored.capacity, capacity::CapacityMemory::default());
        // A last reply that takes the server out counts without other memory.
        let drained = Reply::parse(b"up 0%").unwrap();
        let unknown = MemoryStatus::default();
        assert!(
            unknown
                .restore(&service, &[], Some(drained), BootTime(9))
                .was_out
        );
    }
}
