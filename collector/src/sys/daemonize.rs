//! Running without a service manager: in the background, as another user, with a pid file.
//!
//! Only this module uses the `daemonize` crate, which is old. The crate forks twice, begins a session, and
//! replaces standard input and output. The rest is done here, because the crate would keep root's supplementary
//! groups, truncate the target of a linked pid file, and end with status 0 whether or not the daemon starts.
//! The starting command waits until the daemon reports that it is ready, or why it is not.

mod identity;
mod pid_file;

pub use identity::Identity;
pub use pid_file::PidFile;

use daemonize::{Daemonize, Outcome};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use signal_hook::consts::{FORBIDDEN, SIGPIPE};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::RawFd;
use std::sync::Arc;

/// The last byte from the daemon: it is ready.
const READY: u8 = 0;

/// The permissions that are removed from new files, as in the collector's unit.
const UMASK: u32 = 0o027;

/// The process that returns from [`detach`].
pub enum Side {
    /// The process that was started, with the daemon's messages.
    Front {
        /// Whole lines, for standard error.
        messages: String,
        /// Whether the daemon is ready.
        ready: bool,
    },
    /// The daemon.
    Daemon(Starting),
}

/// A daemon that is not ready yet, with its pipe to the waiting process.
pub struct Starting {
    front: PipeWriter,
}

impl Starting {
    /// Makes the waiting process print these lines. Without one, they are lost.
    pub fn print(&mut self, lines: &str) {
        // This byte marks the end and must not occur in a text.
        let lines = lines.replace(char::from(READY), "\\0");
        let _ = self.front.write_all(lines.as_bytes());
    }

    /// Lets the waiting process end. Dropped without this call, that process fails.
    pub fn ready(mut self) {
        let _ = self.front.write_all(&[READY]);
    }
}

/// Goes into the background: without a terminal, in `/`, with `/dev/null` as standard input, output and error,
/// without other descriptors, and with default signals. No thread may exist yet: none would be in the daemon.
///
/// # Errors
/// Where the system cannot create a pipe or a process.
pub fn detach() -> io::Result<Side> {
    identity::must_be_alone()?;
    reset_inherited()?;
    let (back, front) = io::pipe()?;
    match Daemonize::new().umask(UMASK).execute() {
        Outcome::Parent(Ok(_)) => {
            // Its own end; otherwise it would wait for itself.
            drop(front);
            Ok(wait_for_daemon(back))
        }
        Outcome::Parent(Err(error)) => Err(io::Error::other(error)),
        Outcome::Child(Ok(_)) => Ok(Side::Daemon(Starting { front })),
        Outcome::Child(Err(error)) => {
            let mut starting = Starting { front };
            starting.print(&format!(
                "agentcheck: cannot go into the background: {error}\n"
            ));
            // The message is sent; nothing follows.
            Ok(Side::Front {
                messages: String::new(),
                ready: false,
            })
        }
    }
}

/// Gives up what the starter left to this process: descriptors besides standard input, output and error, blocked
/// signals, and ignored signals. With an ignored SIGCHLD, the exit status of every command is lost. With a blocked
/// SIGTERM, the init script cannot stop the collector. Every open descriptor would reach the commands.
fn reset_inherited() -> io::Result<()> {
    let mut descriptors = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        descriptors.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor > 2) {
        // The directory itself is among them, and closed already.
        let _ = nix::unistd::close(descriptor);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    for signal in ignored(&status) {
        // The standard library ignores SIGPIPE itself, and restores it in commands.
        if signal != SIGPIPE && !FORBIDDEN.contains(&signal) {
            // A handler without effect: commands start with the default again.
            match signal_hook::flag::register(signal, Arc::default()) {
                // The C library keeps some of the real-time signals for itself.
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// The ignored signals in /proc/PID/status.
fn ignored(status: &str) -> Vec<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.unwrap_or(0);
    (1..=64)
        .filter(|signal| mask >> (signal - 1) & 1 == 1)
        .collect()
}

/// Waits until the daemon is ready or has ended.
fn wait_for_daemon(mut back: PipeReader) -> Side {
    let mut received = Vec::new();
    let read = back.read_to_end(&mut received);
    let ready = received.pop_if(|last| *last == READY).is_some();
    let mut messages = String::from_utf8_lossy(&received).into_owned();
    if let Err(error) = read {
        messages.push_str(&format!(
            "agentcheck: cannot read the daemon's messages: {error}\n"
        ));
    } else if !ready && messages.is_empty() {
        messages.push_str("agentcheck: the collector ended before it was ready: see the log\n");
    }
    Side::Front { messages, ready }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000004000\nSigIgn:\t8000000000011001\n";
        assert_eq!(ignored(status), [1, 13, 17, 64]);
        assert_eq!(ignored("SigIgn:\tx\n"), [0; 0]);
    }
}
