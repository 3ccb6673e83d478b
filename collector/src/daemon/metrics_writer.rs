//! The metrics file. The loop puts the text together, at most as often as the configuration asks. A thread writes
//! it, because the disk may be slow.
//!
//! The file stays when the collector ends: its age shows Prometheus that nothing writes it.

use super::counters::Counters;
use super::failure_log::{FailureCounter, LoggedOperation};
use super::history_writer::HistoryWriter;
use super::records::Records;
use super::service::ServiceTask;
use super::services::Services;
use crate::config::{self, Config, Service};
use crate::decision::evaluate::DecisionSource;
use crate::status::metrics::{
    self, DecidedBy, Metrics, OverrideMetrics, ReplyMetrics, ServiceMetrics, SourceMetrics,
    WriteFailures,
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

/// The delay of the first file. Sources that reply at once were polled by then.
const FIRST: Duration = Duration::from_secs(1);

/// The text takes at most this fraction of the loop's time, whatever the interval is.
const SHARE: u32 = 100;

/// The sleep of a collector without metrics.
const NEVER: Duration = Duration::from_secs(3600);

/// The schedule of the metrics file, and the thread that writes it.
pub(super) struct MetricsWriter {
    /// `None` without metrics.
    due: Option<Instant>,
    /// When the collector started, in seconds since 1970 by the wall clock of that time.
    started: f64,
    /// The same for the present configuration.
    loaded_at: f64,
    /// To the thread; `None` before the first text.
    writer: Option<SyncSender<Page>>,
    /// How many times the thread could not write.
    failures: FailureCounter,
}

/// A file and its text.
type Page = (PathBuf, String);

impl MetricsWriter {
    /// The schedule of `configured`, at the start of the collector.
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

    /// A reload ended; `configured` belongs to the present configuration.
    pub(super) fn reloaded(&mut self, ok: bool, configured: Option<&config::Metrics>) {
        if ok {
            self.loaded_at = clock::unix_time_f64();
        }
        // Prometheus sees the result soon.
        self.due = configured.map(|_| Instant::now());
    }

    /// How long there is nothing to do.
    pub(super) fn rest(&self) -> Duration {
        self.due
            .map_or(NEVER, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Passes a text to the thread. Drops it if the thread is busy and another text waits.
    fn write(&mut self, file: &Path, text: String) {
        if self.writer.is_none() {
            self.start();
        }
        if let Some(writer) = &self.writer {
            let _ = writer.try_send((file.to_owned(), text));
        }
    }

    /// Starts the thread. If the system cannot create it now, the next text tries again.
    fn start(&mut self) {
        let (writer, pages) = sync_channel(1);
        let log = LoggedOperation::new(
            Level::Warn,
            String::new(),
            "write metrics file".to_owned(),
            "",
        );
        let failures = log.failures();
        let thread = thread::Builder::new().name("metrics".to_owned());
        if thread.spawn(move || write_all(&pages, log)).is_ok() {
            self.writer = Some(writer);
            self.failures = failures;
        }
    }
}

fn write_all(pages: &Receiver<Page>, mut log: LoggedOperation) {
    for (file, text) in pages {
        let written = write(&file, &text).map_err(|error| {
            let text = format!("{}: {error}", file.display());
            io::Error::new(error.kind(), text)
        });
        log.note(&written);
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The temporary file's name does not end in .prom: node_exporter ignores it.
    state_file::replace(directory, &name, state_file::PUBLIC, text.as_bytes())
}

/// Passes the metrics to the thread, if they are configured and due. `override_faults` is the number of override
/// files that cannot be used.
pub(super) fn write_due(
    config: &Config,
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
    let text = metrics::render(&metrics(config, services, override_faults(), records));
    let took = clock::thread_cpu_time().saturating_sub(began);
    debug!("metrics: {} bytes in {took:?}", text.len());
    records.metrics.due = Some(Instant::now() + configured.interval.max(took * SHARE));
    records.metrics.write(&configured.textfile, text);
}

fn metrics<'c>(
    config: &'c Config,
    services: &'c Services,
    override_faults: usize,
    records: &'c Records,
) -> Metrics<'c> {
    let clocks = BothClocks::now();
    let counters = &records.counters;
    let sources = config.sources.iter().map(|source| {
        let counted = counters.source(&source.name);
        SourceMetrics {
            name: &source.name,
            interval: source.interval,
            polls: counted.polls,
            last_poll_at: counted.latest.map(|at| clocks.wall(at)),
            last_success_at: counted.good.map(|at| clocks.wall(at)),
        }
    });
    let tasks = config.services.iter().zip(&services.tasks);
    let tasks = tasks.map(|(service, task)| service_metrics(service, task, counters, &clocks));
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
    counters: &Counters,
    clocks: &BothClocks,
) -> ServiceMetrics<'c> {
    let counted = counters.service(service.name.as_str());
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

    /// A thread that hangs while it writes: one text waits, later ones are dropped.
    #[test]
    fn hung_disk_does_not_block_the_loop() {
        let configured = config::Metrics {
            textfile: PathBuf::from("/nowhere/agentcheck.prom"),
            interval: Duration::from_secs(1),
        };
        let mut writer_part = MetricsWriter::new(Some(&configured));
        let (writer, pages) = sync_channel(1);
        writer_part.writer = Some(writer);
        for text in ["first", "second", "third"] {
            writer_part.write(&configured.textfile, text.to_owned());
        }
        drop(writer_part);
        let kept: Vec<String> = pages.iter().map(|(_, text)| text).collect();
        assert_eq!(kept, ["first"]);
    }

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
