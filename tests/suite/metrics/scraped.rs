//! From real sources to what Prometheus scrapes.

use super::series::{all, value};
use agentcheck_tests::processes::{output, run, wait_for};
use agentcheck_tests::prometheus::{NodeExporter, promtool};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

/// This text of the application must not become a label, a line or a value.
const HOSTILE: &str = r#"{"msg-per-second": 1890, "state": "x\"} 1\nagentcheck_service_weight_ratio{service=\"web\"} 9"}"#;

fn configuration(scratch: &Scratch, url: &str) -> String {
    format!(
        r#"
[metrics]
textfile = {file:?}
interval = "1s"

[source.app.http]
url = "{url}"
format = "json"
interval = "200ms"

[source.queue.file]
path = {queue:?}
format = "number"
interval = "200ms"

[source.absent.file]
path = {absent:?}
interval = "200ms"

[service.web]
weight = "headroom(app.json['msg-per-second'], 7000)"
maxconn = 50
maxconn_normal = 200

[service.api]
weight = "headroom(app.json['msg-per-second'], 7000)"
[[service.api.rule]]
name = "backlog"
when = "queue.value > 100"
reply = "drain"
description = "{{app.json.state}}"

[service.db]

[service.mail]
weight = "absent.ok ? 100 : double(absent.text)"
on_failure = "down"
"#,
        file = scratch.file("state").join("agentcheck.prom"),
        queue = scratch.file("queue"),
        absent = scratch.file("absent"),
    )
}

#[test]
fn scraped_metrics_equal_status_json() {
    let mut scene = Scene::new("scraped");
    scene.serve(1890).set_response(200, HOSTILE);
    scene.put("queue", "120");
    let _ = scene.overrides();
    let url = scene.application().url();
    scene.configure(&configuration(&scene.scratch, &url));
    scene.start();
    for service in ["web", "api", "mail"] {
        scene.wait_for_reply(service, "");
    }
    let mut maint = scene.command(&["maint", "db", "--reason", "x\"} 1"]);
    run(maint.arg("--data-dir").arg(scene.data()));

    // As docs/monitoring.md has it: a link in the directory that node_exporter reads.
    let file = scene.states.path().join("agentcheck.prom");
    let textfiles = scene.scratch.directory("textfiles");
    std::os::unix::fs::symlink(&file, textfiles.join("agentcheck.prom")).unwrap();
    let exporter = NodeExporter::start(&scene.scratch, scene.block.address(9100), &textfiles);
    let scraped = wait_for("the override to be scraped", || {
        let text = exporter.scrape();
        let seen = value(&text, "agentcheck_service_override{service=\"db\"}");
        if seen == Some(1.0) && text.contains("refused\"") | text.contains("missing\"") {
            Ok(text)
        } else {
            Err(text)
        }
    });
    assert_eq!(value(&scraped, "node_textfile_scrape_error"), Some(0.0));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "another user reads it");

    let status = run(&mut scene.command(&["status", "--json"]));
    let status: Value = serde_json::from_str(&status).unwrap();
    compare(&scraped, &status);
    of_the_collector(&scraped);

    scene.process().signal(Signal::TERM);
    assert_eq!(scene.process().wait_for_exit().code(), Some(0));
    the_file_stays(&exporter, &file);
}

/// Each service and each source, against the JSON of `status`.
fn compare(scraped: &str, status: &Value) {
    let services = status["services"].as_object().unwrap();
    assert_eq!(services.len(), 4);
    for (name, service) in services {
        let of = |metric: &str| value(scraped, &format!("agentcheck_service_{metric}"));
        let plain = |metric: &str| of(&format!("{metric}{{service=\"{name}\"}}"));
        let percent = service["percent"].as_f64();
        let ratio = plain("weight_ratio").map(|ratio| (ratio * 100.0).round());
        assert_eq!(ratio, percent, "{name}");
        let states = ["up", "drain", "maint", "down"].map(|state| {
            let selector = format!("state{{service=\"{name}\",state=\"{state}\"}}");
            of(&selector).unwrap_or_else(|| panic!("{selector}"))
        });
        assert!(
            (states.iter().sum::<f64>() - 1.0).abs() < 1e-9,
            "{states:?}"
        );
        assert_eq!(states[0] < 1.0, service["out"].as_bool().unwrap(), "{name}");
        let decider = service["decided_by"].as_str().unwrap();
        for by in ["rule", "weight", "failure", "override"] {
            let selector = format!("decided_by{{service=\"{name}\",by=\"{by}\"}}");
            let expected = f64::from(u8::from(by == decider));
            assert_eq!(of(&selector), Some(expected), "{selector}");
        }
        let written = value(scraped, "agentcheck_written_timestamp_seconds").unwrap();
        let reading = plain("reading_timestamp_seconds").unwrap();
        let until = plain("fresh_until_timestamp_seconds").unwrap();
        // Nothing is written without news for as long as a reply is good.
        assert!(
            reading <= written && written < until,
            "{name}: {reading} {written} {until}"
        );
        let overrides = service["overrides"].as_array().unwrap();
        let gauge = plain("override").unwrap_or_default();
        assert_eq!(gauge > 0.0, !overrides.is_empty(), "{name}");
    }
    let one = |selector: &str| value(scraped, &format!("agentcheck_service_{selector}")).unwrap();
    let ones = [
        "state{service=\"web\",state=\"up\"}",
        "state{service=\"api\",state=\"drain\"}",
        "state{service=\"db\",state=\"maint\"}",
        "state{service=\"mail\",state=\"down\"}",
        "rule{service=\"api\",rule=\"backlog\"}",
        "override{service=\"db\",action=\"maint\"}",
    ];
    for selector in ones {
        assert_eq!(one(selector), 1.0, "{selector}");
    }
    assert_eq!(one("maxconn{service=\"web\"}"), 50.0);
    for (name, source) in status["sources"].as_object().unwrap() {
        let of = |metric: &str| {
            value(
                scraped,
                &format!("agentcheck_source_{metric}{{source=\"{name}\"}}"),
            )
        };
        let good = source["ok"].as_bool().unwrap();
        assert_eq!(of("up"), Some(f64::from(u8::from(good))), "{name}");
        assert_eq!(of("interval_seconds"), Some(0.2));
        assert!(of("poll_duration_seconds_count").unwrap() >= 1.0);
        assert_eq!(of("last_success_timestamp_seconds").is_some(), good);
        let failed = of("failures_total").unwrap_or_default();
        assert_eq!(failed > 0.0, !good, "{name}: {failed}");
    }
    let missing = "agentcheck_source_failures_total{source=\"absent\",reason=\"missing\"}";
    assert!(value(scraped, missing).unwrap() >= 1.0);
}

fn of_the_collector(scraped: &str) {
    let of = |metric: &str| value(scraped, &format!("agentcheck_{metric}")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(of(&format!("build_info{{version=\"{version}\"}}")), 1.0);
    assert_eq!(of("config_last_reload_successful"), 1.0);
    let evaluations = of("evaluation_duration_seconds_count");
    let within = of("evaluation_duration_seconds_bucket{le=\"+Inf\"}");
    assert!(evaluations > 0.0 && evaluations == within);
    assert_eq!(of("write_failures_total{file=\"state\"}"), 0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (started, written) = (of("start_time_seconds"), of("written_timestamp_seconds"));
    assert!(started < written && written <= now.as_secs_f64());
}

/// Its age shows Prometheus that the collector has ended. The file no longer changes, so the test compares it to the
/// letter, and checks it with Prometheus's own rules for names.
fn the_file_stays(exporter: &NodeExporter, file: &std::path::Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let scraped = exporter.scrape();
    let (ours, mut theirs) = (all(&text), all(&scraped));
    theirs.retain(|(name, _), _| name.starts_with("agentcheck_"));
    assert!(ours.len() > 80, "{text}");
    assert_eq!(ours, theirs);
    let stamp = std::fs::metadata(file).unwrap().modified().unwrap();
    let stamp = stamp.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let reported = value(&scraped, "node_textfile_mtime_seconds").unwrap();
    assert!((reported - stamp).abs() < 1.0, "{reported} {stamp}");
    let mut check = promtool();
    check.args(["check", "metrics"]);
    let child = check
        .stdin(Stdio::from(std::fs::File::open(file).unwrap()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = child.wait_with_output().unwrap();
    assert!(
        printed.status.success() && printed.stderr.is_empty(),
        "{printed:?}"
    );
    let refused = output(promtool().args(["check", "rules", "/dev/null/none"]));
    assert!(!refused.status.success(), "promtool accepts everything");
}
