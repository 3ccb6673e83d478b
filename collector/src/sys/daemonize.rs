//! Running without a service manager: in the background, as another user, with a pid file.
//!
//! The one place that knows the `daemonize` crate, which is old. It forks twice, begins a session, and gives
//! standard input and output away; the rest is done here, because the crate would keep root's supplementary
//! groups, truncate whatever its pid file is a link to, and end with status 0 whatever becomes of the daemon.
//! So the command that starts it waits until the daemon says that it is ready, or why it is not.

mod identity;
mod pid_file;

pub use identity::Identity;
pub use pid_file::PidFile;

use daemonize::{Daemonize, Outcome};
use std::io::{self, PipeReader, PipeWriter, Read, Write};

/// What a daemon says last: it is at work.
const READY: u8 = 0;

/// The rights that are taken from what is written, as in the collector's unit.
const UMASK: u32 = 0o027;

/// Who returns from [`detach`].
pub enum Side {
    /// The process that was started: what the daemon has said to it, and whether it is ready.
    Front {
        /// Whole lines, for standard error.
        said: String,
        /// Whether it is at work.
        ready: bool,
    },
    /// The daemon.
    Daemon(Starting),
}

/// A daemon that is not ready yet, and whoever waits for it.
pub struct Starting {
    front: PipeWriter,
}

impl Starting {
    /// Has the waiting process print this. Where it is gone, nobody hears it.
    pub fn print(&mut self, lines: &str) {
        // It marks the end, and has no place in a text.
        let lines = lines.replace(char::from(READY), "\\0");
        let _ = self.front.write_all(lines.as_bytes());
    }

    /// The waiting process may end. Dropped without it, that process fails.
    pub fn ready(mut self) {
        let _ = self.front.write_all(&[READY]);
    }
}

/// Goes into the background: without a terminal, in `/`, with nothing but `/dev/null` to read and write. There
/// must be no thread yet, since none of them would be in the daemon.
///
/// # Errors
/// Where the system gives no pipe or no process.
pub fn detach() -> io::Result<Side> {
    identity::must_be_alone()?;
    let (back, front) = io::pipe()?;
    match Daemonize::new().umask(UMASK).execute() {
        Outcome::Parent(Ok(_)) => {
            // Its own end, or it would wait for itself.
            drop(front);
            Ok(heard(back))
        }
        Outcome::Parent(Err(error)) => Err(io::Error::other(error)),
        Outcome::Child(Ok(_)) => Ok(Side::Daemon(Starting { front })),
        Outcome::Child(Err(error)) => {
            let mut starting = Starting { front };
            starting.print(&format!(
                "agentcheck: cannot go into the background: {error}\n"
            ));
            // Nothing follows: what this process says is said.
            Ok(Side::Front {
                said: String::new(),
                ready: false,
            })
        }
    }
}

/// Waits until the daemon is ready or has ended.
fn heard(mut back: PipeReader) -> Side {
    let mut heard = Vec::new();
    let read = back.read_to_end(&mut heard);
    let ready = heard.pop_if(|last| *last == READY).is_some();
    let mut said = String::from_utf8_lossy(&heard).into_owned();
    if let Err(error) = read {
        said.push_str(&format!(
            "agentcheck: the daemon cannot be heard: {error}\n"
        ));
    } else if !ready && said.is_empty() {
        said.push_str("agentcheck: the collector ended before it was ready; the log may say why\n");
    }
    Side::Front { said, ready }
}
