use super::*;
use crate::config::{self, SourceId};
use crate::decision::decide::decide;
use crate::decision::observations::Observations;
use crate::overrides::Effective;
use std::path::Path;

const SECOND: u64 = 1_000_000_000;

const CONFIGURATION: &str = r#"
[source.app.file]
path = "/load"
format = "json"
fail_after = "3 of 5"

[source.cpu.system]
metric = "cpu"

[service.web]
weight = "headroom(app.json.load, 100)"
ewma = "5s"
ramp = "1m"
max_rise = 2
dead_band = 3
ceiling = 90

[[service.web.rule]]
name = "busy"
when = "cpu.value > 95"
clear_when = "cpu.value < 80"
for = "10s"
reply = "floor"
"#;

fn reading(outcome: Result<Content, crate::reading::Failure>, sent: BootTime) -> Reading {
    let nothing = crate::reading::Failure::new(crate::reading::Reason::Other, "");
    Reading {
        outcome,
        ..Reading::failed(sent, Duration::from_millis(3), nothing)
    }
}

/// The lines for a load and a CPU, a hundred seconds after the boot.
fn explanation(load: Option<f64>, cpu: f64, before: &ServiceMemory, origin: Origin) -> String {
    explanation_of(CONFIGURATION, load, cpu, before, origin)
}

fn explanation_of(
    text: &str,
    load: Option<f64>,
    cpu: f64,
    before: &ServiceMemory,
    origin: Origin,
) -> String {
    let (config, _) = config::parse(Path::new("test"), text).unwrap();
    let now = BootTime(100 * SECOND);
    let document = load.map(|load| Content::Json(serde_json::json!({ "load": load })));
    let gone = crate::reading::Failure::new(crate::reading::Reason::Missing, "no such file");
    let readings = [
        (SourceId(0), reading(document.ok_or(gone), now)),
        (SourceId(1), reading(Ok(Content::Number(cpu)), now)),
    ];
    let mut without_debounce = config.clone();
    for source in &mut without_debounce.sources {
        source.debounce = crate::filters::debounce::DebouncePolicy::default();
    }
    let mut observed = Observations::new(&without_debounce, now);
    for (source, reading) in &readings {
        observed.take(*source, reading.clone(), now);
    }
    let context = observed.context(now);
    let service = &config.services[0];
    let decision = decide(service, &context, before, &Effective::default(), now);
    let evaluation = Evaluation {
        config: &config,
        service,
        readings: &readings,
        context: &context,
        before,
        origin,
        snapshot: None,
        decision: &decision,
        now,
    };
    let lines = evaluation.lines();
    lines
        .iter()
        .skip(1)
        .map(|(label, text)| format!("{label}: {text}\n"))
        .collect()
}

#[test]
fn every_stage_is_shown_with_its_numbers() {
    let truth = RuleState {
        active: false,
        observed_at: BootTime(99 * SECOND),
        pending_since: Some(BootTime(96 * SECOND)),
    };
    let mut before = ServiceMemory {
        rule_states: vec![Some(truth)],
        ..ServiceMemory::default()
    };
    before.shape.smoothed = Some((60.0, BootTime(95 * SECOND)));
    before.shape.ramp = Some(BootTime(70 * SECOND));
    before.shape.stepped = Some((20.0, BootTime(95 * SECOND)));
    before.shape.last_percent = Some(20);
    let origin = Origin::Running(Duration::from_secs(1));
    // 60 + (80 - 60) * (1 - 1/e) = 72.64; half of the ramp; two points a second for five seconds.
    assert_eq!(
        explanation(Some(20.0), 97.5, &before, origin),
        "source: app: ok, JSON, in 3ms\n\
         source: cpu: ok, 97.50, in 3ms\n\
         rule: busy: inactive: when cpu.value > 95 is true (cpu=97.50), for 4.0s of 10s\n\
         weight: headroom(app.json.load, 100) = 80 (app.load=20)\n\
         ewma: 80 -> 72.64, over 5.0s: average was 60, 5.0s ago\n\
         ramp: 72.64 -> 36.32, 30s of 1m since the return\n\
         bounds: 36.32, floor 1%, ceiling 90%\n\
         step: 36.32 -> 30, at most +2 and -any per second\n\
         rounded: 30, dead band 3, last reply 20%\n\
         reply: up 30% # ramp app.load=20\n\
         fresh: for 21s; if nothing renews it, HAProxy then gets: up 30% # stale\n"
    );
}

#[test]
fn capacity_and_headroom_are_stages_of_their_own() {
    let (sources, _) = CONFIGURATION.split_once("[service.web]").unwrap();
    let text = format!(
        "{sources}[service.web]\nsudden_fall = 30\n[service.web.capacity]\nrate = \"app.json.load\"\n\
         utilization = \"cpu.value / 100\"\nreference_rate = 200\nheadroom_exponent = 2\n"
    );
    let mut before = ServiceMemory::default();
    before.capacity.since = Some(BootTime(50 * SECOND));
    before.capacity.seen = Some(BootTime(98 * SECOND));
    before.capacity.held = Some((60.0, BootTime(98 * SECOND)));
    before.shape.smoothed = Some((40.0, BootTime(98 * SECOND)));
    let origin = Origin::Running(Duration::from_secs(1));
    // 50 per second at half of the utilization are half of the reference; a half is free.
    let lines = explanation_of(&text, Some(50.0), 50.0, &before, origin);
    let expected = "capacity: rate: app.json.load = 50\n\
         capacity: utilization: cpu.value / 100 = 0.5000\n\
         weight: 100 * rate / (utilization + failing) / 200 * (1 - utilization)^2\n\
         : measured: 50\n\
         headroom: 50 -> 12.50, free share^2 is 0.2500\n\
         ewma: 12.50, over 5.0s: average was 40, 2.0s ago; a sudden fall replaces it\n\
         bounds: 12.50, floor 1%, ceiling 100%\n\
         rounded: 12.50 -> 12\n";
    assert!(lines.contains(expected), "{lines}");
}

#[test]
fn active_rule_shows_clear_when() {
    let truth = RuleState {
        active: true,
        observed_at: BootTime(99 * SECOND),
        pending_since: None,
    };
    let before = ServiceMemory {
        rule_states: vec![Some(truth)],
        ..ServiceMemory::default()
    };
    let text = explanation(Some(20.0), 85.0, &before, Origin::Stopped);
    assert!(
        text.contains(
            "rule: busy: still active: clear_when cpu.value < 80 is false (cpu=85); it decides\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(
            "= 80 (app.load=20); the weight is not used\nreply: up 1% # rule=busy cpu=85\n"
        ),
        "{text}"
    );
}

#[test]
fn missing_memory_is_reported() {
    let text = explanation(None, 97.5, &ServiceMemory::default(), Origin::Empty);
    for expected in [
        "source: app: missing: no such file, in 3ms\n\
         : app: counts at once here; the collector needs 3 of 5 failed polls (fail_after)\n",
        "for 0ms of 10s\n: previous state unknown",
        "weight: headroom(app.json.load, 100) = unknown, app.json is unavailable; the weight is not used\n\
         reply: none: no rule and no weight is known, and there is no reply to keep\n",
    ] {
        assert!(text.contains(expected), "{expected}\n--- in\n{text}");
    }
}
