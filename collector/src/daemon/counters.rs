//! Counters of the collector's work, for its metrics. Those of a source and of a service belong to its name, so that
//! they continue after a reload.

use crate::reading::Reading;
use crate::status::metrics::{Durations, Polls};
use agentcheck_common::BootTime;
use std::time::Duration;

/// The counters of all services together, since the collector started.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) evaluations: Durations,
    /// How many times a state file could not be written.
    pub(super) unwritten: u64,
}

/// The counters of a source.
#[derive(Clone, Default)]
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

impl SourceCounters {
    /// Counts a poll.
    pub(super) fn polled(&mut self, reading: &Reading) {
        let failure = reading.outcome.as_ref().err();
        self.polls
            .count(reading.latency, failure.map(|failure| failure.reason));
        self.latest = Some(reading.sent);
        if failure.is_none() {
            self.good = Some(reading.sent);
        }
    }
}

impl Counters {
    /// Counts an evaluation of a service: its processor time, and what was published.
    pub(super) fn evaluated(
        &mut self,
        service: &mut ServiceCounters,
        took: Duration,
        published: Option<Published>,
    ) {
        self.evaluations.count(took);
        service.evaluations += 1;
        let Some(published) = published else {
            return;
        };
        self.unwritten += u64::from(!published.written);
        service.changes += u64::from(published.changed);
        if published.written {
            service.until = Some(published.until);
        }
    }
}
