//! One collector per state directory: two would overwrite each other's replies.
//!
//! The lock file is the owner's alone: a process that can open it can lock it and keep a collector from
//! starting. Other users see whether a collector runs by a socket beside it: only its listener can make a
//! connection succeed, and no client can block it.

use super::{identity, state_file};
use fs2::FileExt;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Gid, Uid};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A taken lock. It ends with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// Device and inode of the file.
    identity: (u64, u64),
    /// Listens while the lock is held; `None` where the system refuses such a socket.
    _listener: Option<OwnedFd>,
}

impl Lock {
    /// Whether it is still the lock of that directory: removing the lock file, or the directory with it, lets
    /// another collector in.
    ///
    /// # Errors
    /// Where the lock file cannot be checked.
    pub fn is_of(&self, directory: BorrowedFd<'_>) -> io::Result<bool> {
        match rustix::fs::statat(directory, NAME, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(identity(&found) == self.identity),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another collector holds it; its process id, where that could be read.
    Held {
        /// The lock file.
        file: PathBuf,
        /// The process that holds it.
        holder: Option<u32>,
    },
    /// The lock file cannot be created.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { file, holder } => {
                match holder {
                    Some(pid) => write!(f, "another collector, process {pid}, is running here")?,
                    None => f.write_str("another collector is running here")?,
                }
                write!(f, " ({} is locked)", file.display())
            }
            Self::Failed(file, error) => {
                let directory = file.parent().unwrap_or(file);
                write!(
                    f,
                    "cannot use state directory {}: {error}. It must exist and be writable for this user. \
                     --state-dir names another",
                    directory.display()
                )
            }
        }
    }
}

/// No service can have these names: they begin with a dot.
const NAME: &str = ".collector.lock";
const SOCKET: &str = ".collector.sock";
const PID: &str = ".collector.pid";

/// The lock file's permissions: the owner's alone.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The socket's permissions: root, the owner and the group may see whether a collector runs.
const SOCKET_MODE: u32 = 0o660;

/// How long a start waits for the lock of a collector that is ending.
pub const START_WAIT: Duration = Duration::from_secs(1);

/// The lock file of a state directory.
#[must_use]
pub fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Whether a collector holds the lock of a state directory; if so its process id, where that can be read.
///
/// # Errors
/// Where the socket exists and this user may not connect to it.
pub fn is_held(directory: &Path) -> io::Result<Option<Option<u32>>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(directory, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    match rustix::net::connect(socket()?, &address(directory.as_fd(), SOCKET)?) {
        // A full queue of connections has a listener, too.
        Ok(()) | Err(Errno::AGAIN) => Ok(Some(holder(directory.as_fd()))),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// The address of a socket in an open directory: a path of any length would not fit.
fn address(directory: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    Ok(SocketAddrUnix::new(path)?)
}

/// The process id of the collector; it is only for messages.
fn holder(directory: BorrowedFd<'_>) -> Option<u32> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, PID, flags, Mode::empty()).ok()?;
    let mut holder = String::new();
    let _ = File::from(file).take(20).read_to_string(&mut holder);
    holder.trim().parse().ok()
}

/// Takes the lock of a state directory.
///
/// # Errors
/// Where another process holds it, or the directory or the file is not available.
pub fn take(directory: &Path) -> Result<Lock, LockError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(opened) => take_in(opened.as_fd(), directory, START_WAIT),
        Err(error) => Err(LockError::Failed(path(directory), error.into())),
    }
}

/// Takes the lock of an open directory, whose path is `called`, and waits up to `patience` for it.
///
/// # Errors
/// Where another process holds it, or the file cannot be created.
pub fn take_in(
    directory: BorrowedFd<'_>,
    called: &Path,
    patience: Duration,
) -> Result<Lock, LockError> {
    let path = path(called);
    let failed = |error: io::Error| LockError::Failed(path.clone(), error);
    // Not for writing: an open writable file would keep its file system from being made read-only.
    let flags =
        OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let begun = Instant::now();
    loop {
        let file = rustix::fs::openat(directory, NAME, flags, MODE);
        let file = File::from(file.map_err(|error| failed(error.into()))?);
        // Another link to some other file: that file would be emptied.
        let found = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
        let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if !regular || found.st_nlink > 1 {
            let wrong = format!("{} is a link or not a regular file", path.display());
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, wrong)));
        }
        // An older file may have other permissions.
        let _ = rustix::fs::fchmod(&file, MODE);
        let owner = owner_for_root(directory);
        if let Some((uid, gid)) = owner {
            let _ = rustix::fs::fchown(&file, Some(uid), Some(gid));
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
                holder: holder(directory),
                file: path,
            });
        }
        let mut lock = Lock {
            _file: file,
            identity: identity(&found),
            _listener: None,
        };
        // Removed in between, it locks nothing.
        if !lock.is_of(directory).map_err(failed)? {
            continue;
        }
        // A full file system does not prevent the start: it may have room later.
        let pid = format!("{}\n", std::process::id());
        let shown = state_file::replace_in(directory, PID, state_file::PUBLIC, pid.as_bytes())
            .and_then(|()| listen(directory, owner));
        match shown {
            Ok(listener) => lock._listener = Some(listener),
            Err(error) => log::warn!(
                "cannot create {}: {error}. Commands will not see this collector",
                called.join(SOCKET).display()
            ),
        }
        return Ok(lock);
    }
}

/// The directory's owner, to whom root gives the files that it creates here.
fn owner_for_root(directory: BorrowedFd<'_>) -> Option<(Uid, Gid)> {
    let owner = rustix::fs::fstat(directory).ok()?;
    let root = rustix::process::geteuid().is_root();
    root.then(|| (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid)))
}

/// A listening socket in the directory, in place of an earlier one. It accepts no connection: a successful
/// attempt is the answer.
fn listen(directory: BorrowedFd<'_>, owner: Option<(Uid, Gid)>) -> io::Result<OwnedFd> {
    let temporary = format!("{SOCKET}.new");
    match rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = socket()?;
    rustix::net::bind(&socket, &address(directory, &temporary)?)?;
    // By its descriptor: root must not change a file that another user puts in its place.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(directory, &temporary, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&made)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket || found.st_nlink > 1 {
        return Err(io::Error::other("another process replaced it"));
    }
    let own_path = format!("/proc/self/fd/{}", made.as_raw_fd());
    rustix::fs::chmod(own_path, Mode::from_raw_mode(SOCKET_MODE))?;
    if let Some((uid, gid)) = owner {
        // A unit may withhold CAP_CHOWN. The group of the process can connect all the same.
        let _ = rustix::fs::chownat(&made, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
    }
    rustix::net::listen(&socket, 1)?;
    rustix::fs::renameat(directory, &temporary, directory, SOCKET)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;

    #[test]
    fn links_and_other_files_are_not_locked() {
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
        assert!(error.contains("is a link or not a regular file"), "{error}");
        untouched();
        std::fs::remove_file(path(directory)).unwrap();

        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path(directory), FileType::Fifo, mode, 0).unwrap();
        take(directory).unwrap_err();
        std::fs::remove_file(path(directory)).unwrap();

        let lock = take(directory).unwrap();
        assert!(matches!(is_held(directory), Ok(Some(Some(pid))) if pid == std::process::id()));
        drop(lock);
        assert!(matches!(is_held(directory), Ok(None)));
    }

    #[test]
    fn other_users_see_the_collector_and_cannot_lock_it_out() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("lock-seen");
        let directory = scratch.path();
        assert!(matches!(is_held(directory), Ok(None)));
        let lock = take(directory).unwrap();
        let mode = |name: &str| {
            let metadata = directory.join(name).metadata().unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode(NAME), mode(SOCKET)), (0o600, SOCKET_MODE));
        // Root writes nothing into it: it may have become another name of another file.
        assert_eq!(path(directory).metadata().unwrap().len(), 0);
        // However many connect, and stay.
        let opened = File::open(directory).unwrap();
        let address = address(opened.as_fd(), SOCKET).unwrap();
        let clients: Vec<OwnedFd> = (0..10).map(|_| socket().unwrap()).collect();
        let connected: Vec<_> = clients
            .iter()
            .map(|client| rustix::net::connect(client, &address))
            .collect();
        assert!(connected.contains(&Err(Errno::AGAIN)), "{connected:?}");
        assert!(matches!(is_held(directory), Ok(Some(Some(pid))) if pid == std::process::id()));
        drop(lock);
        assert!(matches!(is_held(directory), Ok(None)));
        drop(take(directory).unwrap());
    }
}
