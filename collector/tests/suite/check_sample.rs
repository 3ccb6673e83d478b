//! `agentcheck check --sample`: what a sample of readings would lead to, and where expressions lack a value.

use agentcheck_tests::scratch::Scratch;
use std::process::Command;

const CONFIGURATION: &str = r#"[source.app.http]
url = "http://127.0.0.1:8081/"
format = "json"

[source.cpu.system]
metric = "cpu"

[source.exporter.http]
url = "http://127.0.0.1:9100/metrics"
format = "prometheus"

[derive.load]
expression = "cpu.value"
ewma = "5s"

[derive.rps]
source = "exporter"
series = "requests_total"
rate = "1m"

[service.web]
weight = "headroom(app.json['msg-per-second'], 7000)"

[[service.web.rule]]
name = "stolen"
when = "cpu.steal > 50"
reply = "floor"

[service.api]
weight = "app.ok ? headroom(rps.value + load.value, app.json.limits.rps) : 50"
on_failure = "floor"
"#;

struct Files(Scratch);

impl Files {
    fn new(name: &str, sample: &str) -> Self {
        let scratch = Scratch::new(name);
        let _ = scratch.write("agentcheck.toml", CONFIGURATION);
        let _ = scratch.write("sample.json", sample);
        Self(scratch)
    }

    fn check(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_agentcheck"))
            .args([
                "check",
                "--config",
                "agentcheck.toml",
                "--sample",
                "sample.json",
            ])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        // What `check` says without a sample comes first.
        let from = ["service web: up", "service web: nothing"]
            .iter()
            .find_map(|beginning| printed.find(beginning));
        let from = from.unwrap_or(0);
        format!(
            "{}exit status {}\n",
            &printed[from..],
            output.status.code().unwrap()
        )
    }
}

#[test]
fn complete_sample_gives_every_reply() {
    let files = Files::new(
        "good",
        r#"{"app": {"json": {"msg-per-second": 1890, "limits": {"rps": 100}}},
            "cpu": {"value": 20, "steal": 3.5},
            "exporter": {"metrics": "requests_total 5\n"}}"#,
    );
    assert_eq!(
        files.check(),
        "service web: up 73% # app.msg-per-second=1890 (weight 73)\n  \
           rule stolen: false\n  \
           weight: 73\n\
         service api: up 80% # rps=0 load=20 app.limits.rps=100 (weight 80)\n  \
           weight: 80\n\
         exit status 0\n"
    );
}

#[test]
fn missing_values_are_pointed_out_in_the_expression() {
    let files = Files::new(
        "lacks",
        r#"{"app": {"json": {"msg-per-sec": 1890, "limits": {}}}, "cpu": {"value": 20},
            "exporter": {"error": "timeout"}}"#,
    );
    let printed = files.check();
    for expected in [
        "service web: nothing: a failure, and nothing to keep\n  rule stolen: unknown, cpu.steal is unavailable\n",
        "agentcheck.toml:22:20: error: no key 'msg-per-second'\n\
         22 | weight = \"headroom(app.json['msg-per-second'], 7000)\"\n   \
            |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^\n",
        "agentcheck.toml:26:9: error: cpu.steal is unavailable\n",
        "agentcheck.toml:30:29: error: rps.value is unavailable\n\
         30 | weight = \"app.ok ? headroom(rps.value + load.value, app.json.limits.rps) : 50\"\n   \
            |                             ^^^^^^^^^\n",
        "agentcheck: 3 errors with this sample\nexit status 1\n",
    ] {
        assert!(printed.contains(expected), "{expected}\n--- in\n{printed}");
    }
}

/// A condition that is a number and a weight that is true or false, which only a reading shows.
#[test]
fn values_of_a_wrong_type_are_errors() {
    let scratch = Scratch::new("sample-types");
    let _ = scratch.write(
        "agentcheck.toml",
        "[source.app.http]\nurl = \"http://127.0.0.1:8081/\"\nformat = \"json\"\n\n[service.web]\n\
         weight = \"app.json.healthy\"\n\n[[service.web.rule]]\nname = \"busy\"\nwhen = \"app.json.queue\"\n\
         reply = \"floor\"\n\n[[service.web.rule]]\nname = \"errors\"\nwhen = \"app.json.errors != 0\"\n\
         reply = \"down\"\n",
    );
    let _ = scratch.write(
        "sample.json",
        r#"{"app": {"json": {"healthy": true, "queue": 5, "errors": "0"}}}"#,
    );
    let printed = Files(scratch).check();
    for expected in [
        "agentcheck.toml:6:11: error: expected a number, found true or false\n",
        "agentcheck.toml:10:9: error: expected true or false, found a number\n",
        "agentcheck.toml:15:9: error: cannot compare text with a number\n",
        "rule errors: unknown, cannot compare text with a number\n",
        "agentcheck: 3 errors with this sample\nexit status 1\n",
    ] {
        assert!(printed.contains(expected), "{expected}\n--- in\n{printed}");
    }
}

#[test]
fn wrong_samples_are_refused() {
    for (sample, wrong) in [
        ("[1]", "not a JSON object of sources: "),
        ("{\"ap\": {}}", "there is no source ap\n"),
        (
            "{\"cpu\": 3}",
            "source cpu: an object of fields, as in {\"value\": 3}\n",
        ),
        (
            "{\"cpu\": {\"value\": 3, \"stel\": 4}}",
            "source cpu: it has no stel\n",
        ),
        (
            "{\"app\": {\"error\": \"gone\"}}",
            "source app: gone is no reason\n",
        ),
        (
            "{\"exporter\": {\"metrics\": \"<html>\"}}",
            "source exporter: malformed: not Prometheus text: line 1",
        ),
    ] {
        let printed = Files::new("none", sample).check();
        let expected = format!("sample.json: error: {wrong}");
        assert!(printed.contains(&expected), "{sample}: {printed}");
        assert!(printed.ends_with("exit status 1\n"), "{printed}");
    }
}
