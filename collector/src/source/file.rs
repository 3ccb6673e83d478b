//! The file source: the content of one regular file.
//!
//! Not here: existence and age of a file as values of their own (a later version); watching for
//! changes. A file that is rewritten in place can be seen half-written: whoever writes it should write
//! beside it and rename.

use super::{Deadline, Format, Found, io_reason, too_large};
use crate::reading::{Failure, Reason};
use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// `[source.NAME.file]`
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// What is read. Links are followed.
    pub path: PathBuf,
    /// How the content is read.
    pub format: Format,
    /// The largest content that is taken, in bytes.
    pub max_bytes: usize,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {:?} as {}", self.path, self.format)
    }
}

impl File {
    pub(super) fn poll(&self, deadline: Deadline) -> Found {
        match read_bounded(&self.path, self.max_bytes, deadline) {
            Ok(content) => Found::body(self.format, content),
            Err(failure) => failure.into(),
        }
    }
}

/// The content of the regular file at `path`, at most `max_bytes` of it.
///
/// Sizes are not asked for: files of /proc and /sys have none.
pub(super) fn read_bounded(
    path: &Path,
    max_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    let failure = |error: io::Error| {
        Failure::new(
            io_reason(&error),
            format_args!("{}: {error}", path.display()),
        )
    };
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
            Ok(0) => return Ok(content),
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
