//! Standard error: the journal's stream, a pipe, a file or a terminal.

use super::severity;
use crate::render::text;
use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// Standard error, with or without a reader.
pub(super) struct Stderr {
    /// Whether it is the journal's stream.
    journal: bool,
    /// Lines lost since the last one that was written.
    lost: u64,
}

impl Stderr {
    pub(super) fn new() -> Self {
        Self {
            journal: stderr_is_journal(),
            lost: 0,
        }
    }

    /// Writes a line. A line that cannot be written at once is lost and counted: a reader that stopped must not
    /// delay a reply.
    pub(super) fn write_line(&mut self, level: Level, text: &str) {
        if self.lost > 0 {
            let lines = text::counted(usize::try_from(self.lost).unwrap_or(usize::MAX), "line");
            let lost = format!("{lines} of the log lost: standard error was full");
            if self.write(Level::Warn, &lost) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.write(level, text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Whether there was room for the line.
    fn write(&self, level: Level, text: &str) -> bool {
        let line = if self.journal {
            format!("<{}>{text}\n", severity(level))
        } else {
            let level = level.as_str().to_ascii_lowercase();
            format!("agentcheck: {level}: {text}\n")
        };
        let mut stderr = std::io::stderr().lock();
        let taken = takes(&stderr);
        if taken {
            // An error cannot be reported anywhere.
            let _ = stderr.write_all(line.as_bytes());
        }
        taken
    }
}

/// Whether a line fits without waiting: a pipe has room for 4,096 bytes then, and a socket for more.
fn takes(stderr: &impl std::os::fd::AsFd) -> bool {
    let mut ready = [PollFd::new(stderr, PollFlags::OUT)];
    loop {
        match poll(&mut ready, Some(&Timespec::default())) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // A descriptor that cannot be polled may still be writable.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Whether standard error is the stream that the journal opened, by the device and inode in systemd's variable.
/// The variable alone is inherited by every child of a service.
fn stderr_is_journal() -> bool {
    let variable = std::env::var_os("JOURNAL_STREAM");
    let stream = std::fs::metadata("/proc/self/fd/2");
    stream.is_ok_and(|stream| is_stream(variable.as_deref(), stream.dev(), stream.ino()))
}

fn is_stream(variable: Option<&OsStr>, device: u64, inode: u64) -> bool {
    variable.and_then(OsStr::to_str) == Some(&*format!("{device}:{inode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_is_recognised_by_device_and_inode() {
        let is_ours = |text| is_stream(Some(OsStr::new(text)), 10, 4711);
        assert!(is_ours("10:4711"));
        for other in [
            "10:4712", "11:4711", "", "10", "10:", ":4711", "10:4711 ", "010:4711",
        ] {
            assert!(!is_ours(other), "{other:?}");
        }
        assert!(!is_stream(None, 10, 4711));
    }
}
