//! `agentcheck collect`: runs the collector, in the foreground or as a daemon.

use super::page::PageWriter;
use super::{ConfigFile, DataDir, Failed, Output, StateDir, load_failure};
use crate::config::{self, Config, LoadError};
use crate::daemon::{self, config_watcher};
use crate::simulation::blind_spots;
use crate::sys::daemonize::{self, Identity, PidFile, Side, Starting};
use crate::sys::logging::{self, Destination};
use clap::{Args, ValueEnum};
use rustix::fs::Access;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The options of `collect`.
#[derive(Args)]
pub(super) struct Collect {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    /// Print the replies, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Run in the background
    #[arg(long, conflicts_with = "dry_run")]
    daemon: bool,
    /// Write the process id to FILE
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pid_file: Option<PathBuf>,
    /// Change to this user (as root)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Change to this group
    #[arg(long, value_name = "GROUP", requires = "user")]
    group: Option<String>,
    /// Reload when the configuration changes
    #[arg(long)]
    reload_on_change: bool,
    /// Log to stderr, or to syslog (default with --daemon)
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
    /// Collects until a signal; with `--daemon`, returns when the daemon is running.
    pub(super) fn run(mut self) -> Result<Output, Failed> {
        if self.daemon && self.log == Some(Log::Stderr) {
            return Err(Failed::new(
                "--log stderr does not work with --daemon: a daemon has no standard error",
            ));
        }
        let identity = self.user.as_deref().map(|user| {
            Identity::find(user, self.group.as_deref())
                .map_err(|error| Failed::new(format!("invalid --user: {error}")))
        });
        let identity = identity.transpose()?;
        if !self.daemon {
            return self.work(identity.as_ref(), None);
        }
        // The daemon changes its working directory.
        let paths = [
            &mut self.config.config,
            &mut self.state.state_dir,
            &mut self.data.data_dir,
        ];
        for path in paths.into_iter().chain(&mut self.pid_file) {
            *path = std::path::absolute(&*path)
                .map_err(|error| Failed::new(format!("{}: {error}", path.display())))?;
        }
        match daemonize::detach() {
            Err(error) => Err(Failed::new(format!("cannot start the daemon: {error}"))),
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

    /// Runs the collector, and reports errors of the start to the log or the starter.
    fn work(
        &self,
        identity: Option<&Identity>,
        mut starting: Option<Starting>,
    ) -> Result<Output, Failed> {
        let outcome = self.collect(identity, &mut starting);
        outcome.map(|()| String::new().into()).map_err(|error| {
            if starting.is_none() && self.destination() == Destination::Syslog {
                error.log();
            }
            let failed = error.failed();
            if let Some(starting) = &mut starting {
                starting.print(&failed.0);
            }
            failed
        })
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
    ) -> Result<(), NotStarted> {
        let no_log = logging::start(self.destination()).map_err(NotStarted::new)?;
        // Before the change of the user: root may own its directory. Removed at the end.
        let pid_file = self.pid_file.as_deref().map(PidFile::take).transpose();
        let _pid_file = pid_file.map_err(NotStarted::new)?;
        if let Some(identity) = identity {
            let assumed = identity.assume();
            assumed.map_err(|error| {
                NotStarted::new(format!("cannot change to {identity}: {error}"))
            })?;
        }
        // As that user, so that a reload can read the same files.
        let file = &self.config.config;
        let loaded = config::load_with(file, blind_spots::find);
        let (config, warnings) = loaded.map_err(NotStarted::Configuration)?;
        let mut warn = |warning: &str| {
            log::warn!("{warning}");
            if let Some(starting) = starting {
                starting.print(&format!("agentcheck: warning: {warning}\n"));
            }
        };
        if let Some(reason) = no_log {
            warn(&reason);
        }
        for warning in warnings.headlines() {
            warn(warning);
        }
        if let Some(identity) = identity {
            check_writable(&self.state.state_dir, identity).map_err(NotStarted::new)?;
            if let Err(reason) = check_writable(&self.data.data_dir, identity) {
                warn(&format!(
                    "{reason}; without it, history and overrides do not work"
                ));
            }
        }
        let ready = || {
            if self.reload_on_change
                && let Err(error) = config_watcher::start(file)
            {
                log::error!("cannot watch the configuration: {error}; reload it by hand");
            }
            if let Some(starting) = starting.take() {
                starting.ready();
            }
        };
        let (states, data) = (&self.state.state_dir, &self.data.data_dir);
        let page = PageWriter::start(states, data)
            .map_err(|error| NotStarted::new(format!("cannot create thread: {error}")))?;
        let configured = move |config: &Config| page.configure(config);
        let dry = self.dry_run;
        daemon::run(config, file, states, data, dry, ready, Box::new(configured))
            .map_err(NotStarted::new)
    }
}

/// Why the collector did not start.
enum NotStarted {
    /// The configuration cannot be loaded.
    Configuration(LoadError),
    /// Another reason, in one line.
    Reason(String),
}

impl NotStarted {
    fn new(reason: impl ToString) -> Self {
        Self::Reason(reason.to_string())
    }

    fn failed(&self) -> Failed {
        match self {
            Self::Configuration(error) => load_failure(error),
            Self::Reason(reason) => Failed::new(reason),
        }
    }

    /// Logs it, for a log that standard error does not reach.
    fn log(&self) {
        match self {
            Self::Configuration(LoadError::Wrong(report)) => {
                report.headlines().for_each(|line| log::error!("{line}"));
            }
            Self::Configuration(error) => log::error!("{}", error.to_string().trim_end()),
            Self::Reason(reason) => log::error!("{reason}"),
        }
    }
}

/// Checks that the user can write to a directory; the error contains the remedy.
fn check_writable(directory: &Path, identity: &Identity) -> Result<(), String> {
    let writable = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(directory, writable).map_err(|error| {
        let (error, directory) = (io::Error::from(error), directory.display());
        format!(
            "{identity} cannot write to {directory}: {error}; create it for that user: \
             sh /usr/lib/agentcheck/setup directories USER"
        )
    })
}
