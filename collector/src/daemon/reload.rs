//! Reload: another configuration for a running collector. A thread loads it, and the loop applies it between two
//! turns. A configuration with errors changes nothing.

use super::override_watcher::{self, Flags};
use super::service_manager::ServiceManager;
use super::state_dir::StateDir;
use super::{Collector, Event};
use crate::config::{self, Change, Config, LoadError, Report};
use crate::render::text;
use crate::simulation::blind_spots;
use crate::status::history;
use crate::status::snapshot::ReloadStatus;
use crate::sys::clock;
use agentcheck_common::BootTime;
use log::{Level, error, info, log, warn};
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

/// How many characters of the errors of a configuration the status keeps.
const MAX_RESULT: usize = 8 << 10;

/// How many findings the log has of one configuration, besides the first error.
const MAX_LOGGED: usize = 9;

/// A configuration that was loaded, or why not.
pub(super) struct Loaded {
    began: BootTime,
    outcome: Result<(Config, Report), LoadError>,
    /// The states of its flag files.
    flags: Flags,
}

/// The thread that loads configurations.
pub(super) struct Reloader {
    requests: SyncSender<()>,
}

impl Reloader {
    /// Starts the thread. It loads `file` on request: a hung file system blocks neither the loop nor signals.
    ///
    /// # Errors
    /// Where the thread cannot be created.
    pub(super) fn start(file: &Path, loop_events: SyncSender<Event>) -> io::Result<Self> {
        let file = file.to_owned();
        let (requests, received) = sync_channel(1);
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                while received.recv().is_ok() {
                    ServiceManager::reloading();
                    let began = clock::now();
                    let outcome = config::load_with(&file, blind_spots::find);
                    let flags = match &outcome {
                        Ok((config, _)) => override_watcher::flags(config),
                        Err(_) => Flags::new(),
                    };
                    let loaded = Box::new(Loaded {
                        began,
                        outcome,
                        flags,
                    });
                    if loop_events.send(Event::Loaded(loaded)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { requests })
    }

    /// Requests a reload. A request that waits already is enough.
    pub(super) fn request(&self) {
        match self.requests.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Applies a loaded configuration, or logs why it cannot be used.
pub(super) fn apply(collector: &mut Collector, loaded: Loaded) {
    let now = clock::now();
    let mut first_error = None;
    let outcome = match loaded.outcome {
        Ok((config, report)) => {
            log_warnings(&report);
            replace(collector, config, loaded.flags, now)
                .map_err(|error| format!("cannot create thread for a source: {error}"))
        }
        Err(error) => {
            first_error = Some(log_findings(&error));
            Err(error.to_string())
        }
    };
    let Collector {
        config,
        records,
        configured,
        ..
    } = collector;
    let ok = outcome.is_ok();
    let result = match outcome {
        Ok(change) => {
            records.loaded = now;
            if let Some(configured) = configured {
                configured(config);
            }
            format!(
                "{}, {}; {change}",
                text::counted(config.sources.len(), "source"),
                text::counted(config.services.len(), "service"),
            )
        }
        Err(why) => why,
    };
    let first = first_error.as_deref().unwrap_or(&result);
    let first = first.lines().next().unwrap_or_default();
    if ok {
        info!("reloaded: {first}");
    } else {
        error!("reload failed; keeping the current configuration: {first}");
    }
    let event = if ok {
        history::Event::Reloaded
    } else {
        history::Event::ReloadRefused
    };
    records.add_event(event, first);
    records.reload = Some(ReloadStatus {
        began_at: loaded.began.0,
        ok,
        message: result.chars().take(MAX_RESULT).collect(),
    });
    records.metrics.reloaded(ok, config.metrics.as_ref());
    records.service_manager.announce_ready();
}

/// Replaces the configuration.
///
/// # Errors
/// Where a thread for a new source cannot be created; then nothing has changed.
fn replace(
    collector: &mut Collector,
    config: Config,
    flags: Flags,
    now: BootTime,
) -> io::Result<Change> {
    let change = Change::between(&collector.config, &config);
    collector
        .sources
        .reload(&collector.config, &config, &change, now)?;
    collector.overrides.reload(&config, flags);
    let before = std::mem::replace(&mut collector.config, config);
    let (config, output) = (&collector.config, &mut collector.output);
    let services = &mut collector.services;
    services.reload(&before, config, &collector.overrides, output, now);
    warn_of_admin_state(&change);
    for name in &change.removed {
        let limit = before
            .service(name)
            .and_then(|service| service.maxconn.as_ref());
        let normal = limit.map(|limit| limit.normal);
        let directory = output.state_dir.as_ref().and_then(StateDir::directory);
        output.retirement.retire(name, normal, directory, now);
    }
    Ok(change)
}

/// Logs the warnings of a configuration, each in one line.
fn log_warnings(report: &Report) {
    for warning in report.headlines().take(MAX_LOGGED) {
        warn!("{warning}");
    }
}

/// Logs the findings of a refused configuration, each in one line, warnings as warnings. Returns the first error,
/// which the line on the failed reload has.
fn log_findings(error: &LoadError) -> String {
    let LoadError::Wrong(report) = error else {
        return error.to_string();
    };
    let (mut first, mut logged) = (None, 0);
    for (index, line) in report.headlines().enumerate() {
        let level = match report.warnings.binary_search(&index) {
            Ok(_) => Level::Warn,
            Err(_) => Level::Error,
        };
        if level == Level::Error && first.is_none() {
            first = Some(line.to_owned());
        } else if logged < MAX_LOGGED {
            logged += 1;
            log!(level, "{line}");
        }
    }
    first.unwrap_or_default()
}

/// Warns where the replies of a service change their way to set the administrative state.
fn warn_of_admin_state(change: &Change) {
    for name in &change.disowned {
        warn!(
            "{name}: replies no longer contain ready, drain and maint. If a balancer keeps such a state: \
             agentcheck ready {name}"
        );
    }
    for name in &change.owned {
        warn!(
            "{name}: replies contain ready, drain and maint from now on, and replace what operators set on the \
             balancers"
        );
    }
}
