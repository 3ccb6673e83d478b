//! The command source: what a program prints.
//!
//! The program is started as it is written, never by a shell, with no input, in a process group of its
//! own. When it has ended, or is not to go on, everything in that group is killed. What has left the
//! group (a daemon) is not ours to kill, and cannot hold up a poll by keeping the output open: the output
//! is whole once the program itself has ended.
//!
//! The environment, the working directory and the user are the collector's own, except for the variables
//! by which a service manager speaks to the collector alone.
//!
//! Not here: an environment, a directory or a user of the command's own, and the exit status of
//! monitoring plugins as a value (a later version).

mod output;
#[cfg(test)]
mod tests;

use super::{Deadline, Format, Found, Stop, io_reason, stopped, too_large};
use crate::reading::{Failure, Reason};
use output::Output;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a service manager tells the collector, and a command must not take for its own.
const NOT_INHERITED: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// How soon a stop is noticed, where the kernel tells of the command's end by itself.
const STOP_TICK: Duration = Duration::from_millis(50);
/// How soon the command's end is noticed where it does not (before Linux 5.3, or forbidden).
const END_TICK: Duration = Duration::from_millis(10);
/// How long a killed process may take to be gone before it is left for the next poll to reap.
const GRACE: Duration = Duration::from_millis(500);
/// How much of the end of the errors is kept, in bytes: enough for a failure's detail.
const ERRORS_KEPT: usize = 4 * Failure::MAX_DETAIL;

/// `[source.NAME.command]`
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The program and its arguments; never a shell, unless the first is one. A name without `/` is
    /// looked for in the collector's `PATH`.
    pub argv: Vec<String>,
    /// How the output is read.
    pub format: Format,
    /// The largest output that is taken, in bytes; also the largest output of errors.
    pub max_bytes: usize,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {:?} as {}", self.argv, self.format)
    }
}

/// A command source that is being polled.
#[derive(Debug)]
pub(super) struct Runner {
    command: Command,
    /// A process that was killed and has not gone yet: one that the kernel holds in a read from a dead
    /// network mount, say. While it is there no other is started, so that they never pile up.
    unreaped: Option<Child>,
}

/// How the watch over a running command ended.
enum Ended {
    /// The program has ended by itself.
    Itself,
    /// It is not to go on.
    Cut(Failure),
}

impl Runner {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            unreaped: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Stop) -> Found {
        if let Some(child) = &mut self.unreaped {
            if matches!(child.try_wait(), Ok(None)) {
                let id = child.id();
                return Failure::new(
                    Reason::Timeout,
                    format_args!("process {id} of an earlier poll was killed and is still there"),
                )
                .into();
            }
            self.unreaped = None;
        }
        match self.start() {
            Ok(child) => self.attend(child, deadline, stop),
            Err(failure) => failure.into(),
        }
    }

    fn start(&self) -> Result<Child, Failure> {
        let Some((program, arguments)) = self.command.argv.split_first() else {
            return Err(Failure::new(Reason::Other, "no program is named"));
        };
        let mut command = process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command
            .spawn()
            .map_err(|error| Failure::new(io_reason(&error), format_args!("{program:?}: {error}")))
    }

    /// Sees a started command to its end, whatever happens.
    fn attend(&mut self, mut child: Child, deadline: Deadline, stop: &Stop) -> Found {
        let max_bytes = self.command.max_bytes;
        let mut output = Output::whole(child.stdout.take(), max_bytes);
        let mut errors = Output::end(child.stderr.take(), max_bytes, ERRORS_KEPT);
        let mut ended = watch(&child, &mut output, &mut errors, deadline, stop);
        // Before anything is reaped: as long as the leader is there, if only as a zombie, its number
        // cannot become that of another group.
        kill_group(&mut child);
        if matches!(ended, Ended::Itself) {
            // What it wrote before it ended is in the pipes. Neither read waits.
            while let Ok(true) = output.read_more() {}
            while let Ok(true) = errors.read_more() {}
            if let Some(failure) = flood(&output, &errors) {
                ended = Ended::Cut(failure);
            }
        }
        let status = self.reap(child);
        let said = errors.last_line();
        match (ended, status) {
            (Ended::Cut(failure), _) => with_said(failure.reason, &failure.detail, &said).into(),
            (Ended::Itself, Some(status)) => {
                finished(self.command.format, status, output.into_bytes(), &said)
            }
            (Ended::Itself, None) => {
                Failure::new(Reason::Other, "its exit status went to somebody else").into()
            }
        }
    }

    /// Waits for a process that has ended or was killed. One that the kernel cannot let go yet is left
    /// for the next poll. `None` too where the system reaps by itself (an ignored SIGCHLD).
    fn reap(&mut self, mut child: Child) -> Option<ExitStatus> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if started.elapsed() < GRACE => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(END_TICK);
                }
                Ok(None) => {
                    self.unreaped = Some(child);
                    return None;
                }
                Err(_) => return None,
            }
        }
    }
}

/// Reads what the command says until it has ended, or is not to go on.
fn watch(
    child: &Child,
    output: &mut Output,
    errors: &mut Output,
    deadline: Deadline,
    stop: &Stop,
) -> Ended {
    let pid = Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
    loop {
        if has_ended(pid) {
            return Ended::Itself;
        }
        if stop.is_stopped() {
            return Ended::Cut(stopped());
        }
        if deadline.has_passed() {
            return Ended::Cut(deadline.failure("not finished"));
        }
        // One piece of each at a time, so that neither a flood nor the other keeps this from looking at
        // the clock.
        let read = wait(pidfd.as_ref(), output, errors, deadline.remaining())
            .and_then(|()| Ok((output.read_more()?, errors.read_more()?)));
        if let Err(error) = read {
            return Ended::Cut(Failure::new(Reason::Broken, error));
        }
        if let Some(failure) = flood(output, errors) {
            return Ended::Cut(failure);
        }
    }
}

/// The failure of a command that says more than it may.
fn flood(output: &Output, errors: &Output) -> Option<Failure> {
    if output.is_over() {
        return Some(too_large("output", output.max_bytes()));
    }
    errors
        .is_over()
        .then(|| too_large("error output", errors.max_bytes()))
}

/// Whether the program has ended; it stays to be reaped.
fn has_ended(pid: Pid) -> bool {
    match look(pid) {
        Ok(ended) => ended,
        Err(Errno::INTR) => false,
        // No such child: the system has reaped it.
        Err(_) => true,
    }
}

fn look(pid: Pid) -> rustix::io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(pid), options).map(|status| status.is_some())
}

/// Sleeps until there is something to read, the program has ended, or it is time to look again.
fn wait(
    pidfd: Option<&OwnedFd>,
    output: &Output,
    errors: &Output,
    remaining: Duration,
) -> io::Result<()> {
    let tick = if pidfd.is_some() { STOP_TICK } else { END_TICK };
    let span = remaining.min(tick);
    let timeout = rustix::event::Timespec {
        tv_sec: 0,
        // Less than a second, so it always fits.
        tv_nsec: span.subsec_nanos().into(),
    };
    let watched = [pidfd.map(AsFd::as_fd), output.fd(), errors.fd()];
    let mut watched: Vec<PollFd<'_>> = watched
        .into_iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    match rustix::event::poll(&mut watched, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Kills everything that is left of the command's group, and the program itself should it have left it.
fn kill_group(child: &mut Child) {
    let pid = Pid::from_child(child);
    if matches!(look(pid), Err(Errno::CHILD)) {
        // Already reaped by the system, so that its number may be another's by now.
        return;
    }
    // Fails only where nobody is left.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = child.kill();
}

/// The reading of a command that ended by itself.
fn finished(format: Format, status: ExitStatus, output: Vec<u8>, said: &str) -> Found {
    let failure = match (status.code(), status.signal()) {
        (Some(0), _) => {
            return Found {
                exit: Some(0),
                ..Found::body(format, output)
            };
        }
        (Some(code), _) => with_said(Reason::Exit, &format!("status {code}"), said),
        (None, Some(signal)) => with_said(Reason::Signal, &format!("signal {signal}"), said),
        (None, None) => Failure::new(Reason::Other, status),
    };
    Found {
        exit: status.code(),
        ..Found::from(failure).with_text(output)
    }
}

/// A failure with the last that the command said about itself.
fn with_said(reason: Reason, detail: &str, said: &str) -> Failure {
    if said.is_empty() {
        Failure::new(reason, detail)
    } else {
        Failure::new(reason, format_args!("{detail}: {said}"))
    }
}
