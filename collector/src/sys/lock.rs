//! One collector per state directory: two would overwrite each other's replies in turn.

use fs2::FileExt;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A held lock. It ends with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Whether it is still the lock of that directory: whoever removes the lock file, or the directory with it,
    /// lets another collector in.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn is_of(&self, directory: BorrowedFd<'_>) -> io::Result<bool> {
        let held = rustix::fs::fstat(&self.file)?;
        match rustix::fs::statat(directory, NAME, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another collector has it; its process id, where it could be read.
    Held {
        /// The lock file.
        file: PathBuf,
        /// Who holds it.
        holder: Option<u32>,
    },
    /// The lock file cannot be made.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { file, holder } => {
                match holder {
                    Some(pid) => write!(f, "another collector, process {pid}, is at work here")?,
                    None => f.write_str("another collector is at work here")?,
                }
                write!(f, " ({} is locked)", file.display())
            }
            Self::Failed(file, error) => {
                let directory = file.parent().unwrap_or(file);
                write!(
                    f,
                    "the state directory {} cannot be used: {error}. It has to be there, and writable \
                     for this user; --state-dir names another",
                    directory.display()
                )
            }
        }
    }
}

/// No service can have this name: it begins with a dot.
const NAME: &str = ".collector.lock";

/// Its rights. Whoever can open it can lock it, and keep a collector from starting: not everybody, then.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);

/// How long a lock that somebody only looks at, as [`is_held`] does, is waited for.
pub const LOOKED_AT: Duration = Duration::from_secs(1);

/// The lock file of a state directory.
#[must_use]
pub fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Whether a process has the lock of a state directory; if so its id, where that can be read.
///
/// # Errors
/// Where the lock file is there and cannot be looked at.
pub fn is_held(directory: &Path) -> io::Result<Option<Option<u32>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path(directory), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Shared, so that those who look do not see one another, and given back at once.
    match FileExt::try_lock_shared(&file) {
        Ok(()) => FileExt::unlock(&file).map(|()| None),
        Err(error) if error.kind() == fs2::lock_contended_error().kind() => Ok(Some(holder(&file))),
        Err(error) => Err(error),
    }
}

/// Who holds it is a courtesy; that somebody does is certain.
fn holder(file: &File) -> Option<u32> {
    let mut holder = String::new();
    let _ = file.take(20).read_to_string(&mut holder);
    holder.trim().parse().ok()
}

/// Takes the lock of a state directory, without waiting for another collector.
///
/// # Errors
/// Where another process has it, or the directory or the file is not to be had.
pub fn take(directory: &Path) -> Result<Lock, LockError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(opened) => take_in(opened.as_fd(), directory, LOOKED_AT),
        Err(error) => Err(LockError::Failed(path(directory), error.into())),
    }
}

/// The same where the directory is open; it is called `called`, and who has the lock is waited for so long.
///
/// # Errors
/// Where another process has it, or the file cannot be made.
pub fn take_in(
    directory: BorrowedFd<'_>,
    called: &Path,
    patience: Duration,
) -> Result<Lock, LockError> {
    let path = path(called);
    let failed = |error: io::Error| LockError::Failed(path.clone(), error);
    // Not for writing: nothing that stays open is to keep a file system from being made read-only.
    let flags =
        OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let begun = Instant::now();
    loop {
        let file = rustix::fs::openat(directory, NAME, flags, MODE);
        let file = File::from(file.map_err(|error| failed(error.into()))?);
        // Another name of some other file: it would be emptied.
        let found = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
        let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if !regular || found.st_nlink > 1 {
            let wrong = format!("{} is no file of its own", path.display());
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, wrong)));
        }
        // That of an earlier version, too; and one that root makes is for the directory's owner to open.
        let _ = rustix::fs::fchmod(&file, MODE);
        if rustix::process::geteuid().is_root()
            && let Ok(owner) = rustix::fs::fstat(directory)
        {
            let _ = rustix::fs::fchown(
                &file,
                Some(Uid::from_raw(owner.st_uid)),
                Some(Gid::from_raw(owner.st_gid)),
            );
        }
        // Named in full: std's own method of this name would shadow it.
        while let Err(error) = FileExt::try_lock_exclusive(&file) {
            if error.kind() != fs2::lock_contended_error().kind() {
                return Err(failed(error));
            }
            if begun.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            return Err(LockError::Held {
                holder: holder(&file),
                file: path,
            });
        }
        let lock = Lock { file };
        // Removed in between, it is a lock of nothing.
        if !lock.is_of(directory).map_err(failed)? {
            continue;
        }
        // A full file system is no reason not to begin: it may have room later.
        let flags =
            OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let _ = rustix::fs::openat(directory, NAME, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| writeln!(File::from(file), "{}", std::process::id()));
        return Ok(lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;

    #[test]
    fn what_is_no_lock_file_of_its_own_is_left_alone() {
        let scratch = Scratch::new("lock");
        let directory = scratch.path();
        let victim = directory.join("victim");
        let untouched = || assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        std::fs::write(&victim, "untouched").unwrap();

        std::os::unix::fs::symlink(&victim, path(directory)).unwrap();
        take(directory).unwrap_err();
        untouched();
        std::fs::remove_file(path(directory)).unwrap();

        std::fs::hard_link(&victim, path(directory)).unwrap();
        let error = take(directory).unwrap_err().to_string();
        assert!(error.contains("is no file of its own"), "{error}");
        untouched();
        std::fs::remove_file(path(directory)).unwrap();

        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path(directory), FileType::Fifo, mode, 0).unwrap();
        take(directory).unwrap_err();
        std::fs::remove_file(path(directory)).unwrap();

        let lock = take(directory).unwrap();
        assert!(matches!(is_held(directory), Ok(Some(Some(pid))) if pid == std::process::id()));
        drop(lock);
    }
}
