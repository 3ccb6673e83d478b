//! Golden cases of evaluation: each directory of tests/golden/evaluation holds a configuration, the
//! readings that arrive and when, and the verdicts that follow. A new case needs no code;
//! `AGENTCHECK_BLESS=1` writes what is seen as what is expected, to be read before it is committed.
//!
//! `events` has one event a line: seconds since the boot, a source, and what came of its poll
//! (`number 97`, `json {...}`, `text ...`, `metrics name 1\\n`, `fail timeout`), or `wake` for an evaluation without news.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a test says what it expects in the shortest way

mod golden_cases;

use agentcheck::config::{self, Config};
use agentcheck::evaluate::{Decided, Memory, Weighed, evaluate};
use agentcheck::observe::Observed;
use agentcheck::plan::plan;
use agentcheck::reading::{Content, Failure, Reading, Reason};
use agentcheck::source::Format;
use agentcheck_common::BootTime;
use std::fmt::Write as _;
use std::time::Duration;

const SECOND: f64 = 1e9;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small, positive numbers of a test
fn moment(seconds: &str) -> BootTime {
    BootTime((seconds.parse::<f64>().unwrap() * SECOND).round() as u64)
}

#[allow(clippy::cast_precision_loss)] // shown to a tenth of a second
fn shown(time: BootTime) -> String {
    format!("{}", (time.0 as f64 / SECOND * 1000.0).round() / 1000.0)
}

fn reading(sent: BootTime, what: &str) -> Reading {
    let (kind, rest) = what.split_once(' ').unwrap_or((what, ""));
    let content = match kind {
        "number" => Content::Number(rest.parse().unwrap()),
        "json" => Content::Json(serde_json::from_str(rest).expect(rest)),
        "text" => Content::Text,
        "metrics" => Format::Prometheus
            .read(rest.replace("\\n", "\n").as_bytes())
            .expect(rest),
        "fail" => {
            let reason = [
                Reason::Timeout,
                Reason::Refused,
                Reason::Status,
                Reason::Malformed,
            ];
            let reason = reason.into_iter().find(|reason| reason.word() == rest);
            let failure = Failure::new(reason.expect(rest), "");
            return Reading::failed(sent, Duration::from_secs(1), failure);
        }
        other => panic!("no such event: {other}"),
    };
    Reading {
        sent,
        latency: Duration::from_millis(10),
        status: None,
        exit: None,
        text: Some(rest.to_owned()),
        file: None,
        outcome: Ok(content),
    }
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

/// Plays the events; gives what is said after each.
fn play(config: &Config, events: &str) -> String {
    let names: Vec<String> = config.names().map(str::to_owned).collect();
    let mut observed = Observed::new(config, BootTime(0));
    let mut memories = vec![Memory::default(); config.services.len()];
    let mut told = String::new();
    for event in events.lines().filter(|line| !line.starts_with('#')) {
        let (at, what) = event.split_once(' ').unwrap();
        let now = moment(at);
        if what != "wake" {
            let (source, what) = what.split_once(' ').unwrap();
            let index = names.iter().position(|name| name == source).unwrap();
            observed.take(index, reading(now, what), now);
        }
        writeln!(told, "{event}").unwrap();
        let world = observed.world(now);
        for (service, memory) in config.services.iter().zip(&mut memories) {
            let outcome = evaluate(service, &world, memory, now);
            *memory = outcome.memory;
            assert!(outcome.wake_at > now, "waking in the past is a busy loop");
            let Some(verdict) = outcome.verdict else {
                let wake = shown(outcome.wake_at);
                writeln!(told, "  {}: nothing to say, wake {wake}", service.name).unwrap();
                continue;
            };
            assert!(verdict.until > now);
            let by = match &verdict.decided {
                Decided::Rule { index, .. } => format!("rule {}", service.rules[*index].name),
                Decided::Weight(weighed) => format!("weight {}", stages(weighed)),
                Decided::Failure(reason) => format!("failure, {reason}"),
                Decided::Override(forced) => format!("override {}", forced.action),
            };
            let plan = plan(service, &verdict);
            writeln!(
                told,
                "  {}: {} [{by}] until {}{} then {}, wake {}",
                service.name,
                verdict.reply,
                shown(verdict.until),
                match plan.stages.get(1) {
                    Some(stage) => format!(" and {} {}", shown(stage.until), stage.reply),
                    None => String::new(),
                },
                plan.then,
                shown(outcome.wake_at)
            )
            .unwrap();
        }
    }
    told
}

#[test]
fn golden_cases() {
    golden_cases::all_as_expected("evaluation", 8, |case| {
        let (config, _) = config::load(&case.join("agentcheck.toml"))
            .unwrap_or_else(|error| panic!("{case:?}: {error}"));
        let events = std::fs::read_to_string(case.join("events")).unwrap();
        play(&config, &events)
    });
}
