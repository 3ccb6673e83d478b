//! The collector's metrics, as text for Prometheus (exposition format 0.0.4), for the textfile collector of
//! its `node_exporter`. Pure: numbers in, text out.
//!
//! Label values are names of the configuration and words of closed lists. What an application or an operator
//! wrote is never among them, so neither can add a line, nor a series to those that the configuration makes.
//!
//! Times are seconds since 1970 and not ages: a file that nobody writes any more goes on telling how old what
//! it says is.

mod page;
mod render;

pub use render::render;

use crate::reading::Reason;
use agentcheck_common::Reply;
use std::time::Duration;

/// Everything that is told. Times are seconds since 1970, UTC.
#[derive(Clone, Debug)]
pub struct Metrics<'m> {
    /// The collector's version.
    pub version: &'m str,
    /// When it was started.
    pub started: f64,
    /// When this was put together.
    pub written: f64,
    /// Whether the latest attempt to load the configuration led to the one in use.
    pub loaded: bool,
    /// When the configuration in use was loaded.
    pub loaded_at: f64,
    /// How many overrides cannot be used.
    pub override_faults: usize,
    /// How often a file could not be written.
    pub unwritten: Unwritten,
    /// How long evaluations took.
    pub evaluations: Durations,
    /// The sources, in the order of the configuration.
    pub sources: Vec<SourceMetrics<'m>>,
    /// The services, in the order of the configuration.
    pub services: Vec<ServiceMetrics<'m>>,
}

/// How often a file could not be written since the collector was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// State files.
    pub state: u64,
    /// `status.json`.
    pub status: u64,
    /// The history.
    pub history: u64,
    /// The file of metrics itself.
    pub metrics: u64,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceMetrics<'m> {
    /// Its name.
    pub name: &'m str,
    /// How often it is polled.
    pub interval: Duration,
    /// Its polls.
    pub polls: Polls,
    /// When its latest poll was sent; none before the first.
    pub polled: Option<f64>,
    /// When the latest poll that gave what it should was sent.
    pub succeeded: Option<f64>,
}

/// What the polls of a source came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Polls {
    /// How many have finished.
    pub count: u64,
    /// How long all of them took together.
    pub took: Duration,
    /// How long the latest took, and whether it gave what it should.
    pub latest: Option<(Duration, bool)>,
    /// How many failed, in the order of [`Reason::ALL`].
    failures: [u64; Reason::ALL.len()],
}

impl Polls {
    /// Counts a poll that took so long, and failed for this reason, if it did.
    pub fn count(&mut self, took: Duration, failure: Option<Reason>) {
        self.count += 1;
        self.took = self.took.saturating_add(took);
        self.latest = Some((took, failure.is_none()));
        let reasons = Reason::ALL.iter().zip(&mut self.failures);
        for (_, count) in reasons.filter(|(reason, _)| Some(**reason) == failure) {
            *count += 1;
        }
    }
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceMetrics<'m> {
    /// Its name.
    pub name: &'m str,
    /// What is said; none where nothing could be said yet.
    pub reply: Option<ReplyMetrics>,
    /// When what was written last stops being fresh.
    pub fresh_until: Option<f64>,
    /// The names of its rules, in their order.
    pub rules: Vec<&'m str>,
    /// The overrides that count.
    pub overrides: Vec<OverrideMetrics<'m>>,
    /// How often it was evaluated.
    pub evaluations: u64,
    /// How often something else was said than before, whatever the description.
    pub changes: u64,
}

/// What is said of a service.
#[derive(Clone, Debug)]
pub struct ReplyMetrics {
    /// The reply.
    pub reply: Reply,
    /// Who decided it.
    pub by: By,
    /// When the oldest poll that it rests on was sent.
    pub reading: f64,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The rule with this index.
    Rule(usize),
    /// The weight.
    Weight,
    /// Nobody could.
    Failure,
    /// An operator.
    Override,
}

impl By {
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

/// An override that counts.
#[derive(Clone, Debug)]
pub struct OverrideMetrics<'m> {
    /// What is wanted, as a word: `drain`, `maint`, `down`, `force-up` or `limit`.
    pub action: &'m str,
    /// When it was set, in seconds since 1970.
    pub set: u64,
}

/// A histogram of times that something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    within: [u64; Self::BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Durations {
    /// The upper bounds, and how Prometheus writes them.
    const BOUNDS: [(Duration, &'static str); 5] = [
        (Duration::from_micros(100), "0.0001"),
        (Duration::from_millis(1), "0.001"),
        (Duration::from_millis(10), "0.01"),
        (Duration::from_millis(100), "0.1"),
        (Duration::from_secs(1), "1"),
    ];

    /// Counts one.
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
