//! The history: each service's replies with time and reason, and the collector's own events, in `history/` of the
//! data directory. It survives restarts, and is bounded: when the newer of two files is full, it replaces the
//! older one.
//!
//! One JSON object per line. Changes of the state, of what decides and of the limit are always recorded; changes
//! of the weight alone at most once in ten seconds.

use crate::config::Service;
use crate::decision::evaluate::DecisionSource;
use crate::overrides::{Action, ActiveOverride};
use crate::reply::words::ReplyWords;
use crate::sys::state_file::read_bounded;
use agentcheck_common::{BootId, BootTime, Reply};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory, below the data directory.
pub const DIRECTORY: &str = "history";

/// The name of the newer file.
const CURRENT: &str = "current.jsonl";

/// The name of the older file.
const PREVIOUS: &str = "previous.jsonl";

/// The size in bytes at which a file is full: some 20,000 entries.
pub const MAX_FILE: u64 = 4 << 20;

/// The least time between two entries for changes of the weight alone.
const WEIGHT_INTERVAL: Duration = Duration::from_secs(10);

/// Only the collector's user and group may read details of applications.
const MODE: u32 = 0o640;

/// The longest detail of an event, in characters.
const MAX_DETAIL: usize = 500;

/// What happened to the collector itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It started.
    Started,
    /// It was asked to stop.
    Stopping,
    /// It loaded a new configuration.
    Reloaded,
    /// It refused a new configuration.
    ReloadRefused,
    /// The wall clock stepped, or the host was suspended.
    ClockChanged,
    /// It lost the state directory and writes nothing.
    StateDirLost,
    /// It has the state directory again.
    StateDirRestored,
}

impl Event {
    /// The event for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Reloaded => "configuration reloaded",
            Self::ReloadRefused => "reload refused",
            Self::ClockChanged => "clock",
            Self::StateDirLost => "state directory lost; replies are not written",
            Self::StateDirRestored => "state directory available again",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970, UTC.
    pub time: f64,
    /// The boot id; `at` is on the clock of this boot.
    pub boot: String,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub at: u64,
    /// The service; none for an event of the collector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// The line for HAProxy; empty for an event of the collector.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reply: String,
    /// The event of the collector; none for a reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event: Option<Event>,
    /// `rule`, `weight`, `failure` or `override`; `collector` for the collector itself.
    pub by: String,
    /// The rule's name, the failure, the override with its user, or the detail of an event.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
    /// The limit in effect and its user, such as `50% by ann`.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub limit: String,
}

/// Selects what is recorded.
#[derive(Debug)]
pub struct HistoryFilter {
    boot: BootId,
}

/// The last recorded reply of a service, apart from its description.
#[derive(Debug)]
pub struct RecordedReply {
    at: BootTime,
    words: ReplyWords,
    by: &'static str,
    why: Box<str>,
    limit: Box<str>,
}

impl HistoryFilter {
    /// A filter for this boot, before the first entry.
    #[must_use]
    pub fn new(boot: BootId) -> Self {
        Self { boot }
    }

    /// The entry for an event of the collector, with a detail or an empty text.
    #[must_use]
    pub fn event_entry(&self, event: Event, detail: &str, now: BootTime, wall: f64) -> Entry {
        Entry {
            time: wall,
            boot: self.boot.to_string(),
            at: now.0,
            service: None,
            reply: String::new(),
            event: Some(event),
            by: "collector".to_owned(),
            why: detail.chars().take(MAX_DETAIL).collect(),
            limit: String::new(),
        }
    }

    /// The entry for a service's reply, if it belongs into the history. `recorded` is the last reply of the service that
    /// does; `wall` returns the time in seconds since 1970.
    pub fn reply_entry(
        &self,
        service: &Service,
        recorded: &mut Option<RecordedReply>,
        (reply, decided): (&Reply, &DecisionSource),
        limit: Option<&ActiveOverride<'_>>,
        now: BootTime,
        wall: impl FnOnce() -> f64,
    ) -> Option<Entry> {
        let (by, why) = decided_by(service, decided);
        let limit = limit.and_then(|active| match active.action {
            Action::Limit { percent } => Some(format!("{percent}% by {}", active.order.by)),
            _ => None,
        });
        let limit = limit.unwrap_or_default();
        let words = ReplyWords::of(reply);
        if let Some(last) = recorded {
            let same_reason = last.by == by && *last.why == *why && *last.limit == *limit;
            let only_weight = last.words.bare().takes_server_out() == reply.takes_server_out()
                && now.since(last.at) < WEIGHT_INTERVAL;
            if same_reason && (last.words == words || only_weight) {
                return None;
            }
        }
        let entry = Entry {
            time: wall(),
            boot: self.boot.to_string(),
            at: now.0,
            service: Some(service.name.to_string()),
            reply: reply.to_string(),
            event: None,
            by: by.to_owned(),
            why: why.clone().into_owned(),
            limit: limit.clone(),
        };
        *recorded = Some(RecordedReply {
            at: now,
            words,
            by,
            why: why.into(),
            limit: limit.into(),
        });
        Some(entry)
    }
}

/// Writes entries to the files.
#[derive(Debug)]
pub struct Recorder {
    data: PathBuf,
    file: Option<File>,
    size: u64,
    /// Whether the last line may be incomplete.
    torn: bool,
}

impl Recorder {
    /// Opens the history of a data directory.
    ///
    /// # Errors
    /// The error of creating or opening it; each write then tries again.
    pub fn open(data: &Path) -> (Self, io::Result<()>) {
        let mut recorder = Self {
            data: data.to_owned(),
            file: None,
            size: 0,
            torn: false,
        };
        let opened = recorder.begin();
        (recorder, opened)
    }

    /// Opens the newer file. A full one becomes the older file first. No link is followed below the data directory:
    /// a collector that runs as root may have one of another user.
    fn begin(&mut self) -> io::Result<()> {
        let open = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let data = rustix::fs::open(
            &self.data,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        match mkdirat(&data, DIRECTORY, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = open | OFlags::PATH | OFlags::DIRECTORY;
        let directory = openat(&data, DIRECTORY, flags, Mode::empty())?;
        let is_full = |found: Stat| u64::try_from(found.st_size).is_ok_and(|size| size >= MAX_FILE);
        if statat(&directory, CURRENT, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_full) {
            renameat(&directory, CURRENT, &directory, PREVIOUS)?;
        }
        let flags = open | OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let file = openat(&directory, CURRENT, flags, Mode::from_raw_mode(MODE))?;
        let file = File::from(file);
        let found = file.metadata()?;
        if !found.is_file() || found.nlink() > 1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file of one name",
            ));
        }
        self.size = found.len();
        self.torn = self.size > 0;
        self.file = Some(file);
        Ok(())
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// The error of writing; the next entry opens the file again.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.file.is_none() || self.size >= MAX_FILE {
            self.file = None;
            self.begin()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        // An incomplete line ends here, so that only that entry is lost: readers skip it, and empty lines.
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        // One write, so that readers get complete lines.
        let written = file.write_all(&line);
        self.torn = written.is_err();
        if self.torn {
            self.file = None;
        }
        self.size = self
            .size
            .saturating_add(u64::try_from(line.len()).unwrap_or(0));
        written
    }
}

/// What decided, and its name or reason.
fn decided_by<'d>(
    service: &'d Service,
    decided: &'d DecisionSource,
) -> (&'static str, Cow<'d, str>) {
    match decided {
        DecisionSource::Rule { index, .. } => {
            let rule = service.rules.get(*index);
            ("rule", rule.map_or("", |rule| rule.name.as_str()).into())
        }
        DecisionSource::Weight(_) => ("weight", "".into()),
        DecisionSource::Failure(why) => ("failure", why.reason.as_str().into()),
        DecisionSource::Override(outage) => (
            "override",
            format!("{} by {}", outage.action, outage.by).into(),
        ),
    }
}

/// Reads all entries, oldest first, and skips invalid lines. Without files there are none.
///
/// # Errors
/// If a file exists and cannot be read.
pub fn read(data: &Path) -> io::Result<Vec<Entry>> {
    let directory = data.join(DIRECTORY);
    let mut entries = Vec::new();
    let most = usize::try_from(MAX_FILE * 2).unwrap_or(usize::MAX);
    for name in [PREVIOUS, CURRENT] {
        let content = match read_bounded(&directory.join(name), most) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let lines = content.split(|byte| *byte == b'\n');
        entries.extend(lines.filter_map(|line| serde_json::from_slice::<Entry>(line).ok()));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
