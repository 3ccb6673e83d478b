//! Log lines: with the journal's priority where the journal reads, with a name and a level where a
//! person does.
//!
//! `AGENTCHECK_LOG` sets what is shown: error, warn, info (the default) or debug.

use log::{Level, LevelFilter};
use std::io::Write;

/// Begins to log, to standard error.
pub fn start() {
    let level = match std::env::var("AGENTCHECK_LOG").as_deref() {
        Ok("error") => LevelFilter::Error,
        Ok("warn") => LevelFilter::Warn,
        Ok("debug") => LevelFilter::Debug,
        _ => LevelFilter::Info,
    };
    // systemd sets this where standard error is a stream of the journal.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module("agentcheck", level)
        .format(move |line, record| {
            if journal {
                writeln!(line, "<{}>{}", priority(record.level()), record.args())
            } else {
                let level = record.level().as_str().to_ascii_lowercase();
                writeln!(line, "agentcheck: {level}: {}", record.args())
            }
        })
        .init();
}

/// The syslog priority (RFC 5424) of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
