//! The watch over a running command: until it has ended, or is not to go on.

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

/// How soon a stop is noticed, where the kernel tells of the command's end by itself.
const STOP_TICK: Duration = Duration::from_millis(50);
/// How soon the command's end is noticed where it does not (before Linux 5.3, or forbidden).
pub(super) const END_TICK: Duration = Duration::from_millis(10);

/// How the watch over a running command ended.
pub(super) enum Ended {
    /// The program has ended by itself.
    Itself,
    /// It is not to go on.
    Cut(Failure),
}

/// Reads what the command says until it has ended, or is not to go on.
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
pub(super) fn flood(output: &Output, errors: &Output) -> Option<Failure> {
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
pub(super) fn kill_group(child: &mut Child) {
    let pid = Pid::from_child(child);
    if matches!(look(pid), Err(Errno::CHILD)) {
        // Already reaped by the system, so that its number may be another's by now.
        return;
    }
    // Fails only where nobody is left.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = child.kill();
}
