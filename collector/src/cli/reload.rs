//! `agentcheck reload`: the running collector loads its configuration again.

use super::{Failed, Output, StateDir};
use crate::render::text::printable;
use crate::status::snapshot::{self, ReloadStatus};
use crate::sys::{clock, lock};
use agentcheck_common::{BootId, BootTime};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the command waits for the collector; service managers wait longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the command checks for the result.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Args)]
#[command(after_help = "\
Exit status: 0 the new configuration is in effect; 1 the current configuration
remains, see standard error; 2 wrong command line.
Example: agentcheck reload")]
pub(super) struct Reload {
    /// Process id [default: the collector of --state-dir]
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    #[command(flatten)]
    state: StateDir,
}

impl Reload {
    pub(super) fn run(&self) -> Result<Output, Failed> {
        let directory = &self.state.state_dir;
        let boot = clock::boot_id()
            .map_err(|error| Failed::new(format!("cannot read the boot id: {error}")))?;
        let pid = collector_pid(directory, self.pid).map_err(Failed::new)?;
        let signalled_at = clock::now();
        kill_process(pid, Signal::HUP).map_err(|error| {
            Failed::new(format!(
                "cannot send SIGHUP to process {pid}: {error}; be root: systemctl reload \
                 agentcheck-collector"
            ))
        })?;
        let reload = wait_for_result(directory, &boot, pid, signalled_at).map_err(Failed::new)?;
        let lines = reload.message.lines();
        let lines = lines.fold(String::new(), |text, line| text + &printable(line) + "\n");
        if reload.ok {
            return Ok(format!("reloaded: {lines}").into());
        }
        Err(Failed::new("reload failed; keeping the current configuration").after(&lines))
    }
}

/// The collector's process: `given`, or else the holder of the state directory's lock.
fn collector_pid(directory: &Path, given: Option<u32>) -> Result<Pid, String> {
    let state_dir = directory.display();
    let holder = lock::is_held(directory)
        .map_err(|error| {
            let hint = super::permission_hint(&error);
            format!("cannot check the lock of {state_dir}: {error}{hint}")
        })?
        .ok_or_else(|| format!("no collector is running in {state_dir}"))?;
    let pid = given
        .or(holder)
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    // The process id comes from a file, and may be from another pid namespace.
    let pid = pid.filter(|pid| {
        if given.is_some() {
            return true;
        }
        let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        name.is_ok_and(|name| name.trim_end() == "agentcheck")
    });
    pid.ok_or_else(|| {
        format!(
            "a collector is running in {state_dir}, but its process is not visible here; if it runs in a \
             container: podman kill --signal HUP NAME"
        )
    })
}

/// Waits for the result of a reload that began at `since` or later.
fn wait_for_result(
    directory: &Path,
    boot: &BootId,
    pid: Pid,
    since: BootTime,
) -> Result<ReloadStatus, String> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let reload = snapshot::read_for_boot(directory, boot)
            .and_then(|status| status.reload)
            .filter(|reload| reload.began_at >= since.0);
        if let Some(reload) = reload {
            return Ok(reload);
        }
        if !matches!(lock::is_held(directory), Ok(Some(_))) {
            return Err(format!("the collector, process {pid}, has ended"));
        }
        if Instant::now() >= patience {
            let file = directory.join(snapshot::FILE);
            return Err(format!(
                "no result of the reload from process {pid} in {} within {}; check that the collector is \
                 not stopped, and that you can read the file",
                file.display(),
                humantime::format_duration(PATIENCE)
            ));
        }
        thread::sleep(CHECK_INTERVAL);
    }
}
