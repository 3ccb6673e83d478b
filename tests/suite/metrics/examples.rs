//! `examples/monitoring`: each alert fires when it should, and every metric in alerts, dashboard and documents
//! exists.

use super::series::value;
use agentcheck_tests::address::Block;
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::processes::{run, wait_for};
use agentcheck_tests::prometheus::{promtool, scrape};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use serde_json::Value;
use std::collections::BTreeSet;

/// What others show: `node_exporter` and `HAProxy`'s exporter; that the last is so is seen below.
const OTHERS: [&str; 4] = [
    "node_textfile_mtime_seconds",
    "node_textfile_scrape_error",
    "haproxy_server_status",
    "haproxy_server_weight",
];

/// Newer than the `HAProxy` here.
const NEWER: &str = "haproxy_server_agent_status";

fn read(file: &str) -> String {
    std::fs::read_to_string(workspace().join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of all that the collector shows, with the parts of those that have parts.
fn exported_metrics() -> BTreeSet<String> {
    let golden = read("collector/src/status/metrics/golden.prom");
    let lines = golden.lines();
    let types = lines.filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let parts: &[&str] = match kind {
                "histogram" => &["", "_bucket", "_sum", "_count"],
                "summary" => &["", "_sum", "_count"],
                _ => &[""],
            };
            parts.iter().map(move |part| format!("{name}{part}"))
        })
        .collect()
}

/// Words in a text that have the form of a metric's name.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| {
        ["agentcheck_", "node_", "haproxy_"]
            .iter()
            .any(|prefix| word.starts_with(prefix) && word.len() > prefix.len())
    };
    // The program's name is no metric's.
    let metrics = words.filter(|word| ours(word) && *word != "node_exporter");
    metrics.map(str::to_owned).collect()
}

/// All strings in a document, wherever they are.
fn strings<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => strings(value, key, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| strings(value, key, found)),
        _ => {}
    }
}

#[test]
fn every_metric_named_in_documents_exists() {
    let exported = exported_metrics();
    let dashboard: Value =
        serde_json::from_str(&read("examples/monitoring/dashboard.json")).unwrap();
    let mut queries = Vec::new();
    for key in ["expr", "definition", "query"] {
        strings(&dashboard, key, &mut queries);
    }
    let queries = queries.join("\n");
    let alerts = read("examples/monitoring/alerts.yml");
    let stories = read("examples/monitoring/alerts_test.yml");
    let document = read("docs/monitoring.md");
    for (place, text) in [
        ("dashboard.json", &queries),
        ("alerts.yml", &alerts),
        ("alerts_test.yml", &stories),
        ("monitoring.md", &document),
    ] {
        let names = named(text);
        assert!(names.len() > 10, "{place}: {names:?}");
        for name in names {
            let known =
                exported.contains(&name) || OTHERS.contains(&name.as_str()) || name == NEWER;
            assert!(known, "{place} names {name}, which nobody shows");
        }
    }
    // And the other way round.
    for name in &exported {
        let documented = document.contains(&format!("| `{name}` |"));
        let part = ["_bucket", "_sum", "_count"]
            .iter()
            .any(|part| name.ends_with(part));
        assert!(documented || part, "{name} is not in docs/monitoring.md");
    }
}

/// What Grafana asks of a dashboard that is imported: a data source by a variable, no number of its own, panels that
/// do not lie over each other, and each query with a letter of its own.
#[test]
fn dashboard_has_the_fields_that_grafana_imports() {
    let dashboard: Value =
        serde_json::from_str(&read("examples/monitoring/dashboard.json")).unwrap();
    assert!(dashboard.get("id").is_none() && dashboard.get("uid").is_none());
    assert!(dashboard["schemaVersion"].is_u64() && dashboard["title"].is_string());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let kinds: Vec<&str> = variables
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["datasource", "query", "query"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(panel.get("id").is_none(), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title} is too far right");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies over another");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        let letters: BTreeSet<&str> = targets
            .iter()
            .map(|one| one["refId"].as_str().unwrap())
            .collect();
        assert!(
            !targets.is_empty() && letters.len() == targets.len(),
            "{title}"
        );
        for place in targets.iter().chain([panel]) {
            assert_eq!(place["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    assert!(panels.len() > 20);
}

/// By Prometheus's own tool. That it reads the dashboard's queries, too, needs them in a file of rules.
#[test]
fn promtool_accepts_alerts_and_queries() {
    let examples = workspace().join("examples/monitoring");
    let printed = run(promtool()
        .current_dir(&examples)
        .args(["check", "rules", "alerts.yml"]));
    let alerts = read("examples/monitoring/alerts.yml");
    let count = alerts.matches("- alert: ").count();
    assert!(
        printed.contains(&format!("SUCCESS: {count} rules found")),
        "{printed}"
    );
    run(promtool()
        .current_dir(&examples)
        .args(["test", "rules", "alerts_test.yml"]));
    let document = read("docs/monitoring.md");
    let stories = read("examples/monitoring/alerts_test.yml");
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in names {
        assert!(
            document.contains(&format!("| `{name}` |")),
            "{name} is not documented"
        );
        let fires = stories.matches(&format!("alertname: {name}\n")).count();
        assert_eq!(fires, 1, "{name} has no story in which it fires");
    }
    let dashboard: Value =
        serde_json::from_str(&read("examples/monitoring/dashboard.json")).unwrap();
    let mut queries = Vec::new();
    strings(&dashboard, "expr", &mut queries);
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (index, query) in queries.iter().enumerate() {
        // Grafana's own variables are durations.
        let query = query
            .replace("$__rate_interval", "1m")
            .replace("$__range", "1h");
        let query = serde_json::to_string(&query).unwrap();
        rules.push_str(&format!("  - record: query:{index}\n    expr: {query}\n"));
    }
    let scratch = Scratch::new("queries");
    let file = scratch.write("queries.yml", rules);
    let printed = run(promtool().args(["check", "rules"]).arg(file));
    assert!(
        printed.contains(&format!("SUCCESS: {} rules found", queries.len())),
        "{printed}"
    );
}

/// The claims of docs/monitoring.md about `HAProxy`'s exporter, on the real one.
#[test]
fn haproxy_exports_the_metrics_of_the_alerts() {
    let scratch = Scratch::new("promex");
    let block = Block::claim();
    let lines = [
        ("full", "up 73%"),
        ("drained", "up 0%"),
        ("broken", "down 100%"),
    ];
    let states = StateDirectory::at(scratch.directory("state"));
    let agent = block.agent();
    let servers = lines.map(|(name, line)| {
        states.set_reply(name, line);
        Server::new(name, block.address(80), agent).sending(&format!("{name}\\n"))
    });
    let _responder = Loop::start(&scratch, &states, &["--name-from-client"], &[agent]);
    let mut farm = Backend::new("farm", servers.to_vec());
    let metrics = block.address(8405);
    farm.frontend = Some(metrics);
    let service = "http-request use-service prometheus-exporter if { path /metrics }";
    farm.lines.push(service.to_owned());
    let _haproxy = Haproxy::start(&scratch, &[farm]);
    let text = wait_for("HAProxy to have polled all three", || {
        let text = scrape(metrics);
        let of = |what: &str, server: &str, more: &str| {
            let selector = format!("haproxy_server_{what}{{server=\"{server}\"{more}}}");
            value(&text, &selector)
        };
        let status = |server: &str, state: &str| {
            of("status", server, &format!(",state=\"{state}\"")) == Some(1.0)
        };
        let weight = |server: &str| of("weight", server, "");
        let received = status("full", "UP")
            && weight("full") == Some(73.0)
            && status("drained", "UP")
            && weight("drained") == Some(0.0)
            && status("broken", "DOWN");
        if received { Ok(text) } else { Err(text) }
    });
    let names = named(&text);
    for name in OTHERS.iter().filter(|name| name.starts_with("haproxy_")) {
        assert!(names.contains(*name), "{name}");
    }
    if Haproxy::version() < (2, 7) {
        assert!(
            !names.contains(NEWER),
            "docs/monitoring.md marks it as newer"
        );
    }
}
