//! The file source: the content of one regular file.
//!
//! Whether it is there and when it was changed last are facts of their own, so that a flag file, or one
//! that somebody should touch now and then, needs no content.
//!
//! Not here: watching for changes. A file that is rewritten in place can be seen half-written: whoever writes it should write
//! beside it and rename.

#[cfg(test)]
mod tests;

use super::{Deadline, Format, Found, io_reason, too_large};
use crate::reading::{Content, Failure, FileFacts, Reason};
use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `[source.NAME.file]`
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// What is read. Links are followed.
    pub path: PathBuf,
    /// How the content is read; none where it is not, and the file is not even opened.
    pub format: Option<Format>,
    /// The largest content that is taken, in bytes.
    pub max_bytes: usize,
    /// What it means that it is not there.
    pub missing: Missing,
}

/// What it means that a file is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `fail`: the poll has failed.
    Fail,
    /// `ok`: that is an answer, with nothing but `exists` in it.
    Ok,
}

impl File {
    /// The file at `path`, read as text, with everything else at its default.
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
            None => {
                look(&self.path).map(|modified| (Found::outcome(Ok(Content::Nothing)), modified))
            }
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

/// A moment by the wall clock, as the time since 1970.
type Wall = Duration;

fn since_epoch() -> Wall {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// In seconds; a file that was changed in the future was changed just now.
fn age(modified: Wall, now: Wall) -> f64 {
    now.saturating_sub(modified).as_secs_f64()
}

/// When it was changed last; before 1970 counts as 1970.
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

/// Looks at the regular file at `path` without opening it.
fn look(path: &Path) -> Result<Wall, Failure> {
    let stat = rustix::fs::stat(path).map_err(|error| failed(path, error.into()))?;
    must_be_regular(path, stat.st_mode)?;
    Ok(modified(&stat))
}

/// The content of the regular file at `path`, at most `max_bytes` of it.
///
/// Sizes are not asked for: files of /proc and /sys have none.
pub(super) fn read_bounded(
    path: &Path,
    max_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    read(path, max_bytes, deadline).map(|(content, _)| content)
}

/// The content, and when it was changed last.
fn read(path: &Path, max_bytes: usize, deadline: Deadline) -> Result<(Vec<u8>, Wall), Failure> {
    let failure = |error: io::Error| failed(path, error);
    // Looked at before it is opened, because opening alone can do harm (a FIFO's writer is let in, a
    // watchdog device starts to count), and again after, because it may have been replaced meanwhile.
    let before = rustix::fs::stat(path).map_err(|error| failure(error.into()))?;
    must_be_regular(path, before.st_mode)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failure(error.into()))?;
    let after = rustix::fs::fstat(&opened).map_err(|error| failure(error.into()))?;
    must_be_regular(path, after.st_mode)?;

    let mut file = fs::File::from(opened);
    let mut content = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((content, modified(&after))),
            Ok(length) => {
                if content.len() + length > max_bytes {
                    return Err(too_large("content", max_bytes));
                }
                content.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(error)),
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
