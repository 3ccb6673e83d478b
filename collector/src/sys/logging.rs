//! Log lines: with the journal's priority where the journal reads, with a name and a level where a
//! person does, or to syslog.
//!
//! `AGENTCHECK_LOG` sets what is shown: error, warn, info (the default) or debug.
//!
//! What a line tells may come from applications, and must neither end the line nor begin another: all of them
//! go through [`text::one_line`].

mod stderr;
mod syslog;

use crate::render::text;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::{Mutex, PoisonError};
use stderr::Stderr;
use syslog::Syslog;

/// The longest text of a line, in bytes. With all that goes before it it fits into the 1,024 bytes that the
/// oldest of the syslog protocols allows (RFC 3164), into one write to a pipe, and into what the journal takes
/// for one line.
const MAX_LINE: usize = 960;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To standard error: for a person, or with priorities where it is the journal.
    Stderr,
    /// To the syslog of this host, by `/dev/log`.
    Syslog,
}

/// Begins to log. What is wrong with the destination is returned; it may be mended later.
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
                    "there is no syslog at {socket} ({error}): log lines are lost until there is one"
                ));
            }
            Output::Syslog(Mutex::new(syslog))
        }
    };
    // Where a log has begun already, it goes on.
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
        // Libraries have nothing to say to an operator.
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
                stderr.say(record.level(), &text);
            }
            Output::Syslog(syslog) => {
                let mut syslog = syslog.lock().unwrap_or_else(PoisonError::into_inner);
                syslog.say(severity, &text);
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
