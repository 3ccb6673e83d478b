//! `agentcheck status`: the current replies and what decided them, for people, programs and monitoring.

use super::screen::{self, Color};
use super::{Failed, Output, StateDir};
use crate::render::text::printable;
use crate::status::overview::{self, Liveness, LockState, Overview, OverviewInput, SnapshotError};
use crate::status::snapshot::{self, Status};
use crate::sys::{clock, lock, state_file};
use agentcheck_common::schedule::MAX_FILE;
use agentcheck_common::{STATE_SUFFIX, ServiceName};
use clap::Args;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// The interval of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The most bytes of names and state files that are read: those of more than ten thousand services.
const MAX_STATE_BYTES: usize = 64 << 20;

#[derive(Args)]
#[command(after_help = "\
Exit status: 0 done; 1 cannot read; 2 wrong command line. With --check:
  0 OK        the collector runs, and every reply is fresh
  1 WARNING   a source fails, a weight is at its floor, an operator took a
              server out, a reload was refused, or the collector just started
  2 CRITICAL  no collector; a reply is stale, invalid or takes a server out
  3 UNKNOWN   cannot read, no such service, or wrong command line
Example: agentcheck status web --watch")]
pub(super) struct Arguments {
    /// Show details of these services [default: all]
    service: Vec<String>,
    /// Show rules and the latest polls
    #[arg(long, short)]
    verbose: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Repeat every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print one line for monitoring
    #[arg(long, conflicts_with_all = ["verbose", "json", "watch"])]
    check: bool,
    #[command(flatten)]
    color: Color,
    #[command(flatten)]
    state: StateDir,
}

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failed> {
    if arguments.check {
        return Ok(run_check(arguments));
    }
    if arguments.watch {
        return watch(arguments).map(|()| String::new().into());
    }
    let overview = read(arguments).map_err(Failed::new)?;
    let text = rendered(&overview, arguments, screen::page(&arguments.color));
    match read_error(&overview) {
        None => Ok(text.into()),
        Some(why) => {
            // The replies of the state files are useful all the same.
            let _ = io::stdout().write_all(text.as_bytes());
            Err(Failed::new(why))
        }
    }
}

fn read(arguments: &Arguments) -> Result<Overview, String> {
    let directory = &arguments.state.state_dir;
    let input = read_state_dir(directory)?;
    let mut overview = overview::overview(&input, &arguments.service)?;
    if overview.liveness == Liveness::Running && disagrees(&overview) {
        // The collector may have written between the reads of two files.
        std::thread::sleep(Duration::from_millis(50));
        overview = overview::overview(&read_state_dir(directory)?, &arguments.service)?;
    }
    Ok(overview)
}

/// Whether the status snapshot and the state files have different replies.
fn disagrees(overview: &Overview) -> bool {
    overview.services.iter().any(|service| {
        let snapshot = service.snapshot.as_ref();
        let snapshot = snapshot.and_then(|snapshot| snapshot.reply.as_ref());
        let current = service.current.as_ref().ok();
        let current = current.map(|current| current.reply.to_string());
        snapshot.is_some() && snapshot != current.as_ref()
    })
}

fn rendered(
    overview: &Overview,
    arguments: &Arguments,
    page: crate::render::table::Page,
) -> String {
    if arguments.json {
        return overview::json_text(&overview::to_json(overview), arguments.watch);
    }
    let table = if arguments.verbose || !arguments.service.is_empty() {
        overview::detail_table(overview)
    } else {
        overview::summary_table(overview)
    };
    table.render(page)
}

/// Why the overview is incomplete, if it is.
fn read_error(overview: &Overview) -> Option<String> {
    match &overview.liveness {
        Liveness::Unknown(why) => Some(why.clone()),
        _ => None,
    }
}

fn run_check(arguments: &Arguments) -> Output {
    let (level, why, numbers) = match read(arguments) {
        Ok(overview) => {
            let judgement = overview::health_check(&overview);
            (
                judgement.level,
                judgement.reasons.join("; "),
                judgement.performance_data,
            )
        }
        Err(why) => (overview::Level::Unknown, why, String::new()),
    };
    // A bar begins the performance data.
    let why = printable(&why).replace('|', "/");
    let bar = if numbers.is_empty() { "" } else { " | " };
    let numbers = printable(&numbers);
    Output {
        text: format!("AGENTCHECK {}: {why}{bar}{numbers}\n", level.word()),
        status: level as u8,
    }
}

/// Repeats the output: in place on a terminal, one after the other elsewhere. Ends when the reader closes.
fn watch(arguments: &Arguments) -> Result<(), Failed> {
    let in_place = screen::is_terminal() && !arguments.json;
    let mut first = true;
    loop {
        let page = screen::page(&arguments.color);
        let (page, rows) = if in_place {
            screen::fitted(page)
        } else {
            (page, None)
        };
        // A later error may be temporary, such as a directory that is being created.
        let text = match read(arguments) {
            Ok(overview) => {
                let why = read_error(&overview).filter(|_| !arguments.json);
                let why = why.map(|why| format!("{}\n", printable(&why)));
                rendered(&overview, arguments, page) + &why.unwrap_or_default()
            }
            Err(why) if first => return Err(Failed::new(why)),
            Err(why) => format!("{}\n", printable(&why)),
        };
        let text = match (in_place, arguments.json || first) {
            (true, _) => screen::in_place(&text, rows, first),
            (false, true) => text,
            (false, false) => format!("\n{text}"),
        };
        let mut out = io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return Ok(());
        }
        first = false;
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// Reads the files and the lock of a state directory.
pub(super) fn read_state_dir(directory: &Path) -> Result<OverviewInput, String> {
    let unreadable = |error: io::Error| {
        format!(
            "cannot read state directory {}: {error}{}; --state-dir DIR selects another",
            directory.display(),
            super::permission_hint(&error)
        )
    };
    let boot = clock::boot_id().map_err(|error| format!("cannot read the boot id: {error}"))?;
    let mut files = BTreeMap::new();
    let mut room = MAX_STATE_BYTES;
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(name) = name
            .to_str()
            .and_then(|name| name.strip_suffix(STATE_SUFFIX))
        else {
            continue;
        };
        let Some(service) = ServiceName::parse(name.as_bytes()) else {
            continue;
        };
        // One that cannot be read is shown as invalid.
        let content = state_file::read_bounded(&state_file::path(directory, &service), MAX_FILE);
        let content = content.unwrap_or_default();
        // The name takes memory, too.
        room = room
            .checked_sub(name.len() + content.len())
            .ok_or_else(|| unreadable(io::ErrorKind::FileTooLarge.into()))?;
        files.insert(name.to_owned(), content);
    }
    let lock = match lock::is_held(directory) {
        Ok(None) => LockState::Free,
        Ok(Some(holder)) => LockState::Held(holder),
        Err(error) => {
            let file = lock::path(directory);
            let hint = super::permission_hint(&error);
            let file = file.display();
            LockState::Unknown(format!("cannot check lock {file}: {error}{hint}"))
        }
    };
    Ok(OverviewInput {
        status: read_snapshot(directory),
        // After the files were read, so that none of them is from the future.
        now: clock::now(),
        boot,
        lock,
        files,
    })
}

fn read_snapshot(directory: &Path) -> Result<Status, SnapshotError> {
    let file = directory.join(snapshot::FILE);
    let unusable = |why: String| SnapshotError::Unusable(why);
    let path = file.display();
    let content =
        state_file::read_bounded(&file, snapshot::MAX_BYTES).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => SnapshotError::Missing,
                _ => {
                    let hint = super::permission_hint(&error);
                    unusable(format!("cannot read {path}: {error}{hint}"))
                }
            }
        })?;
    let status: Status = serde_json::from_slice(&content)
        .map_err(|error| unusable(format!("{path} is not a status snapshot: {error}")))?;
    if status.version != snapshot::VERSION {
        let version = status.version;
        return Err(unusable(format!(
            "{path} has format {version}; this agentcheck reads format {}",
            snapshot::VERSION
        )));
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;

    #[test]
    fn state_files_are_bounded_in_sum() {
        let scratch = Scratch::new("many");
        let directory = scratch.path();
        // Without content on the disk.
        let count = MAX_STATE_BYTES / MAX_FILE;
        for number in 0..count {
            let file = std::fs::File::create(directory.join(format!("{number:05}.state"))).unwrap();
            file.set_len(1 << 40).unwrap();
        }
        let Err(error) = read_state_dir(directory) else {
            panic!("all were read");
        };
        assert!(error.contains("file too large"), "{error}");
        for number in 0..count / 2 {
            std::fs::remove_file(directory.join(format!("{number:05}.state"))).unwrap();
        }
        assert_eq!(read_state_dir(directory).unwrap().files.len(), count / 2);
    }
}
