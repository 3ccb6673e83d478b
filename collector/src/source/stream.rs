//! The stream source: a program that keeps running and prints one record after the other.
//!
//! A record is a line; in Prometheus format it is a block that ends with an empty line or `# EOF`. The last
//! record counts, from the moment of its arrival. A thread reads the program's output as it arrives, starts
//! the program again when it ends, and kills it when it writes too much. A poll takes the last record, or
//! waits for one that is due.
//!
//! Not here: how a record is read (`format`); the user, directory and environment (`command`).

use super::cancellation::Sleeper;
use super::command::{Command, kill_group};
use super::{Cancellation, Deadline, Format, Found, stopped, too_large};
use crate::reading::{Failure, Reason};
use crate::sys::clock;
use agentcheck_common::BootTime;
use rustix::process::Pid;
use std::fmt;
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The pause before the first restart; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How much the program may print within a second, in bytes, or four records where that is more.
const MOST_A_SECOND: usize = 1 << 20;

/// The running programs of all stream sources.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills the programs of all stream sources, for a collector that ends: nothing waits for their threads.
pub fn kill_all() {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.drain(..).for_each(kill_group);
}

/// Adds a program to those that [`kill_all`] ends.
fn register(process: Pid) {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.push(process);
}

/// Kills a registered program, unless that has been done.
fn end(process: Pid) {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = running.iter().position(|known| *known == process) {
        running.swap_remove(at);
        kill_group(process);
    }
}

/// `[source.NAME.stream]`
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The program, and how its records are read; `max_bytes` is the largest record.
    pub command: Command,
    /// `poll = "newline"`: a line end is written to its input when a record is due.
    pub newline: bool,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same but for its first word.
        let command = self.command.to_string();
        write!(f, "stream{}", command.trim_start_matches("command"))
    }
}

/// A stream source in its running form. Its program ends with it.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Stream,
    interval: Duration,
    shared: Arc<Shared>,
    /// Whether the thread runs; it starts with the first poll, because no thread survives a fork.
    is_started: bool,
    /// The number of the last record that a poll returned.
    returned: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Cancellation,
}

/// What the thread knows of the program.
#[derive(Debug, Default)]
struct State {
    /// The last record, if there is one.
    record: Option<Record>,
    /// The number of records so far.
    records: u64,
    /// Why the program does not run.
    down: Option<Failure>,
    /// The input of the running program, where a poll writes to it.
    input: Option<ChildStdin>,
    /// The running program, as long as it is not reaped.
    process: Option<Pid>,
}

#[derive(Clone, Debug)]
struct Record {
    bytes: Vec<u8>,
    arrived: BootTime,
}

impl Reader {
    pub(super) fn new(stream: Stream, interval: Duration) -> Self {
        Self {
            stream,
            interval,
            shared: Arc::default(),
            is_started: false,
            returned: 0,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Cancellation) -> Found {
        if !self.is_started {
            let (stream, shared) = (self.stream.clone(), Arc::clone(&self.shared));
            let thread = thread::Builder::new().name("stream".to_owned());
            if let Err(error) = thread.spawn(move || supervise(&stream, &shared)) {
                let detail = format!("cannot create thread: {error}");
                return Failure::new(Reason::Other, detail).into();
            }
            let sleeper: Arc<dyn Sleeper> = Arc::clone(&self.shared) as _;
            stop.wakes(Arc::downgrade(&sleeper));
            self.is_started = true;
        }
        let asked = clock::now();
        let mut unasked = self.stream.newline;
        let mut state = self.shared.lock();
        loop {
            if stop.is_stopped() {
                return stopped().into();
            }
            if unasked && let Some(input) = &mut state.input {
                // A full pipe means that the program does not read; a broken one, that it ends.
                let _ = input.write(b"\n");
                unasked = false;
            }
            let is_new = state.records > self.returned;
            if let Some(record) = &state.record
                && is_new
                && (!self.stream.newline || record.arrived >= asked)
            {
                let record = record.clone();
                self.returned = state.records;
                drop(state);
                return self.found(record, asked);
            }
            if let Some(failure) = &state.down {
                return failure.clone().into();
            }
            if deadline.has_passed() {
                break;
            }
            let waited = self
                .shared
                .changed
                .wait_timeout(state, deadline.remaining());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Not due yet: the last record is still the present one.
        let patience = self.interval.saturating_add(deadline.timeout);
        if let Some(record) = state
            .record
            .clone()
            .filter(|record| !self.stream.newline && clock::now().since(record.arrived) <= patience)
        {
            drop(state);
            return self.found(record, asked);
        }
        drop(state);
        deadline.failure("no record").into()
    }

    /// The reading of a record, which is as old as its arrival or, where it was asked for, as the request.
    fn found(&self, record: Record, asked: BootTime) -> Found {
        let format = self.stream.command.reads.format().unwrap_or_default();
        Found {
            sent: Some(if self.stream.newline {
                asked
            } else {
                record.arrived
            }),
            ..Found::body(format, record.bytes)
        }
    }
}

impl Drop for Reader {
    /// Kills the program at once: after the last poll the collector may end before the thread notices.
    fn drop(&mut self) {
        self.shared.stop.stop();
        if let Some(process) = self.shared.lock().process.take() {
            end(process);
        }
    }
}

impl Sleeper for Shared {
    fn wake(&self) {
        // A poll that checked the flag before waits by the time that this lock is free.
        self.set(|_| ());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Runs the program, again and again, until the source ends.
fn supervise(stream: &Stream, shared: &Shared) {
    let mut pause = FIRST_PAUSE;
    while !shared.stop.is_stopped() {
        let before = shared.lock().records;
        let failure = match run(stream, shared) {
            Ok(failure) | Err(failure) => failure,
        };
        if shared.lock().records > before {
            pause = FIRST_PAUSE;
        }
        let shown = humantime::format_duration(pause);
        let detail = format!("{}; restart in {shown}", failure.detail);
        shared.set(|state| {
            state.input = None;
            state.down = Some(Failure::new(failure.reason, detail));
        });
        if shared.stop.wait(pause) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs the program once; returns why it ended.
fn run(stream: &Stream, shared: &Shared) -> Result<Failure, Failure> {
    let input = stream.newline.then(Stdio::piped);
    let mut child = stream.command.start(input)?;
    let input = child.stdin.take().filter(|input| {
        // A program that does not read must not block a poll.
        rustix::fs::fcntl_setfl(input, rustix::fs::OFlags::NONBLOCK).is_ok()
    });
    let process = Pid::from_child(&child);
    register(process);
    shared.set(|state| {
        state.down = None;
        state.input = input;
        state.process = Some(process);
    });
    let format = stream.command.reads.format().unwrap_or_default();
    let mut records = Records::new(format, stream.command.max_bytes);
    let followed = stream.command.follow(&mut child, &shared.stop, |bytes| {
        if let Some(bytes) = records.add(bytes)? {
            let arrived = clock::now();
            shared.set(|state| {
                state.record = Some(Record { bytes, arrived });
                state.records += 1;
            });
        }
        Ok(())
    });
    // Before the program is reaped: its number could become that of another one.
    end(process);
    shared.lock().process = None;
    Ok(followed.failure(child))
}

/// Splits output into records.
#[derive(Debug)]
pub struct Records {
    format: Format,
    max_bytes: usize,
    /// The beginning of a record.
    part: Vec<u8>,
    /// How much arrived since `second`.
    bytes: usize,
    second: Instant,
}

impl Records {
    /// Records of a format, of at most `max_bytes` each.
    #[must_use]
    pub fn new(format: Format, max_bytes: usize) -> Self {
        Self {
            format,
            max_bytes,
            part: Vec::new(),
            bytes: 0,
            second: Instant::now(),
        }
    }

    /// Adds output; returns the last record that it completes.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] for a record or a rate of output beyond its limit.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        let most = MOST_A_SECOND.max(self.max_bytes.saturating_mul(4));
        if self.bytes > most {
            return Err(too_large("output within a second", most));
        }
        let mut last = None;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(line);
            if self.part.len() > self.max_bytes.saturating_add(1) {
                return Err(too_large("record", self.max_bytes));
            }
            if !line.ends_with(b"\n") {
                continue;
            }
            let before = self.part.get(..self.part.len() - 1).unwrap_or_default();
            let end = before.iter().rposition(|byte| *byte == b'\n');
            let start = end.map_or(0, |end| end + 1);
            let line = self.part.get(start..).unwrap_or_default().trim_ascii_end();
            let is_blank = line.is_empty();
            let is_complete = match self.format {
                Format::Prometheus => is_blank || line == b"# EOF",
                _ => true,
            };
            if is_complete {
                let record = std::mem::take(&mut self.part);
                // Blank lines between records are none.
                if !record.trim_ascii().is_empty() {
                    last = Some(record);
                }
            }
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
