//! Explains an evaluation in lines for people: readings, expressions, rules, the stages of the weight and the
//! reply, with their numbers. Pure.

mod stages;

use crate::config::{Config, DerivedInput, Input, Rule, Service, SourceId, Weight};
use crate::decision::decide::Decision;
use crate::decision::evaluate::{
    DecisionSource, EvalContext, RuleState, ServiceMemory, Undecided, Verdict,
};
use crate::expression::{Expression, Scope, Type};
use crate::filters::derive;
use crate::reading::{Content, Reading};
use crate::render::text::{counted, number, span};
use crate::status::snapshot::ServiceStatus;
use agentcheck_common::{BootTime, Description};
use std::time::Duration;

/// The origin of the memory that an evaluation started with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// A running collector; the age of its snapshot.
    Running(Duration),
    /// A collector that ended on this boot.
    Stopped,
    /// No memory.
    Empty,
}

/// An evaluation with its inputs.
pub struct Evaluation<'e> {
    /// The configuration.
    pub config: &'e Config,
    /// The service.
    pub service: &'e Service,
    /// The polls, each with the index of its source, in order of time.
    pub readings: &'e [(SourceId, Reading)],
    /// The context of the evaluation.
    pub context: &'e EvalContext<'e>,
    /// The memory before it.
    pub before: &'e ServiceMemory,
    /// The origin of that memory.
    pub origin: Origin,
    /// The service's part of the status snapshot.
    pub snapshot: Option<&'e ServiceStatus>,
    /// The result, without overrides.
    pub decision: &'e Decision,
    /// When it was evaluated.
    pub now: BootTime,
}

/// A label and a text for each line. The texts contain text of applications that is not printable.
pub type Lines = Vec<(&'static str, String)>;

impl Evaluation<'_> {
    /// The explanation.
    #[must_use]
    pub fn lines(&self) -> Lines {
        let mut lines = vec![("memory", self.memory())];
        self.sources(&mut lines);
        self.derived(&mut lines);
        self.rules(&mut lines);
        self.weight(&mut lines);
        self.reply(&mut lines);
        self.collector(&mut lines);
        lines
    }

    fn memory(&self) -> String {
        match self.origin {
            Origin::Running(ago) => format!(
                "from the collector, {} ago: averages, steps, timers and rule states",
                span(ago)
            ),
            Origin::Stopped => {
                "from a collector that has ended; a new collector continues from it".to_owned()
            }
            Origin::Empty => {
                "none, no running collector: averages, steps and timers start now".to_owned()
            }
        }
    }

    fn sources(&self, lines: &mut Lines) {
        for id in self.config.polled_for(self.service) {
            let Some(source) = self.config.sources.get(id.0) else {
                continue;
            };
            let polls = self.readings.iter().filter(|(polled, _)| *polled == id);
            for (at, (_, reading)) in polls.enumerate() {
                let again = if at > 0 { " again" } else { "" };
                let text = format!("{}{again}: {}", source.name, poll_text(reading));
                lines.push(("source", text));
                let needed = source.debounce.fail_after;
                if !reading.is_ok() && needed.required > 1 {
                    let text = format!(
                        "{}: counts at once here; the collector needs {needed} failed polls (fail_after)",
                        source.name
                    );
                    lines.push(("", text));
                }
            }
        }
    }

    fn derived(&self, lines: &mut Lines) {
        for input in &self.service.inputs {
            let Some(Input::Derived(derived)) = self.config.input(*input) else {
                continue;
            };
            let value = format!("{}.value", derived.name);
            let value = Expression::compile(&value, Type::Number, &self.config.environment());
            let value = value.map_or_else(|_| "?".to_owned(), |value| self.value(&value));
            let from = match &derived.input {
                DerivedInput::Number(of, None) => of.text().to_owned(),
                DerivedInput::Number(of, Some(derive::Aggregation::Rate(_))) => {
                    format!("the rise of {} per second, between two polls", of.text())
                }
                DerivedInput::Number(of, _) => format!(
                    "from {} in this poll only; the collector uses its whole window",
                    of.text()
                ),
                DerivedInput::Rate(..) | DerivedInput::Histogram(..) => {
                    "between two polls; the collector uses its whole window".to_owned()
                }
            };
            lines.push(("derived", format!("{} = {value}, {from}", derived.name)));
        }
    }

    fn rules(&self, lines: &mut Lines) {
        let decided = self.verdict().map(|verdict| &verdict.decided);
        for (index, rule) in self.service.rules.iter().enumerate() {
            let before = self.before.rule_states.get(index).copied().flatten();
            let after = self
                .decision
                .memory
                .rule_states
                .get(index)
                .copied()
                .flatten();
            let decides =
                matches!(decided, Some(DecisionSource::Rule { index: of, .. }) if *of == index);
            let decides = if decides { "; it decides" } else { "" };
            let state = self.state(rule, before, after);
            lines.push(("rule", format!("{}: {state}{decides}", rule.name)));
            let waits = !rule.enter_after.is_zero() || !rule.clear_after.is_zero();
            if before.is_none() && (waits || rule.clear_when.is_some()) {
                let text =
                    "previous state unknown: for, clear_for and clear_when start from inactive";
                lines.push(("", text.to_owned()));
            }
        }
    }

    fn state(&self, rule: &Rule, before: Option<RuleState>, after: Option<RuleState>) -> String {
        let was_active = before.is_some_and(|before| before.active);
        let (name, condition) = match &rule.clear_when {
            Some(clear_when) if was_active => ("clear_when", clear_when),
            _ => ("when", &rule.when),
        };
        let scope = self.context.scope;
        let value = match condition.truth(scope) {
            Ok(value) => value.to_string(),
            Err(unknown) => format!("unknown, {unknown}"),
        };
        let used = used_values(condition, scope);
        let condition = format!("{name} {} is {value}{used}", condition.text());
        let Some(after) = after else {
            return format!("unknown: {condition}");
        };
        let active = match (after.active, was_active) {
            (true, true) => "still active",
            (true, false) => "active",
            (false, true) => "no longer active",
            (false, false) => "inactive",
        };
        let waits = after.pending_since.map(|since| {
            let delay = if after.active {
                rule.clear_after
            } else {
                rule.enter_after
            };
            let (passed, delay) = (span(self.now.since(since)), span(delay));
            format!(", for {passed} of {delay}")
        });
        format!("{active}: {condition}{}", waits.unwrap_or_default())
    }

    fn weight(&self, lines: &mut Lines) {
        let decided = self.verdict().map(|verdict| &verdict.decided);
        let asked = matches!(decided, Some(DecisionSource::Weight(_)));
        let not = if asked {
            ""
        } else {
            "; the weight is not used"
        };
        match &self.service.weight {
            Weight::Full => lines.push(("weight", format!("100, no weight is configured{not}"))),
            Weight::Expression(weight) => {
                let used = used_values(weight, self.context.scope);
                let value = self.value(weight);
                lines.push(("weight", format!("{} = {value}{used}{not}", weight.text())));
            }
            Weight::Capacity(capacity) => {
                for (name, expression) in [
                    ("rate", Some(&capacity.rate)),
                    ("utilization", Some(&capacity.utilization)),
                    ("errors", capacity.errors.as_ref()),
                ] {
                    let Some(expression) = expression else {
                        continue;
                    };
                    let value = self.value(expression);
                    lines.push((
                        "capacity",
                        format!("{name}: {} = {value}", expression.text()),
                    ));
                }
                let full = number(capacity.terms.reference_rate);
                let exponent = capacity.terms.headroom_exponent;
                let factor = match exponent > 0.0 {
                    true => format!(" * (1 - utilization)^{}", number(exponent)),
                    false => String::new(),
                };
                let text = format!("100 * rate / (utilization + failing) / {full}{factor}{not}");
                lines.push(("weight", text));
            }
        }
        if let Some(DecisionSource::Weight(weighed)) = decided {
            stages::push_stages(self.service, self.before, weighed, self.now, lines);
        }
        if let Some(limit) = &self.service.maxconn {
            let total = self.value(&limit.total);
            let shared = counted(usize::try_from(limit.balancers).unwrap_or(0), "balancer");
            let text = format!("{} = {total}, over {shared}", limit.total.text());
            lines.push(("maxconn", text));
        }
    }

    fn verdict(&self) -> Option<&Verdict> {
        let last = self.decision.final_decision.as_ref();
        last.map(|last| &last.verdict)
    }

    fn value(&self, expression: &Expression) -> String {
        expression
            .number(self.context.scope)
            .map_or_else(|unknown| format!("unknown, {unknown}"), number)
    }

    fn reply(&self, lines: &mut Lines) {
        let Some(last) = &self.decision.final_decision else {
            let text = "none: no rule and no weight is known, and there is no reply to keep";
            lines.push(("reply", text.to_owned()));
            lines.extend(
                self.decision
                    .unknown
                    .as_ref()
                    .and_then(|why| self.masked(why)),
            );
            return;
        };
        let verdict = &last.verdict;
        if let DecisionSource::Failure(why) = &verdict.decided {
            lines.push(("failure", format!("{}; on_failure decides", why.reason)));
            lines.extend(self.masked(why));
        }
        if let DecisionSource::Rule {
            kept: Some(why), ..
        } = &verdict.decided
        {
            lines.push(("", format!("unknown now, so its last state counts: {why}")));
        }
        lines.push(("reply", verdict.reply.to_string()));
        let fresh = span(verdict.until.since(self.now));
        let then = last.plan.then;
        lines.push((
            "fresh",
            format!("for {fresh}; if nothing renews it, HAProxy then gets: {then}"),
        ));
    }

    /// The true rule that does not decide, and the unknown rule that blocks it.
    fn masked(&self, why: &Undecided) -> Option<(&'static str, String)> {
        let name = |index: usize| self.service.rules.get(index).map(|rule| &rule.name);
        let (unknown, masked) = why.masked?;
        let (unknown, masked) = (name(unknown)?, name(masked)?);
        let text = format!(
            "rule {masked} is true and does not decide: rule {unknown} before it is unknown"
        );
        Some(("", text))
    }

    /// The collector's reply, compared with this evaluation.
    fn collector(&self, lines: &mut Lines) {
        let (Origin::Running(ago), Some(known)) = (self.origin, self.snapshot) else {
            return;
        };
        for over in known.overrides.iter().filter(|over| over.counts) {
            let text = format!(
                "{} by {}; without it, the reply above applies",
                over.action, over.by
            );
            lines.push(("override", text));
        }
        let words = |line: &str| {
            let reply = agentcheck_common::Reply::parse(line.as_bytes()).ok();
            reply.map(|reply| reply.with_description(Description::EMPTY))
        };
        let here = self.verdict().map(|verdict| verdict.reply);
        let here = here.map(|reply| reply.with_description(Description::EMPTY));
        let text = match &known.reply {
            None => "has no reply yet".to_owned(),
            Some(line) if words(line) == here => {
                format!("has the same reply, as of {} ago", span(ago))
            }
            Some(line) => format!(
                "has \"{line}\", as of {} ago, from other readings",
                span(ago)
            ),
        };
        lines.push(("collector", text));
        let known_rules = known
            .rules
            .iter()
            .map(|rule| (&rule.name[..], &rule.when[..]));
        let rules = self.service.rules.iter();
        if !known_rules.eq(rules.map(|rule| (&rule.name[..], rule.when.text()))) {
            let text = "uses other rules than this configuration: run agentcheck reload";
            lines.push(("", text.to_owned()));
        }
    }
}

/// The values of readings that an expression uses.
fn used_values(expression: &Expression, scope: &Scope<'_>) -> String {
    let values = expression.values_used(scope);
    let shown: Vec<String> = values
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    format!(" ({})", shown.join(", "))
}

/// The result of a poll in one line.
fn poll_text(reading: &Reading) -> String {
    let mut text = match &reading.outcome {
        Err(failure) => failure.to_string(),
        Ok(content) => match content {
            Content::Number(value) => format!("ok, {}", number(*value)),
            Content::Numbers(numbers) => {
                let parts = numbers.parts.iter();
                let parts = parts.map(|(name, part)| format!(", {name} {}", number(*part)));
                format!("ok, {}{}", number(numbers.value), parts.collect::<String>())
            }
            Content::Perf(values) => format!("ok, {}", counted(values.len(), "number")),
            Content::Json(_) => "ok, JSON".to_owned(),
            Content::Rows(_) => "ok, CSV".to_owned(),
            Content::Metrics(_) => "ok, metrics".to_owned(),
            Content::Text => "ok, text".to_owned(),
            Content::Nothing => "ok".to_owned(),
        },
    };
    if let Some(status) = reading.status {
        text.push_str(&format!(", HTTP status {status}"));
    }
    if let Some(exit) = reading.exit {
        text.push_str(&format!(", exit status {exit}"));
    }
    if let Some(body) = &reading.text {
        text.push_str(&format!(", {}", counted(body.len(), "byte")));
    }
    if reading.file.is_some_and(|file| !file.exists) {
        text.push_str(", no such file");
    }
    format!("{text}, in {}", span(reading.latency))
}

#[cfg(test)]
mod tests;
