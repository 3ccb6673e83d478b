//! `agentcheck report`: writes the web page.

use super::{DataDir, Failed, Output, StateDir, span, status};
use crate::report::html::{self, Input};
use crate::status::history;
use crate::status::overview::{self, Liveness};
use crate::sys::{clock, state_file};
use clap::Args;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub(super) struct Report {
    /// Write to FILE, and replace it atomically
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Time span of the plots
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "6h")]
    since: Duration,
    /// Mode of the file
    #[arg(long, value_name = "MODE", value_parser = mode, default_value = "0644")]
    mode: u32,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
}

/// Parses a mode in octal.
fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("write an octal mode, such as 0644 or 0640".to_owned()),
    }
}

/// Writes the page, and prints nothing, for cron.
pub(super) fn write(given: &Report) -> Result<Output, Failed> {
    make(
        &given.state.state_dir,
        &given.data.data_dir,
        given.since,
        None,
    )
    .and_then(|page| {
        let written = replace(&given.output, given.mode, &page);
        written.map_err(|error| format!("cannot write page {error}"))
    })
    .map_err(Failed::new)?;
    Ok(String::new().into())
}

/// Makes the page from the files of a state directory and a data directory.
pub(super) fn make(
    states: &Path,
    data: &Path,
    since: Duration,
    renewed_every: Option<Duration>,
) -> Result<String, String> {
    let input = status::read_state_dir(states)?;
    let overview = overview::overview(&input, &[])?;
    // A page without the details that this user cannot read would be misleading.
    if let Liveness::Unknown(why) = overview.liveness {
        return Err(why);
    }
    let (history, history_error) = match history::read(data) {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let uname = rustix::system::uname();
    Ok(html::page(&Input {
        host: &uname.nodename().to_string_lossy(),
        wall: clock::unix_time_f64(),
        since,
        overview: &overview,
        history: &history,
        history_error: history_error.as_deref(),
        renewed_every,
    }))
}

/// Replaces a file atomically. An error begins with its path.
pub(super) fn replace(output: &Path, mode: u32, content: &str) -> Result<(), String> {
    let name = output.file_name().and_then(|name| name.to_str());
    let directory = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let written = match name {
        Some(name) => state_file::replace(directory, name, mode, content.as_bytes()),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no file name")),
    };
    written.map_err(|error| format!("{}: {error}", output.display()))
}
