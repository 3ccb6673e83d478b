//! Counters of the collector's work, for its metrics. By name, so that they continue after a reload.

use crate::reading::Reading;
use crate::reading::names::NameMap;
use crate::status::metrics::{Durations, Polls};
use agentcheck_common::BootTime;
use std::time::Duration;

/// The counters since the collector started.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) evaluations: Durations,
    /// How many times a state file could not be written.
    pub(super) unwritten: u64,
    sources: NameMap<String, SourceCounters>,
    services: NameMap<String, ServiceCounters>,
}

/// The counters of a source.
#[derive(Clone, Copy, Default)]
pub(super) struct SourceCounters {
    pub(super) polls: Polls,
    /// When the latest poll was sent.
    pub(super) latest: Option<BootTime>,
    /// When the latest successful poll was sent.
    pub(super) good: Option<BootTime>,
}

/// The counters of a service.
#[derive(Clone, Copy, Default)]
pub(super) struct ServiceCounters {
    pub(super) evaluations: u64,
    pub(super) changes: u64,
    /// When the latest written reply becomes stale.
    pub(super) until: Option<BootTime>,
}

/// The result of publishing a verdict.
#[derive(Clone, Copy)]
pub(super) struct Published {
    /// Whether the reply changed.
    pub(super) changed: bool,
    /// Whether the state file was written.
    pub(super) written: bool,
    /// When the verdict becomes stale.
    pub(super) until: BootTime,
}

impl Counters {
    /// Counts a poll of a source.
    pub(super) fn polled(&mut self, source: &str, reading: &Reading) {
        let failure = reading.outcome.as_ref().err();
        update(&mut self.sources, source, |counters| {
            counters
                .polls
                .count(reading.latency, failure.map(|failure| failure.reason));
            counters.latest = Some(reading.sent);
            if failure.is_none() {
                counters.good = Some(reading.sent);
            }
        });
    }

    /// Counts an evaluation of a service: its processor time, and what was published.
    pub(super) fn evaluated(
        &mut self,
        service: &str,
        took: Duration,
        published: Option<Published>,
    ) {
        self.evaluations.count(took);
        self.unwritten += u64::from(published.is_some_and(|published| !published.written));
        update(&mut self.services, service, |counters| {
            counters.evaluations += 1;
            if let Some(published) = published {
                counters.changes += u64::from(published.changed);
                counters.until = published
                    .written
                    .then_some(published.until)
                    .or(counters.until);
            }
        });
    }

    /// The counters of a source.
    pub(super) fn source(&self, name: &str) -> SourceCounters {
        self.sources.get(name).copied().unwrap_or_default()
    }

    /// The counters of a service.
    pub(super) fn service(&self, name: &str) -> ServiceCounters {
        self.services.get(name).copied().unwrap_or_default()
    }
}

/// Updates the counters of this name. They exist from their first update on.
fn update<C: Default>(counters: &mut NameMap<String, C>, name: &str, update: impl FnOnce(&mut C)) {
    if let Some(known) = counters.get_mut(name) {
        return update(known);
    }
    let mut first = C::default();
    update(&mut first);
    counters.insert(name.to_owned(), first);
}
