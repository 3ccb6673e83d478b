//! `agentcheck record`: records readings for `replay`.

use super::{ConfigFile, Failed, Output, load_failure};
use crate::config;
use crate::daemon::{NewReadings, PollThreads};
use crate::render::text::counted;
use crate::simulation::recording;
use crate::sys::clock;
use agentcheck_common::BootTime;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

#[derive(Args)]
pub(super) struct Record {
    #[command(flatten)]
    config: ConfigFile,
    /// Duration [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = super::span)]
    time: Option<Duration>,
    /// The file to create
    #[arg(value_name = "RECORDING")]
    file: PathBuf,
}

/// Polls as the collector does, and writes the readings.
pub(super) fn record(given: &Record) -> Result<Output, Failed> {
    let (mut config, _) =
        config::load(&given.config.config).map_err(|error| load_failure(&error))?;
    // No jitter: a short recording has a reading of each source, too.
    for source in &mut config.sources {
        source.jitter = Duration::ZERO;
    }
    let failed = |error: io::Error| {
        let file = given.file.display();
        let remedy = match error.kind() {
            io::ErrorKind::AlreadyExists => "; choose another name, or remove it",
            _ => "",
        };
        Failed::new(format!("cannot write recording {file}: {error}{remedy}"))
    };
    let file = File::create_new(&given.file).map_err(failed)?;
    let mut file = BufWriter::new(file);
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    writeln!(file, "{}", recording::head(&now)).map_err(failed)?;

    let began = clock::now();
    let (sender, readings) = sync_channel(config.sources.len() + 1);
    let no_threads = |error: io::Error| Failed::new(format!("cannot create thread: {error}"));
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, ended.clone()).map_err(no_threads)?;
    }
    let take = move |readings: NewReadings| {
        let mut readings = readings.into_iter();
        readings.all(|(task, new)| sender.send((task, new.reading)).is_ok())
    };
    let polling = PollThreads::start(&config.sources, take).map_err(no_threads)?;
    let until = given.time.map(|time| Instant::now() + time);
    let mut count = 0;
    loop {
        let over = until.is_some_and(|until| Instant::now() >= until);
        if over || ended.load(Ordering::Relaxed) {
            break;
        }
        match readings.recv_timeout(Duration::from_millis(100)) {
            Ok((task, reading)) => {
                let source = polling.source(task);
                if let Some(source) = source.and_then(|id| config.sources.get(id.0)) {
                    let line = recording::line(&source.name, &reading, began);
                    writeln!(file, "{line}").map_err(failed)?;
                    count += 1;
                }
            }
            Err(RecvTimeoutError::Timeout) => file.flush().map_err(failed)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    polling.stop();
    file.flush().map_err(failed)?;
    let count = counted(count, "reading");
    let length = seconds(clock::now(), began);
    Ok(format!("{}: {count} in {length}\n", given.file.display()).into())
}

fn seconds(now: BootTime, began: BootTime) -> String {
    let whole = Duration::from_secs(now.since(began).as_secs());
    humantime::format_duration(whole).to_string()
}
