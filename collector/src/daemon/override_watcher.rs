//! Threads that read the directory of overrides and the flag files, and remove files of expired orders. These may
//! be on a disk that hangs: replies do not wait for it.

use super::{Event, LONGEST_SLEEP};
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time between checks of the flag files.
const FLAGS_EVERY: Duration = Duration::from_millis(500);

/// How long the collector tries to read the overrides at its start, and the time between tries.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(20);

/// The time between tries to remove the same file. Each try writes to the directory, and so wakes the thread.
const REMOVE_AGAIN: Duration = Duration::from_secs(1);

/// After this time without a finished read, it counts as blocked.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// The threads.
pub(super) struct OverrideWatcher {
    /// The flag files to read.
    files: Arc<FlagFiles>,
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

/// The flag files of the current configuration. The thread sleeps while there are none.
#[derive(Default)]
struct FlagFiles {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Clone, Default)]
struct Wanted {
    files: Vec<PathBuf>,
    /// How many configurations there were. The loop gets the flags of each at least once.
    configuration: u64,
}

/// How many reads a thread has begun and ended together: odd during a read.
#[derive(Clone, Default)]
struct Reads(Arc<AtomicU64>);

/// The time that a thread's present read takes.
struct HangDetector {
    what: &'static str,
    reads: Reads,
    /// The count of `reads` at the latest turn of the loop.
    seen: u64,
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
        Self {
            files: Arc::default(),
            services: Shared::default(),
            expired: Shared::default(),
            read: Shared::default(),
            directory: HangDetector::new("the directory of overrides", Instant::now()),
            flags: HangDetector::new("flag files", Instant::now()),
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
        let (reads, to) = (self.directory.reads.clone(), sender.clone());
        let thread = thread::Builder::new().name("overrides".to_owned());
        thread.spawn(move || {
            let mut watch = Watch::new(&directory);
            let (mut known, mut to_remove) = (BTreeSet::new(), BTreeSet::new());
            let (mut sent, mut tried) = (None, Instant::now());
            loop {
                let mut expired = std::mem::take(&mut *lock(&expired));
                let try_to_remove = !expired.is_empty() || tried.elapsed() >= REMOVE_AGAIN;
                to_remove.append(&mut expired);
                let services = lock(&services).clone();
                // Changes may happen before the watch exists.
                let read = reads.count(|| {
                    if try_to_remove {
                        remove(&directory, &to_remove);
                        tried = Instant::now();
                    }
                    store::read(&directory, &services, known.iter().cloned())
                });
                if let Ok(stored) = &read {
                    known = stored.keys().chain(stored.unread.iter().cloned()).collect();
                    to_remove.retain(|(key, id)| stored.contains(key, id));
                }
                let is_new = read.is_err() || read.as_ref().ok() != sent.as_ref();
                if is_new {
                    sent = read.as_ref().ok().cloned();
                    // Only the newest state waits for the loop.
                    let waits = lock(&newest).replace(read).is_some();
                    if !waits && to.send(Event::Overrides).is_err() {
                        return;
                    }
                }
                watch.wait();
            }
        })?;
        let (files, reads) = (Arc::clone(&self.files), self.flags.reads.clone());
        let to = sender.clone();
        let thread = thread::Builder::new().name("flags".to_owned());
        thread.spawn(move || {
            let (mut sent, mut configuration) = (Flags::new(), 0);
            loop {
                let wanted = files.wait();
                let found = reads.count(|| check_files(wanted.files));
                if wanted.configuration != configuration || !is_same(&found, &sent) {
                    configuration = wanted.configuration;
                    sent = copy(&found);
                    if to.send(Event::Flags(found)).is_err() {
                        return;
                    }
                }
                thread::sleep(FLAGS_EVERY);
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
        self.files.set(files(config));
        *lock(&self.services) = services(config);
    }

    /// The newest state of the directory, where the loop has not taken it yet.
    pub(super) fn take(&self) -> Option<io::Result<Stored>> {
        lock(&self.read).take()
    }

    /// A turn of the loop: logs a read that is blocked.
    pub(super) fn check_hangs(&mut self) {
        let now = Instant::now();
        self.directory.check(now);
        self.flags.check(now);
    }
}

impl FlagFiles {
    /// The files of another configuration.
    fn set(&self, files: Vec<PathBuf>) {
        let mut wanted = lock(&self.wanted);
        wanted.files = files;
        wanted.configuration += 1;
        self.changed.notify_all();
    }

    /// Waits until there are files.
    fn wait(&self) -> Wanted {
        let wanted = lock(&self.wanted);
        let none = |wanted: &mut Wanted| wanted.files.is_empty();
        let wanted = self.changed.wait_while(wanted, none);
        wanted.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reads {
    /// Does a read, which may block.
    fn count<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let result = read();
        self.0.fetch_add(1, Ordering::Relaxed);
        result
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
    fn new(what: &'static str, turn: Instant) -> Self {
        Self {
            what,
            reads: Reads::default(),
            seen: 0,
            passed: Duration::ZERO,
            turn,
        }
    }

    fn check(&mut self, now: Instant) {
        let before = self.passed;
        self.count(now);
        let what = self.what;
        match (before >= HANGS_AFTER, self.passed >= HANGS_AFTER) {
            (false, true) => warn!("reading {what} is blocked; using the last known value"),
            (true, false) => info!("reading {what} works again"),
            _ => {}
        }
    }

    /// Counts the time since the latest turn, if the same read takes all of it. Of a longer time than the loop sleeps
    /// it counts no more: the whole process was stopped.
    fn count(&mut self, now: Instant) {
        let reads = self.reads.0.load(Ordering::Relaxed);
        let is_reading = reads % 2 == 1;
        self.passed = match is_reading && reads == self.seen {
            true => {
                let since = now.saturating_duration_since(self.turn);
                self.passed + since.min(LONGEST_SLEEP)
            }
            false => Duration::ZERO,
        };
        (self.seen, self.turn) = (reads, now);
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

/// The states that could be read.
fn copy(flags: &Flags) -> Flags {
    let states = flags
        .iter()
        .filter_map(|(file, state)| Some((file, state.as_ref().ok()?)));
    states
        .map(|(file, state)| (file.clone(), Ok(state.clone())))
        .collect()
}

/// Whether both have the same states. One that cannot be read is never the same.
fn is_same(found: &Flags, before: &Flags) -> bool {
    let same =
        |(file, state): (&PathBuf, &io::Result<Option<Flag>>)| match (state, before.get(file)) {
            (Ok(state), Some(Ok(before))) => state == before,
            _ => false,
        };
    found.len() == before.len() && found.iter().all(same)
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change leaves it whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of these turns at which a read counts as blocked from then on.
    fn blocked(detector: &mut HangDetector, started: Instant, seconds: &[u64]) -> Vec<u64> {
        let turns = seconds.iter().copied().filter(|second| {
            let before = detector.passed;
            detector.count(started + Duration::from_secs(*second));
            before < HANGS_AFTER && detector.passed >= HANGS_AFTER
        });
        turns.collect()
    }

    #[test]
    fn blocked_read_is_found_once_and_not_after_a_stop_of_the_process() {
        let started = Instant::now();
        let mut detector = HangDetector::new("", started);
        let reads = detector.reads.clone();
        let turns: Vec<u64> = (3603..3640).collect();
        reads.count(|| {
            // The whole process was stopped for an hour.
            assert_eq!(blocked(&mut detector, started, &[1, 2, 3602]), [0; 0]);
            assert_eq!(blocked(&mut detector, started, &turns), [3604]);
        });
        assert_eq!(blocked(&mut detector, started, &[3640]), [0; 0]);
        assert_eq!(detector.passed, Duration::ZERO);
        // A thread that waits for the next read is not blocked.
        let turns: Vec<u64> = (3641..3660).collect();
        assert_eq!(blocked(&mut detector, started, &turns), [0; 0]);
        reads.count(|| {
            assert_eq!(blocked(&mut detector, started, &[3661, 3663]), [0; 0]);
        });
        // Two reads, each shorter.
        reads.count(|| {
            assert_eq!(blocked(&mut detector, started, &[3665, 3667]), [0; 0]);
            assert_eq!(blocked(&mut detector, started, &[3669, 3671]), [3671]);
        });
    }
}
