//! The file of metrics: put together by the loop from what it has, at most as often as the configuration says,
//! and written by a thread of its own, because it may lie on a disk that makes whoever writes wait.
//!
//! It stays when the collector ends: that nobody writes it any more is how Prometheus learns of that.

use super::Collector;
use super::failure_log::{FailureCounter, LoggedOperation};
use super::history_writer::HistoryWriter;
use super::service::ServiceTask;
use crate::config::{self, Service};
use crate::decision::evaluate::DecisionSource;
use crate::status::metrics::{
    self, DecidedBy, Metrics, OverrideMetrics, ReplyMetrics, SourceMetrics, WriteFailures,
};
use crate::sys::clock;
use crate::sys::state_file;
use agentcheck_common::BootTime;
use log::{Level, debug};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// When it is written first: by then the sources have been polled that answer at once.
const FIRST: Duration = Duration::from_secs(1);

/// Putting it together may take one part in so many of the loop's time, however often it is wanted.
const SHARE: u32 = 100;

/// The longest that there is nothing to do for a collector without metrics.
const NEVER: Duration = Duration::from_secs(3600);

/// When it is to be written, and who does it.
pub(super) struct MetricsWriter {
    /// None where no metrics are wanted.
    due: Option<Instant>,
    /// When the collector was started, by the wall clock as it was set then: it has to stay the same.
    started: f64,
    /// The same of the configuration in use.
    loaded_at: f64,
    /// To the thread that writes; none before there was anything to write.
    writer: Option<SyncSender<Page>>,
    /// How often it could not write.
    failures: FailureCounter,
}

/// A text, and the file that it is for.
type Page = (PathBuf, String);

impl MetricsWriter {
    /// As `configured`, with the configuration that the collector is started with.
    pub(super) fn new(configured: Option<&config::Metrics>) -> Self {
        let now = clock::unix_time_f64();
        Self {
            due: configured.map(|_| Instant::now() + FIRST),
            started: now,
            loaded_at: now,
            writer: None,
            failures: FailureCounter::default(),
        }
    }

    /// Another configuration is in force, or was refused; `configured` is what is in force now.
    pub(super) fn reloaded(&mut self, ok: bool, configured: Option<&config::Metrics>) {
        if ok {
            self.loaded_at = clock::unix_time_f64();
        }
        // Whoever watches is to see it soon.
        self.due = configured.map(|_| Instant::now());
    }

    /// How long there is nothing to do.
    pub(super) fn rest(&self) -> Duration {
        self.due
            .map_or(NEVER, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Has a text written. Where the thread is busy with one, and another waits for it, this one is dropped.
    fn write(&mut self, file: &Path, text: String) {
        if self.writer.is_none() {
            self.start();
        }
        if let Some(writer) = &self.writer {
            let _ = writer.try_send((file.to_owned(), text));
        }
    }

    /// Starts the thread that writes. Where the system has none to give now, it may have one the next time.
    fn start(&mut self) {
        let (writer, pages) = sync_channel(1);
        let told = LoggedOperation::new(Level::Warn, "the metrics".to_owned(), "written", "");
        let failures = told.failures();
        let thread = thread::Builder::new().name("metrics".to_owned());
        if thread.spawn(move || write_all(&pages, told)).is_ok() {
            self.writer = Some(writer);
            self.failures = failures;
        }
    }
}

fn write_all(pages: &Receiver<Page>, mut told: LoggedOperation) {
    for (file, text) in pages {
        let written = write(&file, &text).map_err(|error| {
            let told = format!("{}: {error}", file.display());
            io::Error::new(error.kind(), told)
        });
        told.note(&written);
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The temporary file's name does not end in .prom: node_exporter does not see it.
    state_file::replace(directory, &name, state_file::PUBLIC, text.as_bytes())
}

impl Collector {
    /// Has the metrics written, where they are wanted and it is time.
    pub(super) fn write_metrics(&mut self) {
        let Some(configured) = &self.config.metrics else {
            return;
        };
        if self.is_dry() || !self.metrics.rest().is_zero() {
            return;
        }
        let began = clock::thread_cpu_time();
        let text = metrics::render(&self.metrics());
        let took = clock::thread_cpu_time().saturating_sub(began);
        debug!("metrics: {} bytes, put together in {took:?}", text.len());
        self.metrics.due = Some(Instant::now() + configured.interval.max(took * SHARE));
        self.metrics.write(&configured.textfile, text);
    }

    fn metrics(&self) -> Metrics<'_> {
        let clocks = BothClocks::now();
        let sources = self.config.sources.iter().map(|source| {
            let polled = self.counters.source(&source.name);
            SourceMetrics {
                name: &source.name,
                interval: source.interval,
                polls: polled.polls,
                last_poll_at: polled.latest.map(|at| clocks.wall(at)),
                last_success_at: polled.good.map(|at| clocks.wall(at)),
            }
        });
        let services = self.config.services.iter().zip(&self.services);
        let services = services.map(|(service, running)| self.service(service, running, &clocks));
        Metrics {
            version: env!("CARGO_PKG_VERSION"),
            started: self.metrics.started,
            collected_at: clocks.wall,
            last_reload_succeeded: self.reloaded.as_ref().is_none_or(|reload| reload.ok),
            loaded_at: self.metrics.loaded_at,
            override_faults: self.overrides.faults().len(),
            write_failures: WriteFailures {
                state: self.counters.unwritten,
                status: self.snapshot.writing.failures().load(Ordering::Relaxed),
                history: self.history.as_ref().map_or(0, HistoryWriter::failures),
                metrics: self.metrics.failures.load(Ordering::Relaxed),
            },
            evaluations: self.counters.evaluations,
            sources: sources.collect(),
            services: services.collect(),
        }
    }

    fn service<'c>(
        &'c self,
        service: &'c Service,
        running: &'c ServiceTask,
        clocks: &BothClocks,
    ) -> metrics::ServiceMetrics<'c> {
        let counted = self.counters.service(service.name.as_str());
        let said = running.verdict.as_ref().map(|verdict| ReplyMetrics {
            reply: verdict.reply,
            by: match verdict.decided {
                DecisionSource::Rule { index, .. } => DecidedBy::Rule(index),
                DecisionSource::Weight(_) => DecidedBy::Weight,
                DecisionSource::Failure(_) => DecidedBy::Failure,
                DecisionSource::Override(_) => DecidedBy::Override,
            },
            reading: clocks.wall(verdict.oldest_reading_at),
        });
        let overrides = running.overrides.iter().filter(|one| one.counts);
        metrics::ServiceMetrics {
            name: service.name.as_str(),
            reply: said,
            fresh_until: counted.until.map(|at| clocks.wall(at)),
            rules: service
                .rules
                .iter()
                .map(|rule| rule.name.as_str())
                .collect(),
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

    /// Where a moment is on the wall clock as it is set now: a step of it is gone with the next writing. With
    /// milliseconds.
    fn wall(&self, at: BootTime) -> f64 {
        let past = self.boot.since(at).as_secs_f64();
        let future = at.since(self.boot).as_secs_f64();
        ((self.wall + future - past) * 1000.0).round() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if the thread hung in its first writing: a second text waits, and no more are kept.
    #[test]
    fn a_disk_that_hangs_holds_up_nobody() {
        let configured = config::Metrics {
            textfile: PathBuf::from("/nowhere/agentcheck.prom"),
            interval: Duration::from_secs(1),
        };
        let mut exposing = MetricsWriter::new(Some(&configured));
        let (writer, pages) = sync_channel(1);
        exposing.writer = Some(writer);
        for text in ["first", "second", "third"] {
            exposing.write(&configured.textfile, text.to_owned());
        }
        drop(exposing);
        let kept: Vec<String> = pages.iter().map(|(_, text)| text).collect();
        assert_eq!(kept, ["first"]);
    }

    #[test]
    fn what_is_far_away_is_on_the_wall_clock_too() {
        let clocks = BothClocks {
            boot: BootTime(5_000_000_000),
            wall: 1_795_286_011.25,
        };
        assert_eq!(clocks.wall(BootTime(4_000_000_000)), 1_795_286_010.25);
        assert_eq!(clocks.wall(BootTime(6_500_000_000)), 1_795_286_012.75);
        assert!(clocks.wall(BootTime(u64::MAX)).is_finite());
    }
}
