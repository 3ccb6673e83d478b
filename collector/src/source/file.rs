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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Content;
    use rustix::thread::{CapabilitySet, CapabilitySets};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    const AMPLE: Duration = Duration::from_secs(30);
    const NOT_HELD: Duration = Duration::from_secs(20);

    /// A directory of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("agentcheck-file-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn poll_as(format: Format, path: impl Into<PathBuf>) -> Found {
        let file = File {
            path: path.into(),
            format,
            max_bytes: 1000,
        };
        let started = Instant::now();
        let found = file.poll(Deadline::within(AMPLE));
        assert!(started.elapsed() < NOT_HELD, "held: {found:?}");
        found
    }

    fn poll(path: impl Into<PathBuf>) -> Found {
        poll_as(Format::Text, path)
    }

    fn failure(found: Found) -> Failure {
        assert_eq!((found.status, found.exit, found.text), (None, None, None));
        found.outcome.expect_err("a failure")
    }

    #[test]
    fn text_number_and_json() {
        let scratch = Scratch::new("formats");
        let text = poll(scratch.with("text", "up\n"));
        assert_eq!(text.outcome, Ok(Content::Text));
        assert_eq!(text.text.as_deref(), Some("up\n"));
        assert_eq!((text.status, text.exit), (None, None));

        let number = poll_as(Format::Number, scratch.with("number", "0.75\n"));
        assert_eq!(number.outcome, Ok(Content::Number(0.75)));
        let json = poll_as(Format::Json, scratch.with("json", "{\"load\": 1}"));
        let value = serde_json::json!({"load": 1});
        assert_eq!(json.outcome, Ok(Content::Json(value)));

        let empty = scratch.with("empty", "");
        assert_eq!(poll(&empty).text.as_deref(), Some(""));
        let number = poll_as(Format::Number, &empty);
        assert_eq!(number.outcome.unwrap_err().reason, Reason::Malformed);
        assert_eq!(number.text.as_deref(), Some(""));

        let bytes = poll(scratch.with("bytes", b"a\xffb"));
        assert_eq!(bytes.outcome.unwrap_err().reason, Reason::Malformed);
        assert_eq!(bytes.text.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn links_are_followed() {
        let scratch = Scratch::new("links");
        scratch.with("file", "here");
        let link = scratch.0.join("link");
        symlink("file", &link).unwrap();
        assert_eq!(poll(&link).text.as_deref(), Some("here"));
        let circle = scratch.0.join("circle");
        symlink("circle", &circle).unwrap();
        assert_eq!(failure(poll(&circle)).reason, Reason::Other);
    }

    #[test]
    fn files_of_the_kernel_have_no_size_and_a_content() {
        assert!(poll("/proc/uptime").text.unwrap().contains('.'));
        let online = poll("/sys/devices/system/cpu/online");
        assert!(online.text.unwrap().starts_with('0'));
        let number = poll_as(Format::Number, "/proc/sys/kernel/pid_max");
        assert!(matches!(number.outcome, Ok(Content::Number(_))));
    }

    #[test]
    fn no_more_than_max_bytes() {
        let scratch = Scratch::new("size");
        let exactly = poll(scratch.with("exactly", "x".repeat(1000)));
        assert_eq!(exactly.text.unwrap().len(), 1000);
        let one_more = poll(scratch.with("one-more", "x".repeat(1001)));
        assert_eq!(failure(one_more).reason, Reason::TooLarge);
        // A terabyte of nothing.
        let sparse = scratch.with("sparse", "");
        let opened = fs::OpenOptions::new().write(true).open(&sparse).unwrap();
        opened.set_len(1 << 40).unwrap();
        assert_eq!(failure(poll(&sparse)).reason, Reason::TooLarge);
    }

    #[test]
    fn what_is_not_there() {
        let missing = failure(poll("/no/such/file"));
        assert_eq!(missing.reason, Reason::Missing);
        assert!(missing.detail.starts_with("/no/such/file: "), "{missing}");
        assert_eq!(failure(poll("/proc/uptime/below")).reason, Reason::Missing);
        assert_eq!(failure(poll("")).reason, Reason::Missing);
        assert_eq!(failure(poll("a\0b")).reason, Reason::Other);
    }

    #[test]
    fn what_is_not_a_regular_file_is_not_even_opened() {
        let scratch = Scratch::new("kinds");
        let directory = failure(poll(&scratch.0));
        assert_eq!(directory.reason, Reason::Other);
        assert!(
            directory
                .detail
                .ends_with(" is a directory, not a regular file")
        );

        let fifo = scratch.0.join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(failure(poll(&fifo)).reason, Reason::Other);
        let socket = scratch.0.join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(failure(poll(&socket)).reason, Reason::Other);
        for device in ["/dev/zero", "/dev/tty"] {
            assert_eq!(failure(poll(device)).reason, Reason::Other, "{device}");
        }
    }

    #[test]
    fn no_rights() {
        let scratch = Scratch::new("rights");
        let secret = scratch.with("secret", "x");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
        // Root may read whatever it likes, so this thread gives that right away before it tries.
        let polled = thread::spawn(move || {
            let own = rustix::thread::capabilities(None).unwrap();
            let any = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            let effective = own.effective - any;
            rustix::thread::set_capabilities(None, CapabilitySets { effective, ..own }).unwrap();
            poll(secret)
        });
        assert_eq!(failure(polled.join().unwrap()).reason, Reason::Denied);
    }

    #[test]
    fn an_error_half_way_is_told() {
        // The kernel refuses to read this process's memory at address 0.
        assert_eq!(failure(poll("/proc/self/mem")).reason, Reason::Broken);
    }

    #[test]
    fn no_time_at_all_is_a_timeout() {
        let file = File {
            path: "/proc/uptime".into(),
            format: Format::Text,
            max_bytes: 1000,
        };
        let found = file.poll(Deadline::within(Duration::ZERO));
        assert_eq!(failure(found).reason, Reason::Timeout);
    }
}
