//! Waits until a command ends or must be stopped.

use super::super::{Cancellation, Deadline, stopped, too_large};
use super::output::Output;
use crate::reading::{Failure, Reason};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::io;
use std::process::Child;
use std::time::Duration;

/// How soon a stop is noticed, where the kernel reports the command's end.
const STOP_TICK: Duration = Duration::from_millis(50);
/// How soon the command's end is noticed otherwise (before Linux 5.3, or forbidden).
pub(super) const END_TICK: Duration = Duration::from_millis(10);

/// How the wait for a command ended.
pub(super) enum Ended {
    /// The program ended by itself.
    Itself,
    /// It must be stopped.
    Cut(Failure),
}

/// Reads the command's output until it ends or must be stopped.
pub(super) fn watch(
    child: &Child,
    output: &mut Output,
    errors: &mut Output,
    deadline: Deadline,
    stop: &Cancellation,
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
        // One piece of each at a time, so that a flood on one stream cannot keep this loop from the deadline.
        let read = wait(
            pidfd.as_ref(),
            output,
            errors,
            Some(deadline.remaining().min(STOP_TICK)),
        )
        .and_then(|()| Ok((output.read_more()?, errors.read_more()?)));
        if let Err(error) = read {
            return Ended::Cut(Failure::new(Reason::Broken, error));
        }
        if let Some(failure) = flood(output, errors) {
            return Ended::Cut(failure);
        }
    }
}

/// The failure of a command that writes more than allowed.
pub(super) fn flood(output: &Output, errors: &Output) -> Option<Failure> {
    if output.is_over() {
        return Some(too_large("output", output.max_bytes()));
    }
    errors
        .is_over()
        .then(|| too_large("error output", errors.max_bytes()))
}

/// Whether the program has ended; it is not reaped.
fn has_ended(pid: Pid) -> bool {
    match poll_end(pid) {
        Ok(ended) => ended,
        Err(Errno::INTR) => false,
        // No such child: the system has reaped it.
        Err(_) => true,
    }
}

fn poll_end(pid: Pid) -> rustix::io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(pid), options).map(|status| status.is_some())
}

/// Sleeps until there is output, the program ends, or the next check is due, if there is one.
fn wait(
    pidfd: Option<&OwnedFd>,
    output: &Output,
    errors: &Output,
    span: Option<Duration>,
) -> io::Result<()> {
    let span = match pidfd {
        Some(_) => span,
        None => Some(span.map_or(END_TICK, |span| span.min(END_TICK))),
    };
    let timeout = span.map(|span| rustix::event::Timespec {
        tv_sec: 0,
        // Less than a second, so it always fits.
        tv_nsec: span.subsec_nanos().into(),
    });
    let watched = [pidfd.map(AsFd::as_fd), output.fd(), errors.fd()];
    let mut watched: Vec<PollFd<'_>> = watched
        .into_iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    match rustix::event::poll(&mut watched, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The end of a program that was followed.
pub(in super::super) struct Followed {
    pub(super) ended: Ended,
    /// The last line of its error output.
    pub(super) error_line: String,
}

/// Passes the program's output to `take` until it ends, `take` fails or the source stops. After the stop, the program
/// must be killed.
pub(super) fn follow(
    child: &Child,
    mut output: Output,
    mut errors: Output,
    stop: &Cancellation,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Followed {
    let pid = Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
    let mut step = || -> Result<bool, Failure> {
        let has_ended = has_ended(pid);
        if stop.is_stopped() {
            return Err(stopped());
        }
        if !has_ended {
            wait(pidfd.as_ref(), &output, &errors, None)
                .map_err(|error| Failure::new(Reason::Broken, error))?;
        }
        loop {
            let read = output
                .read_more()
                .and_then(|more| Ok(errors.read_more()? || more));
            let more = read.map_err(|error| Failure::new(Reason::Broken, error))?;
            take(&output.take())?;
            // After its end everything that it wrote is in the pipes.
            if !(has_ended && more) {
                return Ok(has_ended);
            }
        }
    };
    let ended = loop {
        match step() {
            Ok(false) => {}
            Ok(true) => break Ended::Itself,
            Err(failure) => break Ended::Cut(failure),
        }
    };
    Followed {
        ended,
        error_line: errors.last_line(),
    }
}

/// Kills the rest of a command's group. Its leader must not have been reaped by this process.
pub(in super::super) fn kill_group(pid: Pid) {
    if matches!(poll_end(pid), Err(Errno::CHILD)) {
        // The system has reaped it; its number may belong to another process.
        return;
    }
    // Fails only where the group is empty, or not made yet.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}
