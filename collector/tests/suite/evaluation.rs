//! Golden cases of evaluation: each directory of tests/golden/evaluation has a configuration, the readings that
//! arrive and when, and the decisions that follow. A new case needs no code.
//!
//! `events` has one event a line: seconds since the boot, a source, and the result of its poll (`number 97`,
//! `json {...}`, `text ...`, `metrics name 1\\n`, `parts value=27 idle=73`, `file ...`, `no-file`, `status 503`,
//! `fail timeout`), or `wake` for an evaluation without news.

mod examples;

use crate::golden;
use agentcheck::config::{self, Config, Service};
use agentcheck::decision::evaluate::{DecisionSource, Outcome, ServiceMemory, Weighed, evaluate};
use agentcheck::decision::observations::Observations;
use agentcheck::decision::plan::plan;
use agentcheck::reading::{Content, Failure, FileFacts, Numbers, Reading, Reason};
use agentcheck::source::Format;
use agentcheck_common::BootTime;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const SECOND: f64 = 1e9;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small, positive numbers of a test
fn moment(seconds: &str) -> BootTime {
    BootTime((seconds.parse::<f64>().unwrap() * SECOND).round() as u64)
}

#[allow(clippy::cast_precision_loss)] // shown to a tenth of a second
fn seconds(time: BootTime) -> String {
    format!("{}", (time.0 as f64 / SECOND * 1000.0).round() / 1000.0)
}

fn reading(sent: BootTime, what: &str) -> Reading {
    let (kind, rest) = what.split_once(' ').unwrap_or((what, ""));
    let failed = |reason| {
        let failure = Failure::new(reason, "");
        Reading::failed(sent, Duration::from_secs(1), failure)
    };
    let facts = |exists: bool| {
        let mtime_age = exists.then_some(0.0);
        Some(FileFacts { exists, mtime_age })
    };
    let content = match kind {
        "number" => Content::Number(rest.parse().unwrap()),
        "json" => Content::Json(serde_json::from_str(rest).expect(rest)),
        "text" | "file" => Content::Text,
        "no-file" => Content::Nothing,
        "metrics" => Format::Prometheus
            .read(rest.replace("\\n", "\n").as_bytes())
            .expect(rest),
        "parts" => Content::Numbers(parts(rest)),
        "fail" => {
            let reason = Reason::ALL.iter().find(|reason| reason.word() == rest);
            return failed(*reason.expect(rest));
        }
        "status" => {
            return Reading {
                status: Some(rest.parse().unwrap()),
                ..failed(Reason::Status)
            };
        }
        other => panic!("no such event: {other}"),
    };
    Reading {
        sent,
        latency: Duration::from_millis(10),
        status: None,
        exit: None,
        text: (kind != "no-file").then(|| rest.to_owned()),
        file: match kind {
            "file" => facts(true),
            "no-file" => facts(false),
            _ => None,
        },
        outcome: Ok(content),
    }
}

/// The numbers of a system source: `value` and its parts.
fn parts(text: &str) -> Numbers {
    let mut numbers = Numbers {
        value: f64::NAN,
        parts: Vec::new(),
    };
    for part in text.split(' ') {
        let (name, number) = part.split_once('=').expect(text);
        let number = number.parse().unwrap();
        match ["user", "system", "idle", "iowait", "steal"]
            .into_iter()
            .find(|known| *known == name)
        {
            Some(name) => numbers.parts.push((name, number)),
            None => numbers.value = number,
        }
    }
    assert!(numbers.value.is_finite(), "{text} has no value");
    numbers
}

/// What the weight went through: only what changed it.
fn stages(weighed: &Weighed) -> String {
    let shaped = &weighed.shaped;
    let mut shown = format!("{:.3}", shaped.raw);
    let mut last = shaped.raw;
    for (stage, number) in [
        ("smoothed", shaped.smoothed),
        ("ramp", shaped.ramped),
        ("bounded", shaped.bounded),
        ("step", shaped.stepped),
    ] {
        if (number - last).abs() > 1e-9 {
            write!(shown, ", {stage} {number:.3}").unwrap();
        }
        last = number;
    }
    shown
}

/// A configuration, and what came of the events so far.
struct Player<'c> {
    config: &'c Config,
    names: Vec<String>,
    observed: Observations,
    memories: Vec<ServiceMemory>,
}

impl<'c> Player<'c> {
    fn new(config: &'c Config) -> Self {
        Self {
            config,
            names: config.names().map(str::to_owned).collect(),
            observed: Observations::new(config, BootTime(0)),
            memories: vec![ServiceMemory::default(); config.services.len()],
        }
    }

    /// What each service says after this event.
    fn play(&mut self, event: &str) -> Vec<(&'c Service, Outcome)> {
        let (at, what) = event.split_once(' ').unwrap();
        let now = moment(at);
        if what != "wake" {
            let (source, what) = what.split_once(' ').unwrap();
            let index = self.names.iter().position(|name| name == source);
            self.observed
                .take(index.expect(source), reading(now, what), now);
        }
        let context = self.observed.context(now);
        let mut outcomes = Vec::new();
        for (service, memory) in self.config.services.iter().zip(&mut self.memories) {
            let outcome = evaluate(service, &context, memory, now);
            *memory = outcome.memory.clone();
            assert!(outcome.wake_at > now, "waking in the past is a busy loop");
            if let Some(verdict) = &outcome.verdict {
                assert!(verdict.until > now);
            }
            outcomes.push((service, outcome));
        }
        outcomes
    }
}

/// The events of a file: all lines that are not comments.
fn events(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// Plays the events; gives what is said after each.
fn play(config: &Config, text: &str) -> String {
    let mut player = Player::new(config);
    let mut reported = String::new();
    for event in events(text) {
        writeln!(reported, "{event}").unwrap();
        for (service, outcome) in player.play(event) {
            let Some(verdict) = outcome.verdict else {
                let wake = seconds(outcome.wake_at);
                writeln!(reported, "  {}: nothing to say, wake {wake}", service.name).unwrap();
                continue;
            };
            let by = match &verdict.decided {
                DecisionSource::Rule { index, .. } => {
                    format!("rule {}", service.rules[*index].name)
                }
                DecisionSource::Weight(weighed) => format!("weight {}", stages(weighed)),
                DecisionSource::Failure(reason) => format!("failure, {reason}"),
                DecisionSource::Override(forced) => format!("override {}", forced.action),
            };
            let plan = plan(service, &verdict);
            writeln!(
                reported,
                "  {}: {} [{by}] until {}{} then {}, wake {}",
                service.name,
                verdict.reply,
                seconds(verdict.until),
                match plan.stages.get(1) {
                    Some(stage) => format!(" and {} {}", seconds(stage.until), stage.reply),
                    None => String::new(),
                },
                plan.then,
                seconds(outcome.wake_at)
            )
            .unwrap();
        }
    }
    reported
}

/// What the events of a directory lead to.
fn play_case(case: &Path) -> String {
    let (config, _) = config::load(&case.join("agentcheck.toml"))
        .unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let events = std::fs::read_to_string(case.join("events")).unwrap();
    play(&config, &events)
}

#[test]
fn readings_give_the_expected_decisions() {
    golden::all_as_expected("evaluation", 8, play_case);
}
