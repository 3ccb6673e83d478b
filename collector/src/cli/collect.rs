//! `agentcheck collect`: in the foreground, or in the background as a daemon.

use super::{ConfigFile, DataDir, Failed, Output, StateDir, load_failure};
use crate::simulation::blind_spots;
use crate::sys::daemonize::{self, Identity, PidFile, Side, Starting};
use crate::sys::logging::{self, Destination};
use crate::{config, daemon};
use clap::{Args, ValueEnum};
use rustix::fs::Access;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What it takes to collect.
#[derive(Args)]
pub(super) struct Collect {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    /// Write nothing: print what would be said
    #[arg(long)]
    dry_run: bool,
    /// Go into the background when it is at work
    #[arg(long, conflicts_with = "dry_run")]
    daemon: bool,
    /// Has the process id while it runs
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pid_file: Option<PathBuf>,
    /// Become this user (as root)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Another group than the user's
    #[arg(long, value_name = "GROUP", requires = "user")]
    group: Option<String>,
    /// Where the log goes; syslog with --daemon
    #[arg(long, value_name = "TO", hide_possible_values = true)]
    log: Option<Log>,
}

/// Where the log goes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    /// To standard error, with priorities where that is the journal.
    Stderr,
    /// To the syslog of this host.
    Syslog,
}

impl Collect {
    /// Collects until told to stop; as a daemon, returns when that is at work.
    pub(super) fn run(mut self) -> Result<Output, Failed> {
        if self.daemon && self.log == Some(Log::Stderr) {
            return Err(failed(
                "a daemon has no standard error: --log stderr cannot be",
            ));
        }
        let identity = self.user.as_deref().map(|user| {
            Identity::find(user, self.group.as_deref())
                .map_err(|wrong| failed(&format!("--user: {wrong}")))
        });
        let identity = identity.transpose()?;
        if !self.daemon {
            return self.work(identity.as_ref(), None);
        }
        // Its directory will be another one.
        let paths = [
            &mut self.config.config,
            &mut self.state.state_dir,
            &mut self.data.data_dir,
        ];
        for path in paths.into_iter().chain(&mut self.pid_file) {
            *path = std::path::absolute(&*path)
                .map_err(|error| failed(&format!("{}: {error}", path.display())))?;
        }
        match daemonize::detach() {
            Err(error) => Err(failed(&format!("cannot go into the background: {error}"))),
            Ok(Side::Front {
                messages,
                ready: true,
            }) => {
                let _ = io::stderr().write_all(messages.as_bytes());
                Ok(String::new().into())
            }
            Ok(Side::Front {
                messages,
                ready: false,
            }) => Err(Failed(messages)),
            Ok(Side::Daemon(starting)) => self.work(identity.as_ref(), Some(starting)),
        }
    }

    /// What is the same in the background and in the foreground.
    fn work(
        &self,
        identity: Option<&Identity>,
        mut starting: Option<Starting>,
    ) -> Result<Output, Failed> {
        let outcome = self.collect(identity, &mut starting);
        if let Err(Failed(said)) = &outcome {
            match &mut starting {
                Some(starting) => starting.print(said),
                None if self.destination() == Destination::Syslog => {
                    log::error!("{}", said.trim_start_matches("agentcheck: ").trim_end());
                }
                None => {}
            }
        }
        outcome.map(|()| String::new().into())
    }

    fn destination(&self) -> Destination {
        match self.log {
            Some(Log::Syslog) => Destination::Syslog,
            None if self.daemon => Destination::Syslog,
            Some(Log::Stderr) | None => Destination::Stderr,
        }
    }

    fn collect(
        &self,
        identity: Option<&Identity>,
        starting: &mut Option<Starting>,
    ) -> Result<(), Failed> {
        // While the rights are there: its directory may be root's. Dropped at the very end.
        let pid_file = self.pid_file.as_deref().map(PidFile::take).transpose();
        let _pid_file = pid_file.map_err(|error| failed(&error.to_string()))?;
        if let Some(identity) = identity {
            let assumed = identity.assume();
            assumed.map_err(|error| failed(&format!("cannot become {identity}: {error}")))?;
        }
        // As that user, so that what can be loaded now can be loaded again.
        let file = &self.config.config;
        let loaded = config::load_with(file, blind_spots::find);
        let (config, warnings) = loaded.map_err(|error| load_failure(&error))?;
        let mut warn = |warning: &str| {
            log::warn!("{warning}");
            if let Some(starting) = starting {
                starting.print(&format!("agentcheck: warning: {warning}\n"));
            }
        };
        if let Some(wrong) = logging::start(self.destination()) {
            warn(&wrong);
        }
        for warning in warnings.headlines() {
            warn(warning);
        }
        if let Some(identity) = identity {
            must_be_usable(&self.state.state_dir, identity)?;
            if let Err(Failed(said)) = must_be_usable(&self.data.data_dir, identity) {
                let said = said.trim_start_matches("agentcheck: ").trim_end();
                warn(&format!(
                    "{said}; without it there is no history and no override"
                ));
            }
        }
        let ready = || {
            if let Some(starting) = starting.take() {
                starting.ready();
            }
        };
        let (states, data) = (&self.state.state_dir, &self.data.data_dir);
        daemon::run(config, file, states, data, self.dry_run, ready)
            .map_err(|error| failed(&error.to_string()))
    }
}

/// Says what to do about a directory that is not there, or that the user cannot write to.
fn must_be_usable(directory: &Path, identity: &Identity) -> Result<(), Failed> {
    let writable = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(directory, writable).map_err(|error| {
        let error = io::Error::from(error);
        failed(&format!(
            "{identity} cannot write to {}: {error}. Make it, or give it to that user: install -d -o USER -g GROUP {0}",
            directory.display()
        ))
    })
}

fn failed(what: &str) -> Failed {
    Failed(format!("agentcheck: {what}\n"))
}
