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
use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::io;
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

impl File {
    pub(super) fn poll(&self, deadline: Deadline) -> Found {
        let found = match self.format {
            None => change_time(&self.path)
                .map(|modified| (Found::outcome(Ok(Content::Nothing)), modified)),
            Some(format) => read(&self.path, self.max_bytes, deadline)
                .map(|(content, modified)| (Found::body(format, content), modified)),
        };
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
                ..match self.missing {
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
fn modified(stat: &rustix::fs::Stat) -> Wall {
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
    read(path, max_bytes, deadline).map(|(content, _)| content)
}

/// Reads the file; returns the content and the change time.
fn read(path: &Path, max_bytes: usize, deadline: Deadline) -> Result<(Vec<u8>, Wall), Failure> {
    let failure = |error: io::Error| failed(path, error);
    // Checked before opening, because opening alone can do harm (it lets a FIFO's writer in, it starts a
    // watchdog device), and again after, because the file may have been replaced.
    let before = rustix::fs::stat(path).map_err(|error| failure(error.into()))?;
    must_be_regular(path, before.st_mode)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failure(error.into()))?;
    let after = rustix::fs::fstat(&opened).map_err(|error| failure(error.into()))?;
    must_be_regular(path, after.st_mode)?;

    let size = usize::try_from(after.st_size).unwrap_or(0);
    let mut content = Vec::with_capacity(match size {
        0 => CHUNK,
        size => size.min(max_bytes).saturating_add(1),
    });
    loop {
        match rustix::io::read(&opened, spare_capacity(&mut content)) {
            Ok(0) => return Ok((content, modified(&after))),
            Ok(_) if content.len() > max_bytes => return Err(too_large("content", max_bytes)),
            // There was room for more, so this is the end. A file of /proc has no size, one of /sys another one.
            Ok(length) if length == size && content.len() == size => {
                return Ok((content, modified(&after)));
            }
            Ok(_) => content.reserve(CHUNK),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failure(error.into())),
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
