//! The metrics file. The loop puts the text together, at most as often as the configuration asks. A thread writes
//! it, because the disk may be slow.
//!
//! The file stays when the collector ends: its age shows Prometheus that nothing writes it.

use super::failure_log::{FailureCounter, LoggedOperation};
use crate::config;
use crate::sys::clock;
use crate::sys::state_file;
use log::Level;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The delay of the first file. Sources that reply at once were polled by then.
const FIRST: Duration = Duration::from_secs(1);

/// The text takes at most this fraction of the loop's time, with every interval.
pub(super) const SHARE: u32 = 100;

/// The sleep of a collector without metrics.
const NEVER: Duration = Duration::from_secs(3600);

/// The schedule of the metrics file, and the thread that writes it.
pub(super) struct MetricsWriter {
    /// `None` without metrics.
    pub(super) due: Option<Instant>,
    /// When the collector started, in seconds since 1970 by the wall clock of that time.
    pub(super) started: f64,
    /// The same for the present configuration.
    pub(super) loaded_at: f64,
    /// To the thread; `None` before the first text.
    writer: Option<SyncSender<Page>>,
    /// How many times the thread could not write.
    pub(super) failures: FailureCounter,
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
    pub(super) fn write(&mut self, file: &Path, text: String) {
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
}
