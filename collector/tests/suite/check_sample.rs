//! `agentcheck check --sample`: the replies for a sample of readings, and the expressions that lack a value.

use crate::agentcheck_in;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, str};

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
        let arguments = [
            "check",
            "--config",
            "agentcheck.toml",
            "--sample",
            "sample.json",
        ];
        let printed = agentcheck_in(self.0.path(), &arguments);
        // The output of `check` without a sample comes first.
        let from = ["service web: up", "service web: no reply"]
            .iter()
            .find_map(|beginning| printed.find(beginning));
        printed[from.unwrap_or(0)..].to_owned()
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
    snapshot::check(
        &files.check(),
        &[],
        str![[r#"
service web: up 73% # app.msg-per-second=1890 (weight 73)
  rule stolen: false
  weight: 73
service api: up 80% # rps=0 load=20 app.limits.rps=100 (weight 80)
  weight: 80
exit status 0

"#]],
    );
}

#[test]
fn missing_values_are_pointed_out_in_the_expression() {
    let files = Files::new(
        "lacks",
        r#"{"app": {"json": {"msg-per-sec": 1890, "limits": {}}}, "cpu": {"value": 20},
            "exporter": {"error": "timeout"}}"#,
    );
    snapshot::check(
        &files.check(),
        &[],
        str![[r#"
service web: no reply: a failure, and no last reply to keep
  rule stolen: unknown, cpu.steal is unavailable
  weight: unknown, no key 'msg-per-second'
service api: up 1% # rps timeout (failure, rps timeout)
  weight: unknown, rps.value is unavailable
agentcheck.toml:22:20: error: no key 'msg-per-second'
22 | weight = "headroom(app.json['msg-per-second'], 7000)"
   |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^
agentcheck.toml:26:9: error: cpu.steal is unavailable
26 | when = "cpu.steal > 50"
   |         ^^^^^^^^^
agentcheck.toml:30:29: error: rps.value is unavailable
30 | weight = "app.ok ? headroom(rps.value + load.value, app.json.limits.rps) : 50"
   |                             ^^^^^^^^^
agentcheck: 3 errors with this sample
exit status 1

"#]],
    );
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
    let mut findings = String::new();
    for sample in [
        "[1]",
        r#"{"ap": {}}"#,
        r#"{"cpu": 3}"#,
        r#"{"cpu": {"value": 3, "stel": 4}}"#,
        r#"{"app": {"error": "gone"}}"#,
        r#"{"exporter": {"metrics": "<html>"}}"#,
    ] {
        let printed = Files::new("none", sample).check();
        let from = printed.find("sample.json: ").unwrap_or_default();
        assert!(printed.ends_with("exit status 1\n"), "{printed}");
        findings += &format!("{sample}\n{}\n", &printed[from..]);
    }
    snapshot::check(
        &findings,
        &[],
        str![[r#"
[1]
sample.json: error: not a JSON object of sources: invalid type: sequence, expected a map at line 1 column 0
exit status 1

{"ap": {}}
sample.json: error: unknown source "ap"
exit status 1

{"cpu": 3}
sample.json: error: source cpu: expected an object of fields, such as {"value": 3}
exit status 1

{"cpu": {"value": 3, "stel": 4}}
sample.json: error: source cpu: unknown field "stel"
exit status 1

{"app": {"error": "gone"}}
sample.json: error: source app: unknown error "gone"
exit status 1

{"exporter": {"metrics": "<html>"}}
sample.json: error: source exporter: malformed: not Prometheus text: line 1: there is no name
exit status 1


"#]],
    );
}

#[test]
fn byte_order_mark_of_a_sample_is_ignored() {
    let sample = r#"{"app": {"json": {"msg-per-second": 1890, "limits": {"rps": 100}}},
        "cpu": {"value": 20, "steal": 3.5}, "exporter": {"metrics": "requests_total 5\n"}}"#;
    let marked = format!("\u{feff}{sample}");
    let printed = Files::new("mark", &marked).check();
    assert_eq!(printed, Files::new("no-mark", sample).check());
    assert!(printed.ends_with("exit status 0\n"), "{printed}");
}
