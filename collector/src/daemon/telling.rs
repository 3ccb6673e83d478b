//! What the collector tells people: in the log, and, in a dry run, on standard output.

use crate::reading::{Reading, Reason};
use agentcheck_common::Reply;
use log::{debug, info, warn};
use std::io::{self, Write};
use std::time::SystemTime;

/// What a dry run would have written, for people.
pub(super) fn show(service: &str, reply: &Reply) {
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    // Whoever closed it does not want to see more; the next signal ends the run.
    let _ = writeln!(io::stdout(), "{now}  {service}: {reply}");
}

/// Says once that the flight recorder cannot be written to, where there is one.
pub(super) fn tell_unrecorded(told: &mut bool, noted: io::Result<()>) {
    match noted {
        Ok(()) => *told = false,
        // There is no directory: that was said at the start.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            if !*told {
                warn!("the history cannot be written: {error}");
            }
            *told = true;
        }
    }
}

/// One line where a source begins to fail, fails otherwise, or is back; none where it just goes on.
pub(super) fn log_source(name: &str, reading: &Reading, before: Option<Reason>) {
    match (&reading.outcome, before) {
        (Err(failure), _) => warn!("source {name}: {failure}"),
        (Ok(_), Some(reason)) => info!("source {name}: back after {reason}"),
        (Ok(_), None) => debug!("source {name}: first reading"),
    }
}
