//! Log lines: with priorities for the journal, with a name and a level for people, or to syslog.
//!
//! `AGENTCHECK_LOG` sets the level: error, warn, info (the default) or debug.
//!
//! Texts may come from applications, and must not end a line or begin another: all of them pass
//! [`text::one_line`].

mod stderr;
mod syslog;

use crate::render::text;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::{Mutex, PoisonError};
use stderr::Stderr;
use syslog::Syslog;

/// The longest text of a line, in bytes. With its prefix it fits into the 1,024 bytes of the oldest syslog
/// protocol (RFC 3164), into one write to a pipe, and into one line of the journal.
const MAX_LINE: usize = 960;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To standard error: for people, or with priorities for the journal.
    Stderr,
    /// To this host's syslog, by `/dev/log`.
    Syslog,
}

/// Starts the log. A problem with the destination is returned; it may be fixed later.
///
/// # Errors
/// If `AGENTCHECK_LOG` is not the name of a level.
pub fn start(destination: Destination) -> Result<Option<String>, String> {
    let level = match std::env::var_os("AGENTCHECK_LOG") {
        None => LevelFilter::Info,
        Some(name) => level(&name.to_string_lossy())?,
    };
    let mut wrong = None;
    let outlet = match destination {
        Destination::Stderr => Output::Stderr(Mutex::new(Stderr::new())),
        Destination::Syslog => {
            let mut syslog = Syslog::new(syslog::SOCKET.into(), std::process::id());
            if let Err(error) = syslog.connect() {
                let socket = syslog::SOCKET;
                wrong = Some(format!(
                    "cannot reach syslog at {socket}: {error}. Log lines are lost until it runs"
                ));
            }
            Output::Syslog(Mutex::new(syslog))
        }
    };
    // A log that was started before stays.
    if log::set_boxed_logger(Box::new(Logger { level, outlet })).is_ok() {
        log::set_max_level(level);
    }
    Ok(wrong)
}

fn level(name: &str) -> Result<LevelFilter, String> {
    match name {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" | "" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err(format!(
            "invalid AGENTCHECK_LOG {name:?}: write error, warn, info or debug"
        )),
    }
}

struct Logger {
    level: LevelFilter,
    outlet: Output,
}

enum Output {
    Stderr(Mutex<Stderr>),
    Syslog(Mutex<Syslog>),
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries have nothing for an operator.
        metadata.level() <= self.level && metadata.target().starts_with("agentcheck")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = text::one_line(&record.args().to_string(), MAX_LINE);
        let severity = severity(record.level());
        match &self.outlet {
            Output::Stderr(stderr) => {
                let mut stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner);
                stderr.write_line(record.level(), &text);
            }
            Output::Syslog(syslog) => {
                let mut syslog = syslog.lock().unwrap_or_else(PoisonError::into_inner);
                syslog.write_line(severity, &text);
            }
        }
    }

    fn flush(&self) {}
}

/// The syslog severity (RFC 5424) of a level.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
