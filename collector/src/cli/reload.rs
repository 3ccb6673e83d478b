//! `agentcheck reload`: the collector that is at work loads its configuration again.

use super::{Failed, Output, StateDir};
use crate::render::text::printable;
use crate::status::snapshot::{self, ReloadStatus};
use crate::sys::{clock, lock};
use agentcheck_common::{BootId, BootTime};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the collector may take: a service manager waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is in force; 1 it is not, and what was in force before still
is: standard error says why; 2 wrong command line.
Example: agentcheck reload")]
pub(super) struct Reload {
    /// The collector's process [default: who has the lock]
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    #[command(flatten)]
    state: StateDir,
}

impl Reload {
    pub(super) fn ask(&self) -> Result<Output, Failed> {
        let directory = &self.state.state_dir;
        let failed = |why: String| Failed(format!("agentcheck: {}\n", printable(&why)));
        let boot = clock::boot_id().map_err(|error| failed(format!("no boot id: {error}")))?;
        let pid = collector(directory, self.pid).map_err(failed)?;
        let asked = clock::now();
        kill_process(pid, Signal::HUP).map_err(|error| {
            failed(format!(
                "process {pid} cannot be told to reload: {error}. Root and its own user may: systemctl \
                 reload agentcheck-collector, or sudo"
            ))
        })?;
        let reload = answer(directory, &boot, pid, asked).map_err(failed)?;
        let said: String = reload.said.lines().fold(String::new(), |mut said, line| {
            let _ = writeln!(said, "{}", printable(line));
            said
        });
        if reload.ok {
            return Ok(format!("reloaded: {said}").into());
        }
        Err(Failed(format!(
            "{said}agentcheck: not reloaded, the configuration of before is in force\n"
        )))
    }
}

/// The process that has the lock of a state directory, as somebody has told, or if it can be seen from here.
fn collector(directory: &Path, told: Option<u32>) -> Result<Pid, String> {
    let place = directory.display();
    let holder = lock::is_held(directory)
        .map_err(|error| {
            format!("{place}: it cannot be seen whether there is a collector: {error}")
        })?
        .ok_or_else(|| format!("no collector is at work in {place}: nothing to reload"))?;
    let pid = told
        .or(holder)
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    // A number from a file: in another namespace of processes it may be anybody's.
    let ours = pid.filter(|pid| {
        if told.is_some() {
            return true;
        }
        let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        name.is_ok_and(|name| name.trim_end() == "agentcheck")
    });
    ours.ok_or_else(|| {
        format!(
            "a collector is at work in {place}, but its process cannot be seen from here. If it is in a \
             container, send it SIGHUP there: podman kill --signal HUP NAME"
        )
    })
}

/// Waits until it has loaded what was there when it was asked.
fn answer(
    directory: &Path,
    boot: &BootId,
    pid: Pid,
    asked: BootTime,
) -> Result<ReloadStatus, String> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let reload = snapshot::left_behind(directory, boot)
            .and_then(|status| status.reload)
            .filter(|reload| reload.began >= asked.0);
        if let Some(reload) = reload {
            return Ok(reload);
        }
        if !matches!(lock::is_held(directory), Ok(Some(_))) {
            return Err(format!("the collector, process {pid}, has ended meanwhile"));
        }
        if Instant::now() >= patience {
            let file = directory.join(snapshot::FILE);
            return Err(format!(
                "the collector, process {pid}, was told to reload and has not said what came of it in {}: \
                 is it stopped, or can {} not be read?",
                humantime::format_duration(PATIENCE),
                file.display()
            ));
        }
        thread::sleep(LOOK_EVERY);
    }
}
