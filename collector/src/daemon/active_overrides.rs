//! What operators say, at work: which overrides there are, which stand for a service, and what is told of
//! them.

use super::Event;
use super::failure_log::LoggedOperation;
use super::override_watcher::{self, Flags, OverrideWatcher};
use crate::config::{Config, Service};
use crate::decision::evaluate::EvalContext;
use crate::expression::{Expression, Type};
use crate::overrides::store::{self, ALL, Stored};
use crate::overrides::{ActiveOverride, Effective, Now, Override, Scope};
use crate::status::snapshot::{OverrideStatus, Status};
use crate::sys::clock;
use agentcheck_common::{BootId, BootTime};
use log::{Level, info, warn};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

/// The overrides, and what is known of them.
pub(super) struct ActiveOverrides {
    directory: PathBuf,
    boot: BootId,
    stored: Stored,
    /// The conditions that end stages, by the override's id; none where one cannot be used.
    conditions: BTreeMap<String, Option<Expression>>,
    /// Why a condition cannot be evaluated, by the override's id.
    condition_errors: BTreeMap<String, String>,
    /// Of which the condition was seen to hold.
    reached: BTreeSet<String>,
    /// Flag files that are there, as overrides.
    flags: BTreeMap<PathBuf, Override>,
    /// The ids of those that are over, and may still be in the directory.
    forgotten: BTreeSet<String>,
    /// Who looks at all that.
    pub(super) watcher: OverrideWatcher,
    /// What the log has told of reading the directory.
    reading: LoggedOperation,
    /// The same of looking for flag files.
    flags_told: LoggedOperation,
}

impl ActiveOverrides {
    /// What stands in the data directory; `before` is what an earlier collector left. What is new there comes
    /// by `sender`.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub(super) fn new(
        config: &Config,
        data: &Path,
        boot: &BootId,
        before: Option<&Status>,
        sender: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let services = before
            .into_iter()
            .flat_map(|status| status.services.values());
        let reached = services
            .flat_map(|service| service.overrides.iter())
            .filter(|known| known.reached)
            .map(|known| known.id.clone());
        let directory = store::directory(data);
        let mut overriding = Self {
            reading: LoggedOperation::new(
                Level::Warn,
                directory.display().to_string(),
                "read",
                ", and what was said stands",
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
            flags_told: LoggedOperation::new(
                Level::Warn,
                "a flag file".to_owned(),
                "looked for",
                ", and what was known of it stands",
            ),
        };
        if !overriding.directory.is_dir() {
            info!(
                "{} is not there: operators cannot override anything",
                overriding.directory.display()
            );
        }
        let (stored, flags) = (
            override_watcher::begin(&overriding.directory),
            override_watcher::flags(config),
        );
        overriding.read(config, stored);
        overriding.take_flags(config, flags);
        overriding
            .watcher
            .start(&overriding.directory, config, sender)?;
        Ok(overriding)
    }

    /// Takes in what was read of the directory; whether anything is new.
    pub(super) fn read(&mut self, config: &Config, read: io::Result<Stored>) -> bool {
        self.watcher.directory_read();
        let mut stored = match read {
            Ok(stored) => stored,
            Err(error) => {
                self.reading.note(&Err(error));
                return false;
            }
        };
        self.reading.note(&Ok(()));
        stored.keep(&self.stored);
        self.pass_over(&mut stored);
        if stored == self.stored {
            return false;
        }
        for fault in &stored.faults {
            if !self.stored.faults.contains(fault) {
                warn!("an override cannot be used: {fault}");
            }
        }
        let known: BTreeSet<&str> = config
            .services
            .iter()
            .map(|service| service.name.as_str())
            .chain([ALL])
            .collect();
        for (name, one) in &stored.overrides {
            if self.stored.overrides.get(name).map(|before| &before.id) == Some(&one.id) {
                continue;
            }
            if !known.contains(name.as_str()) {
                warn!("there is an override for {name:?}, which is no service");
            }
            let condition = one.stages.first().and_then(|stage| stage.until.as_deref());
            if let Some(text) = condition {
                let condition = compiled(text, config);
                if let Err(fault) = &condition {
                    warn!("{name}: the condition of an override cannot be used: {fault}");
                }
                self.conditions.insert(one.id.clone(), condition.ok());
            }
        }
        let ids: BTreeSet<&String> = stored.overrides.values().map(|one| &one.id).collect();
        self.conditions.retain(|id, _| ids.contains(id));
        self.condition_errors.retain(|id, _| ids.contains(id));
        self.reached.retain(|id| ids.contains(id));
        self.stored = stored;
        true
    }

    /// What was over before its file could be removed stays over.
    fn pass_over(&mut self, stored: &mut Stored) {
        let mut there = BTreeSet::new();
        let mut is_over = |name: &str, id: &String| {
            let over = self.forgotten.contains(id);
            if over {
                self.watcher.remove(name, id);
                there.insert(id.clone());
            }
            over
        };
        let overrides = &mut stored.overrides;
        overrides.retain(|name, one| !is_over(name, &one.id));
        stored
            .ready_windows
            .retain(|name, one| !is_over(name, &one.id));
        self.forgotten = there;
    }

    /// Goes on with another configuration: conditions are about its sources, and flag files, of which `flags`
    /// tells, are its own.
    pub(super) fn reload(&mut self, config: &Config, flags: Flags) {
        for (name, one) in &self.stored.overrides {
            let condition = one.stages.first().and_then(|stage| stage.until.as_deref());
            let Some(text) = condition else { continue };
            let condition = compiled(text, config);
            let could = self.conditions.get(&one.id).is_some_and(Option::is_some);
            if let (Err(fault), true) = (&condition, could) {
                warn!("{name}: the condition of an override cannot be used any more: {fault}");
            }
            self.conditions.insert(one.id.clone(), condition.ok());
        }
        self.watcher.reload(config);
        self.take_flags(config, flags);
    }

    /// Takes in what a look for flag files has found; whether that is new. What was known of those that could
    /// not be looked for stands.
    pub(super) fn take_flags(&mut self, config: &Config, mut found: Flags) -> bool {
        self.watcher.flags_read();
        let mut flags = BTreeMap::new();
        let mut looked = Ok(());
        for file in override_watcher::files(config) {
            let flag = match found.remove(&file) {
                Some(Ok(found)) => found.map(|flag| flag.to_override(&file)),
                Some(Err(error)) => {
                    let told = format!("{}: {error}", file.display());
                    looked = Err(io::Error::new(error.kind(), told));
                    self.flags.get(&file).cloned()
                }
                None => self.flags.get(&file).cloned(),
            };
            flags.extend(flag.map(|flag| (file, flag)));
        }
        self.flags_told.note(&looked);
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
    ) -> impl Iterator<Item = (Scope, &'o Override)> {
        let files = [&service.maintenance_file, &config.maintenance_file];
        let flags = files
            .into_iter()
            .flatten()
            .filter_map(|file| Some((Scope::Flag, self.flags.get(file)?)));
        let stored = &self.stored.overrides;
        let named = stored.get(service.name.as_str());
        let named = named.map(|one| (Scope::Service, one));
        let all = stored.get(ALL).map(|one| (Scope::All, one));
        named.into_iter().chain(all).chain(flags)
    }

    /// Whether there is nothing that an operator has said.
    pub(super) fn is_empty(&self) -> bool {
        self.stored.overrides.is_empty()
            && self.stored.ready_windows.is_empty()
            && self.flags.is_empty()
    }

    /// What stands for a service now.
    pub(super) fn active<'o>(
        &'o self,
        config: &'o Config,
        service: &'o Service,
        now: BootTime,
    ) -> Vec<ActiveOverride<'o>> {
        let now = self.clocks(now);
        self.of(config, service)
            .filter_map(|(scope, one)| one.active(scope, self.reached.contains(&one.id), &now))
            .collect()
    }

    /// Until when the balancers' own drain and maint are lifted for a service.
    pub(super) fn ready_window(&self, service: &Service, now: BootTime) -> Option<BootTime> {
        let now = self.clocks(now);
        [service.name.as_str(), ALL]
            .into_iter()
            .filter_map(|name| self.stored.ready_windows.get(name))
            .map(|lift| lift.ends(&now))
            .max()
            .filter(|ends| *ends > now.at)
    }

    /// Looks at the conditions that end stages; whether one is newly seen to hold.
    pub(super) fn evaluate_conditions(
        &mut self,
        config: &Config,
        context: &EvalContext<'_>,
        now: BootTime,
    ) -> bool {
        let mut news = false;
        for (name, one) in &self.stored.overrides {
            let Some(Some(condition)) = self.conditions.get(&one.id) else {
                continue;
            };
            if self.reached.contains(&one.id) || !is_known(condition, context, config, now) {
                continue;
            }
            let error = match condition.truth(context.scope) {
                Ok(true) => {
                    let text = condition.text();
                    info!("{name}: {text} is true: the next stage of the override begins");
                    self.reached.insert(one.id.clone());
                    news = true;
                    None
                }
                Ok(false) => None,
                Err(unknown) => Some(unknown.to_string()),
            };
            if self.condition_errors.get(&one.id) == error.as_ref() {
                continue;
            }
            news = true;
            match error {
                Some(error) => {
                    let text = condition.text();
                    warn!("{name}: cannot evaluate --until {text:?}: {error}");
                    self.condition_errors.insert(one.id.clone(), error);
                }
                None => {
                    self.condition_errors.remove(&one.id);
                }
            }
        }
        news
    }

    /// Takes away what is over.
    pub(super) fn remove_expired(&mut self, now: BootTime) {
        if self.stored.overrides.is_empty() && self.stored.ready_windows.is_empty() {
            return;
        }
        let over: Vec<(String, String)> = {
            let clocks = self.clocks(now);
            let overrides = self.stored.overrides.iter().filter_map(|(name, one)| {
                let reached = self.reached.contains(&one.id);
                let over = one.active(Scope::Service, reached, &clocks).is_none();
                over.then(|| (name.clone(), one.id.clone()))
            });
            let lifts = self.stored.ready_windows.iter().filter_map(|(name, lift)| {
                let over = lift.ends(&clocks) <= now;
                over.then(|| (name.clone(), lift.id.clone()))
            });
            overrides.chain(lifts).collect()
        };
        if over.is_empty() {
            return;
        }
        for (name, id) in over {
            self.watcher.remove(&name, &id);
            self.forgotten.insert(id.clone());
            if self
                .stored
                .overrides
                .get(&name)
                .is_some_and(|one| one.id == id)
            {
                info!("{name}: an override is over");
                self.stored.overrides.remove(&name);
            }
            if self
                .stored
                .ready_windows
                .get(&name)
                .is_some_and(|lift| lift.id == id)
            {
                self.stored.ready_windows.remove(&name);
            }
        }
    }

    /// What of the directory cannot be used, and why.
    pub(super) fn faults(&self) -> &[String] {
        &self.stored.faults
    }

    /// What the status tells of the overrides that stand for a service.
    pub(super) fn statuses(&self, standing: &[ActiveOverride<'_>]) -> Vec<OverrideStatus> {
        let effective = Effective::of(standing.iter().cloned());
        let counts = |one: &ActiveOverride<'_>| {
            [&effective.forced, &effective.limit]
                .into_iter()
                .flatten()
                .any(|chosen| chosen.order.id == one.order.id && chosen.scope == one.scope)
        };
        standing
            .iter()
            .map(|one| {
                let reached = self.reached.contains(&one.order.id);
                let mut status = OverrideStatus::new(one, counts(one), reached);
                status.until_error = self.condition_errors.get(&one.order.id).cloned();
                status
            })
            .collect()
    }

    /// The ids of lifts for a service, for the command that waits.
    pub(super) fn ready_window_id(&self, service: &Service) -> Option<String> {
        let lifts = &self.stored.ready_windows;
        let lift = lifts
            .get(service.name.as_str())
            .or_else(|| lifts.get(ALL))?;
        Some(lift.id.clone())
    }

    fn clocks(&self, at: BootTime) -> Now<'_> {
        Now {
            boot: &self.boot,
            at,
            wall: clock::wall(),
        }
    }
}

fn compiled(text: &str, config: &Config) -> Result<Expression, String> {
    Expression::compile(text, Type::Truth, &config.environment()).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| fault.message);
        faults.collect::<Vec<_>>().join("; ")
    })
}

/// Whether everything that a condition looks at is known and not overdue: what was read an hour ago says
/// nothing of now.
fn is_known(
    condition: &Expression,
    context: &EvalContext<'_>,
    config: &Config,
    now: BootTime,
) -> bool {
    condition.uses().keys().all(|used| {
        let index = context.names.iter().position(|name| name == used);
        let latest = index.and_then(|index| context.latest.get(index).copied().flatten());
        let behind: Vec<usize> =
            match index.and_then(|index| index.checked_sub(config.sources.len())) {
                None => index.into_iter().collect(),
                Some(derived) => config
                    .derived
                    .get(derived)
                    .map_or_else(Vec::new, |derived| derived.sources.clone()),
            };
        let period = behind
            .into_iter()
            .filter_map(|index| config.sources.get(index))
            .map(|source| source.interval + source.timeout)
            .max()
            .unwrap_or_default();
        latest.is_some_and(|latest| latest.failure.is_none() && now < latest.sent.after(period * 3))
    })
}
