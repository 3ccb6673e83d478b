//! The pid file. Its process has a lock on it. So the file of a dead process is recognised, even if another process
//! has its number now.

use crate::sys::identity;
use fs2::FileExt;
use rustix::fs::{Mode, OFlags, Stat};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Its permissions. A process that can open it can lock it, and keep a collector from starting: it is the
/// owner's alone.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A pid file that this process has locked. It is removed on drop, where the permissions allow it.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Open for reading only: a process that became another user cannot write another process id for root.
    locked: File,
}

/// Why there is no pid file.
#[derive(Debug)]
pub enum PidFileError {
    /// A live process has locked it; its id, where that could be read.
    Held(PathBuf, Option<u32>),
    /// The path is a link or not a regular file.
    Strange(PathBuf),
    /// The file cannot be created or written.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(path, holder) => {
                match holder {
                    Some(pid) => write!(f, "another collector, process {pid}, is running")?,
                    None => f.write_str("another collector is running")?,
                }
                write!(f, " (the pid file {} is locked)", path.display())
            }
            Self::Strange(path) => write!(
                f,
                "the pid file {} is a link or not a regular file: it is not used",
                path.display()
            ),
            Self::Failed(path, error) => {
                write!(f, "cannot write the pid file {}: {error}", path.display())
            }
        }
    }
}

impl PidFile {
    /// Writes this process's id into a file that no live process has locked.
    ///
    /// # Errors
    /// Where another process has locked it, or it cannot be written.
    pub fn take(path: &Path) -> Result<Self, PidFileError> {
        let failed = |error: io::Error| PidFileError::Failed(path.to_owned(), error);
        let strange = || PidFileError::Strange(path.to_owned());
        let open = |flags: OFlags| {
            let flags =
                flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, MODE) {
                Ok(file) => Ok(File::from(file)),
                Err(rustix::io::Errno::LOOP) => Err(strange()),
                Err(error) => Err(failed(error.into())),
            }
        };
        // The last holder may be about to remove it.
        for _ in 0..10 {
            let mut locked = open(OFlags::RDONLY | OFlags::CREATE)?;
            let found = stat(&locked).map_err(failed)?;
            if rustix::fs::FileType::from_raw_mode(found.st_mode)
                != rustix::fs::FileType::RegularFile
                || found.st_nlink > 1
            {
                return Err(strange());
            }
            match FileExt::try_lock_exclusive(&locked) {
                Ok(()) => {}
                Err(error) if error.kind() == fs2::lock_contended_error().kind() => {
                    let mut holder = String::new();
                    // The holder's id is only for the message.
                    let _ = (&mut locked).take(20).read_to_string(&mut holder);
                    return Err(PidFileError::Held(
                        path.to_owned(),
                        holder.trim().parse().ok(),
                    ));
                }
                Err(error) => return Err(failed(error)),
            }
            let taken = Self {
                path: path.to_owned(),
                locked,
            };
            if !taken.is_ours() {
                continue;
            }
            let mut file = open(OFlags::WRONLY)?;
            if identity(&stat(&file).map_err(failed)?) != identity(&found) {
                return Err(strange());
            }
            // With every umask. Another user's file keeps its mode.
            let _ = rustix::fs::fchmod(&file, MODE);
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(failed)?;
            return Ok(taken);
        }
        Err(failed(io::Error::other(
            "another process keeps replacing it",
        )))
    }

    /// Whether the path still leads to this file.
    fn is_ours(&self) -> bool {
        let there = rustix::fs::lstat(&self.path);
        let ours = stat(&self.locked);
        matches!((there, ours), (Ok(there), Ok(ours)) if identity(&there) == identity(&ours))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // A user without the right to remove it leaves an unlocked file, which is recognised as stale.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn stat(file: &File) -> io::Result<Stat> {
    rustix::fs::fstat(file).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::fs;

    #[test]
    fn pid_file_exists_while_it_is_held() {
        let scratch = Scratch::new("held");
        let path = scratch.file("pid");
        // Left by a dead process, longer than ours.
        fs::write(&path, "4294967295\n4294967295\n").unwrap();
        let taken = PidFile::take(&path).unwrap();
        let ours = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), ours);
        let refused = PidFile::take(&path).unwrap_err().to_string();
        let held = format!(
            "another collector, process {}, is running",
            std::process::id()
        );
        assert!(refused.starts_with(&held), "{refused}");
        drop(taken);
        assert!(!path.exists());
        drop(PidFile::take(&path).unwrap());
    }

    #[test]
    fn replaced_pid_file_stays() {
        let scratch = Scratch::new("replaced");
        let path = scratch.file("pid");
        let taken = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(taken);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn links_and_other_things_are_left_alone() {
        let scratch = Scratch::new("links");
        let precious = scratch.file("precious");
        fs::write(&precious, "untouched").unwrap();
        for name in ["symbolic", "hard", "directory", "fifo"] {
            let path = scratch.file(name);
            match name {
                "symbolic" => std::os::unix::fs::symlink(&precious, &path).unwrap(),
                "hard" => fs::hard_link(&precious, &path).unwrap(),
                "directory" => fs::create_dir(&path).unwrap(),
                _ => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    Mode::from_raw_mode(0o600),
                    0,
                )
                .unwrap(),
            }
            PidFile::take(&path).unwrap_err();
            assert!(path.symlink_metadata().is_ok(), "{name} was removed");
            assert_eq!(fs::read_to_string(&precious).unwrap(), "untouched");
        }
        let nowhere = scratch.file("nowhere/pid");
        let error = PidFile::take(&nowhere).unwrap_err().to_string();
        assert!(
            error.ends_with(": No such file or directory (os error 2)"),
            "{error}"
        );
    }
}
