//! Standard error: the journal's stream, a pipe to whoever keeps the log, a file, a terminal.

use super::severity;
use crate::render::text;
use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// Standard error, which somebody may read, or nobody.
pub(super) struct Stderr {
    /// Whether it is the journal's.
    journal: bool,
    /// Lines that were not taken since the last one that was.
    lost: u64,
}

impl Stderr {
    pub(super) fn new() -> Self {
        Self {
            journal: stderr_is_journal(),
            lost: 0,
        }
    }

    /// Writes a line. One that is not taken at once is lost and counted: whoever does not read must not hold up
    /// a reply.
    pub(super) fn say(&mut self, level: Level, text: &str) {
        if self.lost > 0 {
            let lines = text::counted(usize::try_from(self.lost).unwrap_or(usize::MAX), "line");
            let lost = format!("{lines} of the log lost: nobody read them");
            if self.write(Level::Warn, &lost) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.write(level, text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Whether there was room for it.
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
            // Nobody can be told that nobody can be told.
            let _ = stderr.write_all(line.as_bytes());
        }
        taken
    }
}

/// Whether it takes a line without waiting: a pipe has room for 4,096 bytes then, and a socket for more.
fn takes(stderr: &impl std::os::fd::AsFd) -> bool {
    let mut ready = [PollFd::new(stderr, PollFlags::OUT)];
    loop {
        match poll(&mut ready, Some(&Timespec::default())) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // What cannot be asked may still be written to.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Whether standard error is the stream that the journal has given us, as systemd tells it: device and inode.
/// The variable alone is inherited by all that a service starts, wherever their standard error goes.
fn stderr_is_journal() -> bool {
    let told = std::env::var_os("JOURNAL_STREAM");
    let stream = std::fs::metadata("/proc/self/fd/2");
    stream.is_ok_and(|stream| is_stream(told.as_deref(), stream.dev(), stream.ino()))
}

fn is_stream(told: Option<&OsStr>, device: u64, inode: u64) -> bool {
    told.and_then(OsStr::to_str) == Some(&*format!("{device}:{inode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let told = |text| is_stream(Some(OsStr::new(text)), 10, 4711);
        assert!(told("10:4711"));
        for other in [
            "10:4712", "11:4711", "", "10", "10:", ":4711", "10:4711 ", "010:4711",
        ] {
            assert!(!told(other), "{other:?}");
        }
        assert!(!is_stream(None, 10, 4711));
    }
}
