//! The text to the letter (`golden.prom`; `SNAPSHOTS=overwrite` writes it), and what no name can do to it.

use super::render::STATES;
use super::*;
use crate::reading::prometheus::{Exposition, Selector};
use crate::simulation::replay;

fn sample() -> Metrics<'static> {
    let mut good = Polls::default();
    good.count(Duration::from_millis(20), None);
    good.count(Duration::from_millis(1000), Some(Reason::Timeout));
    good.count(Duration::from_millis(1000), Some(Reason::Timeout));
    good.count(Duration::from_millis(5), Some(Reason::TooLarge));
    good.count(Duration::from_millis(25), None);
    let mut bad = Polls::default();
    bad.count(Duration::from_micros(1500), Some(Reason::Refused));
    let mut evaluations = Durations::default();
    for took in [80, 100, 900, 2_000_000] {
        evaluations.count(Duration::from_micros(took));
    }
    let parsed = |line: &str| Reply::parse(line.as_bytes()).unwrap();
    let reply = |line, by| {
        Some(ReplyMetrics {
            reply: parsed(line),
            by,
            reading: 1_795_286_009.5,
        })
    };
    let source = |name, polls, polled, succeeded| SourceMetrics {
        name,
        interval: Duration::from_millis(2500),
        polls,
        last_poll_at: polled,
        last_success_at: succeeded,
    };
    let service = |name, reply| ServiceMetrics {
        name,
        reply,
        fresh_until: Some(1_795_286_020.25),
        rules: Vec::new(),
        overrides: Vec::new(),
        evaluations: 12,
        changes: 3,
    };
    Metrics {
        version: "1.2.3",
        started: 1_795_280_000.125,
        collected_at: 1_795_286_011.0,
        last_reload_succeeded: false,
        loaded_at: 1_795_280_000.0,
        override_faults: 1,
        write_failures: WriteFailures {
            state: 1,
            status: 2,
            history: 3,
            metrics: 4,
        },
        evaluations,
        sources: vec![
            source("app", good, Some(1_795_286_010.5), Some(1_795_286_010.5)),
            source("db", bad, Some(1_795_286_010.0), None),
            source("late", Polls::default(), None, None),
        ],
        services: vec![
            ServiceMetrics {
                rules: vec!["maintenance", "overload"],
                ..service("web", reply("up 73% maxconn:40 # x", DecidedBy::Weight))
            },
            ServiceMetrics {
                rules: vec!["maintenance", "overload"],
                ..service("api", reply("up 0%", DecidedBy::Rule(1)))
            },
            ServiceMetrics {
                overrides: vec![
                    OverrideMetrics {
                        action: "maint",
                        set_at: 1_795_000_000,
                    },
                    OverrideMetrics {
                        action: "limit",
                        set_at: 1_795_000_001,
                    },
                ],
                ..service(
                    "db",
                    reply("stopped 100% # maintenance", DecidedBy::Override),
                )
            },
            service("mail", reply("down 100%", DecidedBy::Failure)),
            ServiceMetrics {
                fresh_until: None,
                evaluations: 0,
                changes: 0,
                ..service("new", None)
            },
        ],
    }
}

#[test]
fn the_text_to_the_letter() {
    let text = render(&sample());
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/status/metrics/golden.prom"
    );
    agentcheck_tests::snapshot::compare(&text, std::path::Path::new(file)).unwrap();
}

#[test]
fn every_series_can_be_read_back() {
    let text = render(&sample());
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    let read = Exposition::parse(text).unwrap();
    assert_eq!(read.len(), lines);
    let value = |selector: &str| {
        let selector = selector.replace('\'', "\"");
        read.values(&[Selector::parse(&selector).unwrap()])
    };
    assert_eq!(
        value("agentcheck_service_weight_ratio{service='web'}"),
        [0.73]
    );
    assert_eq!(value("agentcheck_service_maxconn"), [40.0]);
    let states = |service: &str| -> Vec<f64> {
        let of = |state| format!("agentcheck_service_state{{service='{service}',state='{state}'}}");
        STATES.iter().flat_map(|state| value(&of(state))).collect()
    };
    assert_eq!(states("web"), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(states("api"), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(states("db"), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(states("mail"), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(states("new"), [0.0; 4]);
    let rule = "agentcheck_service_rule{service='api',rule='overload'}";
    assert_eq!(value(rule), [1.0]);
}

/// The configuration lets no such name in; the renderer does not rely on it.
#[test]
fn no_name_adds_a_line_or_a_label() {
    let hostile = "x\"} 1\nagentcheck_service_weight_ratio{service=\"web\"} 9\\";
    let mut metrics = sample();
    let ordinary = render(&metrics).lines().count();
    metrics.services[0].name = hostile;
    metrics.services[0].rules[0] = hostile;
    metrics.sources[0].name = hostile;
    let text = render(&metrics);
    assert_eq!(text.lines().count(), ordinary);
    let read = Exposition::parse(text).unwrap();
    let forged = Selector::parse("agentcheck_service_weight_ratio{service=\"web\"}").unwrap();
    assert_eq!(read.values(&[forged]), Vec::<f64>::new());
}

/// A label that comes and goes with what happens is one of a closed list: however long the collector runs,
/// there are no more series than the configuration makes.
#[test]
fn every_reason_and_every_state_is_in_its_list() {
    let mut polls = Polls::default();
    for reason in Reason::ALL {
        polls.count(Duration::ZERO, Some(*reason));
    }
    assert_eq!(polls.failures, Some(Box::new([1; Reason::ALL.len()])));
    for by in [
        DecidedBy::Rule(0),
        DecidedBy::Weight,
        DecidedBy::Failure,
        DecidedBy::Override,
    ] {
        assert!(DecidedBy::WORDS.contains(&by.word()));
    }
    for line in [
        "up 3%",
        "up 0%",
        "drain",
        "maint",
        "stopped",
        "fail",
        "down ready 100%",
    ] {
        let state = replay::state(&Reply::parse(line.as_bytes()).unwrap());
        assert!(STATES.contains(&state), "{line}: {state}");
    }
}
