//! The log lines of repeated operations, and the output of a dry run.

use crate::reading::{Reading, Reason};
use crate::render::text;
use crate::sys::clock;
use crate::sys::log_throttle::{Event, FailureThrottle};
use agentcheck_common::Reply;
use log::{Level, info, log};
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

/// The parts of a sentence that differ between failures of sources and of operations.
struct Phrases<'p> {
    level: Level,
    /// What fails, with a colon, or empty.
    subject: &'p str,
    /// Before the first error.
    failed: &'p str,
    /// Between `still` and the error.
    still: &'p str,
    recovered: &'p str,
    /// One try, and its purpose.
    attempt: (&'static str, &'p str),
    consequence: &'static str,
}

/// Logs what a throttle returned.
fn log_event<K: Display>(event: &Event<K>, error: &str, phrases: &Phrases<'_>) {
    let Phrases {
        level,
        subject,
        failed,
        still,
        recovered,
        attempt: (attempt, purpose),
        consequence,
    } = *phrases;
    let times = |failures| counted(failures, &format!("failed {attempt}"));
    match event {
        Event::Failed => log!(level, "{subject}{failed}{error}{consequence}"),
        Event::Recovered {
            after,
            failures,
            span,
        } => info!(
            "{subject}{recovered} after {} ({after}) in {}",
            times(*failures),
            text::span(*span)
        ),
        Event::Flapping {
            failures,
            tries,
            span,
            last,
            fails,
        } => log!(
            level,
            "{subject}{failures} of {}{purpose} failed in the last {}; it {} now; last error: {last}",
            counted(*tries, attempt),
            text::span(*span),
            if *fails { "fails" } else { "works" }
        ),
        Event::Persisting { failures, span } => log!(
            level,
            "{subject}still {still}{error}{consequence}; {} in {}",
            times(*failures),
            text::span(*span)
        ),
    }
}

/// Logs that a source fails, fails in another way, or recovered; nothing while its state stays the same.
pub(super) fn log_source(name: &str, reading: &Reading, throttle: &mut FailureThrottle<Reason>) {
    let failure = reading.outcome.as_ref().err();
    let outcome = failure.map_or(Ok(()), |failure| Err((failure.reason, failure as _)));
    let Some(event) = throttle.note(outcome, clock::now()) else {
        return;
    };
    let phrases = Phrases {
        level: Level::Warn,
        subject: &format!("source {name}: "),
        failed: "",
        still: "failing: ",
        recovered: "recovered",
        attempt: ("poll", ""),
        consequence: "",
    };
    let error = failure.map(ToString::to_string).unwrap_or_default();
    log_event(&event, &error, &phrases);
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
        if outcome.is_ok() && !self.throttle.has_failed() {
            return;
        }
        self.failing = outcome.is_err();
        self.failures
            .fetch_add(u64::from(self.failing), Ordering::Relaxed);
        let error = outcome.as_ref().err();
        let failed = error.map_or(Ok(()), |error| Err((error.kind(), error as _)));
        let Some(event) = self.throttle.note(failed, clock::now()) else {
            return;
        };
        let action = &self.action;
        let cannot = format!("cannot {action}: ");
        let phrases = Phrases {
            level: self.level,
            subject: &self.subject,
            failed: &cannot,
            still: &cannot,
            recovered: &format!("can {action} again"),
            attempt: ("attempt", &format!(" to {action}")),
            consequence: self.consequence,
        };
        let error = error.map(ToString::to_string).unwrap_or_default();
        log_event(&event, &error, &phrases);
    }
}

fn counted(count: u64, thing: &str) -> String {
    text::counted(usize::try_from(count).unwrap_or(usize::MAX), thing)
}
