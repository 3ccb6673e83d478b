//! Golden cases of decisions: each directory of tests/golden/evaluation has a configuration, a story, and the
//! decisions that follow. A new case needs no code.
//!
//! `story.jsonl` has one JSON object a line: a poll as in a recording (`{"t":2,"source":"app","reading":{...}}`,
//! `t` in seconds since the boot), an override that an operator sets or ends
//! (`{"t":3,"set":{"scope":"web","action":"drain","for":60}}`, `{"t":9,"end":{...}}`, the scope is a service or
//! `@all`), the wall clock (`{"t":1,"clock":1796070993}`), or a time alone, `{"t":10}`, for a decision without news.
//! Lines with `#` are comments.

mod examples;
mod small;

use crate::golden;
use agentcheck::config::{self, Config, Service, SourceId};
use agentcheck::decision::decide::{Decision, FinalDecision, decide};
use agentcheck::decision::evaluate::{DecisionSource, ServiceMemory, Weighed};
use agentcheck::decision::observations::Observations;
use agentcheck::overrides::{
    self, Action, Effective, Kind, Moment, Now, Override, OverrideStage, Scope,
};
use agentcheck::reading::Reading;
use agentcheck::simulation::fields;
use agentcheck_common::{BootId, BootTime};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const SECOND: f64 = 1e9;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small, positive numbers of a test
pub(crate) fn moment(seconds: f64) -> BootTime {
    BootTime((seconds * SECOND).round() as u64)
}

#[allow(clippy::cast_precision_loss)] // printed to a tenth of a second
fn seconds(time: BootTime) -> String {
    format!("{}", (time.0 as f64 / SECOND * 1000.0).round() / 1000.0)
}

/// One line of a story.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// Seconds since the boot.
    pub(crate) t: f64,
    /// A poll of this source arrives, with this reading, as in a recording.
    pub(crate) source: Option<String>,
    pub(crate) reading: Option<Value>,
    /// Seconds since 1970, from now on.
    clock: Option<f64>,
    /// An operator sets an override.
    set: Option<Order>,
    /// An operator ends the override of this kind.
    end: Option<Order>,
}

/// An override, for the service or `@all`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    scope: String,
    action: Action,
    /// For how many seconds.
    #[serde(rename = "for")]
    span: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// What the weight went through: only what changed it.
fn stages(weighed: &Weighed) -> String {
    let shaped = &weighed.shaped;
    let mut printed = format!("{:.3}", shaped.raw);
    let mut last = shaped.raw;
    for (stage, number) in [
        ("smoothed", shaped.smoothed),
        ("ramp", shaped.ramped),
        ("bounded", shaped.bounded),
        ("step", shaped.stepped),
    ] {
        if (number - last).abs() > 1e-9 {
            write!(printed, ", {stage} {number:.3}").unwrap();
        }
        last = number;
    }
    printed
}

/// A configuration, and its state after the lines so far.
pub(crate) struct Player<'c> {
    config: &'c Config,
    observed: Observations,
    memories: Vec<ServiceMemory>,
    overrides: BTreeMap<(String, Kind), Override>,
}

impl<'c> Player<'c> {
    pub(crate) fn new(config: &'c Config) -> Self {
        Self {
            config,
            observed: Observations::new(config, BootTime(0)),
            memories: vec![ServiceMemory::default(); config.services.len()],
            overrides: BTreeMap::new(),
        }
    }

    /// Polls a source at `t` seconds; the decisions after it.
    pub(crate) fn poll(
        &mut self,
        t: f64,
        source: &str,
        reading: &Value,
    ) -> Vec<(&'c Service, Decision)> {
        let now = moment(t);
        let sources = &self.config.sources;
        let index = sources.iter().position(|known| known.name == source);
        let index = index.expect(source);
        let reading = fields::reading(&sources[index], reading, now).unwrap();
        self.observed.take(SourceId(index), reading, now);
        self.decide(now)
    }

    /// Plays a line of a story; the decisions after it.
    fn play(&mut self, line: &str) -> Vec<(&'c Service, Decision)> {
        let line = Line::parse(line);
        if let (Some(source), Some(reading)) = (&line.source, &line.reading) {
            return self.poll(line.t, source, reading);
        }
        let now = moment(line.t);
        if let Some(unix) = line.clock {
            self.observed.set_clock(&self.config.timezone, unix, now);
        }
        self.order(line);
        self.decide(now)
    }

    /// Takes a reading, without a decision.
    pub(crate) fn take(&mut self, source: SourceId, reading: Reading) {
        let now = reading.sent;
        self.observed.take(source, reading, now);
    }

    /// Sets or ends the override of a line.
    pub(crate) fn order(&mut self, line: Line) {
        let now = moment(line.t);
        if let Some(order) = line.set {
            let key = (order.scope.clone(), order.action.kind());
            self.overrides.insert(key, order.at(now));
        }
        if let Some(order) = line.end {
            self.overrides.remove(&(order.scope, order.action.kind()));
        }
    }

    /// The decision of each service.
    pub(crate) fn decide(&mut self, now: BootTime) -> Vec<(&'c Service, Decision)> {
        let context = self.observed.context(now);
        let boot = boot();
        let clocks = Now {
            boot: &boot,
            at: now,
            wall: now.0 / 1_000_000_000,
        };
        let mut decisions = Vec::new();
        for (service, memory) in self.config.services.iter().zip(&mut self.memories) {
            let active = self.overrides.iter().filter_map(|((scope, _), order)| {
                let scope = match scope.as_str() {
                    "@all" => Scope::All,
                    name if name == service.name.as_str() => Scope::Service,
                    _ => return None,
                };
                order.active(scope, false, &clocks)
            });
            let decision = decide(service, &context, memory, &Effective::of(active), now);
            *memory = decision.memory.clone();
            assert!(decision.wake_at > now, "waking in the past is a busy loop");
            if let Some(last) = &decision.final_decision {
                assert!(last.verdict.until > now);
            }
            decisions.push((service, decision));
        }
        decisions
    }
}

impl Line {
    pub(crate) fn parse(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

impl Order {
    fn at(&self, now: BootTime) -> Override {
        let moment = |at: BootTime| Moment {
            boot: boot().to_string(),
            at: at.0,
            wall: at.0 / 1_000_000_000,
        };
        let end = self
            .span
            .map(|span| moment(now.after(Duration::from_secs(span))));
        Override {
            version: overrides::VERSION,
            id: "1".to_owned(),
            set: moment(now),
            stages: vec![OverrideStage {
                action: self.action,
                until: None,
                end,
            }],
            reason: self.reason.clone(),
            by: "ann".to_owned(),
        }
    }
}

fn boot() -> BootId {
    BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
}

/// The lines of a story: all that are not comments.
fn lines(story: &str) -> impl Iterator<Item = &str> {
    story.lines().filter(|line| !line.starts_with('#'))
}

/// Plays a story; its lines, each with the decisions after it.
fn play(config: &Config, story: &str) -> String {
    let mut player = Player::new(config);
    let mut reported = String::new();
    for line in lines(story) {
        writeln!(reported, "{line}").unwrap();
        for (service, decision) in player.play(line) {
            let wake = seconds(decision.wake_at);
            let Some(FinalDecision { verdict, plan }) = decision.final_decision else {
                writeln!(reported, "  {}: no reply yet, wake {wake}", service.name).unwrap();
                continue;
            };
            let by = match &verdict.decided {
                DecisionSource::Rule { index, .. } => {
                    format!("rule {}", service.rules[*index].name)
                }
                DecisionSource::Weight(weighed) => format!("weight {}", stages(weighed)),
                DecisionSource::Failure(why) => format!("failure, {}", why.reason),
                DecisionSource::Override(forced) => format!("override {}", forced.action),
            };
            writeln!(
                reported,
                "  {}: {} [{by}] until {}{} then {}, wake {wake}",
                service.name,
                verdict.reply,
                seconds(verdict.until),
                match plan.stages.get(1) {
                    Some(stage) => format!(" and {} {}", seconds(stage.until), stage.reply),
                    None => String::new(),
                },
                plan.then,
            )
            .unwrap();
        }
    }
    reported
}

/// Plays the story of a directory.
fn play_case(case: &Path) -> String {
    let (config, _) = config::load(&case.join("agentcheck.toml"))
        .unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let story = std::fs::read_to_string(case.join("story.jsonl")).unwrap();
    play(&config, &story)
}

#[test]
fn readings_give_the_expected_decisions() {
    golden::all_as_expected("evaluation", 8, play_case);
}
