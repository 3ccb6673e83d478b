//! What the collector tells people: in the log, and, in a dry run, on standard output.

use crate::reading::{Reading, Reason};
use crate::render::text;
use crate::sys::clock;
use crate::sys::log_throttle::{Event, FailureThrottle};
use agentcheck_common::Reply;
use log::{Level, info, log, warn};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// What a dry run would have written, for people.
pub(super) fn log_dry_run(service: &str, reply: &Reply) {
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    // Whoever closed it does not want to see more; the next signal ends the run.
    let _ = writeln!(io::stdout(), "{now}  {service}: {reply}");
}

/// Tells where a source begins to fail, fails otherwise, or is back; nothing where it just goes on.
pub(super) fn log_source(name: &str, reading: &Reading, told: &mut FailureThrottle<Reason>) {
    let outcome = match &reading.outcome {
        Ok(_) => Ok(()),
        Err(failure) => Err((failure.reason, failure as &dyn Display)),
    };
    let failure = outcome.map_or_else(|(_, failure)| failure.to_string(), |()| String::new());
    match told.note(outcome, clock::now()) {
        None => {}
        Some(Event::Failed) => warn!("source {name}: {failure}"),
        Some(Event::Recovered {
            after,
            failures,
            span,
        }) => {
            let polls = counted(failures, "failed poll");
            info!(
                "source {name}: back after {after}, {polls} in {}",
                text::span(span)
            );
        }
        Some(Event::Flapping {
            failures,
            tries,
            span,
            last,
            fails,
        }) => {
            let now = if fails { "fails" } else { "answers" };
            warn!(
                "source {name}: {} in the last {}, of {tries}, and it {now} now; the last one: {last}",
                counted(failures, "failed poll"),
                text::span(span)
            );
        }
        Some(Event::Persisting { failures, span }) => warn!(
            "source {name}: fails still, {} in {}: {failure}",
            counted(failures, "poll"),
            text::span(span)
        ),
    }
}

/// Something that is read or written again and again, which may fail each time.
pub(super) struct LoggedOperation {
    what: String,
    done: &'static str,
    then: &'static str,
    level: Level,
    told: FailureThrottle<io::ErrorKind>,
    failing: bool,
    failures: FailureCounter,
}

/// How often something has failed, for another thread to look at.
pub(super) type FailureCounter = Arc<AtomicU64>;

impl LoggedOperation {
    /// `what` may not be `done` ("written", "read"), with the consequence `then`, which may be empty.
    pub(super) fn new(level: Level, what: String, done: &'static str, then: &'static str) -> Self {
        Self {
            what,
            done,
            then,
            level,
            told: FailureThrottle::default(),
            failing: false,
            failures: Arc::default(),
        }
    }

    /// Whether it failed the last time.
    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// How often it has failed.
    pub(super) fn failures(&self) -> FailureCounter {
        Arc::clone(&self.failures)
    }

    /// The same of the flight recorder.
    pub(super) fn record(&mut self, noted: io::Result<()>) {
        match noted {
            // There is no directory: that was said at the start.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            noted => self.note(&noted),
        }
    }

    /// Tells what has come of it, where that is news.
    pub(super) fn note(&mut self, outcome: &io::Result<()>) {
        self.failing = outcome.is_err();
        self.failures
            .fetch_add(u64::from(self.failing), Ordering::Relaxed);
        let (what, done, then, level) = (&self.what, self.done, self.then, self.level);
        let failed = match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err((error.kind(), error as &dyn Display)),
        };
        let error = failed.map_or_else(|(_, error)| error.to_string(), |()| String::new());
        match self.told.note(failed, clock::now()) {
            None => {}
            Some(Event::Failed) => log!(level, "{what} cannot be {done}{then}: {error}"),
            Some(Event::Recovered { failures, span, .. }) => info!(
                "{what} can be {done} again, after {} in {}",
                counted(failures, "failure"),
                text::span(span)
            ),
            Some(Event::Flapping {
                failures,
                tries,
                span,
                last,
                fails,
            }) => {
                let now = if fails { "cannot" } else { "can" };
                log!(
                    level,
                    "{what} could not be {done} {} in the last {}, of {tries}, and {now} be {done} now; the last \
                     one: {last}",
                    counted(failures, "time"),
                    text::span(span)
                );
            }
            Some(Event::Persisting { failures, span }) => log!(
                level,
                "{what} still cannot be {done}{then}, {} in {}: {error}",
                counted(failures, "failure"),
                text::span(span)
            ),
        }
    }
}

fn counted(count: u64, thing: &str) -> String {
    text::counted(usize::try_from(count).unwrap_or(usize::MAX), thing)
}
