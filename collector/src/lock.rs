//! One collector per state directory: two would overwrite each other's replies in turn.

use fs2::FileExt;
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A held lock. It ends with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum NotLocked {
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

impl fmt::Display for NotLocked {
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

/// Takes the lock of a state directory, without waiting.
///
/// # Errors
/// Where another process has it, or the file cannot be made.
pub fn take(directory: &Path) -> Result<Lock, NotLocked> {
    // No service can have this name: it begins with a dot.
    let path = directory.join(".collector.lock");
    let failed = |error: io::Error| NotLocked::Failed(path.clone(), error);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644));
    let mut file = File::from(file.map_err(|error| failed(error.into()))?);
    // Named in full: std's own method of this name would shadow it.
    if let Err(error) = FileExt::try_lock_exclusive(&file) {
        if error.kind() != fs2::lock_contended_error().kind() {
            return Err(failed(error));
        }
        let mut holder = String::new();
        // Who holds it is a courtesy; that somebody does is certain.
        let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
        return Err(NotLocked::Held {
            holder: holder.trim().parse().ok(),
            file: path,
        });
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(failed)?;
    Ok(Lock { _file: file })
}
