//! One service at work: its memory, its present reply, and how a decision is published.

use super::counters::ServiceCounters;
use super::failure_log::LoggedOperation;
use super::output::Output;
use crate::config::{Rule, Service};
use crate::decision::decide::{FinalDecision, limit_plan};
use crate::decision::evaluate::{DecisionSource, ServiceMemory, Verdict};
use crate::decision::plan::{Plan, stopping};
use crate::overrides::Effective;
use crate::render::text;
use crate::reply::words::ReplyWords;
use crate::status::history::RecordedReply;
use crate::status::snapshot::{MemoryStatus, OverrideStatus, RuleStatus, ServiceStatus, Status};
use crate::sys::clock;
use crate::sys::log_throttle::{Event, FailureThrottle};
use crate::sys::state_file;
use agentcheck_common::{BootId, BootTime, Description, Reply, ServiceName};
use log::{Level, debug, error, info, warn};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// One service at work.
pub(super) struct ServiceTask {
    pub(super) memory: ServiceMemory,
    /// The latest published verdict.
    pub(super) verdict: Option<Verdict>,
    /// The latest verdict of rules and weight alone.
    beneath: Beneath,
    /// Why there is no reply yet.
    pub(super) unknown: Option<String>,
    /// What the log has of that, by a hash of the reason.
    unknown_throttle: FailureThrottle<u64>,
    /// When the reply, without its description, last changed.
    since: Option<u64>,
    /// The status of its active overrides.
    pub(super) overrides: Vec<OverrideStatus>,
    /// The id of its known ready window.
    pub(super) ready_window: Option<String>,
    /// Whether the evaluation thread evaluates it, because its evaluation takes too long for the loop.
    pub(super) is_costly: bool,
    /// What the log has of that.
    cost_throttle: FailureThrottle<()>,
    /// What the log has of writing its state file, from the first failure on.
    writing: Option<Box<LoggedOperation>>,
    /// The last reply that the history has.
    pub(super) recorded: Option<RecordedReply>,
    pub(super) counters: ServiceCounters,
}

/// The verdict of rules and weight alone. It is usually the published one, so it is not stored twice.
enum Beneath {
    /// There is none.
    Unknown,
    Published,
    /// An override replaced it.
    Other(Box<Verdict>),
}

impl ServiceTask {
    /// A service that continues from the state file and from `before`, the snapshot of an earlier collector.
    /// `overridden`: an override is active for it.
    pub(super) fn new(
        service: &Service,
        before: Option<&Status>,
        overridden: bool,
        output: &Output,
        now: BootTime,
    ) -> Self {
        let known = before.and_then(|status| status.services.get(service.name.as_str()));
        let present = state_file::current_reply(&output.path, &service.name, &output.boot, now);
        let present = present.map(|reply| reply.with_description(Description::EMPTY));
        // The snapshot may be a second older than the state file, and have another reply.
        let snapshot = known.filter(|known| {
            let reply = known.reply.as_ref().map(|line| line.as_bytes());
            let reply = reply.and_then(|line| Reply::parse(line).ok());
            present == reply.map(|reply| reply.with_description(Description::EMPTY))
        });
        Self {
            memory: memory_at_start(service, known, overridden, present, now),
            verdict: None,
            beneath: Beneath::Unknown,
            unknown: None,
            unknown_throttle: FailureThrottle::default(),
            since: snapshot.and_then(|known| known.since),
            overrides: Vec::new(),
            ready_window: None,
            is_costly: false,
            cost_throttle: FailureThrottle::default(),
            counters: ServiceCounters::default(),
            writing: None,
            recorded: None,
        }
    }

    /// Applies another configuration of the service. The states of unchanged rules are kept.
    pub(super) fn reload(&mut self, before: &Service, service: &Service) {
        let now_at = |index: usize| {
            let rule = before.rules.get(index)?;
            let same = |other: &Rule| other.name == rule.name && other.when == rule.when;
            service.rules.iter().position(same)
        };
        let mut rule_states = vec![None; service.rules.len()];
        for (index, state) in self.memory.rule_states.iter().enumerate() {
            if let Some(slot) = now_at(index).and_then(|index| rule_states.get_mut(index)) {
                *slot = *state;
            }
        }
        self.memory.rule_states = rule_states;
        self.beneath = Beneath::Unknown;
        if let Some(DecisionSource::Rule { index, .. }) =
            self.verdict.as_mut().map(|verdict| &mut verdict.decided)
        {
            match now_at(*index) {
                Some(found) => *index = found,
                None => self.verdict = None,
            }
        }
    }

    /// Its part of the status snapshot.
    pub(super) fn status(&self, service: &Service) -> ServiceStatus {
        let mut status = ServiceStatus {
            since: self.since,
            rules: rule_statuses(service, &self.memory),
            memory: MemoryStatus::from_memory(&self.memory),
            overrides: self.overrides.clone(),
            ready_window: self.ready_window.clone(),
            ..ServiceStatus::default()
        };
        match &self.verdict {
            Some(verdict) => status.set_verdict(verdict, &service.rules),
            None => status.why = self.unknown.clone(),
        }
        status
    }

    /// Logs why there is no reply yet, once for each reason; reasons that alternate are counted.
    pub(super) fn log_unknown(&mut self, service: &Service, unknown: Option<String>) {
        let outcome = match &unknown {
            None => Ok(()),
            Some(reason) => {
                let mut hasher = std::hash::DefaultHasher::new();
                reason.hash(&mut hasher);
                Err((hasher.finish(), reason as _))
            }
        };
        let (name, reason) = (service.name, unknown.as_deref().unwrap_or_default());
        match self.unknown_throttle.note(outcome, clock::now()) {
            None | Some(Event::Recovered { .. }) => {}
            Some(Event::Failed) => warn!("{name}: no reply yet: {reason}"),
            Some(Event::Flapping { last, .. }) => {
                warn!("{name}: no reply yet; latest reason: {last}")
            }
            Some(Event::Persisting { .. }) => warn!("{name}: still no reply: {reason}"),
        }
        self.unknown = unknown;
    }

    /// Logs once that the weight looks like a fraction. `memory` is that of the latest evaluation.
    pub(super) fn log_fraction(&self, service: &Service, memory: &ServiceMemory) {
        if memory.fraction.is_suspicious() && !self.memory.fraction.is_suspicious() {
            warn!(
                "{}: the weight changes and stays between 0 and 1: a weight is a percentage from 0 to 100",
                service.name
            );
        }
    }

    /// Whether the present reply takes the server out.
    pub(super) fn is_out(&self) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|verdict| verdict.reply.takes_server_out())
    }

    /// Writes the schedule, if there is a directory for it; returns whether the reply changed, apart from its
    /// description.
    pub(super) fn publish(
        &mut self,
        service: &Service,
        FinalDecision { verdict, plan }: FinalDecision,
        directory: Option<BorrowedFd<'_>>,
        boot: &BootId,
        now: BootTime,
    ) -> bool {
        let name = &service.name;
        let written = match directory {
            Some(directory) => write(name, &plan, directory, boot, now),
            None => Ok(()),
        };
        self.note_writing(name, &written);
        let before = self.verdict.as_ref();
        let before = before.map(|verdict| ReplyWords::of(&verdict.reply));
        let words = ReplyWords::of(&verdict.reply);
        let changed = before != Some(words);
        self.log(service, &verdict, changed);
        if changed {
            // A restarted collector may continue with the same reply.
            let same = before.is_none() && self.memory.last == Some(words);
            if !same || self.since.is_none() {
                self.since = Some(now.0);
            }
        }
        self.verdict = Some(verdict);
        changed
    }

    /// Logs the outcome of writing the state file.
    fn note_writing(&mut self, name: &ServiceName, written: &io::Result<()>) {
        if written.is_ok() && self.writing.is_none() {
            return;
        }
        let writing = self.writing.get_or_insert_with(|| {
            Box::new(LoggedOperation::new(
                Level::Error,
                format!("{name}: "),
                "write state file".to_owned(),
                "; the last reply stays valid as scheduled",
            ))
        });
        writing.note(written);
    }

    /// Whether the latest schedule could not be written.
    pub(super) fn is_unwritten(&self) -> bool {
        let writing = self.writing.as_ref();
        writing.is_some_and(|writing| writing.is_failing())
    }

    /// The latest verdict of rules and weight alone.
    pub(super) fn beneath(&self) -> Option<&Verdict> {
        match &self.beneath {
            Beneath::Unknown => None,
            Beneath::Published => self.verdict.as_ref(),
            Beneath::Other(verdict) => Some(verdict),
        }
    }

    /// Sets the verdict of rules and weight alone. `decision` is published next.
    pub(super) fn set_beneath(
        &mut self,
        beneath: Option<Verdict>,
        decision: Option<&FinalDecision>,
    ) {
        self.beneath = match beneath {
            None => Beneath::Unknown,
            Some(beneath) if decision.is_some_and(|decision| decision.verdict == beneath) => {
                Beneath::Published
            }
            Some(beneath) => Beneath::Other(Box::new(beneath)),
        };
    }

    /// Writes the reply of `on_stop`, if there is one.
    pub(super) fn publish_stop(
        &self,
        service: &Service,
        overrides: &Effective<'_>,
        directory: BorrowedFd<'_>,
        boot: &BootId,
        now: BootTime,
    ) {
        let last = self.verdict.as_ref();
        let Some(plan) = last.and_then(|verdict| stopping(service, verdict, now)) else {
            return;
        };
        let plan = limit_plan(service, plan, overrides, now);
        let name = &service.name;
        match write(name, &plan, directory, boot, now) {
            Ok(()) => info!("{name}: on_stop: {}", plan.then),
            Err(error) => error!(
                "{name}: cannot write state file for on_stop: {error}; the last reply stays valid as scheduled"
            ),
        }
    }

    /// Logs the loop's evaluations of this service as too long, or as short again. `took`: processor time.
    pub(super) fn log_cost(&mut self, name: &ServiceName, took: Duration, is_cheap: bool) {
        self.is_costly = !is_cheap;
        let text = text::span(took);
        let outcome = if is_cheap {
            Ok(())
        } else {
            Err(((), &text as _))
        };
        match self.cost_throttle.note(outcome, clock::now()) {
            None => {}
            Some(Event::Recovered { .. }) => info!("{name}: evaluation takes {text} again"),
            Some(Event::Failed) => warn!(
                "{name}: evaluation took {text}; it continues on a separate thread, so that no other service waits"
            ),
            Some(Event::Flapping { last, .. }) => warn!("{name}: evaluation took up to {last}"),
            Some(Event::Persisting { .. }) => warn!("{name}: evaluation still takes {text}"),
        }
    }

    /// Logs changes that concern operators. A weight that moves is none.
    fn log(&self, service: &Service, verdict: &Verdict, changed: bool) {
        let name = &service.name;
        let Some(before) = &self.verdict else {
            info!("{name}: {}", verdict.reply);
            return;
        };
        let (before, decided) = (&before.reply, &before.decided);
        let other_source = match (decided, &verdict.decided) {
            (DecisionSource::Weight(_), DecisionSource::Weight(_)) => false,
            (DecisionSource::Rule { index: before, .. }, DecisionSource::Rule { index, .. }) => {
                before != index
            }
            (DecisionSource::Failure(before), DecisionSource::Failure(reason)) => before != reason,
            (DecisionSource::Override(before), DecisionSource::Override(order)) => before != order,
            _ => true,
        };
        // A source that flaps has its own line, and the reply stays.
        let unknown = [decided, &verdict.decided]
            .into_iter()
            .any(|decided| matches!(decided, DecisionSource::Failure(_)));
        if verdict.reply.takes_server_out() && changed {
            warn!("{name}: {}, was {before}", verdict.reply);
        } else if (other_source && (changed || !unknown)) || (changed && before.takes_server_out())
        {
            info!("{name}: {}, was {before}", verdict.reply);
        } else if changed {
            debug!("{name}: {}, was {before}", verdict.reply);
        }
    }
}

fn write(
    name: &ServiceName,
    plan: &Plan,
    directory: BorrowedFd<'_>,
    boot: &BootId,
    now: BootTime,
) -> io::Result<()> {
    state_file::publish(directory, name, (boot, now), &plan.stages, &plan.then)
}

/// The memory of a service at the start of the collector: its last reply, and the states of unchanged rules.
fn memory_at_start(
    service: &Service,
    known: Option<&ServiceStatus>,
    overridden: bool,
    present: Option<Reply>,
    now: BootTime,
) -> ServiceMemory {
    let unknown = ServiceStatus::default();
    let known = known.unwrap_or(&unknown);
    // The reply of an override or of `on_stop` is not one of rules and weight.
    let last = match known.memory.last_reply() {
        None if overridden => None,
        None => present,
        last => last,
    };
    let last = last.map(|reply| reply.with_description(Description::EMPTY));
    known.memory.restore(service, &known.rules, last, now)
}

fn rule_statuses(service: &Service, memory: &ServiceMemory) -> Vec<RuleStatus> {
    let rule_states = memory.rule_states.iter().copied();
    service
        .rules
        .iter()
        .zip(rule_states.chain(std::iter::repeat(None)))
        .map(|(rule, state)| RuleStatus {
            name: rule.name.clone(),
            when: rule.when.text().to_owned(),
            active: state.map(|state| state.active),
            observed_at: state.map(|state| state.observed_at.0),
            pending_since: state
                .and_then(|state| state.pending_since)
                .map(|since| since.0),
        })
        .collect()
}
