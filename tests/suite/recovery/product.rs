//! The product on one host, without its threads, files and clock. Readings pass through the collector's own
//! configuration, evaluation, plan and state file, and the reply of the responder comes out. The collector can be
//! killed, restarted, and left alone for hours.

use super::policy::{Policy, TargetState};
use agentcheck::config::{Config, SourceId};
use agentcheck::decision::decide::{FinalDecision, decide};
use agentcheck::decision::evaluate::{ServiceMemory, Verdict};
use agentcheck::decision::observations::Observations;
use agentcheck::decision::plan::{Plan, stopping};
use agentcheck::overrides::Effective;
use agentcheck::reading::{Content, Failure, Reading, Reason};
use agentcheck::status::snapshot::{MemoryStatus, RuleStatus};
use agentcheck_common::schedule::{Schedule, encode};
use agentcheck_common::{BootId, BootTime, Description, Reply};
use std::sync::Arc;
use std::time::Duration;

/// One host.
pub(crate) struct Host {
    config: Arc<Config>,
    boot: BootId,
    /// The time.
    pub(crate) now: BootTime,
    /// The state file.
    file: Option<Vec<u8>>,
    /// What of the status snapshot a restarted collector reads.
    status: (MemoryStatus, Vec<RuleStatus>),
    collector: Option<Collector>,
}

struct Collector {
    observed: Observations,
    memory: ServiceMemory,
    verdict: Option<Verdict>,
    wake_at: BootTime,
}

/// A verdict was published: until when it is fresh.
pub(crate) struct Published {
    /// When.
    pub(crate) at: BootTime,
    /// When it stops being fresh.
    pub(crate) until: BootTime,
}

impl Host {
    /// A host whose collector has not been started yet.
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            config: Arc::clone(&policy.config),
            boot: BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap(),
            now: BootTime(1_000_000_000_000),
            file: None,
            status: Default::default(),
            collector: None,
        }
    }

    /// Whether the collector lives.
    pub(crate) fn lives(&self) -> bool {
        self.collector.is_some()
    }

    /// The collector is killed.
    pub(crate) fn crash(&mut self) {
        self.collector = None;
    }

    /// The machine is started again, so that neither state file nor snapshot are of this boot.
    pub(crate) fn reboot(&mut self) {
        self.crash();
        self.file = None;
        self.status = Default::default();
    }

    /// The collector is started, and continues from the files.
    pub(crate) fn start(&mut self) -> Vec<Published> {
        let last = self
            .current_reply()
            .map(|printed| printed.with_description(Description::EMPTY));
        let (memory, rules) = &self.status;
        self.collector = Some(Collector {
            observed: Observations::new(&self.config, self.now),
            memory: memory.restore(&self.config.services[0], rules, last, self.now),
            verdict: None,
            wake_at: self.now,
        });
        self.decide()
    }

    /// The collector stops.
    pub(crate) fn stop(&mut self) {
        let verdict = self
            .collector
            .take()
            .and_then(|collector| collector.verdict);
        let service = &self.config.services[0];
        if let Some(plan) = verdict.and_then(|verdict| stopping(service, &verdict, self.now)) {
            self.write(&plan);
        }
    }

    /// One poll of the application: a number, or a failure.
    pub(crate) fn poll(&mut self, outcome: Option<&TargetState>) -> Vec<Published> {
        let failure = Failure::new(Reason::Timeout, "");
        let mut reading = Reading::failed(self.now, Duration::ZERO, failure);
        if let Some(outcome) = outcome {
            reading.outcome = Ok(Content::Number(outcome.number()));
        }
        if let Some(collector) = &mut self.collector {
            collector.observed.take(SourceId(0), reading, self.now);
        }
        self.decide()
    }

    /// Time passes; the collector wakes when it asked to.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<Published> {
        let end = self.now.after(span);
        let mut published = Vec::new();
        while let Some(collector) = &self.collector
            && collector.wake_at <= end
        {
            self.now = self.now.max(collector.wake_at);
            published.extend(self.decide());
        }
        self.now = end;
        published
    }

    /// The reply of the responder now; `None` without a valid state file.
    pub(crate) fn current_reply(&self) -> Option<Reply> {
        let name = &self.config.services[0].name;
        let file = self.file.as_ref()?;
        let picked = Schedule::current_reply(file, name, &self.boot, self.now);
        let line = picked.expect("the collector writes what can be read").line;
        Some(Reply::parse(line).expect("a schedule holds replies"))
    }

    fn decide(&mut self) -> Vec<Published> {
        let service = &self.config.services[0];
        let Some(collector) = &mut self.collector else {
            return Vec::new();
        };
        let context = collector.observed.context(self.now);
        let overrides = Effective::default();
        let decision = decide(service, &context, &collector.memory, &overrides, self.now);
        assert!(
            decision.wake_at > self.now,
            "it would wake at once, for ever"
        );
        collector.memory = decision.memory;
        collector.wake_at = decision.wake_at;
        let rule_states = collector.memory.rule_states.iter().copied();
        let rules = service
            .rules
            .iter()
            .zip(rule_states.chain(std::iter::repeat(None)));
        let rules = rules.map(|(rule, truth)| RuleStatus {
            name: rule.name.clone(),
            when: rule.when.text().to_owned(),
            active: truth.map(|truth| truth.active),
            observed_at: truth.map(|truth| truth.observed_at.0),
            pending_since: truth
                .and_then(|truth| truth.pending_since)
                .map(|since| since.0),
        });
        self.status = (
            MemoryStatus::from_memory(&collector.memory),
            rules.collect(),
        );
        let Some(FinalDecision { verdict, plan }) = decision.final_decision else {
            return Vec::new();
        };
        let until = verdict.until;
        collector.verdict = Some(verdict);
        self.write(&plan);
        vec![Published {
            at: self.now,
            until,
        }]
    }

    fn write(&mut self, plan: &Plan) {
        let name = &self.config.services[0].name;
        let file = encode(name, &self.boot, self.now, &plan.stages, &plan.then);
        let file = file.unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        self.file = Some(file.as_bytes().to_vec());
    }
}
