//! A service at work: what it remembers, what is being said for it, and how a verdict is published.

use super::failure_log::LoggedOperation;
use crate::config::{Rule, Service};
use crate::decision::decide::FinalDecision;
use crate::decision::evaluate::{DecisionSource, ServiceMemory, Verdict};
use crate::decision::plan::{Plan, stopping};
use crate::status::snapshot::{MemoryStatus, OverrideStatus, RuleStatus, ServiceStatus, Status};
use crate::sys::state_file;
use agentcheck_common::{BootId, BootTime, Description, Reply, ServiceName};
use log::{Level, debug, error, info, warn};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// A service at work.
pub(super) struct ServiceTask {
    pub(super) memory: ServiceMemory,
    /// What was published last.
    pub(super) verdict: Option<Verdict>,
    /// Why there is no reply yet.
    unknown: Option<String>,
    /// When what is said, its description aside, last changed.
    since: Option<u64>,
    /// What the status tells of the overrides that stand for it.
    pub(super) overrides: Vec<OverrideStatus>,
    /// The id of the lift that is known.
    pub(super) ready_window: Option<String>,
    /// What the log has told of writing replies.
    pub(super) writing: LoggedOperation,
}

impl ServiceTask {
    /// A service that goes on where `before`, the status that an earlier collector left, and the state
    /// file end; `overridden` is whether an override stands for it.
    pub(super) fn new(
        service: &Service,
        before: Option<&Status>,
        overridden: bool,
        directory: &Path,
        boot: &BootId,
        now: BootTime,
    ) -> Self {
        let known = before.and_then(|status| status.services.get(service.name.as_str()));
        let memory = remembered(service, known, overridden, directory, boot, now);
        // The account may be a second older than the state file, and speak of other words.
        let words = |reply: Reply| reply.described(Description::NONE);
        let said = state_file::current_reply(directory, &service.name, boot, now).map(words);
        let account = known.filter(|known| {
            let reply = known.reply.as_ref().map(|line| line.as_bytes());
            said == reply.and_then(|line| Reply::parse(line).ok()).map(words)
        });
        Self {
            memory,
            verdict: None,
            unknown: None,
            since: account.and_then(|known| known.since),
            overrides: Vec::new(),
            ready_window: None,
            writing: LoggedOperation::new(
                Level::Error,
                format!("{}: the reply", service.name),
                "written",
                ", and the last one stands",
            ),
        }
    }

    /// Goes on as `service`, which was `before`. What it remembers stays, but for the truths of rules that
    /// are not there any more.
    pub(super) fn reload(&mut self, before: &Service, service: &Service) {
        let now_at = |index: usize| {
            let rule = before.rules.get(index)?;
            let same = |other: &Rule| other.name == rule.name && other.when == rule.when;
            service.rules.iter().position(same)
        };
        let mut rule_states = vec![None; service.rules.len()];
        for (index, truth) in self.memory.rule_states.iter().enumerate() {
            if let Some(slot) = now_at(index).and_then(|index| rule_states.get_mut(index)) {
                *slot = *truth;
            }
        }
        self.memory.rule_states = rule_states;
        if let Some(DecisionSource::Rule { index, .. }) =
            self.verdict.as_mut().map(|verdict| &mut verdict.decided)
        {
            match now_at(*index) {
                Some(found) => *index = found,
                None => self.verdict = None,
            }
        }
    }

    /// The account of it for the status snapshot.
    pub(super) fn status(&self, service: &Service) -> ServiceStatus {
        let mut status = ServiceStatus {
            since: self.since,
            rules: rule_statuses(service, &self.memory),
            memory: MemoryStatus::of(&self.memory),
            overrides: self.overrides.clone(),
            ready_window: self.ready_window.clone(),
            ..ServiceStatus::default()
        };
        match &self.verdict {
            Some(verdict) => status.set(verdict, &service.rules),
            None => status.why = self.unknown.clone(),
        }
        status
    }

    /// Logs why there is no reply yet, once for each reason.
    pub(super) fn log_unknown(&mut self, service: &Service, unknown: Option<String>) {
        if let Some(reason) = unknown.as_ref().filter(|_| self.unknown != unknown) {
            warn!("{}: no reply yet: {reason}", service.name);
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

    /// Whether what is being said takes the server out.
    pub(super) fn is_out(&self) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|verdict| verdict.reply.takes_out())
    }

    /// Writes the schedule, where there is a directory for it; whether what is said has changed.
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
        self.writing.note(&written);
        let before = self.verdict.as_ref().map(|verdict| verdict.reply);
        let words = |reply: Reply| reply.described(Description::NONE);
        let changed = before.map(words) != Some(words(verdict.reply));
        self.log(service, &verdict, changed);
        if changed {
            // The first words of a restarted collector may be the ones that were being said.
            let same = before.is_none() && self.memory.last == Some(words(verdict.reply));
            if !same || self.since.is_none() {
                self.since = Some(now.0);
            }
        }
        self.verdict = Some(verdict);
        changed
    }

    /// Writes what is to be said after a stop, where that is something else than after a death.
    pub(super) fn publish_stop(
        &self,
        service: &Service,
        directory: BorrowedFd<'_>,
        boot: &BootId,
        now: BootTime,
    ) {
        let last = self.verdict.as_ref();
        let Some(plan) = last.and_then(|verdict| stopping(service, verdict, now)) else {
            return;
        };
        let name = &service.name;
        match write(name, &plan, directory, boot, now) {
            Ok(()) => info!("{name}: {} from now on", plan.then),
            Err(error) => {
                error!("{name}: on_stop cannot be written, the last reply stands: {error}")
            }
        }
    }

    /// One line per change that an operator wants to know of; a weight that just moves is none.
    fn log(&self, service: &Service, verdict: &Verdict, changed: bool) {
        let name = &service.name;
        let Some(before) = &self.verdict else {
            info!("{name}: {}", verdict.reply);
            return;
        };
        let (before, decided) = (&before.reply, &before.decided);
        let decider = match (decided, &verdict.decided) {
            (DecisionSource::Weight(_), DecisionSource::Weight(_)) => false,
            (DecisionSource::Rule { index: before, .. }, DecisionSource::Rule { index, .. }) => {
                before != index
            }
            (DecisionSource::Failure(before), DecisionSource::Failure(reason)) => before != reason,
            (DecisionSource::Override(before), DecisionSource::Override(forced)) => {
                before != forced
            }
            _ => true,
        };
        // A source that comes and goes is told by itself; what is said goes on.
        let unknown = [decided, &verdict.decided]
            .into_iter()
            .any(|decided| matches!(decided, DecisionSource::Failure(_)));
        if verdict.reply.takes_out() && changed {
            warn!("{name}: {}, was {before}", verdict.reply);
        } else if (decider && (changed || !unknown)) || (changed && before.takes_out()) {
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

/// What a service knows from before the collector was started: the reply that is being said, and the
/// truths of the rules that are still the same.
fn remembered(
    service: &Service,
    known: Option<&ServiceStatus>,
    overridden: bool,
    directory: &Path,
    boot: &BootId,
    now: BootTime,
) -> ServiceMemory {
    let unknown = ServiceStatus::default();
    let known = known.unwrap_or(&unknown);
    // What an override or `on_stop` had said is not what rules and weight led to.
    let last = match known.memory.last() {
        None if overridden => None,
        None => state_file::current_reply(directory, &service.name, boot, now),
        last => last,
    };
    let last = last.map(|reply| reply.described(Description::NONE));
    known.memory.restored(service, &known.rules, last, now)
}

fn rule_statuses(service: &Service, memory: &ServiceMemory) -> Vec<RuleStatus> {
    let rule_states = memory.rule_states.iter().copied();
    service
        .rules
        .iter()
        .zip(rule_states.chain(std::iter::repeat(None)))
        .map(|(rule, truth)| RuleStatus {
            name: rule.name.clone(),
            when: rule.when.text().to_owned(),
            active: truth.map(|truth| truth.active),
            observed_at: truth.map(|truth| truth.observed_at.0),
            pending_since: truth
                .and_then(|truth| truth.pending_since)
                .map(|since| since.0),
        })
        .collect()
}
