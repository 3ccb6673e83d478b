//! The file source: the content of one regular file, whether it exists, and when it changed. A flag file needs
//! no content.
//!
//! Not here: watching for changes. A file that a program rewrites in place can be read half-written. Programs
//! should write a new file and rename it.

#[cfg(test)]
mod tests;

use super::{Deadline, Format, Found, io_reason, too_large};
use crate::reading::{Content, Failure, FileFacts, Reason};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `[source.NAME.file]`
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The file to read. Links are followed.
    pub path: PathBuf,
    /// The format of the content; `None` checks existence and age only, without opening the file.
    pub format: Option<Format>,
    /// The largest content, in bytes.
    pub max_bytes: usize,
    /// Whether an absent file is a failure.
    pub missing: Missing,
}

/// Whether an absent file is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `fail`: it is.
    Fail,
    /// `ok`: it is a good reading, in which only `exists` is known.
    Ok,
}

impl File {
    /// The file at `path`, read as text, with defaults.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: Some(Format::default()),
            max_bytes: super::DEFAULT_MAX_BYTES,
            missing: Missing::Fail,
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {:?}", self.path)?;
        match self.format {
            Some(format) => write!(f, " as {format}"),
            None => Ok(()),
        }
    }
}

/// The file source in its running form.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    /// Whether the last poll read a regular file.
    was_regular: bool,
}

impl Reader {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            was_regular: false,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline) -> Found {
        let (file, was_regular) = (&self.file, self.was_regular);
        let found = match file.format {
            None => change_time(&file.path)
                .map(|modified| (Found::outcome(Ok(Content::Nothing)), modified)),
            Some(format) => read(&file.path, was_regular, file.max_bytes, deadline)
                .map(|(content, modified)| (Found::body(format, content), modified)),
        };
        self.was_regular = found.is_ok();
        match found {
            Ok((found, modified)) => Found {
                file: Some(FileFacts {
                    exists: true,
                    mtime_age: Some(age(modified, since_epoch())),
                }),
                ..found
            },
            Err(failure) if failure.reason == Reason::Missing => Found {
                file: Some(FileFacts {
                    exists: false,
                    mtime_age: None,
                }),
                ..match file.missing {
                    Missing::Ok => Found::outcome(Ok(Content::Nothing)),
                    Missing::Fail => failure.into(),
                }
            },
            Err(failure) => failure.into(),
        }
    }
}

/// A moment of the wall clock, as the time since 1970.
type Wall = Duration;

fn since_epoch() -> Wall {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The age in seconds; 0 for a change time in the future.
fn age(modified: Wall, now: Wall) -> f64 {
    now.saturating_sub(modified).as_secs_f64()
}

/// The last change; a time before 1970 counts as 1970.
fn modified(stat: &Stat) -> Wall {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    // Less than a second, so that nothing is carried over.
    Duration::new(seconds, nanos.min(999_999_999))
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::new(
        io_reason(&error),
        format_args!("{}: {error}", path.display()),
    )
}

/// The change time of the regular file at `path`, without opening it.
fn change_time(path: &Path) -> Result<Wall, Failure> {
    let stat = rustix::fs::stat(path).map_err(|error| failed(path, error.into()))?;
    must_be_regular(path, stat.st_mode)?;
    Ok(modified(&stat))
}

/// How much room there is for the next part of a file whose size is not known, in bytes.
const CHUNK: usize = 16 * 1024;

/// Reads the regular file at `path`, at most `max_bytes`. Files of /proc and /sys have no usable size.
pub(super) fn read_bounded(
    path: &Path,
    max_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    read(path, false, max_bytes, deadline).map(|(content, _)| content)
}

/// Opens the regular file at `path`.
///
/// A file is checked before it is opened, because opening alone can do harm: it lets a FIFO's writer in, it starts a
/// watchdog device. If the path `was_regular` at the last poll, one system call does both: it follows no link at the end
/// of the path, and only root can put a device there itself.
fn open(path: &Path, was_regular: bool) -> Result<(OwnedFd, Stat), Failure> {
    let failure = |error: Errno| failed(path, error.into());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let open = |more| rustix::fs::open(path, flags | more, Mode::empty());
    let at_once = was_regular.then(|| open(OFlags::NOFOLLOW).ok()).flatten();
    let opened = match at_once {
        Some(opened) => opened,
        None => {
            let before = rustix::fs::stat(path).map_err(failure)?;
            must_be_regular(path, before.st_mode)?;
            open(OFlags::empty()).map_err(failure)?
        }
    };
    // It may have been replaced meanwhile.
    let found = rustix::fs::fstat(&opened).map_err(failure)?;
    must_be_regular(path, found.st_mode)?;
    Ok((opened, found))
}

/// Reads the file; returns the content and the change time.
fn read(
    path: &Path,
    was_regular: bool,
    max_bytes: usize,
    deadline: Deadline,
) -> Result<(Vec<u8>, Wall), Failure> {
    let (opened, found) = open(path, was_regular)?;
    let size = usize::try_from(found.st_size).unwrap_or(0);
    let mut content = Vec::with_capacity(match size {
        0 => CHUNK,
        size => size.min(max_bytes).saturating_add(1),
    });
    loop {
        match rustix::io::read(&opened, spare_capacity(&mut content)) {
            Ok(0) => return Ok((content, modified(&found))),
            Ok(_) if content.len() > max_bytes => return Err(too_large("content", max_bytes)),
            // There was room for more, so this is the end. A file of /proc has no size, one of /sys another one.
            Ok(length) if length == size && content.len() == size => {
                return Ok((content, modified(&found)));
            }
            Ok(_) => content.reserve(CHUNK),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(path, error.into())),
        }
        if deadline.has_passed() {
            return Err(deadline.failure("not read to its end"));
        }
    }
}

fn must_be_regular(path: &Path, mode: rustix::fs::RawMode) -> Result<(), Failure> {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Err(Failure::new(
        Reason::Other,
        format_args!("{} is {kind}, not a regular file", path.display()),
    ))
}
