//! The metrics: collects them from the parts of the collector, when they are due.

use super::history_writer::HistoryWriter;
use super::metrics_writer::SHARE;
use super::records::Records;
use super::service::ServiceTask;
use super::services::Services;
use super::sources::Sources;
use crate::config::{Config, Service};
use crate::decision::evaluate::DecisionSource;
use crate::status::metrics::{
    self, DecidedBy, Metrics, OverrideMetrics, ReplyMetrics, ServiceMetrics, SourceMetrics,
    WriteFailures,
};
use crate::sys::clock;
use agentcheck_common::BootTime;
use log::debug;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Passes the metrics to the thread, if they are configured and due. `override_faults` is the number of override
/// files that cannot be used.
pub(super) fn write_due(
    config: &Config,
    sources: &Sources,
    services: &Services,
    override_faults: impl FnOnce() -> usize,
    records: &mut Records,
) {
    let Some(configured) = &config.metrics else {
        return;
    };
    if !records.metrics.rest().is_zero() {
        return;
    }
    let began = clock::thread_cpu_time();
    let text = metrics::render(&metrics(
        config,
        sources,
        services,
        override_faults(),
        records,
    ));
    let took = clock::thread_cpu_time().saturating_sub(began);
    debug!("metrics: {} bytes in {took:?}", text.len());
    records.metrics.due = Some(Instant::now() + configured.interval.max(took * SHARE));
    records.metrics.write(&configured.textfile, text);
}

fn metrics<'c>(
    config: &'c Config,
    sources: &'c Sources,
    services: &'c Services,
    override_faults: usize,
    records: &'c Records,
) -> Metrics<'c> {
    let clocks = BothClocks::now();
    let counters = &records.counters;
    let counted = config.sources.iter().zip(&sources.counters);
    let sources = counted.map(|(source, counted)| SourceMetrics {
        name: &source.name,
        interval: source.interval,
        polls: counted.polls.clone(),
        last_poll_at: counted.latest.map(|at| clocks.wall(at)),
        last_success_at: counted.good.map(|at| clocks.wall(at)),
    });
    let tasks = config.services.iter().zip(&services.tasks);
    let tasks = tasks.map(|(service, task)| service_metrics(service, task, &clocks));
    Metrics {
        version: env!("CARGO_PKG_VERSION"),
        started: records.metrics.started,
        collected_at: clocks.wall,
        last_reload_succeeded: records.reload.as_ref().is_none_or(|reload| reload.ok),
        loaded_at: records.metrics.loaded_at,
        override_faults,
        write_failures: WriteFailures {
            state: counters.unwritten,
            status: records.snapshot.writing.failures().load(Ordering::Relaxed),
            history: records.history.as_ref().map_or(0, HistoryWriter::failures),
            metrics: records.metrics.failures.load(Ordering::Relaxed),
        },
        evaluations: counters.evaluations,
        sources: sources.collect(),
        services: tasks.collect(),
    }
}

fn service_metrics<'c>(
    service: &'c Service,
    task: &'c ServiceTask,
    clocks: &BothClocks,
) -> ServiceMetrics<'c> {
    let counted = &task.counters;
    let reply = task.verdict.as_ref().map(|verdict| ReplyMetrics {
        reply: verdict.reply,
        by: match verdict.decided {
            DecisionSource::Rule { index, .. } => DecidedBy::Rule(index),
            DecisionSource::Weight(_) => DecidedBy::Weight,
            DecisionSource::Failure(_) => DecidedBy::Failure,
            DecisionSource::Override(_) => DecidedBy::Override,
        },
        reading: clocks.wall(verdict.oldest_reading_at),
    });
    let overrides = task.overrides.iter().filter(|one| one.counts);
    let rules = service.rules.iter();
    ServiceMetrics {
        name: service.name.as_str(),
        reply,
        fresh_until: counted.until.map(|at| clocks.wall(at)),
        rules: rules.map(|rule| rule.name.as_str()).collect(),
        overrides: overrides
            .map(|one| OverrideMetrics {
                // The action's word, without the number of a limit.
                action: one.action.word(),
                set_at: one.set,
            })
            .collect(),
        evaluations: counted.evaluations,
        changes: counted.changes,
    }
}

/// One moment on two clocks.
struct BothClocks {
    boot: BootTime,
    /// Seconds since 1970, UTC.
    wall: f64,
}

impl BothClocks {
    fn now() -> Self {
        Self {
            boot: clock::now(),
            wall: clock::unix_time_f64(),
        }
    }

    /// A moment on the wall clock as it is set now, in seconds since 1970 with milliseconds.
    fn wall(&self, at: BootTime) -> f64 {
        let past = self.boot.since(at).as_secs_f64();
        let future = at.since(self.boot).as_secs_f64();
        ((self.wall + future - past) * 1000.0).round() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distant_moments_have_a_wall_time() {
        let clocks = BothClocks {
            boot: BootTime(5_000_000_000),
            wall: 1_795_286_011.25,
        };
        assert_eq!(clocks.wall(BootTime(4_000_000_000)), 1_795_286_010.25);
        assert_eq!(clocks.wall(BootTime(6_500_000_000)), 1_795_286_012.75);
        assert!(clocks.wall(BootTime(u64::MAX)).is_finite());
    }
}
