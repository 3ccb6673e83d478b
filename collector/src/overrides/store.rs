//! The files of overrides, in `overrides/` of the data directory: `NAME.override` for a service, `@all.override`
//! for all services, `NAME.ready` and `@all.ready` for `ready` commands. No service can have the name `@all`.
//!
//! Users who can write to the directory can set overrides. Only regular files of bounded size are read, without
//! following links. Files are written with mode 0644 regardless of the umask, so that the collector can read them.

use super::{Override, ReadyWindow, VERSION};
use crate::sys::accounts::Accounts;
use crate::sys::state_file::{is_of_the_system, read_bounded, replace_in};
use fs2::FileExt;
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory, below the data directory.
pub const DIRECTORY: &str = "overrides";

/// The name that stands for all services.
pub const ALL: &str = "@all";

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The most files that are read.
const MAX_FILES: usize = 10_000;

/// How long a command waits for another command's lock.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The mode of the files; the collector is another user.
const MODE: u32 = 0o644;

const LOCK: &str = ".lock";
const OVERRIDE: &str = ".override";
const READY: &str = ".ready";

/// The content of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The overrides, by the name of the service, or [`ALL`].
    pub overrides: BTreeMap<String, Override>,
    /// The `ready` commands, by the name of the service, or [`ALL`].
    pub ready_windows: BTreeMap<String, ReadyWindow>,
    /// The files that cannot be used, with the reasons: one line each.
    pub faults: Vec<String>,
    /// The files that the system could not read; their last known values remain.
    pub unreadable: BTreeSet<String>,
}

impl Stored {
    /// Keeps the last known values of files that the system could not read, such as when descriptors ran out or a
    /// disk failed.
    pub fn keep(&mut self, before: &Self) {
        for file in &self.unreadable {
            if let Some((name, known)) = known(&before.overrides, file, OVERRIDE) {
                self.overrides.insert(name, known);
            }
            if let Some((name, known)) = known(&before.ready_windows, file, READY) {
                self.ready_windows.insert(name, known);
            }
        }
    }
}

/// The name of a file without its suffix, and the known value of that name.
fn known<T: Clone>(by_name: &BTreeMap<String, T>, file: &str, end: &str) -> Option<(String, T)> {
    let name = file.strip_suffix(end)?;
    Some((name.to_owned(), by_name.get(name)?.clone()))
}

/// The directory of overrides in a data directory.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join(DIRECTORY)
}

/// Reads the directory. A missing directory is empty.
///
/// # Errors
/// If it exists and cannot be read.
pub fn read(directory: &Path) -> io::Result<Stored> {
    let mut stored = Stored::default();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stored),
        Err(error) => return Err(error),
    };
    for entry in entries.take(MAX_FILES) {
        let file = entry?.file_name();
        let Some(file) = file.to_str() else { continue };
        if file.starts_with('.') {
            continue;
        }
        let found = match (file.strip_suffix(OVERRIDE), file.strip_suffix(READY)) {
            (Some(name), _) => read_override(directory, name).map(|found| {
                if let Some(found) = found {
                    stored.overrides.insert(name.to_owned(), found);
                }
            }),
            (_, Some(name)) => read_ready_window(directory, name).map(|found| {
                if let Some(found) = found {
                    stored.ready_windows.insert(name.to_owned(), found);
                }
            }),
            (None, None) => Ok(()),
        };
        if let Err(error) = found {
            let path = directory.join(file);
            stored.faults.push(format!("{}: {error}", path.display()));
            if is_of_the_system(&error) {
                stored.unreadable.insert(file.to_owned());
            }
        }
    }
    Ok(stored)
}

/// Reads the override of a service, or of all.
///
/// # Errors
/// If the file exists and cannot be used.
pub fn read_override(directory: &Path, name: &str) -> io::Result<Option<Override>> {
    let path = directory.join(format!("{name}{OVERRIDE}"));
    let Some((content, owner)) = content(&path)? else {
        return Ok(None);
    };
    let mut found: Override = serde_json::from_slice(&content)?;
    if let Some(fault) = found.fault() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    found.by = user_name(owner);
    Ok(Some(found))
}

fn read_ready_window(directory: &Path, name: &str) -> io::Result<Option<ReadyWindow>> {
    let path = directory.join(format!("{name}{READY}"));
    let Some((content, _)) = content(&path)? else {
        return Ok(None);
    };
    let lift: ReadyWindow = serde_json::from_slice(&content)?;
    if lift.version != VERSION {
        let fault = format!("version {}, this program knows {VERSION}", lift.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    Ok(Some(lift))
}

/// The content of a file and its owner.
fn content(path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
    let content = match read_bounded(path, MAX_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if content.len() > MAX_BYTES {
        let fault = format!("more than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    // If the file was replaced meanwhile, the watch reports that, and the collector reads it again.
    match path.symlink_metadata() {
        Ok(found) => Ok(Some((content, found.uid()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of a user, or the user id without a name.
#[must_use]
pub fn user_name(id: u32) -> String {
    let accounts = Accounts::read().unwrap_or_default();
    accounts
        .name_of(id)
        .map_or_else(|| id.to_string(), str::to_owned)
}

/// The directory, locked against other commands, so that reading and writing are one step.
#[derive(Debug)]
pub struct LockedDir {
    directory: PathBuf,
    /// The open directory: its path could be replaced by a link.
    opened: OwnedFd,
    _lock: File,
}

/// Locks a directory and waits at most `patience` for other commands. The directory must not be a link: root's
/// commands write here, and the directory above belongs to the collector's user.
///
/// # Errors
/// If it does not exist, cannot be written to, or remains locked.
pub fn lock(directory: &Path, patience: Duration) -> io::Result<LockedDir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    let file = lock_file(&opened)?;
    let until = Instant::now() + patience;
    loop {
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => break,
            Err(error) if error.kind() != fs2::lock_contended_error().kind() => return Err(error),
            Err(_) if Instant::now() >= until => {
                let path = directory.join(LOCK);
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("another command holds the lock {}", path.display()),
                ));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(LockedDir {
        directory: directory.to_owned(),
        opened,
        _lock: file,
    })
}

/// The lock file; created with mode 0660 regardless of the umask if there is none.
fn lock_file(directory: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o660);
    loop {
        // The mode of an existing file is not changed: it may be a hard link to another file.
        match openat(directory, LOCK, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => return Ok(File::from(opened?)),
        }
        match openat(directory, LOCK, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            Err(Errno::EXIST) => {}
            made => {
                let made = made?;
                rustix::fs::fchmod(&made, mode)?;
                return Ok(File::from(made));
            }
        }
    }
}

impl LockedDir {
    /// Reads an override.
    ///
    /// # Errors
    /// If the file exists and cannot be used.
    pub fn read(&self, name: &str) -> io::Result<Option<Override>> {
        read_override(&self.directory, name)
    }

    /// Replaces an override.
    ///
    /// # Errors
    /// The error of writing; the previous override then remains.
    pub fn set(&self, name: &str, new: &Override) -> io::Result<()> {
        let content = serde_json::to_vec(new)?;
        let file = format!("{name}{OVERRIDE}");
        replace_in(self.opened.as_fd(), &file, MODE, &content)
    }

    /// Removes an override; false if there was none.
    ///
    /// # Errors
    /// The error of removing it.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.opened, format!("{name}{OVERRIDE}"), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets a `ready` command.
    ///
    /// # Errors
    /// The error of writing it.
    pub fn set_ready_window(&self, name: &str, lift: &ReadyWindow) -> io::Result<()> {
        let content = serde_json::to_vec(lift)?;
        let file = format!("{name}{READY}");
        replace_in(self.opened.as_fd(), &file, MODE, &content)
    }

    /// Removes expired files with this id, so that a clock that is set back cannot activate them again. A file
    /// with another id remains.
    pub fn forget(&self, name: &str, id: &str) {
        let same = |found: io::Result<Option<Override>>| {
            found.is_ok_and(|found| found.is_some_and(|found| found.id == id))
        };
        if same(self.read(name)) {
            // If that fails, it is still expired.
            let _ = self.remove(name);
        }
        let lift = read_ready_window(&self.directory, name);
        if lift.is_ok_and(|lift| lift.is_some_and(|lift| lift.id == id)) {
            let _ = unlinkat(&self.opened, format!("{name}{READY}"), AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests;
