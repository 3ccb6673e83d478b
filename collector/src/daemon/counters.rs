//! What the collector counts of its own work, for its metrics. By names, so that it goes on where the same
//! names are configured again.

use crate::reading::Reading;
use crate::status::metrics::{Durations, Polls};
use agentcheck_common::BootTime;
use std::collections::HashMap;
use std::time::Duration;

/// The counts since the collector was started.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) evaluations: Durations,
    /// State files that could not be written.
    pub(super) unwritten: u64,
    sources: HashMap<String, SourceCounters>,
    services: HashMap<String, ServiceCounters>,
}

/// Of a source.
#[derive(Clone, Copy, Default)]
pub(super) struct SourceCounters {
    pub(super) polls: Polls,
    /// When the latest poll was sent.
    pub(super) latest: Option<BootTime>,
    /// When the latest poll was sent that gave what it should.
    pub(super) good: Option<BootTime>,
}

/// Of a service.
#[derive(Clone, Copy, Default)]
pub(super) struct ServiceCounters {
    pub(super) evaluations: u64,
    pub(super) changes: u64,
    /// When the state file that was written last stops being fresh.
    pub(super) until: Option<BootTime>,
}

/// What came of publishing a verdict.
#[derive(Clone, Copy)]
pub(super) struct Published {
    /// Whether something else is said than before.
    pub(super) changed: bool,
    /// Whether the state file was written.
    pub(super) written: bool,
    /// When the verdict stops being fresh.
    pub(super) until: BootTime,
}

impl Counters {
    /// A poll of a source.
    pub(super) fn polled(&mut self, source: &str, reading: &Reading) {
        let polled = self.sources.entry(source.to_owned()).or_default();
        let failure = reading.outcome.as_ref().err();
        polled
            .polls
            .count(reading.latency, failure.map(|failure| failure.reason));
        polled.latest = Some(reading.sent);
        if failure.is_none() {
            polled.good = Some(reading.sent);
        }
    }

    /// An evaluation of a service, and what was published because of it, if anything was.
    pub(super) fn evaluated(
        &mut self,
        service: &str,
        took: Duration,
        published: Option<Published>,
    ) {
        self.evaluations.count(took);
        let evaluated = self.services.entry(service.to_owned()).or_default();
        evaluated.evaluations += 1;
        let Some(published) = published else {
            return;
        };
        evaluated.changes += u64::from(published.changed);
        if published.written {
            evaluated.until = Some(published.until);
        } else {
            self.unwritten += 1;
        }
    }

    /// The counts of a source.
    pub(super) fn source(&self, name: &str) -> SourceCounters {
        self.sources.get(name).copied().unwrap_or_default()
    }

    /// The counts of a service.
    pub(super) fn service(&self, name: &str) -> ServiceCounters {
        self.services.get(name).copied().unwrap_or_default()
    }
}
