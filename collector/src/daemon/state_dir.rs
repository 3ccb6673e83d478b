//! The state directory while the collector is at work: it may be removed, replaced, or locked by another.
//!
//! The collector writes to the directory that it has opened and locked, whatever its path leads to by now, and
//! looks before each turn whether the path still leads there and the lock file is still the one that it holds.
//! Where not, it writes nothing until it has a directory and a lock again: one that it makes itself, or one
//! that has come in its place and belongs to this user or to root. A link that has come in its place is not
//! followed: it would let whoever put it there choose what is written to, and what balancers hear.

use super::Collector;
use crate::status::history::Event;
use crate::sys::lock::{self, Lock, LockError};
use agentcheck_common::BootTime;
use log::{error, info};
use rustix::fs::{Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a directory that is lost is tried again.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// For how long somebody who only looks at the lock is waited for.
const PATIENCE: Duration = Duration::from_millis(20);

/// After so long without a directory the service manager, where there is one, is to make it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// The rights of a directory that is made again: everybody may read, as a responder is another user.
const RIGHTS: u32 = 0o755;

/// The state directory.
pub(super) struct StateDir {
    /// Where it is, without links.
    path: PathBuf,
    held: Option<LockedDir>,
    /// Why it is not held, as was told.
    told: Option<String>,
    /// When it was tried last.
    tried: Option<BootTime>,
    /// Since when it cannot be made, or has no place for a lock file: what the rights of this process, or what
    /// it sees of the file system, do not allow.
    forbidden: Option<BootTime>,
    /// Whether a service manager would start this process again.
    managed: bool,
}

/// A directory that is ours.
struct LockedDir {
    directory: OwnedFd,
    /// Device and inode.
    identity: (u64, u64),
    lock: Lock,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// All is as it was.
    Same,
    /// It has just been lost.
    Lost,
    /// It is ours again, and may have nothing in it.
    Again,
}

/// Why the directory is not to be had.
#[derive(Debug)]
enum DirError {
    /// There is none, and none can be made.
    Gone(io::Error),
    /// There is a link, or something else that is no directory.
    Replaced,
    /// There is one of another user.
    Foreign(u32),
    /// It cannot be opened or looked at.
    Unusable(io::Error),
    /// There is one, and another collector has it, or no lock can be made there.
    NotLocked(LockError),
}

impl fmt::Display for DirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(error) => write!(f, "is gone, and cannot be made again: {error}"),
            Self::Replaced => f.write_str("is a link now or no directory, and is not followed"),
            Self::Foreign(user) => write!(f, "is another one now, of user {user}"),
            Self::Unusable(error) => write!(f, "cannot be opened: {error}"),
            Self::NotLocked(LockError::Failed(_, error)) => {
                write!(f, "takes no lock file: {error}")
            }
            Self::NotLocked(held) => write!(f, "is taken: {held}"),
        }
    }
}

impl StateDir {
    /// Takes the directory, which has to be there.
    ///
    /// # Errors
    /// Where it is not to be had.
    pub(super) fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Failed(lock::path(directory), error);
        let path = directory.canonicalize().map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let opened = opened.map_err(|error| failed(error.into()))?;
        let held = LockedDir::lock(opened, directory, lock::START_WAIT)?;
        Ok(Self {
            path,
            held: Some(held),
            told: None,
            tried: None,
            forbidden: None,
            managed: std::env::var_os("NOTIFY_SOCKET").is_some(),
        })
    }

    /// The directory to write to, if there is one.
    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.held.as_ref().map(|held| held.directory.as_fd())
    }

    /// The directory, where only a service manager can bring it back: in the sandbox of a unit it can neither be
    /// made nor written to once it was removed, but a new start finds it made.
    pub(super) fn lost_for_good(&self, now: BootTime) -> Option<&Path> {
        let since = self.forbidden.filter(|_| self.managed)?;
        (now.since(since) >= GIVE_UP_AFTER).then_some(&self.path)
    }

    /// Looks whether it is still there and ours, and takes it again where it is not.
    pub(super) fn check(&mut self, now: BootTime) -> CheckResult {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.is_at(&self.path))
        {
            return CheckResult::Same;
        }
        let was_held = self.held.take().is_some();
        let early = |tried: BootTime| now.since(tried) < TRY_EVERY;
        if !was_held && self.tried.is_some_and(early) {
            return CheckResult::Same;
        }
        self.tried = Some(now);
        let path = self.path.display();
        match again(&self.path) {
            Ok((held, made)) => {
                self.held = Some(held);
                let what = if made {
                    "was gone, and has been made again"
                } else {
                    "or its lock was replaced, and is this collector's again"
                };
                info!("the state directory {path} {what}; all replies are written anew");
                self.told = None;
                self.forbidden = None;
                CheckResult::Again
            }
            Err(lost) => {
                let failed = matches!(
                    lost,
                    DirError::Gone(_)
                        | DirError::Unusable(_)
                        | DirError::NotLocked(LockError::Failed(..))
                );
                self.forbidden = failed.then(|| self.forbidden.unwrap_or(now));
                let why = lost.to_string();
                if self.told.as_ref() != Some(&why) {
                    error!(
                        "the state directory {path} {why}; no reply is written until it is back"
                    );
                    self.told = Some(why);
                }
                if was_held {
                    CheckResult::Lost
                } else {
                    CheckResult::Same
                }
            }
        }
    }
}

impl LockedDir {
    fn lock(directory: OwnedFd, called: &Path, patience: Duration) -> Result<Self, LockError> {
        let failed = |error: Errno| LockError::Failed(lock::path(called), error.into());
        let identity = identity(&rustix::fs::fstat(&directory).map_err(failed)?);
        let lock = lock::take_in(directory.as_fd(), called, patience)?;
        Ok(Self {
            directory,
            identity,
            lock,
        })
    }

    /// Whether the path leads to it, and the lock file in it is the one that is held. Where that cannot be
    /// told, nothing is known to have changed.
    fn is_at(&self, path: &Path) -> bool {
        let same = match rustix::fs::lstat(path) {
            Ok(there) => identity(&there) == self.identity,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
            Err(_) => true,
        };
        same && self.lock.is_of(self.directory.as_fd()).unwrap_or(true)
    }
}

impl Collector {
    /// Looks after the state directory; whether all replies are to be written anew.
    pub(super) fn check_state_dir(&mut self, now: BootTime) -> bool {
        match self.state_dir.as_mut().map(|place| place.check(now)) {
            None | Some(CheckResult::Same) => false,
            Some(CheckResult::Lost) => {
                self.record(Event::StateDirLost, "");
                false
            }
            Some(CheckResult::Again) => {
                self.record(Event::StateDirRestored, "");
                true
            }
        }
    }
}

fn identity(of: &Stat) -> (u64, u64) {
    (of.st_dev, of.st_ino)
}

/// A directory at a path without links, and whether it had to be made.
fn again(path: &Path) -> Result<(LockedDir, bool), DirError> {
    let (directory, made) = match opened(path) {
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(RIGHTS);
            rustix::fs::mkdir(path, mode).map_err(|error| DirError::Gone(error.into()))?;
            (opened(path), true)
        }
        there => (there, false),
    };
    let directory = directory.map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => DirError::Replaced,
        error => DirError::Unusable(error.into()),
    })?;
    let unusable = |error: Errno| DirError::Unusable(error.into());
    let owner = rustix::fs::fstat(&directory).map_err(unusable)?.st_uid;
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(DirError::Foreign(owner));
    }
    if made {
        // Whatever the umask is.
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(RIGHTS)).map_err(unusable)?;
    }
    let held = LockedDir::lock(directory, path, PATIENCE).map_err(DirError::NotLocked)?;
    Ok((held, made))
}

/// Opens a directory, through no link.
fn opened(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, and where a filter does not know it: then only the last part is looked at.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        opened => opened,
    }
}
