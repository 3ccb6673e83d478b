//! The overrides in use: which files there are, which are active for a service, and which conditions were true.

use super::Event;
use super::eval_thread::LOOP_ELEMENTS;
use super::failure_log::LoggedOperation;
use super::override_watcher::{self, Flags, OverrideWatcher};
use crate::config::{Config, InputId, Service};
use crate::decision::evaluate::EvalContext;
use crate::expression::{Expression, MAX_SOURCE, Type};
use crate::overrides::store::{self, ALL, Fault, Key, Stored};
use crate::overrides::{ActiveOverride, Effective, Kind, Now, Override, Scope};
use crate::status::snapshot::{OverrideFault, OverrideStatus, Status};
use crate::sys::clock;
use agentcheck_common::{BootId, BootTime};
use log::{Level, info, warn};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// How many elements the loops of a condition may visit after a new reading: one pass over the largest document.
const CONDITION_ELEMENTS: usize = 20_000;

/// One order: its file, and a text that identifies its content.
type OrderId = (Key, String);

/// All overrides and their states.
pub(super) struct ActiveOverrides {
    directory: PathBuf,
    boot: BootId,
    stored: Stored,
    /// The conditions that end first stages; `None` where one does not compile.
    conditions: BTreeMap<OrderId, Option<Expression>>,
    /// Why a condition cannot be evaluated, though its sources have fresh readings.
    condition_errors: BTreeMap<OrderId, String>,
    /// The orders whose condition was true.
    reached: BTreeSet<OrderId>,
    /// The flag files that exist, as overrides.
    flags: BTreeMap<PathBuf, Override>,
    /// Expired orders that may still have a file.
    forgotten: BTreeSet<OrderId>,
    /// The threads that read directory and flag files.
    pub(super) watcher: OverrideWatcher,
    /// What the log has of reading the directory.
    reading: LoggedOperation,
    /// What the log has of reading flag files.
    reading_flags: LoggedOperation,
}

impl ActiveOverrides {
    /// Reads the overrides in the data directory, and watches them: changes arrive by `sender`. `before` is the
    /// snapshot of an earlier collector.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub(super) fn new(
        config: &Config,
        data: &Path,
        boot: &BootId,
        before: Option<&Status>,
        sender: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let services = before.into_iter().flat_map(|status| &status.services);
        let reached = services.flat_map(|(service, status)| {
            let reached = status.overrides.iter().filter(|known| known.reached);
            reached.map(move |known| {
                let is_all = known.scope == Scope::All.word();
                let name = if is_all { ALL } else { service };
                (Key::new(name, Kind::Outage), known.id.clone())
            })
        });
        let directory = store::directory(data);
        let mut overrides = Self {
            reading: LoggedOperation::new(
                Level::Warn,
                String::new(),
                format!("read {}", directory.display()),
                "; known overrides stay active",
            ),
            directory,
            boot: *boot,
            stored: Stored::default(),
            conditions: BTreeMap::new(),
            condition_errors: BTreeMap::new(),
            reached: reached.collect(),
            flags: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            watcher: OverrideWatcher::new(),
            reading_flags: LoggedOperation::new(
                Level::Warn,
                String::new(),
                "read flag file".to_owned(),
                "; its last known state stays active",
            ),
        };
        if !overrides.directory.is_dir() {
            info!(
                "{} is missing: operators cannot set overrides",
                overrides.directory.display()
            );
        }
        let (stored, flags) = (
            override_watcher::read_at_start(&overrides.directory, config),
            override_watcher::flags(config),
        );
        overrides.take(config, stored);
        overrides.take_flags(config, flags);
        overrides
            .watcher
            .start(&overrides.directory, config, sender)?;
        Ok(overrides)
    }

    /// Takes what was read of the directory; whether anything changed.
    pub(super) fn take(&mut self, config: &Config, read: io::Result<Stored>) -> bool {
        let mut stored = match read {
            Ok(stored) => stored,
            Err(error) => {
                self.reading.note(&Err(error));
                return false;
            }
        };
        self.reading.note(&Ok(()));
        stored.keep(&self.stored);
        self.drop_forgotten(&mut stored);
        if stored == self.stored {
            return false;
        }
        for fault in stored
            .faults
            .iter()
            .filter(|fault| !self.stored.faults.contains(fault))
        {
            warn!("cannot use override {}", fault.text);
        }
        let mut unusable = Vec::new();
        let before = std::mem::take(&mut self.conditions);
        for (key, one) in &stored.overrides {
            let id = (key.clone(), one.id.clone());
            let condition = one.stages.first().and_then(|stage| stage.until.as_deref());
            let condition = condition.map(|text| {
                before.get(&id).cloned().unwrap_or_else(|| {
                    compile(text, config)
                        .inspect_err(|fault| warn!("{key}: cannot use its condition: {fault}"))
                        .map_err(|fault| unusable.push((id.clone(), fault)))
                        .ok()
                })
            });
            self.conditions
                .extend(condition.map(|condition| (id, condition)));
        }
        let conditions = &self.conditions;
        self.reached.retain(|id| conditions.contains_key(id));
        self.condition_errors
            .retain(|id, _| conditions.contains_key(id));
        self.condition_errors.extend(unusable);
        self.stored = stored;
        true
    }

    /// Drops orders that expired before their file could be removed.
    fn drop_forgotten(&mut self, stored: &mut Stored) {
        let mut remaining = BTreeSet::new();
        let mut is_forgotten = |key: &Key, id: &String| {
            let order = (key.clone(), id.clone());
            let forgotten = self.forgotten.contains(&order);
            if forgotten {
                self.watcher.remove(order.clone());
                remaining.insert(order);
            }
            forgotten
        };
        let overrides = &mut stored.overrides;
        overrides.retain(|key, one| !is_forgotten(key, &one.id));
        let windows = &mut stored.ready_windows;
        windows.retain(|name, one| !is_forgotten(&Key::new(name, Kind::Ready), &one.id));
        self.forgotten = remaining;
    }

    /// Applies another configuration: conditions compile again, and `flags` are the states of its flag files.
    pub(super) fn reload(&mut self, config: &Config, flags: Flags) {
        for (key, one) in &self.stored.overrides {
            let condition = one.stages.first().and_then(|stage| stage.until.as_deref());
            let Some(text) = condition else { continue };
            let id = (key.clone(), one.id.clone());
            let condition = compile(text, config);
            let compiled_before = self.conditions.get(&id).is_some_and(Option::is_some);
            if let (Err(fault), true) = (&condition, compiled_before) {
                warn!("{key}: cannot use its condition any more: {fault}");
            }
            match &condition {
                Ok(_) => self.condition_errors.remove(&id),
                Err(fault) => self.condition_errors.insert(id.clone(), fault.clone()),
            };
            self.conditions.insert(id, condition.ok());
        }
        self.watcher.reload(config);
        self.take_flags(config, flags);
    }

    /// Takes the states of flag files; whether anything changed. A file that cannot be read keeps its state.
    pub(super) fn take_flags(&mut self, config: &Config, mut found: Flags) -> bool {
        let mut flags = BTreeMap::new();
        let mut outcome = Ok(());
        for file in override_watcher::files(config) {
            let flag = match found.remove(&file) {
                Some(Ok(found)) => found.map(|flag| flag.into_override(&file)),
                Some(Err(error)) => {
                    let text = format!("{}: {error}", file.display());
                    outcome = Err(io::Error::new(error.kind(), text));
                    self.flags.get(&file).cloned()
                }
                None => self.flags.get(&file).cloned(),
            };
            flags.extend(flag.map(|flag| (file, flag)));
        }
        self.reading_flags.note(&outcome);
        if flags == self.flags {
            return false;
        }
        self.flags = flags;
        true
    }

    /// The overrides of one service, with their scopes.
    fn of<'o>(
        &'o self,
        config: &'o Config,
        service: &'o Service,
    ) -> impl Iterator<Item = (Scope, Option<Key>, &'o Override)> {
        let files = [&service.maintenance_file, &config.maintenance_file];
        let flags = files
            .into_iter()
            .flatten()
            .filter_map(|file| Some((Scope::Flag, None, self.flags.get(file)?)));
        let name = service.name.as_str();
        let stored = [
            (Scope::Service, name, Kind::Outage),
            (Scope::Service, name, Kind::Limit),
            (Scope::All, ALL, Kind::Outage),
            (Scope::All, ALL, Kind::Limit),
        ];
        let stored = stored.into_iter().filter_map(|(scope, name, kind)| {
            let key = Key::new(name, kind);
            let one = self.stored.overrides.get(&key)?;
            Some((scope, Some(key), one))
        });
        stored.chain(flags)
    }

    /// Whether there are no orders at all.
    pub(super) fn is_empty(&self) -> bool {
        self.stored.overrides.is_empty()
            && self.stored.ready_windows.is_empty()
            && self.flags.is_empty()
    }

    /// Whether an order is active for a service.
    pub(super) fn is_overridden(&self, config: &Config, service: &Service, at: BootTime) -> bool {
        !self.of_service(config, service, at).1.is_empty()
    }

    fn is_reached(&self, key: Option<&Key>, one: &Override) -> bool {
        key.is_some_and(|key| self.reached.contains(&(key.clone(), one.id.clone())))
    }

    /// The orders that count for a service now, and the status of all that are active.
    pub(super) fn of_service<'o>(
        &'o self,
        config: &'o Config,
        service: &'o Service,
        at: BootTime,
    ) -> (Effective<'o>, Vec<OverrideStatus>) {
        if self.is_empty() {
            return (Effective::default(), Vec::new());
        }
        let now = self.clocks(at);
        let active: Vec<(ActiveOverride<'_>, bool, Option<&String>)> = self
            .of(config, service)
            .filter_map(|(scope, key, one)| {
                let reached = self.is_reached(key.as_ref(), one);
                let id = key.map(|key| (key, one.id.clone()));
                let error = id.and_then(|id| self.condition_errors.get(&id));
                Some((one.active(scope, reached, &now)?, reached, error))
            })
            .collect();
        let windows = [service.name.as_str(), ALL].into_iter();
        let windows = windows.filter_map(|name| self.stored.ready_windows.get(name));
        let effective = Effective {
            ready_until: windows
                .map(|window| window.ends(&now))
                .max()
                .filter(|ends| *ends > at),
            ..Effective::of(active.iter().map(|(one, ..)| one.clone()))
        };
        let statuses = active.iter().map(|(one, reached, error)| {
            let chosen = [effective.outage(), effective.limit()];
            let counts = chosen.contains(&Some(one));
            bounded(OverrideStatus {
                until_error: error.cloned(),
                ..OverrideStatus::new(one, counts, *reached)
            })
        });
        let statuses = statuses.collect();
        (effective, statuses)
    }

    /// Evaluates the conditions that end first stages; whether one is newly true. A condition that loops over large
    /// documents is evaluated only after new readings: `inputs_changed`.
    pub(super) fn evaluate_conditions(
        &mut self,
        config: &Config,
        context: &EvalContext<'_>,
        inputs_changed: &[InputId],
        now: BootTime,
    ) -> bool {
        let mut changed = false;
        for (id, condition) in &self.conditions {
            let Some(condition) = condition else { continue };
            if self.reached.contains(id) || !is_known(condition, context, config, now) {
                continue;
            }
            context.scope.limit(LOOP_ELEMENTS, Duration::MAX);
            let mut truth = condition.truth(context.scope);
            let exceeded = context.scope.is_exceeded();
            let retry = exceeded && uses_one_of(condition, context, inputs_changed);
            if retry {
                context.scope.limit(CONDITION_ELEMENTS, Duration::MAX);
                truth = condition.truth(context.scope);
            }
            context.scope.limit(usize::MAX, Duration::MAX);
            if exceeded && !retry {
                continue;
            }
            let text = condition.text();
            let error = match truth {
                Ok(true) => {
                    info!("{}: {text} is true: the first stage ends", id.0);
                    self.reached.insert(id.clone());
                    changed = true;
                    None
                }
                Ok(false) => None,
                Err(unknown) => Some(unknown.to_string()),
            };
            if self.condition_errors.get(id) == error.as_ref() {
                continue;
            }
            changed = true;
            match error {
                Some(error) => {
                    warn!("{}: cannot evaluate --until {text:?}: {error}", id.0);
                    self.condition_errors.insert(id.clone(), error);
                }
                None => {
                    self.condition_errors.remove(id);
                }
            }
        }
        changed
    }

    /// Removes expired orders.
    pub(super) fn remove_expired(&mut self, now: BootTime) {
        if self.stored.overrides.is_empty() && self.stored.ready_windows.is_empty() {
            return;
        }
        let clocks = self.clocks(now);
        let overrides = self.stored.overrides.iter().filter_map(|(key, one)| {
            let reached = self.is_reached(Some(key), one);
            let expired = one.active(Scope::Service, reached, &clocks).is_none();
            expired.then(|| (key.clone(), one.id.clone()))
        });
        let windows = self
            .stored
            .ready_windows
            .iter()
            .filter_map(|(name, window)| {
                let expired = window.ends(&clocks) <= now;
                expired.then(|| (Key::new(name, Kind::Ready), window.id.clone()))
            });
        let expired: Vec<OrderId> = overrides.chain(windows).collect();
        for order in expired {
            if self.stored.overrides.remove(&order.0).is_some() {
                info!("{}: the override expired", order.0);
            }
            if order.0.kind == Kind::Ready {
                self.stored.ready_windows.remove(&order.0.name);
            }
            self.watcher.remove(order.clone());
            self.forgotten.insert(order);
        }
    }

    /// The files that cannot be used, and why; the last one is a count of more.
    pub(super) fn faults(&self) -> Vec<OverrideFault> {
        let fault = |fault: &Fault| OverrideFault {
            name: fault.key.as_ref().map(|key| key.name.clone()),
            text: fault.text.clone(),
        };
        let mut faults: Vec<OverrideFault> = self.stored.faults.iter().map(fault).collect();
        if self.stored.more_faults > 0 {
            let text = format!("{} more faults", self.stored.more_faults);
            faults.push(OverrideFault { name: None, text });
        }
        faults
    }

    /// The id of the ready window of a service, for the command that waits for it.
    pub(super) fn ready_window_id(&self, service: &Service) -> Option<String> {
        let windows = &self.stored.ready_windows;
        let window = windows.get(service.name.as_str());
        Some(window.or_else(|| windows.get(ALL))?.id.clone())
    }

    fn clocks(&self, at: BootTime) -> Now<'_> {
        Now {
            boot: &self.boot,
            at,
            wall: clock::unix_seconds(),
        }
    }
}

fn compile(text: &str, config: &Config) -> Result<Expression, String> {
    Expression::compile(text, Type::Truth, &config.environment()).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| fault.message);
        faults.collect::<Vec<_>>().join("; ")
    })
}

/// Shortens the texts of a status that no command writes this long: an id and a condition. All others are bounded
/// when their file is read.
fn bounded(mut status: OverrideStatus) -> OverrideStatus {
    let texts = std::iter::once(&mut status.id).chain(&mut status.until);
    for text in texts {
        let mut ends = 0..=text.len().min(MAX_SOURCE);
        let end = ends.rfind(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    status
}

/// Whether a condition uses one of these inputs.
fn uses_one_of(condition: &Expression, context: &EvalContext<'_>, inputs: &[InputId]) -> bool {
    let mut names = inputs.iter().filter_map(|input| context.names.get(input.0));
    names.any(|name| condition.uses().get(name).is_some())
}

/// Whether all sources of a condition were read within three of their periods: an old reading does not end a
/// stage.
fn is_known(
    condition: &Expression,
    context: &EvalContext<'_>,
    config: &Config,
    now: BootTime,
) -> bool {
    condition.uses().keys().all(|used| {
        let index = context.names.iter().position(|name| name == used);
        let latest = index.and_then(|index| context.latest.get(index).copied().flatten());
        let behind = index.map(|index| config.sources_behind(InputId(index)));
        let period = behind
            .into_iter()
            .flatten()
            .filter_map(|source| config.sources.get(source.0))
            .map(|source| source.interval + source.timeout)
            .max()
            .unwrap_or_default();
        latest.is_some_and(|latest| latest.failure.is_none() && now < latest.sent.after(period * 3))
    })
}
