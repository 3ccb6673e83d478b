//! `report`: the static page, from what lies in the directories.

use super::{DataDir, Failed, Output, StateDir, span, status};
use crate::render::text::printable;
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
    /// Where the page goes; it is replaced at once
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How far back the plots go
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "6h")]
    since: Duration,
    /// Its rights; it shows status.json
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
pub(super) fn write(given: &Report) -> Result<Output, Failed> {
    let failed = |why: String| Failed(format!("agentcheck: {}\n", printable(&why)));
    let looked = status::look(&given.state.state_dir).map_err(failed)?;
    let account = overview::overview(&looked, &[]).map_err(failed)?;
    // What cannot be told to whoever makes the page must not look as if it were not there.
    if let Liveness::Unknown(why) = &account.liveness {
        return Err(failed(why.clone()));
    }
    let (history, no_history) = match history::read(&given.data.data_dir) {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let uname = rustix::system::uname();
    let page = html::page(&Input {
        host: &uname.nodename().to_string_lossy(),
        wall: clock::unix_time_f64(),
        since: given.since,
        account: &account,
        history: &history,
        no_history: no_history.as_deref(),
    });
    replace(&given.output, given.mode, &page).map_err(|error| {
        let output = given.output.display();
        Failed(format!("agentcheck: {output} cannot be written: {error}\n"))
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
