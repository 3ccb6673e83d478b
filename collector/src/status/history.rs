//! The flight recorder: what was said for each service, when and why, in `history/` of the data directory. It
//! survives the collector, and is bounded: two files, of which the older one goes when the newer one is full.
//!
//! One line of JSON an entry. A change of state, or of who decides, is always written; a weight that moves at
//! most once in ten seconds.

use crate::config::Service;
use crate::decision::evaluate::DecisionSource;
use crate::sys::state_file::read_bounded;
use agentcheck_common::{BootId, BootTime, Description, Reply};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory, below the data directory.
pub const DIRECTORY: &str = "history";

/// The newer file.
const CURRENT: &str = "current.jsonl";

/// The older file.
const PREVIOUS: &str = "previous.jsonl";

/// How large a file grows, in bytes: some 20,000 entries.
pub const MAX_FILE: u64 = 4 << 20;

/// How often a weight that moves is written.
const WEIGHT_EVERY: Duration = Duration::from_secs(10);

/// What is known of applications is for the collector's user and group.
const MODE: u32 = 0o640;

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in seconds since 1970, UTC, with milliseconds.
    pub time: f64,
    /// The boot whose clock `at` is of.
    pub boot: String,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub at: u64,
    /// The service; none where it is the collector itself that something happened to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// The line for HAProxy, or what happened to the collector.
    pub reply: String,
    /// `rule`, `weight`, `failure` or `override`; `collector` for the collector itself.
    pub by: String,
    /// The rule's name, what failed, who said it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
}

/// Makes entries of what happens.
#[derive(Debug)]
pub struct HistoryFilter {
    boot: BootId,
    /// What the last entry of each service said.
    written: HashMap<String, (Reply, String, String, BootTime)>,
}

impl HistoryFilter {
    /// Of what happens in this boot.
    #[must_use]
    pub fn new(boot: BootId) -> Self {
        Self {
            boot,
            written: HashMap::new(),
        }
    }

    /// Something happened to the collector itself.
    #[must_use]
    pub fn collector(&self, what: &str, now: BootTime, wall: f64) -> Entry {
        Entry {
            time: wall,
            boot: self.boot.to_string(),
            at: now.0,
            service: None,
            reply: what.to_owned(),
            by: "collector".to_owned(),
            why: String::new(),
        }
    }

    /// Takes note of what is said for a service, where it is worth an entry.
    pub fn note(
        &mut self,
        of: &Service,
        reply: &Reply,
        decided: &DecisionSource,
        (now, wall): (BootTime, f64),
    ) -> Option<Entry> {
        let service = of.name.as_str();
        let (by, why) = who(of, decided);
        let words = reply.described(Description::NONE);
        if let Some((before, was_by, was_why, at)) = self.written.get(service) {
            let same = *before == words && was_by == by && *was_why == why;
            // A weight has no name: only its number moves.
            let moves = was_by == by
                && *was_why == why
                && before.takes_out() == words.takes_out()
                && now.since(*at) < WEIGHT_EVERY;
            if same || moves {
                return None;
            }
        }
        let entry = Entry {
            time: wall,
            boot: self.boot.to_string(),
            at: now.0,
            service: Some(service.to_owned()),
            reply: reply.to_string(),
            by: by.to_owned(),
            why: why.clone(),
        };
        let known = (words, by.to_owned(), why, now);
        self.written.insert(service.to_owned(), known);
        Some(entry)
    }
}

/// Writes entries.
#[derive(Debug)]
pub struct Recorder {
    directory: PathBuf,
    file: Option<File>,
    size: u64,
    /// Whether the last line may have no end.
    torn: bool,
}

impl Recorder {
    /// Writes below a data directory. Where that is not to be had nothing is written.
    ///
    /// # Errors
    /// Why it is not to be had.
    pub fn open(data: &Path) -> (Self, io::Result<()>) {
        let mut recorder = Self {
            directory: data.join(DIRECTORY),
            file: None,
            size: 0,
            torn: false,
        };
        let opened = match std::fs::create_dir(&recorder.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => recorder.begin(),
        };
        (recorder, opened)
    }

    /// Opens the newer file, after making it the older one where it is full.
    fn begin(&mut self) -> io::Result<()> {
        let path = self.directory.join(CURRENT);
        if path.metadata().is_ok_and(|found| found.len() >= MAX_FILE) {
            std::fs::rename(&path, self.directory.join(PREVIOUS))?;
        }
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(MODE))?;
        let file = File::from(file);
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
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
    /// Those of writing; the next entry is tried anew.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.file.is_none() || self.size >= MAX_FILE {
            self.file = None;
            self.begin()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        // What was cut off by a full disk ends here, so that it takes no other entry with it: readers pass over
        // it, and over an empty line.
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        // One write, so that a reader sees whole lines.
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

/// Who decided, and why, as far as that has a name.
fn who(service: &Service, decided: &DecisionSource) -> (&'static str, String) {
    match decided {
        DecisionSource::Rule { index, .. } => {
            let rule = service.rules.get(*index);
            (
                "rule",
                rule.map(|rule| rule.name.clone()).unwrap_or_default(),
            )
        }
        DecisionSource::Weight(_) => ("weight", String::new()),
        DecisionSource::Failure(why) => ("failure", why.reason.clone()),
        DecisionSource::Override(forced) => {
            ("override", format!("{} by {}", forced.action, forced.by))
        }
    }
}

/// All entries, oldest first; lines that are none are passed over.
///
/// # Errors
/// Where the newer file is there and cannot be read. Without any there are none.
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
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;

    fn boot() -> BootId {
        BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
    }

    fn at(seconds: u32) -> (BootTime, f64) {
        let span = Duration::from_secs(seconds.into());
        (
            BootTime(0).after(span),
            1_700_000_000.0 + f64::from(seconds),
        )
    }

    fn reply(line: &str) -> Reply {
        Reply::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn changes_are_written_and_weights_now_and_then() {
        let scratch = Scratch::new("changes");
        let data = scratch.path();
        let (mut recorder, opened) = Recorder::open(data);
        opened.unwrap();
        let mut notes = HistoryFilter::new(boot());
        let started = notes.collector("started", at(0).0, at(0).1);
        recorder.write(&started).unwrap();
        let failure = DecisionSource::Failure(crate::decision::evaluate::Undecided {
            reason: "app timeout".to_owned(),
            masked: None,
        });
        let web = Service::new(agentcheck_common::ServiceName::parse(b"web").unwrap());
        let rule = DecisionSource::Rule {
            index: 0,
            kept: None,
        };
        for (second, line, decided) in [
            (1, "up 73% # a", &failure),
            (2, "up 73% # b", &failure),
            (3, "up 60%", &failure),
            (11, "up 50%", &failure),
            (12, "up 0% # rule=x", &rule),
            (13, "up 0% # rule=x", &rule),
            (14, "up 50%", &failure),
        ] {
            if let Some(entry) = notes.note(&web, &reply(line), decided, at(second)) {
                recorder.write(&entry).unwrap();
            }
        }
        let entries = read(data).unwrap();
        let told: Vec<String> = entries
            .iter()
            .map(|entry| format!("{} {} {}", entry.at / 1_000_000_000, entry.by, entry.reply))
            .collect();
        assert_eq!(
            told,
            [
                "0 collector started",
                "1 failure up 73% # a",
                "11 failure up 50%",
                "12 rule up 0% # rule=x",
                "14 failure up 50%"
            ]
        );
    }

    /// Three collectors, one after the other, write an entry each; the file ends in what is torn, and in `more`.
    fn torn_three_times(data: &Path, more: &[u8]) -> Vec<String> {
        let current = data.join(DIRECTORY).join(CURRENT);
        for round in 0..3 {
            let (mut recorder, opened) = Recorder::open(data);
            opened.unwrap();
            let entry =
                HistoryFilter::new(boot()).collector(&format!("round {round}"), at(round).0, 0.0);
            recorder.write(&entry).unwrap();
            let mut text = std::fs::read(&current).unwrap();
            text.extend_from_slice(b"{\"time\":1,\"boo");
            text.extend_from_slice(more);
            std::fs::write(&current, text).unwrap();
        }
        let entries = read(data).unwrap();
        entries.into_iter().map(|entry| entry.reply).collect()
    }

    #[test]
    fn what_was_cut_off_takes_no_other_entry_with_it() {
        let scratch = Scratch::new("torn");
        let told = torn_three_times(scratch.path(), b"");
        assert_eq!(told, ["round 0", "round 1", "round 2"]);
    }

    #[test]
    fn it_goes_on_is_bounded_and_passes_over_what_is_torn() {
        let scratch = Scratch::new("bounded");
        let data = scratch.path();
        let full = vec![b'\n'; usize::try_from(MAX_FILE).unwrap()];
        assert_eq!(torn_three_times(data, &full), ["round 1", "round 2"]);
        assert_eq!(std::fs::read_dir(data.join(DIRECTORY)).unwrap().count(), 2);
    }

    #[test]
    fn nowhere_is_told_once_and_does_no_harm() {
        let (mut recorder, opened) = Recorder::open(Path::new("/nonexistent"));
        assert!(opened.is_err());
        let entry = HistoryFilter::new(boot()).collector("x", at(0).0, 0.0);
        assert!(recorder.write(&entry).is_err());
        assert_eq!(read(Path::new("/nonexistent")).unwrap(), []);
    }
}
