//! The files of overrides, in `overrides/` of the data directory: `NAME.outage`, `NAME.limit` and `NAME.ready`
//! for a service, `@all.outage` and so on for all services. No service can have the name `@all`.
//!
//! The name of a file is the identity of an override. Each user who can write to the directory can set overrides.
//! Files are read without following links, regular files only, and bounded. They are written readable for the
//! collector with every umask.

use super::{Kind, Override, ReadyWindow, VERSION};
use crate::sys::accounts::Accounts;
use crate::sys::state_file::{is_of_the_system, read_bounded, replace_in};
use fs2::FileExt;
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory, below the data directory.
pub const DIRECTORY: &str = "overrides";

/// The name for all services.
pub const ALL: &str = "@all";

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The most entries of the directory that are listed. Beyond them, overrides are found by name alone.
const MAX_ENTRIES: usize = 10_000;

/// The most faults that are kept with their text, and the longest such text in bytes.
const MAX_FAULTS: usize = 20;
const MAX_FAULT: usize = 300;

/// How long a command waits for another command that has locked the directory.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Readable for the collector, which runs as another user.
const MODE: u32 = 0o644;

const LOCK: &str = ".lock";

impl Kind {
    const ALL: [Self; 3] = [Self::Outage, Self::Limit, Self::Ready];

    /// The end of the file's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Outage => ".outage",
            Self::Limit => ".limit",
            Self::Ready => ".ready",
        }
    }
}

/// The identity of an order: the service, or [`ALL`], and the kind. It is the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The service, or [`ALL`].
    pub name: String,
    /// The kind.
    pub kind: Kind,
}

impl Key {
    /// The key of a name and a kind.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        let name = name.to_owned();
        Self { name, kind }
    }

    /// The key of a file's name; `None` where it is no file of overrides.
    fn parse(file: &str) -> Option<Self> {
        let of_kind = |kind: Kind| Some(Self::new(file.strip_suffix(kind.suffix())?, kind));
        Kind::ALL.into_iter().find_map(of_kind)
    }
}

impl fmt::Display for Key {
    /// The name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.kind.suffix())
    }
}

/// Why a file, or the directory, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The override that it would be; `None` if the name is not one of an override.
    pub key: Option<Key>,
    /// Path and reason, at most [`MAX_FAULT`] bytes.
    pub text: String,
}

/// All orders in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The outages, force-ups and limits.
    pub overrides: BTreeMap<Key, Override>,
    /// The ready windows, by the name of the service, or [`ALL`].
    pub ready_windows: BTreeMap<String, ReadyWindow>,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// How many faults there are beyond these.
    pub more_faults: usize,
    /// The files that exist and cannot be read now: their content is unknown.
    pub unread: BTreeSet<Key>,
}

impl Stored {
    /// Keeps what was known `before` of files that cannot be read now. A lack of descriptors or a failing disk
    /// is no order of an operator.
    pub fn keep(&mut self, before: &Self) {
        for key in &self.unread {
            if let Some(known) = before.overrides.get(key) {
                self.overrides.insert(key.clone(), known.clone());
            }
            if let (Kind::Ready, Some(known)) = (key.kind, before.ready_windows.get(&key.name)) {
                self.ready_windows.insert(key.name.clone(), known.clone());
            }
        }
    }

    /// The keys of all orders.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let ready = self.ready_windows.keys();
        let ready = ready.map(|name| Key::new(name, Kind::Ready));
        self.overrides.keys().cloned().chain(ready)
    }

    /// Whether there is an order with this key and this id.
    #[must_use]
    pub fn contains(&self, key: &Key, id: &str) -> bool {
        match key.kind {
            Kind::Ready => {
                let window = self.ready_windows.get(&key.name);
                window.is_some_and(|window| window.id == id)
            }
            Kind::Outage | Kind::Limit => self.overrides.get(key).is_some_and(|one| one.id == id),
        }
    }

    fn fault(&mut self, key: Option<Key>, path: &Path, reason: &dyn fmt::Display) {
        if self.faults.len() == MAX_FAULTS {
            self.more_faults += 1;
            return;
        }
        let mut text = format!("{}: {reason}", path.display());
        let end = (0..=MAX_FAULT)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        self.faults.push(Fault { key, text });
    }

    fn read(&mut self, directory: &Path, key: Key) {
        let read = match key.kind {
            Kind::Ready => read_ready_window(directory, &key).map(|found| {
                if let Some(found) = found {
                    self.ready_windows.insert(key.name.clone(), found);
                }
            }),
            Kind::Outage | Kind::Limit => read_override(directory, &key).map(|found| {
                if let Some(found) = found {
                    self.overrides.insert(key.clone(), found);
                }
            }),
        };
        if let Err(error) = read {
            if is_of_the_system(&error) {
                self.unread.insert(key.clone());
            }
            let path = directory.join(key.to_string());
            self.fault(Some(key), &path, &error);
        }
    }
}

/// The directory of a data directory.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join(DIRECTORY)
}

/// Reads the orders for `services` and for all services. A missing directory is an empty one.
///
/// The listing finds files, also those of unknown services. Orders of `known` are opened by name, too, and all orders
/// if the directory has too many entries. So no bound drops an order.
///
/// # Errors
/// Where the directory exists and cannot be listed.
pub fn read(
    directory: &Path,
    services: &BTreeSet<String>,
    known: impl Iterator<Item = Key>,
) -> io::Result<Stored> {
    let mut stored = Stored::default();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stored),
        Err(error) => return Err(error),
    };
    let is_ours = |key: &Key| key.name == ALL || services.contains(&key.name);
    let mut keys: BTreeSet<Key> = known.filter(is_ours).collect();
    let mut listed = 0;
    for entry in entries {
        let file = entry?.file_name();
        listed += 1;
        if listed > MAX_ENTRIES {
            let reason = format!("more than {MAX_ENTRIES} files: remove those of no service");
            stored.fault(None, directory, &reason);
            let names = services.iter().map(String::as_str).chain([ALL]);
            let all = names.flat_map(|name| Kind::ALL.map(|kind| Key::new(name, kind)));
            keys.extend(all);
            break;
        }
        let Some(key) = file.to_str().and_then(Key::parse) else {
            continue;
        };
        if is_ours(&key) {
            keys.insert(key);
        } else if !key.name.starts_with('.') {
            let reason = format!("unknown service {:?}", key.name);
            stored.fault(None, &directory.join(file), &reason);
        }
    }
    for key in keys {
        stored.read(directory, key);
    }
    Ok(stored)
}

/// Reads an outage, force-up or limit; `None` where there is none.
///
/// # Errors
/// Where its file cannot be used.
fn read_override(directory: &Path, key: &Key) -> io::Result<Option<Override>> {
    let Some((mut found, owner)) = parse::<Override>(directory, key)? else {
        return Ok(None);
    };
    if let Some(fault) = found.fault(key.kind) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    found.by = user(owner);
    Ok(Some(found))
}

fn read_ready_window(directory: &Path, key: &Key) -> io::Result<Option<ReadyWindow>> {
    Ok(parse(directory, key)?.map(|(window, _)| window))
}

/// The version of a file, with any other fields.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The content of a file and its owner; `None` where there is no file.
fn parse<T: DeserializeOwned>(directory: &Path, key: &Key) -> io::Result<Option<(T, u32)>> {
    let path = directory.join(key.to_string());
    let content = match read_bounded(&path, MAX_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if content.len() > MAX_BYTES {
        let fault = format!("more than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    // Another version may have other fields, which would be reported instead.
    if let Ok(Versioned { version }) = serde_json::from_slice(&content)
        && version != VERSION
    {
        let fault = format!("unknown version {version}: this program reads {VERSION}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    // A file that is replaced in between gets the new owner; the collector reads it again then.
    match path.symlink_metadata() {
        Ok(found) => Ok(Some((serde_json::from_slice(&content)?, found.uid()))),
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

/// The directory, locked against other commands, so that a command reads and writes without another in between.
#[derive(Debug)]
pub struct Locked {
    directory: PathBuf,
    /// The open directory: a link that replaces its path later is not followed.
    opened: OwnedFd,
    _lock: File,
}

/// Locks a directory and waits at most `patience` for other commands. The directory itself must not be a link:
/// root's commands write here, and the directory above belongs to the collector's user.
///
/// # Errors
/// Where it is missing, cannot be written to, or is locked by another command for too long.
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

/// The file that is locked. It is created for the group of the directory, with every umask.
fn lock_file(directory: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o660);
    loop {
        // An existing file keeps its mode: it may be another name of a file that must keep its own.
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
    /// The override of a key.
    ///
    /// # Errors
    /// Where its file cannot be used.
    pub fn read(&self, key: &Key) -> io::Result<Option<Override>> {
        read_override(&self.directory, key)
    }

    /// Replaces the override of a key.
    ///
    /// # Errors
    /// Those of writing; the old override remains then.
    pub fn set(&self, key: &Key, new: &Override) -> io::Result<()> {
        let content = serde_json::to_vec(new)?;
        replace_in(self.opened.as_fd(), &key.to_string(), MODE, &content)
    }

    /// Removes the file of a key; whether there was one.
    ///
    /// # Errors
    /// Those of removing.
    pub fn remove(&self, key: &Key) -> io::Result<bool> {
        match unlinkat(&self.opened, key.to_string(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the ready window of a service, or of [`ALL`].
    ///
    /// # Errors
    /// Those of writing.
    pub fn set_ready_window(&self, name: &str, window: &ReadyWindow) -> io::Result<()> {
        let content = serde_json::to_vec(window)?;
        let file = Key::new(name, Kind::Ready).to_string();
        replace_in(self.opened.as_fd(), &file, MODE, &content)
    }

    /// Removes an expired order, so that a clock that is set back cannot revive it. An order with another `id` has
    /// replaced it, and stays.
    pub fn forget(&self, key: &Key, id: &str) {
        let same = match key.kind {
            Kind::Ready => {
                let window = read_ready_window(&self.directory, key);
                window.is_ok_and(|window| window.is_some_and(|window| window.id == id))
            }
            Kind::Outage | Kind::Limit => {
                let found = self.read(key);
                found.is_ok_and(|found| found.is_some_and(|found| found.id == id))
            }
        };
        if same {
            // Where it cannot be removed it is expired all the same.
            let _ = self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
