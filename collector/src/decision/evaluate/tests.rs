//! Decisions that golden cases do not show: reasons without a verdict, `keep`, the clock, and derived numbers of
//! derived numbers.

use super::*;
use crate::config::Config;
use crate::decision::observations::Observations;
use crate::reading::{Content, Reading};
use std::path::Path;

const APP: &str = "[source.app.file]\npath = '/a'\nformat = 'json'\n";

fn at(seconds: u64) -> BootTime {
    BootTime(seconds * 1_000_000_000)
}

/// A collector of one service.
struct Collector {
    config: Config,
    observed: Observations,
    memory: ServiceMemory,
}

impl Collector {
    /// Of this configuration and the source `app`.
    fn new(text: &str) -> Self {
        Self::of(&format!("{text}\n{APP}")).0
    }

    /// Of a whole configuration, and its warnings.
    fn of(text: &str) -> (Self, Vec<String>) {
        let parsed = crate::config::parse(Path::new("t.toml"), text);
        let (config, report) = parsed.unwrap_or_else(|report| panic!("{report}"));
        let collector = Self {
            observed: Observations::new(&config, at(100)),
            config,
            memory: ServiceMemory::default(),
        };
        (collector, report.rendered)
    }

    /// Sets `clock.unix` at 100 s.
    fn set_clock(&mut self, unix: f64) {
        let zone = &self.config.timezone;
        self.observed.set_clock(zone, unix, at(100));
    }

    /// The outcome after a document of `app` at `seconds`; none is a failure.
    fn poll(&mut self, seconds: u64, document: Option<&str>) -> Outcome {
        let failure = crate::reading::Failure::new(Reason::Timeout, "");
        let mut reading = Reading::failed(at(seconds), Duration::ZERO, failure);
        if let Some(document) = document {
            reading.outcome = Ok(Content::Json(serde_json::from_str(document).unwrap()));
        }
        self.observed
            .take(crate::config::SourceId(0), reading, at(seconds));
        self.evaluate(seconds)
    }

    fn evaluate(&mut self, seconds: u64) -> Outcome {
        let context = self.observed.context(at(seconds));
        let service = &self.config.services[0];
        let outcome = evaluate(service, &context, &self.memory, at(seconds));
        self.memory = outcome.memory.clone();
        outcome
    }
}

fn reply(outcome: &Outcome) -> String {
    let verdict = outcome.verdict.as_ref();
    verdict.map_or_else(|| "none".to_owned(), |verdict| verdict.reply.to_string())
}

fn why(outcome: &Outcome) -> Option<&str> {
    outcome.unknown.as_ref().map(|why| why.reason.as_str())
}

#[test]
fn no_verdict_has_a_reason_from_the_first_poll() {
    let rule = "[[service.web.rule]]\nname = 'busy'\nwhen = 'app.json.queue'\nreply = 'floor'\n";
    let mut collector = Collector::new(&format!("[service.web]\nweight = 'app.json.w'\n{rule}"));
    let outcome = collector.poll(100, Some(r#"{"w": 50, "queue": 7}"#));
    assert_eq!(reply(&outcome), "none");
    let reason = why(&outcome);
    assert_eq!(reason, Some("expected true or false, found a number"));
    let outcome = collector.poll(101, Some(r#"{"w": true, "queue": false}"#));
    let reason = why(&outcome);
    assert_eq!(reason, Some("expected a number, found true or false"));
    let outcome = collector.poll(102, Some(r#"{"w": 50, "queue": false}"#));
    assert_eq!(
        (reply(&outcome).as_str(), why(&outcome)),
        ("up 50% # app.w=50", None)
    );
}

#[test]
fn keep_leaves_the_last_reply() {
    let rule = "[[service.web.rule]]\nname = 'unsure'\nwhen = 'app.json.unsure'\nreply = 'keep'\n\
                description = 'not sure'\n";
    let mut collector = Collector::new(&format!("[service.web]\nweight = 'app.json.w'\n{rule}"));
    let outcome = collector.poll(100, Some(r#"{"w": 50, "unsure": true}"#));
    assert_eq!(
        why(&outcome),
        Some("rule unsure keeps the reply, and there is none")
    );
    collector.poll(101, Some(r#"{"w": 50, "unsure": false}"#));
    let outcome = collector.poll(102, Some(r#"{"w": 90, "unsure": true}"#));
    assert_eq!(reply(&outcome), "up 50% # not sure");
    let outcome = collector.poll(103, Some(r#"{"w": 90, "unsure": false}"#));
    assert_eq!(reply(&outcome), "up 90% # app.w=90");
}

#[test]
fn ceiling_can_exceed_100_percent() {
    let mut collector = Collector::new("[service.web]\nweight = 'app.json.w'\nceiling = 256\n");
    assert_eq!(
        reply(&collector.poll(100, Some(r#"{"w": 180.5}"#))),
        "up 180% # app.w=180.5"
    );
    assert_eq!(
        reply(&collector.poll(101, Some(r#"{"w": 300}"#))),
        "up 256% # app.w=300"
    );
}

#[test]
fn connection_limit_of_a_decimal_is_exact() {
    let mut collector = Collector::new(
        "[service.web]\nmaxconn = '(1 - app.json.load) * 1000'\nmaxconn_normal = 5\n",
    );
    let outcome = collector.poll(100, Some(r#"{"load": 0.8}"#));
    assert!(
        reply(&outcome).starts_with("up 100% maxconn:200"),
        "{}",
        reply(&outcome)
    );
}

#[test]
fn clock_wakes_the_service() {
    let rule = |when: &str| {
        format!(
            "[service.web]\n[[service.web.rule]]\nname = 'night'\nwhen = '{when}'\nreply = 'drain'\n"
        )
    };
    let mut collector = Collector::new(&rule("clock.hour == 20 && clock.weekday == 1"));
    // 20:59:59 UTC, a Monday.
    collector.set_clock(1_796_072_399.0);
    let outcome = collector.poll(100, Some("{}"));
    assert_eq!(reply(&outcome), "up 0% # rule=night");
    assert_eq!(outcome.wake_at, at(101));
    let outcome = collector.poll(101, Some("{}"));
    assert_eq!(reply(&outcome), "up 100%");
    // The next minute is further away than the renewal of the reply.
    assert!(outcome.wake_at < at(161), "{outcome:?}");

    let mut collector = Collector::new(&rule("clock.unix >= 1796072402"));
    collector.set_clock(1_796_072_399.5);
    let outcome = collector.poll(100, Some("{}"));
    assert_eq!(reply(&outcome), "up 100%");
    assert_eq!(outcome.wake_at, BootTime(100_500_000_000));
    assert_eq!(
        reply(&collector.poll(103, Some("{}"))),
        "up 0% # rule=night"
    );
}

#[test]
fn derived_numbers_read_derived_numbers() {
    // In an order that is not that of evaluation.
    let mut collector = Collector::new(
        "[derive.busy]\nexpression = '100 - free.value'\n[derive.free]\nexpression = 'app.json.free * 10'\n\
         [derive.peak]\nexpression = 'busy.value'\nmax = '1m'\n\
         [service.web]\nweight = '100 - peak.value'\n[[service.web.rule]]\nname = 'full'\n\
         when = 'busy.value > 95'\nreply = 'floor'\n",
    );
    let outcome = collector.poll(100, Some(r#"{"free": 3}"#));
    assert_eq!(reply(&outcome), "up 30% # peak=70");
    let outcome = collector.poll(101, Some(r#"{"free": 5}"#));
    assert_eq!(reply(&outcome), "up 30% # peak=70");
    let outcome = collector.poll(102, Some(r#"{"free": 0.1}"#));
    assert_eq!(reply(&outcome), "up 1% # rule=full busy=99");
    let outcome = collector.poll(103, None);
    assert_eq!(reply(&outcome), "up 1% # rule=full kept: busy timeout");
}

/// Agents that people run, each with the most lines that its configuration may have (the source included), a document
/// of the application, and the reply.
#[test]
fn field_cases_need_few_lines() {
    for (most, text, document, expected) in [
        (
            10,
            r#"[source.app.file]
path = "/a"
format = "json"
[service.db]
weight = "100 - floor(app.json.conns * 100 / app.json.max)""#,
            r#"{"conns": 29, "max": 100}"#,
            "up 71% # app.conns=29 app.max=100",
        ),
        (
            8,
            r#"[service.web]
weight = "90"
[[service.web.rule]]
name = "move"
when = "clock.unix >= 1796070993 && clock.unix < 1796074593"
reply = "drain"
description = "planned move""#,
            "",
            "up 0% # planned move",
        ),
        (
            14,
            r#"[source.app.file]
path = "/a"
format = "json"
[service.web]
weight = "100"
[[service.web.rule]]
name = "checks"
when = "app.json.checks.exists(c, c.state != 'ok')"
reply = "down"
description = "{app.json.checks.filter(c, c.state != 'ok').map(c, c.name).join(', ')} failed""#,
            r#"{"checks": [{"name": "db", "state": "bad"}, {"name": "web", "state": "ok"}, {"name": "mq", "state": "late"}]}"#,
            "down 100% # db, mq failed",
        ),
        (
            12,
            r#"[source.app.file]
path = "/a"
format = "json"
[derive.behind]
expression = "app.json.best - int(app.json.result)"
[service.node]
weight = "behind.value <= 1 ? 100 : clamp(100 - 10 * behind.value, 1, 100)""#,
            r#"{"result": "0x1bc", "best": 448}"#,
            "up 60% # behind=4",
        ),
        (
            10,
            r#"[source.app.file]
path = "/a"
format = "json"
[derive.load]
expression = "100 * max(app.json.cpu, app.json.net)"
[service.web]
weight = "100 - load.value"
rule = [{ name = "b", when = "load.value > 95", clear_when = "load.value < 80", reply = "floor", description = "{load.value}" }]"#,
            r#"{"cpu": 0.29, "net": 0.1}"#,
            "up 71% # load=29",
        ),
        (
            8,
            r#"[source.app.file]
path = "/a"
format = "json"
[service.vip]
weight = "app.json.w"
rule = [{ name = "unchanged", when = "default(app.json.freeze, false)", reply = "keep" }]"#,
            r#"{"w": 40, "freeze": null}"#,
            "up 40% # app.w=40",
        ),
    ] {
        assert!(text.lines().count() <= most, "{text}");
        let (mut collector, warnings) = Collector::of(text);
        assert_eq!(warnings, [""; 0]);
        collector.set_clock(1_796_070_993.0);
        let outcome = match document {
            "" => collector.evaluate(100),
            document => collector.poll(100, Some(document)),
        };
        assert_eq!(reply(&outcome), expected, "{text}");
    }
}
