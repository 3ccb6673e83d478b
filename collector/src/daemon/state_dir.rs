//! The state directory while the collector works: it may be removed, replaced, or locked by another collector.
//!
//! The collector writes to the directory that it opened and locked. In each turn it checks that the path still leads
//! there, and that the lock file is still its own. Otherwise it writes nothing until it has a directory and a lock
//! again: a directory that it creates, or a new one of this user or of root. It does not follow a link in that
//! place: the owner of the link would choose the directory, and so the replies that balancers get.

use crate::sys::identity;
use crate::sys::lock::{self, Lock, LockError};
use agentcheck_common::BootTime;
use log::{error, info};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The interval of tries to get a lost directory back.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait for a process that only checks the lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(20);

/// After this time without a directory, a service manager is to create it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// The mode of a directory that is created again: the responder is another user.
const MODE: u32 = 0o755;

/// The state directory.
pub(super) struct StateDir {
    /// Its path, without links.
    path: PathBuf,
    locked: Option<LockedDir>,
    /// The error that the log has.
    logged: Option<String>,
    /// The latest try to get it back.
    tried: Option<BootTime>,
    /// Since when it cannot be created, or takes no lock file: permissions or the sandbox do not allow it.
    forbidden: Option<BootTime>,
    /// Whether a service manager restarts this process.
    managed: bool,
}

/// A directory that this collector has locked.
struct LockedDir {
    directory: OwnedFd,
    /// Device and inode.
    identity: (u64, u64),
    lock: Lock,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// Nothing changed.
    Same,
    /// It was lost just now.
    Lost,
    /// It is locked again, and may be empty.
    Again,
}

/// Why the directory cannot be used.
#[derive(Debug)]
enum DirError {
    /// It does not exist and cannot be created.
    Missing(io::Error),
    /// Its path is a link or no directory.
    Replaced,
    /// It belongs to this other user.
    Foreign(u32),
    /// It cannot be opened or checked.
    Unusable(io::Error),
    /// Another collector has it, or it takes no lock file.
    NotLocked(LockError),
}

impl fmt::Display for DirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(error) => write!(f, "is missing and cannot be created: {error}"),
            Self::Replaced => f.write_str("is now a link or no directory"),
            Self::Foreign(user) => write!(f, "was replaced by one of user {user}"),
            Self::Unusable(error) => write!(f, "cannot be opened: {error}"),
            Self::NotLocked(LockError::Failed(_, error)) => {
                write!(f, "takes no lock file: {error}")
            }
            Self::NotLocked(locked) => write!(f, "is locked: {locked}"),
        }
    }
}

impl StateDir {
    /// Locks the directory, which must exist.
    ///
    /// # Errors
    /// Where it cannot be opened or locked.
    pub(super) fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Failed(lock::path(directory), error);
        let path = directory.canonicalize().map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let opened = opened.map_err(|error| failed(error.into()))?;
        let locked = LockedDir::lock(opened, directory, lock::START_WAIT)?;
        Ok(Self {
            path,
            locked: Some(locked),
            logged: None,
            tried: None,
            forbidden: None,
            managed: std::env::var_os("NOTIFY_SOCKET").is_some(),
        })
    }

    /// The directory to write to, if there is one.
    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.locked.as_ref().map(|locked| locked.directory.as_fd())
    }

    /// When to try again to get a lost directory back.
    pub(super) fn next(&self) -> Option<BootTime> {
        match self.locked {
            Some(_) => None,
            None => Some(self.tried?.after(RETRY_INTERVAL)),
        }
    }

    /// The directory, if only a service manager can create it again. In a unit's sandbox a removed directory can
    /// neither be created nor written to, but a restart creates it.
    pub(super) fn lost_for_good(&self, now: BootTime) -> Option<&Path> {
        let since = self.forbidden.filter(|_| self.managed)?;
        (now.since(since) >= GIVE_UP_AFTER).then_some(&self.path)
    }

    /// Checks that it is still there and locked by this collector; otherwise tries to lock it again.
    pub(super) fn check(&mut self, now: BootTime) -> CheckResult {
        if self
            .locked
            .as_ref()
            .is_some_and(|locked| locked.is_at(&self.path))
        {
            return CheckResult::Same;
        }
        let was_locked = self.locked.take().is_some();
        let early = |tried: BootTime| now.since(tried) < RETRY_INTERVAL;
        if !was_locked && self.tried.is_some_and(early) {
            return CheckResult::Same;
        }
        self.tried = Some(now);
        let path = self.path.display();
        match lock_again(&self.path) {
            Ok((locked, created)) => {
                self.locked = Some(locked);
                let event = if created {
                    "was missing: created again"
                } else {
                    "or its lock file was replaced: locked again"
                };
                info!("state directory {path} {event}; all replies are written again");
                self.logged = None;
                self.forbidden = None;
                CheckResult::Again
            }
            Err(lost) => {
                let failed = matches!(
                    lost,
                    DirError::Missing(_)
                        | DirError::Unusable(_)
                        | DirError::NotLocked(LockError::Failed(..))
                );
                self.forbidden = failed.then(|| self.forbidden.unwrap_or(now));
                let why = lost.to_string();
                if self.logged.as_ref() != Some(&why) {
                    error!("state directory {path} {why}; no reply is written until this is fixed");
                    self.logged = Some(why);
                }
                if was_locked {
                    CheckResult::Lost
                } else {
                    CheckResult::Same
                }
            }
        }
    }
}

impl LockedDir {
    fn lock(directory: OwnedFd, path: &Path, patience: Duration) -> Result<Self, LockError> {
        let failed = |error: Errno| LockError::Failed(lock::path(path), error.into());
        let identity = identity(&rustix::fs::fstat(&directory).map_err(failed)?);
        let lock = lock::take_in(directory.as_fd(), path, patience)?;
        Ok(Self {
            directory,
            identity,
            lock,
        })
    }

    /// Whether the path leads to it, and its lock file is the locked one. Where that cannot be read, nothing counts
    /// as changed.
    fn is_at(&self, path: &Path) -> bool {
        let same = match rustix::fs::lstat(path) {
            Ok(stat) => identity(&stat) == self.identity,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
            Err(_) => true,
        };
        same && self.lock.is_of(self.directory.as_fd()).unwrap_or(true)
    }
}

/// Locks the directory at a path without links; returns whether it was created.
fn lock_again(path: &Path) -> Result<(LockedDir, bool), DirError> {
    let (directory, created) = match open(path) {
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(MODE);
            rustix::fs::mkdir(path, mode).map_err(|error| DirError::Missing(error.into()))?;
            (open(path), true)
        }
        opened => (opened, false),
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
    if created {
        // mkdir subtracts the umask.
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(MODE)).map_err(unusable)?;
    }
    let locked = LockedDir::lock(directory, path, LOCK_PATIENCE).map_err(DirError::NotLocked)?;
    Ok((locked, created))
}

/// Opens a directory; follows no link.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or under an old seccomp filter: only the last component is checked.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        opened => opened,
    }
}
