//! The collector's metrics as text (Prometheus exposition format 0.0.4), for node_exporter's textfile collector.
//! Pure: numbers in, text out.
//!
//! Label values are names of the configuration and words of closed lists. Text of applications and operators is
//! never a label, so it cannot add a line or a series.
//!
//! Times are seconds since 1970, not ages, so that they stay right in a file that is no longer renewed.

mod render;
mod text_format;

pub use render::render;

use crate::reading::Reason;
use agentcheck_common::Reply;
use std::time::Duration;

/// All metrics. Times are seconds since 1970, UTC.
#[derive(Clone, Debug)]
pub struct Metrics<'m> {
    /// The collector's version.
    pub version: &'m str,
    /// When the collector started.
    pub started: f64,
    /// When the metrics were collected.
    pub collected_at: f64,
    /// Whether the latest load of the configuration succeeded.
    pub last_reload_succeeded: bool,
    /// When the current configuration was loaded.
    pub loaded_at: f64,
    /// The number of overrides that cannot be used.
    pub override_faults: usize,
    /// Failed writes, by kind of file.
    pub write_failures: WriteFailures,
    /// Durations of evaluations.
    pub evaluations: Durations,
    /// The sources, in the order of the configuration.
    pub sources: Vec<SourceMetrics<'m>>,
    /// The services, in the order of the configuration.
    pub services: Vec<ServiceMetrics<'m>>,
}

/// Failed writes since the collector started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteFailures {
    /// Of state files.
    pub state: u64,
    /// Of `status.json`.
    pub status: u64,
    /// Of the history.
    pub history: u64,
    /// Of the metrics file.
    pub metrics: u64,
}

/// The metrics of one source.
#[derive(Clone, Debug)]
pub struct SourceMetrics<'m> {
    /// The name in the configuration.
    pub name: &'m str,
    /// The configured interval.
    pub interval: Duration,
    /// Counts and durations of its polls.
    pub polls: Polls,
    /// When the latest finished poll was sent; none before the first.
    pub last_poll_at: Option<f64>,
    /// When the latest successful poll was sent.
    pub last_success_at: Option<f64>,
}

/// The polls of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polls {
    /// The number of finished polls.
    pub count: u64,
    /// Their total duration.
    pub total_duration: Duration,
    /// The duration of the latest poll, and whether it succeeded.
    pub latest: Option<(Duration, bool)>,
    /// Failures by reason, in the order of [`Reason::ALL`]; none before the first.
    failures: Option<Box<[u64; Reason::ALL.len()]>>,
}

impl Polls {
    /// Counts a poll with its duration and the reason of its failure, if it failed.
    pub fn count(&mut self, took: Duration, failure: Option<Reason>) {
        self.count += 1;
        self.total_duration = self.total_duration.saturating_add(took);
        self.latest = Some((took, failure.is_none()));
        let Some(failure) = failure else {
            return;
        };
        let mut reasons = Reason::ALL
            .iter()
            .zip(self.failures.get_or_insert_default().iter_mut());
        if let Some((_, count)) = reasons.find(|(reason, _)| **reason == failure) {
            *count += 1;
        }
    }
}

/// The metrics of one service.
#[derive(Clone, Debug)]
pub struct ServiceMetrics<'m> {
    /// The name in the configuration.
    pub name: &'m str,
    /// The reply; none before the first.
    pub reply: Option<ReplyMetrics>,
    /// Until when the latest reply is fresh.
    pub fresh_until: Option<f64>,
    /// The names of its rules, in their order.
    pub rules: Vec<&'m str>,
    /// The overrides in effect.
    pub overrides: Vec<OverrideMetrics<'m>>,
    /// The number of evaluations.
    pub evaluations: u64,
    /// The number of changes of the reply, apart from its description.
    pub changes: u64,
}

/// The reply of a service.
#[derive(Clone, Debug)]
pub struct ReplyMetrics {
    /// The reply.
    pub reply: Reply,
    /// What decided it.
    pub by: DecidedBy,
    /// When the oldest poll behind it was sent.
    pub reading: f64,
}

/// What decided a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The rule with this index.
    Rule(usize),
    /// The weight.
    Weight,
    /// `on_failure`.
    Failure,
    /// An operator.
    Override,
}

impl DecidedBy {
    const WORDS: [&'static str; 4] = ["rule", "weight", "failure", "override"];

    fn word(self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Weight => "weight",
            Self::Failure => "failure",
            Self::Override => "override",
        }
    }
}

/// An override in effect.
#[derive(Clone, Debug)]
pub struct OverrideMetrics<'m> {
    /// Its action: `drain`, `maint`, `down`, `force-up` or `limit`.
    pub action: &'m str,
    /// When it was set, in seconds since 1970.
    pub set_at: u64,
}

/// A histogram of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    within: [u64; Self::BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Durations {
    /// The upper bounds, and their text in Prometheus' format.
    const BOUNDS: [(Duration, &'static str); 5] = [
        (Duration::from_micros(100), "0.0001"),
        (Duration::from_millis(1), "0.001"),
        (Duration::from_millis(10), "0.01"),
        (Duration::from_millis(100), "0.1"),
        (Duration::from_secs(1), "1"),
    ];

    /// Counts one duration.
    pub fn count(&mut self, took: Duration) {
        for ((bound, _), within) in Self::BOUNDS.iter().zip(&mut self.within) {
            *within += u64::from(took <= *bound);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

#[cfg(test)]
mod tests;
