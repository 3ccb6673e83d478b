//! Files that are replaced atomically: written beside the old file and renamed over it, so that a reader sees
//! the old or the new file, whole.
//!
//! Nothing is synced to disk: the state directory is a tmpfs, and the state must not survive a crash of the
//! kernel (the boot id changes).

use agentcheck_common::schedule::{self, MAX_FILE, Schedule, Stage};
use agentcheck_common::{BootId, BootTime, Reply, STATE_SUFFIX, ServiceName};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Everybody may read: the responder runs as another, unprivileged user.
pub const PUBLIC: u32 = 0o644;

/// The size of most state files, in bytes.
const USUAL_FILE: usize = 512;

/// The state file of a service.
#[must_use]
pub fn path(directory: &Path, name: &ServiceName) -> PathBuf {
    directory.join(format!("{name}{STATE_SUFFIX}"))
}

/// Replaces the regular file `directory/name` by `content`, with permissions `mode` for every umask. Root could also
/// replace `/dev/null`, or the link `/dev/stdout`: nothing but a regular file is replaced.
///
/// # Errors
/// Those of opening the directory, and of [`replace_in`]; and where the name exists and is no regular file.
pub fn replace(directory: &Path, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    // An empty path means the current directory.
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile => {
            Err(not_regular())
        }
        _ => replace_in(directory.as_fd(), name, mode, content),
    }
}

/// Like [`replace`], in an open directory: wherever its path leads by now.
///
/// # Errors
/// Those of creating, writing and renaming. The old file is intact then, and no temporary file remains.
pub fn replace_in(
    directory: BorrowedFd<'_>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    NewFile::create(directory, name, mode)?.finish(directory, content)
}

/// A new file beside the one that it is to replace. Without [`NewFile::replace`] it stays there until the next one of
/// this name.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// The name of the file that it is to replace, with [`BEFORE`] and [`AFTER`].
    temporary: String,
}

/// Around the name of a new file. A leading dot cannot begin a service name, so no service has the name of a new file.
const BEFORE: &str = ".";
const AFTER: &str = ".new";

impl NewFile {
    /// Creates it, to replace `name`, with permissions `mode` whatever the umask is.
    ///
    /// # Errors
    /// Those of creating.
    pub fn create(directory: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<Self> {
        Self::create_as(directory, [BEFORE, name, AFTER].concat(), mode)
    }

    fn create_as(directory: BorrowedFd<'_>, temporary: String, mode: u32) -> io::Result<Self> {
        // One collector per directory, one writer per name.
        let file = create(directory, &temporary, mode)?;
        Ok(Self { file, temporary })
    }

    /// Adds content.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Those of renaming.
    fn replace(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        let (temporary, end) = (&self.temporary, self.temporary.len() - AFTER.len());
        let name = temporary.get(BEFORE.len()..end).unwrap_or_default();
        Ok(renameat(directory, temporary, directory, name)?)
    }

    /// Adds the rest of the content, and replaces the file.
    ///
    /// # Errors
    /// Those of writing and renaming. The old file is intact then, and no temporary file remains.
    pub fn finish(mut self, directory: BorrowedFd<'_>, rest: &[u8]) -> io::Result<()> {
        let written = self.write(rest).and_then(|()| self.replace(directory));
        if written.is_err() {
            self.remove(directory);
        }
        written
    }

    /// Removes it, after an error.
    pub fn remove(self, directory: BorrowedFd<'_>) {
        // The first error is the one to report.
        let _ = unlinkat(directory, &self.temporary, AtFlags::empty());
    }
}

/// Creates a file with permissions `mode` for every umask.
fn create(directory: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    let opened = match openat(directory, name, flags, mode) {
        // Left behind by a collector that was killed; a link here must not be followed.
        Err(rustix::io::Errno::EXIST) => {
            unlinkat(directory, name, AtFlags::empty())?;
            openat(directory, name, flags, mode)?
        }
        opened => opened?,
    };
    // A umask has subtracted from the mode. To check that costs much less than to set it each time.
    let as_made = rustix::fs::fstat(&opened).map(|found| Mode::from_raw_mode(found.st_mode));
    let set = as_made.and_then(|made| match made == mode {
        true => Ok(()),
        false => rustix::fs::fchmod(&opened, mode),
    });
    if set.is_err() {
        let _ = unlinkat(directory, name, AtFlags::empty());
    }
    set?;
    Ok(File::from(opened))
}

/// Replaces a service's state file by a schedule of this boot that begins at the given time.
///
/// # Errors
/// Those of [`replace_in`], and too many stages for a file.
pub fn publish(
    directory: BorrowedFd<'_>,
    name: &ServiceName,
    (boot, from): (&BootId, BootTime),
    stages: &[Stage],
    then: &Reply,
) -> io::Result<()> {
    let mut file = Vec::with_capacity(USUAL_FILE);
    schedule::encode_to(name, boot, from, stages, then, |piece| {
        file.extend_from_slice(piece);
        Ok(())
    })
    .map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = [BEFORE, name.as_str(), STATE_SUFFIX, AFTER].concat();
    NewFile::create_as(directory, temporary, PUBLIC)?.finish(directory, &file)
}

/// The reply of a state file at `now`, if the file is valid and of this boot.
#[must_use]
pub fn current_reply(
    directory: &Path,
    name: &ServiceName,
    boot: &BootId,
    now: BootTime,
) -> Option<Reply> {
    try_current_reply(directory, name, boot, now).ok().flatten()
}

/// Like [`current_reply`].
///
/// # Errors Where the file may exist and the system cannot read it now.
pub fn try_current_reply(
    directory: &Path,
    name: &ServiceName,
    boot: &BootId,
    now: BootTime,
) -> io::Result<Option<Reply>> {
    let content = match read_bounded(&path(directory, name), MAX_FILE) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if is_of_the_system(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    let picked = Schedule::current_reply(&content, name, boot, now).ok();
    Ok(picked.and_then(|picked| Reply::parse(picked.line).ok()))
}

/// Whether the system failed, and not the file's content.
#[must_use]
pub fn is_of_the_system(error: &io::Error) -> bool {
    let link = rustix::io::Errno::LOOP.raw_os_error();
    error.raw_os_error().is_some_and(|number| number != link)
}

/// The content of a regular file: at most `most` bytes and one more.
///
/// # Errors
/// Those of opening and reading, and where it is not a regular file.
pub fn read_bounded(file: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = open_regular(file, OFlags::NOFOLLOW)?;
    let mut content = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// Opens a regular file for reading, with `more` flags. A FIFO or a device cannot block.
///
/// # Errors
/// Those of opening, and where it is not a regular file.
pub fn open_regular(file: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(file, flags | more, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular())
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaced_file_has_its_mode() {
        let scratch = Scratch::new("replace");
        let directory = scratch.path();
        for content in ["one", "two"] {
            replace(directory, "web.state", PUBLIC, content.as_bytes()).unwrap();
            let file = directory.join("web.state");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
        // No usual umask leaves these permissions.
        replace(directory, "web.state", 0o666, b"three").unwrap();
        let file = directory.join("web.state").metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o666);
    }

    #[test]
    fn failure_leaves_the_old_file_and_nothing_else() {
        let scratch = Scratch::new("failure");
        let directory = scratch.path();
        std::fs::create_dir(directory.join("web.state")).unwrap();
        let opened = File::open(directory).unwrap();
        assert!(replace_in(opened.as_fd(), "web.state", PUBLIC, b"x").is_err());
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_a_regular_file_is_replaced() {
        let scratch = Scratch::new("devices");
        let directory = scratch.path();
        let (fifo, mode) = (FileType::Fifo, Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, directory.join("fifo"), fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(directory.join("socket")).unwrap();
        std::fs::create_dir(directory.join("directory")).unwrap();
        for name in ["fifo", "link", "socket", "directory"] {
            let before = directory.join(name).symlink_metadata().unwrap().file_type();
            let error = replace(directory, name, PUBLIC, b"x").unwrap_err();
            assert_eq!(error.to_string(), "not a regular file", "{name}");
            let after = directory.join(name).symlink_metadata().unwrap().file_type();
            assert_eq!(before, after, "{name}");
            assert!(name == "directory" || read_bounded(&directory.join(name), 4).is_err());
        }
    }

    #[test]
    fn link_at_the_temporary_name_is_not_followed() {
        let scratch = Scratch::new("link");
        let directory = scratch.path();
        let victim = directory.join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, directory.join(".web.state.new")).unwrap();
        replace(directory, "web.state", PUBLIC, b"x").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn only_regular_files_are_read_and_bounded() {
        let scratch = Scratch::new("read");
        let directory = scratch.path();
        std::fs::write(directory.join("file"), "0123456789").unwrap();
        std::os::unix::fs::symlink("file", directory.join("link")).unwrap();
        assert_eq!(
            read_bounded(&directory.join("file"), 4).unwrap(),
            b"01234".as_slice()
        );
        assert!(read_bounded(&directory.join("link"), 4).is_err());
        assert!(read_bounded(directory, 4).is_err());
    }
}
