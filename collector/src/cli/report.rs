//! `report`: the static page, from what lies in the directories.

use super::{DataDir, Failed, Said, StateDir, span};
use crate::report::{self, Input};
use crate::status::{self, Status};
use crate::{clock, history, state_file};
use agentcheck_common::schedule::{MAX_FILE, Refused, Schedule};
use agentcheck_common::{BootId, Reply, STATE_SUFFIX, ServiceName};
use clap::Args;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub(super) struct Report {
    /// Where the page goes; it is replaced at once
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How far back the plots go
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "6h")]
    since: Duration,
    /// The rights of the page: it shows what status.json and the history show
    #[arg(long, value_name = "MODE", value_parser = mode, default_value = "0644")]
    mode: u32,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
}

/// Rights in octal.
fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("it is octal, as in 0644 or 0640".to_owned()),
    }
}

/// Writes the page. Says nothing, for cron.
pub(super) fn write(given: &Report) -> Result<Said, Failed> {
    let boot =
        clock::boot_id().map_err(|error| Failed(format!("agentcheck: no boot id: {error}\n")))?;
    let directory = &given.state.state_dir;
    let status = snapshot(directory, &boot)?;
    let now = clock::now();
    let said = said(directory, &boot).map_err(|error| unreadable(directory, &error))?;
    let (history, no_history) = match history::read(&given.data.data_dir) {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let uname = rustix::system::uname();
    let page = report::page(&Input {
        host: &uname.nodename().to_string_lossy(),
        wall: clock::wall_time(),
        now,
        since: given.since,
        status: status.as_ref(),
        said: &said,
        history: &history,
        no_history: no_history.as_deref(),
    });
    replace(&given.output, given.mode, &page).map_err(|error| {
        let output = given.output.display();
        Failed(format!("agentcheck: {output} cannot be written: {error}\n"))
    })?;
    Ok(String::new().into())
}

fn unreadable(path: &Path, error: &io::Error) -> Failed {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; it is for root and the group of the collector",
        _ => "",
    };
    Failed(format!(
        "agentcheck: {} cannot be read: {error}{remedy}\n",
        path.display()
    ))
}

/// A page that says "no collector" because its maker may not look would be wrong.
fn snapshot(directory: &Path, boot: &BootId) -> Result<Option<Status>, Failed> {
    let file = directory.join(status::FILE);
    match state_file::read_bounded(&file, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&file, &error)),
        Ok(_) => Ok(status::left_behind(directory, boot)),
    }
}

/// What each state file of the directory says.
fn said(directory: &Path, boot: &BootId) -> io::Result<BTreeMap<String, report::Said>> {
    let mut said = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.file_name();
        let name = file
            .to_str()
            .and_then(|file| file.strip_suffix(STATE_SUFFIX));
        if let Some(name) = name.and_then(|name| ServiceName::parse(name.as_bytes())) {
            said.insert(name.to_string(), said_for(directory, &name, boot));
        }
    }
    Ok(said)
}

fn said_for(directory: &Path, name: &ServiceName, boot: &BootId) -> report::Said {
    let nothing = |why: &str| report::Said::Nothing(format!("its state file {why}"));
    let content = match state_file::read_bounded(&state_file::path(directory, name), MAX_FILE) {
        Ok(content) => content,
        Err(error) => return nothing(&format!("cannot be read: {error}")),
    };
    // It may have been written this moment.
    let now = clock::now();
    let picked = match Schedule::pick_from(&content, name, boot, now) {
        Ok(picked) => picked,
        Err(Refused::Malformed) => return nothing("is malformed"),
        Err(Refused::OtherName) => return nothing("is of another service"),
        Err(Refused::OtherBoot) => return nothing("was written before this host was booted"),
        Err(Refused::Future) => return nothing("is of a time to come"),
    };
    match Reply::parse(picked.line) {
        Ok(reply) => report::Said::Line(reply, picked.until),
        Err(_) => nothing("is malformed"),
    }
}

fn replace(output: &Path, mode: u32, page: &str) -> io::Result<()> {
    let name = output.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let directory = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    state_file::replace(directory, name, mode, page.as_bytes())
}
