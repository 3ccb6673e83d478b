//! The log lines of repeated operations, and the output of a dry run.

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

/// Prints a reply that a dry run does not write.
pub(super) fn log_dry_run(service: &str, reply: &Reply) {
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    // If the output is closed, the next signal ends the run.
    let _ = writeln!(io::stdout(), "{now}  {service}: {reply}");
}

/// Logs that a source fails, fails in another way, or recovered; nothing while its state stays the same.
pub(super) fn log_source(name: &str, reading: &Reading, throttle: &mut FailureThrottle<Reason>) {
    let outcome = match &reading.outcome {
        Ok(_) => Ok(()),
        Err(failure) => Err((failure.reason, failure as &dyn Display)),
    };
    let failure = outcome.map_or_else(|(_, failure)| failure.to_string(), |()| String::new());
    match throttle.note(outcome, clock::now()) {
        None => {}
        Some(Event::Failed) => warn!("source {name}: {failure}"),
        Some(Event::Recovered {
            after,
            failures,
            span,
        }) => {
            let polls = counted(failures, "failed poll");
            let span = text::span(span);
            info!("source {name}: recovered after {polls} ({after}) in {span}");
        }
        Some(Event::Flapping {
            failures,
            tries,
            span,
            last,
            fails,
        }) => {
            let state = if fails { "fails" } else { "works" };
            warn!(
                "source {name}: flapping: {failures} of {} failed in {}; it {state} now; latest failure: {last}",
                counted(tries, "poll"),
                text::span(span)
            );
        }
        Some(Event::Persisting { failures, span }) => warn!(
            "source {name}: still failing: {} in {}: {failure}",
            counted(failures, "failed poll"),
            text::span(span)
        ),
    }
}

/// An operation that is repeated, and may fail each time.
pub(super) struct LoggedOperation {
    /// What it belongs to, with a colon, or empty.
    subject: String,
    /// Verb and object.
    action: String,
    consequence: &'static str,
    level: Level,
    throttle: FailureThrottle<io::ErrorKind>,
    failing: bool,
    failures: FailureCounter,
}

/// The number of failures, for other threads.
pub(super) type FailureCounter = Arc<AtomicU64>;

impl LoggedOperation {
    /// An operation that is logged as `SUBJECT: cannot ACTION: ERROR`, with a `consequence` that may be empty.
    pub(super) fn new(
        level: Level,
        subject: String,
        action: String,
        consequence: &'static str,
    ) -> Self {
        Self {
            subject,
            action,
            consequence,
            level,
            throttle: FailureThrottle::default(),
            failing: false,
            failures: Arc::default(),
        }
    }

    /// Whether the latest try failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// The number of failures.
    pub(super) fn failures(&self) -> FailureCounter {
        Arc::clone(&self.failures)
    }

    /// Like [`Self::note`], but a missing directory is no failure: the start of the collector logs it.
    pub(super) fn note_unless_missing(&mut self, outcome: &io::Result<()>) {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if !outcome.as_ref().is_err_and(missing) {
            self.note(outcome);
        }
    }

    /// Logs the outcome of a try, if it is news.
    pub(super) fn note(&mut self, outcome: &io::Result<()>) {
        self.failing = outcome.is_err();
        self.failures
            .fetch_add(u64::from(self.failing), Ordering::Relaxed);
        let (subject, action, level) = (&self.subject, &self.action, self.level);
        let consequence = self.consequence;
        let failed = match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err((error.kind(), error as &dyn Display)),
        };
        let error = failed.map_or_else(|(_, error)| error.to_string(), |()| String::new());
        match self.throttle.note(failed, clock::now()) {
            None => {}
            Some(Event::Failed) => log!(level, "{subject}cannot {action}: {error}{consequence}"),
            Some(Event::Recovered { failures, span, .. }) => info!(
                "{subject}can {action} again, after {} in {}",
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
                let state = if fails { "cannot" } else { "can" };
                log!(
                    level,
                    "{subject}{state} {action} now; {failures} of {} failed in {}; latest failure: {last}",
                    counted(tries, "attempt"),
                    text::span(span)
                );
            }
            Some(Event::Persisting { failures, span }) => log!(
                level,
                "{subject}still cannot {action}: {error}{consequence}; {} in {}",
                counted(failures, "failure"),
                text::span(span)
            ),
        }
    }
}

fn counted(count: u64, thing: &str) -> String {
    text::counted(usize::try_from(count).unwrap_or(usize::MAX), thing)
}
