//! Threads that read the directory of overrides and the flag files, and remove files of expired orders. These may
//! be on a disk that hangs: replies do not wait for it.

use super::Event;
use crate::config::Config;
use crate::overrides::store::{self, Key, Stored};
use crate::overrides::watch::Watch;
use crate::overrides::{Action, Moment, Override, OverrideStage, VERSION};
use log::{info, warn};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time between checks of the flag files.
const FLAGS_EVERY: Duration = Duration::from_millis(500);

/// How long the collector tries to read the overrides at its start, and the time between tries.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(20);

/// After this time without a finished read, it counts as blocked.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// The most that counts of the time between two turns. In a longer time, the whole process was stopped.
const TURN: Duration = Duration::from_secs(1);

/// The threads.
pub(super) struct OverrideWatcher {
    /// The flag files to read.
    files: Shared<Vec<PathBuf>>,
    /// The services whose orders are read.
    services: Shared<BTreeSet<String>>,
    /// Expired orders: files and ids.
    expired: Shared<BTreeSet<(Key, String)>>,
    /// The last content of the directory, until the loop takes it.
    read: Shared<Option<io::Result<Stored>>>,
    directory: HangDetector,
    flags: HangDetector,
}

type Shared<T> = Arc<Mutex<T>>;

/// The time since the last finished read.
struct HangDetector {
    what: &'static str,
    passed: Duration,
    /// The latest turn of the loop.
    turn: Instant,
}

/// A flag file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// The user who made it.
    by: String,
    /// When, in seconds since 1970.
    since: u64,
}

/// The result of a check of the flag files.
pub(super) type Flags = BTreeMap<PathBuf, io::Result<Option<Flag>>>;

impl OverrideWatcher {
    /// None yet.
    pub(super) fn new() -> Self {
        let silence = |what| HangDetector {
            what,
            passed: Duration::ZERO,
            turn: Instant::now(),
        };
        Self {
            files: Shared::default(),
            services: Shared::default(),
            expired: Shared::default(),
            read: Shared::default(),
            directory: silence("the directory of overrides"),
            flags: silence("flag files"),
        }
    }

    /// Starts the threads that read the `directory` of overrides and the flag files of `config`.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub(super) fn start(
        &self,
        directory: &Path,
        config: &Config,
        sender: &SyncSender<Event>,
    ) -> io::Result<()> {
        self.reload(config);
        let (expired, directory) = (Arc::clone(&self.expired), directory.to_owned());
        let (services, newest) = (Arc::clone(&self.services), Arc::clone(&self.read));
        let to = sender.clone();
        let thread = thread::Builder::new().name("overrides".to_owned());
        thread.spawn(move || {
            let mut watch = Watch::new(&directory);
            let mut known = BTreeSet::new();
            loop {
                remove(&directory, &std::mem::take(&mut *lock(&expired)));
                // Changes may happen before the watch exists.
                let services = lock(&services).clone();
                let read = store::read(&directory, &services, known.iter().cloned());
                if let Ok(stored) = &read {
                    known = stored.keys().chain(stored.unread.iter().cloned()).collect();
                }
                // Only the newest state waits for the loop.
                let waits = lock(&newest).replace(read).is_some();
                if !waits && to.send(Event::Overrides).is_err() {
                    return;
                }
                watch.wait();
            }
        })?;
        let (wanted, to) = (Arc::clone(&self.files), sender.clone());
        let thread = thread::Builder::new().name("flags".to_owned());
        thread.spawn(move || {
            loop {
                thread::sleep(FLAGS_EVERY);
                let files = lock(&wanted).clone();
                if !files.is_empty() && to.send(Event::Flags(check_files(files))).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// Removes the file of an expired order soon.
    pub(super) fn remove(&self, order: (Key, String)) {
        lock(&self.expired).insert(order);
    }

    /// Reads the orders for the services of `config`, and its flag files, from now on.
    pub(super) fn reload(&self, config: &Config) {
        *lock(&self.files) = files(config);
        *lock(&self.services) = services(config);
    }

    /// The newest state of the directory, where the loop has not taken it yet.
    pub(super) fn take(&self) -> Option<io::Result<Stored>> {
        lock(&self.read).take()
    }

    /// The directory of overrides was read.
    pub(super) fn directory_read(&mut self) {
        self.directory.ends();
    }

    /// The flag files were checked.
    pub(super) fn flags_read(&mut self) {
        self.flags.ends();
    }

    /// A turn of the loop: logs a read that is blocked.
    pub(super) fn check_hangs(&mut self) {
        self.directory.check();
        if !lock(&self.files).is_empty() {
            self.flags.check();
        }
    }
}

impl Flag {
    /// The flag file as an override, which is active while the file exists.
    pub(super) fn into_override(self, file: &Path) -> Override {
        Override {
            version: VERSION,
            id: file.display().to_string(),
            set: Moment {
                boot: String::new(),
                at: 0,
                wall: self.since,
            },
            stages: vec![OverrideStage {
                action: Action::Maint,
                until: None,
                end: None,
            }],
            reason: String::from("flag file"),
            by: self.by,
        }
    }
}

impl HangDetector {
    fn check(&mut self) {
        if self.is_long(Instant::now()) {
            let what = self.what;
            warn!("reading {what} is blocked; using the last known value");
        }
    }

    fn ends(&mut self) {
        if self.passed >= HANGS_AFTER {
            info!("reading {} works again", self.what);
        }
        self.passed = Duration::ZERO;
    }

    /// Whether the read counts as blocked from this turn on.
    fn is_long(&mut self, now: Instant) -> bool {
        let before = self.passed;
        self.passed += now.saturating_duration_since(self.turn).min(TURN);
        self.turn = now;
        before < HANGS_AFTER && self.passed >= HANGS_AFTER
    }
}

/// Reads the overrides at the start. There is no known state yet, so a failure would let a drained server in. It
/// tries again for a moment, because some failures pass.
pub(super) fn read_at_start(directory: &Path, config: &Config) -> io::Result<Stored> {
    let services = services(config);
    let until = Instant::now() + PATIENCE;
    loop {
        let read = store::read(directory, &services, std::iter::empty());
        let settled = match &read {
            Ok(stored) => stored.unread.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        };
        if settled || Instant::now() >= until {
            return read;
        }
        thread::sleep(AGAIN);
    }
}

fn services(config: &Config) -> BTreeSet<String> {
    let services = config.services.iter();
    services.map(|service| service.name.to_string()).collect()
}

/// The flag files of a configuration.
pub(super) fn files(config: &Config) -> Vec<PathBuf> {
    let services = config.services.iter();
    let files = services.filter_map(|service| service.maintenance_file.as_ref());
    files.chain(&config.maintenance_file).cloned().collect()
}

/// Checks the flag files of a configuration.
pub(super) fn flags(config: &Config) -> Flags {
    check_files(files(config))
}

fn check_files(files: Vec<PathBuf>) -> Flags {
    let checked = files.into_iter().map(|file| {
        let found = found(&file);
        (file, found)
    });
    checked.collect()
}

/// A link may lead anywhere, but only to an existing file. It belongs to the user who made the link.
fn found(file: &Path) -> io::Result<Option<Flag>> {
    match file.metadata().and_then(|_| file.symlink_metadata()) {
        Ok(metadata) => Ok(Some(Flag {
            by: store::user(metadata.uid()),
            since: u64::try_from(metadata.mtime()).unwrap_or_default(),
        })),
        // Other errors do not show whether it exists.
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Removes files of expired orders. If that is not allowed they stay, and are expired nevertheless. It does not wait
/// for a command that has the lock; the next turn asks again.
fn remove(directory: &Path, expired: &BTreeSet<(Key, String)>) {
    if expired.is_empty() {
        return;
    }
    if let Ok(locked) = store::lock(directory, Duration::ZERO) {
        for (key, id) in expired {
            locked.forget(key, id);
        }
    }
}

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    // Each change leaves it whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_read_is_logged_once_and_not_after_a_stop_of_the_process() {
        let started = Instant::now();
        let mut silence = HangDetector {
            what: "",
            passed: Duration::ZERO,
            turn: started,
        };
        let long = |silence: &mut HangDetector, seconds: Vec<u64>| {
            let turns = seconds.into_iter();
            turns
                .filter(|second| silence.is_long(started + Duration::from_secs(*second)))
                .collect::<Vec<_>>()
        };
        // The whole process was stopped for an hour.
        assert_eq!(long(&mut silence, vec![1, 2, 3602]), [0; 0]);
        silence.ends();
        let on = (3603..3620).collect();
        assert_eq!(long(&mut silence, on), [3607]);
        silence.ends();
        assert_eq!(long(&mut silence, (3621..3630).collect()), [3625]);
    }
}
