//! The files of overrides, in `overrides/` of the data directory: `NAME.override` for a service,
//! `@all.override` for all, `NAME.lift` and `@all.lift`. No service can be called `@all`.
//!
//! Who may set an override is who may write to the directory. What stands in it is read without following
//! links, regular files only, and bounded; it is written readable for the collector whatever the umask is.

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

/// What stands for all services where a name is expected.
pub const ALL: &str = "@all";

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The most files that are looked at.
const MAX_FILES: usize = 10_000;

/// How long a command waits for another one that is at work on the same directory.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Readable for the collector, which is another user.
const MODE: u32 = 0o644;

const LOCK: &str = ".lock";
const OVERRIDE: &str = ".override";
const LIFT: &str = ".lift";

/// Everything that stands in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The overrides, by the name of the service, or [`ALL`].
    pub overrides: BTreeMap<String, Override>,
    /// The lifts, in the same way.
    pub ready_windows: BTreeMap<String, ReadyWindow>,
    /// What could not be used, and why: one line each.
    pub faults: Vec<String>,
    /// The files among those that could not be read: what stands in them is not known.
    pub unread: BTreeSet<String>,
}

impl Stored {
    /// What was known `before` of files that could not be read now still stands: that there are no descriptors
    /// left, or that a disk fails, is nothing that an operator has said.
    pub fn keep(&mut self, before: &Self) {
        for file in &self.unread {
            if let Some((name, known)) = known(&before.overrides, file, OVERRIDE) {
                self.overrides.insert(name, known);
            }
            if let Some((name, known)) = known(&before.ready_windows, file, LIFT) {
                self.ready_windows.insert(name, known);
            }
        }
    }
}

/// What is known by the name of a file, and the name without what it ends in.
fn known<T: Clone>(by_name: &BTreeMap<String, T>, file: &str, end: &str) -> Option<(String, T)> {
    let name = file.strip_suffix(end)?;
    Some((name.to_owned(), by_name.get(name)?.clone()))
}

/// The directory of a data directory.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join(DIRECTORY)
}

/// Reads all of a directory. One that is not there has nothing in it.
///
/// # Errors
/// Where it is there and cannot be read.
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
        let found = match (file.strip_suffix(OVERRIDE), file.strip_suffix(LIFT)) {
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
                stored.unread.insert(file.to_owned());
            }
        }
    }
    Ok(stored)
}

/// The override of a service, or of all; none where there is none.
///
/// # Errors
/// Where there is one that cannot be used.
pub fn read_override(directory: &Path, name: &str) -> io::Result<Option<Override>> {
    let path = directory.join(format!("{name}{OVERRIDE}"));
    let Some((content, owner)) = content(&path)? else {
        return Ok(None);
    };
    let mut found: Override = serde_json::from_slice(&content)?;
    if let Some(fault) = found.fault() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    found.by = user(owner);
    Ok(Some(found))
}

fn read_ready_window(directory: &Path, name: &str) -> io::Result<Option<ReadyWindow>> {
    let path = directory.join(format!("{name}{LIFT}"));
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

/// What stands in a file, and who owns it.
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
    // Replaced meanwhile, it is of the one who replaced it; the collector reads again then.
    match path.symlink_metadata() {
        Ok(found) => Ok(Some((content, found.uid()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of a user, or the number where it has none on this host.
#[must_use]
pub fn user(id: u32) -> String {
    let accounts = Accounts::read().unwrap_or_default();
    accounts
        .name_of(id)
        .map_or_else(|| id.to_string(), str::to_owned)
}

/// The directory, locked against other commands: what is read and what is written then belong together.
#[derive(Debug)]
pub struct Locked {
    directory: PathBuf,
    /// The directory itself: whoever may write above it can put a link in its place.
    opened: OwnedFd,
    _lock: File,
}

/// Locks a directory, waiting for others as long as that. The directory itself must not be a link: root's
/// commands write here, and what is above it is the collector's user's.
///
/// # Errors
/// Where it is not there, cannot be written to, or is locked by another for too long.
pub fn lock(directory: &Path, patience: Duration) -> io::Result<Locked> {
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
                    format!("another command holds {}", path.display()),
                ));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(Locked {
        directory: directory.to_owned(),
        opened,
        _lock: file,
    })
}

/// The file that is locked; made where there is none, for the group of the directory whatever the umask is.
fn lock_file(directory: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o660);
    loop {
        // What is there has its rights, and may be another name of a file that is to keep its own.
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

impl Locked {
    /// The override that stands.
    ///
    /// # Errors
    /// Where there is one that cannot be used.
    pub fn read(&self, name: &str) -> io::Result<Option<Override>> {
        read_override(&self.directory, name)
    }

    /// Puts an override in the place of the one that stands.
    ///
    /// # Errors
    /// Those of writing; the old one stands then.
    pub fn set(&self, name: &str, new: &Override) -> io::Result<()> {
        let content = serde_json::to_vec(new)?;
        let file = format!("{name}{OVERRIDE}");
        replace_in(self.opened.as_fd(), &file, MODE, &content)
    }

    /// Takes an override away; whether there was one.
    ///
    /// # Errors
    /// Those of removing.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.opened, format!("{name}{OVERRIDE}"), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets a lift.
    ///
    /// # Errors
    /// Those of writing.
    pub fn set_ready_window(&self, name: &str, lift: &ReadyWindow) -> io::Result<()> {
        let content = serde_json::to_vec(lift)?;
        let file = format!("{name}{LIFT}");
        replace_in(self.opened.as_fd(), &file, MODE, &content)
    }

    /// Takes away what is over, so that no clock that is set back can bring it back; where another has
    /// replaced it meanwhile, that one stays.
    pub fn forget(&self, name: &str, id: &str) {
        let same = |found: io::Result<Option<Override>>| {
            found.is_ok_and(|found| found.is_some_and(|found| found.id == id))
        };
        if same(self.read(name)) {
            // It is over for everybody who can read the clock.
            let _ = self.remove(name);
        }
        let lift = read_ready_window(&self.directory, name);
        if lift.is_ok_and(|lift| lift.is_some_and(|lift| lift.id == id)) {
            let _ = unlinkat(&self.opened, format!("{name}{LIFT}"), AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests;
