//! Another configuration for a collector at work, without a gap: it is loaded beside the loop, and taken over
//! between two turns of it. One that cannot be used changes nothing.

use super::override_watcher::{self, Flags};
use super::service::ServiceTask;
use super::service_manager::ServiceManager;
use super::state_dir::StateDir;
use super::{Collector, Event};
use crate::config::{self, Change, Config, LoadError, Report};
use crate::render::text;
use crate::simulation::blind_spots;
use crate::status::history;
use crate::status::snapshot::ReloadStatus;
use crate::sys::clock;
use agentcheck_common::{BootTime, ServiceName};
use log::{info, warn};
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

/// The most that is kept of what is wrong with a configuration, in characters.
const MAX_SAID: usize = 8 << 10;

/// How many more mistakes than one are told in the log.
const MOST_MISTAKES: usize = 9;

/// A configuration that was loaded, or not.
pub(super) struct Loaded {
    began: BootTime,
    outcome: Result<(Config, Report), LoadError>,
    /// Where its flag files are.
    flags: Flags,
}

/// Asks for another configuration.
pub(super) struct Loading {
    wanted: SyncSender<()>,
}

impl Loading {
    /// A thread that loads `file` when it is asked to: a file system that has gone away must hold up neither
    /// the loop nor a signal to stop.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub(super) fn start(file: &Path, sender: SyncSender<Event>) -> io::Result<Self> {
        let file = file.to_owned();
        let (wanted, requests) = sync_channel(1);
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                while requests.recv().is_ok() {
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
                    if sender.send(Event::Loaded(loaded)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { wanted })
    }

    /// Asks for one. Where one is asked for already that has not begun, that one will do.
    pub(super) fn ask(&self) {
        match self.wanted.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

impl Collector {
    /// Takes another configuration over, or tells why not.
    pub(super) fn reload(&mut self, loaded: Loaded) {
        let now = clock::now();
        let Loaded {
            began,
            outcome,
            flags,
        } = loaded;
        let outcome = match outcome {
            Ok((config, warnings)) => {
                for warning in warnings.headlines() {
                    warn!("{warning}");
                }
                self.apply(config, flags, now)
                    .map_err(|error| format!("no threads for its sources: {error}"))
            }
            Err(error) => {
                log_mistakes(&error);
                Err(error.to_string())
            }
        };
        let ok = outcome.is_ok();
        let said = match outcome {
            Ok(change) => {
                self.loaded = now;
                if let Some(configured) = &mut self.configured {
                    configured(&self.config);
                }
                format!(
                    "{}, {}; {change}",
                    text::counted(self.config.sources.len(), "source"),
                    text::counted(self.config.services.len(), "service"),
                )
            }
            Err(why) => why,
        };
        let first = said.lines().next().unwrap_or_default();
        if ok {
            info!("reloaded: {first}");
        } else {
            warn!("reload refused; the current configuration remains: {first}");
        }
        let event = if ok {
            history::Event::Reloaded
        } else {
            history::Event::ReloadRefused
        };
        self.record(event, first);
        self.reloaded = Some(ReloadStatus {
            began_at: began.0,
            ok,
            message: said.chars().take(MAX_SAID).collect(),
        });
        self.metrics.reloaded(ok, self.config.metrics.as_ref());
        self.evaluate(&[], true);
        self.service_manager.ready();
    }

    /// # Errors
    /// Where the system has no threads for new sources; then nothing has changed.
    fn apply(&mut self, config: Config, flags: Flags, now: BootTime) -> io::Result<Change> {
        let change = Change::between(&self.config, &config);
        self.polling.change(&config.sources, &change.kept)?;
        self.observed.reload(&config, &change, now);
        self.overrides.reload(&config, flags);
        carry(&mut self.throttles, &change, config.sources.len());
        carry(&mut self.sources, &change, config.sources.len());
        let before = std::mem::replace(&mut self.config, config);
        self.apply_services(&before, now);
        self.queue = super::EvalQueue::new(&self.config, now);
        warn_of_wording(&change);
        for name in &change.removed {
            let limit = before
                .service(name)
                .and_then(|service| service.maxconn.as_ref());
            let normal = limit.map(|limit| limit.normal);
            let directory = self.state_dir.as_ref().and_then(StateDir::directory);
            self.retirement.retire(name, normal, directory, now);
        }
        Ok(change)
    }

    fn apply_services(&mut self, before: &Config, now: BootTime) {
        let names = before.services.iter().map(|service| service.name);
        let running = std::mem::take(&mut self.services).into_iter();
        let mut running: std::collections::BTreeMap<ServiceName, ServiceTask> =
            names.zip(running).collect();
        for service in &self.config.services {
            let goes_on = running
                .remove(&service.name)
                .zip(before.service(&service.name));
            let one = match goes_on {
                Some((mut one, before)) => {
                    one.reload(before, service);
                    one
                }
                None => {
                    self.retirement.is_back(&service.name);
                    let (_, active) = self.overrides.of_service(&self.config, service, now);
                    let overridden = !active.is_empty();
                    ServiceTask::new(service, None, overridden, &self.directory, &self.boot, now)
                }
            };
            self.services.push(one);
        }
    }
}

/// The mistakes after the first, of which the last line of the log tells: a line for each, and so many.
fn log_mistakes(error: &LoadError) {
    let LoadError::Wrong(report) = error else {
        return;
    };
    for mistake in report.headlines().skip(1).take(MOST_MISTAKES) {
        warn!("{mistake}");
    }
}

/// What is known of sources by index, under their new indices.
fn carry<T: Default>(known: &mut Vec<T>, change: &Change, sources: usize) {
    let mut next = Vec::with_capacity(sources);
    for before in change.kept.iter().take(sources) {
        let before = before.and_then(|before| known.get_mut(before));
        next.push(before.map(std::mem::take).unwrap_or_default());
    }
    *known = next;
}

/// A drain or maint that was said with the words of an owner is not taken back by replies without them.
fn warn_of_wording(change: &Change) {
    for name in &change.disowned {
        warn!(
            "{name}: replies say ready, drain and maint no more. If a balancer still has what they said \
             last: agentcheck ready {name}"
        );
    }
    for name in &change.owned {
        warn!(
            "{name}: replies say ready, drain and maint from now on, and so undo what operators set on the \
             balancers"
        );
    }
}
