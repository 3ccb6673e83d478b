//! Applications that could die unnoticed, and others.

use super::*;
use crate::config;
use std::path::Path;

const SOURCES: &str = r#"
[source.app.http]
url = "http://127.0.0.1:8081/stats"
format = "json"

[source.health.http]
url = "http://localhost:8081/healthz"

[source.port.tcp]
address = "[::1]:8081"

[source.db.tcp]
address = "db.example:5432"

[source.cpu.system]
metric = "cpu"

[source.slice.system]
metric = "cpu"
cgroup = "/system.slice/app.service"

[source.beat.file]
path = "/run/app/beat"
format = "none"
missing = "fail"

[source.flag.file]
path = "/run/app/flag"
format = "none"

[source.plugin.command]
argv = ["/bin/check"]
format = "nagios"

[derive.rise]
expression = "app.json.count"
rate = "10s"

"#;

/// The warnings for a service with these keys and rules, each `when -> reply`, without their remedies.
fn found(keys: &str, rules: &[&str]) -> Vec<String> {
    let mut text = format!("{SOURCES}[service.web]\n{keys}\n");
    for (number, rule) in rules.iter().enumerate() {
        let (when, rest) = rule.split_once(" -> ").unwrap();
        let (reply, more) = rest.split_once(", ").unwrap_or((rest, ""));
        text.push_str(&format!(
            "[[service.web.rule]]\nname = \"r{number}\"\nwhen = '''{when} '''\nreply = \"{reply}\"\n{more}\n"
        ));
    }
    let (config, _) =
        config::parse(Path::new("web.toml"), &text).unwrap_or_else(|report| panic!("{report}"));
    let found = find(&config);
    found
        .iter()
        .map(|found| found.message().to_owned())
        .collect()
}

fn unnoticed(keys: &str, rules: &[&str]) -> Vec<String> {
    let words = |message: String| {
        let (_, rest) = message.split_once("when ").unwrap();
        let (dead, _) = rest.split_once(": ").unwrap();
        dead.replace(" fails", "")
    };
    found(keys, rules).into_iter().map(words).collect()
}

const NOBODY: [&str; 0] = [];

#[test]
fn a_guard_without_a_rule_for_the_failure() {
    assert_eq!(
        found("", &["app.ok && app.json.queue > 100 -> floor"]),
        ["web keeps its full weight when app fails: rule \"r0\" is inactive then"]
    );
    let two = [
        "app.ok && app.json.queue > 100 -> floor",
        "cpu.value > 95 -> floor",
    ];
    assert_eq!(unnoticed("", &two), ["app"]);
    // The machine is idle when the application is dead.
    assert_eq!(
        unnoticed("weight = 'headroom(cpu.value, 100)'", &two),
        ["app"]
    );
    for guard in [
        "app.ok ? app.json.queue > 100 : false",
        "!(!app.ok || app.json.queue < 100)",
        "app.error == '' && app.json.queue > 100",
        "app.age < 60 && app.json.queue > 100",
        "app.ok && app.json.queue > 100 || cpu.value > 95",
        "rise.ok && rise.value > 100",
    ] {
        assert_eq!(
            unnoticed("", &[&format!("{guard} -> drain")]),
            ["app"],
            "{guard}"
        );
    }
}

#[test]
fn failure_with_an_effect_is_no_finding() {
    let guarded = "app.ok && app.json.queue > 100 -> floor";
    for answer in [
        "!app.ok -> down",
        "!app.ok -> full",
        "app.age > 300 -> drain",
        "!app.ok -> down, for = \"30d\"",
        "app.error != '' -> maint",
        "app.json.state == 'x' -> maint",
        "!app.ok && cpu.value < 5 -> down",
        "!app.ok && !db.ok -> down",
        "!health.ok -> down",
        "app.ok ? app.json.n > 3 : cpu.value > 50 -> floor",
    ] {
        assert_eq!(unnoticed("", &[guarded, answer]), NOBODY, "{answer}");
    }
    for keys in [
        "weight = 'headroom(app.json.n, 10)'",
        "weight = 'app.ok ? 100 : 50'",
        "maxconn = 'app.json.workers'\nmaxconn_normal = 100",
    ] {
        assert_eq!(unnoticed(keys, &[guarded]), NOBODY, "{keys}");
    }
    assert_eq!(unnoticed("", &["app.json.queue > 100 -> floor"]), NOBODY);
}

#[test]
fn a_failure_of_one_kind_alone() {
    let rules = [
        "app.ok && app.json.queue > 100 -> floor",
        "app.error == 'refused' -> down",
    ];
    assert_eq!(unnoticed("", &rules), ["app (timeout, status)"]);
    let rules = ["app.latency > 0.5 -> floor"];
    assert_eq!(unnoticed("", &rules), ["app (refused, status)"]);
    // The port of a program that hangs takes connections.
    let rules = [
        "app.ok && app.json.queue > 100 -> floor",
        "!port.ok -> down",
    ];
    assert_eq!(unnoticed("", &rules), ["app (timeout, status)"]);
    // Another application does not show that this one died.
    let rules = ["app.ok && app.json.queue > 100 -> floor", "!db.ok -> down"];
    assert_eq!(unnoticed("", &rules), ["app"]);
}

#[test]
fn a_weight_that_is_full_then() {
    assert_eq!(
        found("weight = 'app.ok ? headroom(app.json.n, 10) : 100'", &[]),
        ["web keeps its full weight when app fails: the weight is 100% then"]
    );
    assert_eq!(
        unnoticed("weight = 'app.ok ? 50 : 100'", &["!app.ok -> down"]),
        NOBODY
    );
    assert_eq!(
        unnoticed("weight = 'app.ok || db.ok ? 100 : 1'", &[]),
        NOBODY
    );
    // A weight that only a rule gives is not given without it.
    assert_eq!(
        unnoticed("weight = '1'", &["app.ok && app.json.primary -> full"]),
        NOBODY
    );
}

#[test]
fn source_of_no_application_is_no_finding() {
    assert_eq!(
        unnoticed("", &["cpu.ok && cpu.value > 95 -> floor"]),
        NOBODY
    );
    assert_eq!(unnoticed("", &["flag.ok && flag.exists -> maint"]), NOBODY);
    assert_eq!(
        unnoticed("", &["slice.ok && slice.value > 95 -> floor"]),
        ["slice"]
    );
    assert_eq!(
        unnoticed("", &["beat.exists && beat.mtime_age > 60 -> down"]),
        ["beat"]
    );
    assert_eq!(unnoticed("", &["beat.mtime_age > 60 -> down"]), NOBODY);
    assert_eq!(
        unnoticed("", &["plugin.ok && plugin.exit == 2 -> down"]),
        ["plugin"]
    );
    assert_eq!(unnoticed("", &["plugin.exit == 2 -> down"]), NOBODY);
}

#[test]
fn each_application_once() {
    let rules = [
        "app.ok && app.json.queue > 100 -> floor",
        "health.ok && health.text != 'fine' -> floor",
        "plugin.ok && plugin.exit == 2 -> floor",
    ];
    assert_eq!(unnoticed("", &rules), ["app", "plugin"]);
    let warnings = found("", &rules);
    assert!(
        warnings[0].ends_with("rules \"r0\", \"r1\" are inactive then"),
        "{warnings:?}"
    );
}
