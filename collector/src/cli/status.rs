//! `agentcheck status`: what is being said, and why, for people, programs and monitoring.

use super::screen::{self, Colour};
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

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is shown, whatever it is; 1 it cannot be read; 2 wrong command
line. With --check 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN:
  CRITICAL  no collector; a reply that is stale, missing or takes a server out
  WARNING   a source fails; a weight at its floor; a server that an operator has
            taken out; a collector that starts or is silent
  UNKNOWN   the state directory or status.json cannot be read; no such service
Example: agentcheck status web --watch")]
pub(super) struct Arguments {
    /// Only these, in detail [default: all]
    service: Vec<String>,
    /// In detail: rules, and the sources' latest polls
    #[arg(long, short)]
    verbose: bool,
    /// As JSON, for programs
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// One line for monitoring, and its exit status
    #[arg(long, conflicts_with_all = ["verbose", "json", "watch"])]
    check: bool,
    /// When to use colours
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    color: Colour,
    #[command(flatten)]
    state: StateDir,
}

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failed> {
    if arguments.check {
        return Ok(checked(arguments));
    }
    if arguments.watch {
        return watch(arguments).map(|()| String::new().into());
    }
    let account = read(arguments).map_err(failed)?;
    let text = rendered(&account, arguments, screen::page(arguments.color));
    match unreadable(&account) {
        None => Ok(text.into()),
        Some(why) => {
            // What the state files say is worth showing all the same.
            let _ = io::stdout().write_all(text.as_bytes());
            Err(failed(why))
        }
    }
}

fn failed(why: String) -> Failed {
    Failed(format!("agentcheck: {}\n", printable(&why)))
}

fn read(arguments: &Arguments) -> Result<Overview, String> {
    let directory = &arguments.state.state_dir;
    let looked = look(directory)?;
    let mut account = overview::overview(&looked, &arguments.service)?;
    if account.liveness == Liveness::Alive && disagrees(&account) {
        // The files are not read at one moment: between two of them the collector may have written both.
        std::thread::sleep(Duration::from_millis(50));
        account = overview::overview(&look(directory)?, &arguments.service)?;
    }
    Ok(account)
}

/// Whether the collector tells of other replies than the state files hold.
fn disagrees(account: &Overview) -> bool {
    account.services.iter().any(|service| {
        let told = service
            .known
            .as_ref()
            .and_then(|known| known.reply.as_ref());
        let said = service
            .current
            .as_ref()
            .ok()
            .map(|said| said.reply.to_string());
        told.is_some() && told != said.as_ref()
    })
}

fn rendered(account: &Overview, arguments: &Arguments, page: crate::render::table::Page) -> String {
    if arguments.json {
        return overview::written(&overview::listed(account), arguments.watch);
    }
    let table = if arguments.verbose || !arguments.service.is_empty() {
        overview::detailed(account)
    } else {
        overview::brief(account)
    };
    table.render(page)
}

/// Why the account is not all that there is.
fn unreadable(account: &Overview) -> Option<String> {
    match &account.liveness {
        Liveness::Unknown(why) => Some(why.clone()),
        _ => None,
    }
}

fn checked(arguments: &Arguments) -> Output {
    let (level, why, numbers) = match read(arguments) {
        Ok(account) => {
            let judgement = overview::judge(&account);
            (judgement.level, judgement.why.join("; "), judgement.numbers)
        }
        Err(why) => (overview::Level::Unknown, why, String::new()),
    };
    // A bar would begin the performance data.
    let why = printable(&why).replace('|', "/");
    let bar = if numbers.is_empty() { "" } else { " | " };
    Output {
        text: format!("AGENTCHECK {}: {why}{bar}{numbers}\n", level.word()),
        status: level as u8,
    }
}

/// Shows again and again: in place on a terminal, one after the other elsewhere. Ends where nobody reads.
fn watch(arguments: &Arguments) -> Result<(), Failed> {
    let in_place = screen::is_terminal() && !arguments.json;
    let mut first = true;
    loop {
        let page = screen::page(arguments.color);
        let (page, rows) = if in_place {
            screen::fitted(page)
        } else {
            (page, None)
        };
        // That something cannot be read may pass: a directory that is being made.
        let text = match read(arguments) {
            Ok(account) => {
                let why = unreadable(&account).filter(|_| !arguments.json);
                let why = why.map(|why| format!("{}\n", printable(&why)));
                rendered(&account, arguments, page) + &why.unwrap_or_default()
            }
            Err(why) if first => return Err(failed(why)),
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
        std::thread::sleep(EVERY);
    }
}

/// Reads a state directory.
pub(super) fn look(directory: &Path) -> Result<OverviewInput, String> {
    let unreadable = |error: io::Error| {
        format!(
            "the state directory {} cannot be read: {error}. --state-dir names another",
            directory.display()
        )
    };
    let boot = clock::boot_id().map_err(|error| format!("no boot id: {error}"))?;
    let mut files = BTreeMap::new();
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
        // One that cannot be read is as good as a bad one.
        let content = state_file::read_bounded(&state_file::path(directory, &service), MAX_FILE);
        files.insert(name.to_owned(), content.unwrap_or_default());
    }
    let lock = match lock::is_held(directory) {
        Ok(None) => LockState::Free,
        Ok(Some(holder)) => LockState::Held(holder),
        Err(error) => {
            let file = lock::path(directory);
            LockState::Unknown(format!("{} cannot be checked: {error}", file.display()))
        }
    };
    Ok(OverviewInput {
        status: written(directory),
        // Not before the files were read: none of them is then from the future.
        now: clock::now(),
        boot,
        lock,
        files,
    })
}

fn written(directory: &Path) -> Result<Status, SnapshotError> {
    let file = directory.join(snapshot::FILE);
    let unusable = |why: String| SnapshotError::Unusable(format!("{} {why}", file.display()));
    let content =
        state_file::read_bounded(&file, snapshot::MAX_BYTES).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => SnapshotError::Missing,
                io::ErrorKind::PermissionDenied => unusable(format!(
                    "cannot be read: {error}. It is for root, the collector's user and their group"
                )),
                _ => unusable(format!("cannot be read: {error}")),
            }
        })?;
    let not_understood = |error: serde_json::Error| unusable(format!("is no account: {error}"));
    let status: Status = serde_json::from_slice(&content).map_err(not_understood)?;
    if status.version != snapshot::VERSION {
        let version = status.version;
        return Err(unusable(format!(
            "is of format {version}; this agentcheck knows format {}",
            snapshot::VERSION
        )));
    }
    Ok(status)
}
