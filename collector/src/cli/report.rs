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
    /// Output file; it is replaced atomically
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
    let input = status::read_state_dir(&given.state.state_dir).map_err(Failed::new)?;
    let overview = overview::overview(&input, &[]).map_err(Failed::new)?;
    // A page without the details that this user cannot read would be misleading.
    if let Liveness::Unknown(why) = &overview.liveness {
        return Err(Failed::new(why));
    }
    let (history, no_history) = match history::read(&given.data.data_dir) {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let uname = rustix::system::uname();
    let page = html::page(&Input {
        host: &uname.nodename().to_string_lossy(),
        wall: clock::wall_time(),
        since: given.since,
        overview: &overview,
        history: &history,
        history_error: no_history.as_deref(),
        renewed_every: None,
    });
    replace(&given.output, given.mode, &page).map_err(|error| {
        let output = given.output.display();
        Failed::new(format!("cannot write page {output}: {error}"))
    })?;
    Ok(String::new().into())
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
