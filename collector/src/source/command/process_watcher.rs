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

/// Sleeps until there is output, the program ends, or the next check is due.
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

/// Kills the rest of the command's group, and the program itself if it left the group.
pub(super) fn kill_group(child: &mut Child) {
    let pid = Pid::from_child(child);
    if matches!(poll_end(pid), Err(Errno::CHILD)) {
        // The system has reaped it; its number may belong to another process.
        return;
    }
    // Fails only where the group is empty.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = child.kill();
}
