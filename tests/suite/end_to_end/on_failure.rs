//! An application that stops or hangs gets its `on_failure` reply. A newer reading of another source, the
//! processor, never replaces that: neither in a weight that uses both, nor in a last rule that is always true.

use agentcheck_tests::application::Application;
use agentcheck_tests::collector::Plan;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::now;
use std::fmt::Write as _;
use std::time::Duration;

/// The values of `on_failure`, and the reply of each. The last reply was `up 73%`.
const ANSWERS: [(&str, &str); 6] = [
    ("keep", "up 73% # kept: app REASON"),
    ("floor", "up 5% # app REASON"),
    ("drain", "up 0% # app REASON"),
    ("down", "down 100% # app REASON"),
    ("maint", "stopped 100% # maintenance app REASON"),
    ("up 11% maxconn:7", "up 11% maxconn:7 # app REASON"),
];

/// The two kinds of services, each with every answer, and their replies while the application works.
const KINDS: [(&str, &str); 2] = [
    ("weight", "up 73% # app.msg-per-second=1890"),
    ("rule", "up 73% # rule=alive cpu="),
];

/// What happens to the application.
type Failure<'f> = &'f dyn Fn(&mut Application);

/// One service.
struct Service {
    name: String,
    healthy: &'static str,
    failed: &'static str,
}

fn services() -> Vec<Service> {
    let kinds = KINDS.iter();
    kinds
        .flat_map(|(kind, healthy)| {
            let answers = ANSWERS.iter().enumerate();
            answers.map(move |(index, (_, failed))| Service {
                name: format!("{kind}{index}"),
                healthy,
                failed,
            })
        })
        .collect()
}

fn configuration(application: &Application) -> String {
    let mut text = format!(
        r#"
[source.app.http]
url = "{}"
format = "json"
interval = "200ms"
timeout = "1500ms"

[source.cpu.system]
metric = "cpu"
interval = "100ms"
timeout = "1s"
"#,
        application.url()
    );
    for (index, (on_failure, _)) in ANSWERS.iter().enumerate() {
        let common = format!("fresh_for = \"10s\"\nfloor = 5\non_failure = \"{on_failure}\"\n");
        // The processor never has less than 98 % left here.
        let _ = write!(
            text,
            r#"
[service.weight{index}]
weight = "min(headroom(app.json['msg-per-second'], 7000), headroom(cpu.value, 10000))"
{common}

[service.rule{index}]
{common}
[[service.rule{index}.rule]]
name = "maintenance"
when = "app.json.state == 'maint'"
reply = "maint"
[[service.rule{index}.rule]]
name = "alive"
when = "cpu.value >= 0.0"
raw_reply = "up 73%"
"#
        );
    }
    text
}

#[test]
fn failed_application_gets_its_on_failure_reply() {
    let mut scene = Scene::new("failures");
    let mut application = Application::start(scene.block.address(8081), 1890);
    scene.configure(&configuration(&application));
    scene.start();
    scene.respond(&["--name-from-client"]);
    let agent = scene.agent;
    let services = services();
    let mut wait_for_all = |what: &dyn Fn(&Service, &Plan) -> bool| {
        for service in &services {
            scene.wait_for_plan(&service.name, |plan| what(service, plan));
        }
    };
    let healthy = |service: &Service, plan: &Plan| plan.fresh.starts_with(service.healthy);
    wait_for_all(&healthy);
    let probers: Vec<_> = services
        .iter()
        .map(|service| {
            let question = format!("{}\n", service.name);
            Prober::start(Duration::from_millis(50), move || {
                probe(agent, question.as_bytes())
            })
        })
        .collect();

    let failures: [(&str, Failure<'_>); 4] = [
        ("refused", &Application::stop),
        ("timeout", &|application| application.hang()),
        ("status", &|application| application.set_response(503, "{}")),
        ("malformed", &|application| {
            application.set_response(200, "{\"msg-")
        }),
    ];
    for (reason, fail) in &failures {
        fail(&mut application);
        let failed = |service: &Service, plan: &Plan| plan.fresh == failure_reply(service, reason);
        wait_for_all(&failed);
        // The reply stays the same while the collector polls the processor five more times.
        for _ in 0..5 {
            let after = now();
            wait_for_all(&|service, plan| {
                assert_eq!(
                    plan.fresh,
                    failure_reply(service, reason),
                    "{}",
                    service.name
                );
                plan.from > after
            });
        }
        application.set_load(1890, "ok");
        application.restart();
        wait_for_all(&healthy);
    }

    let mut answers = 0;
    for (prober, service) in probers.into_iter().zip(&services) {
        let samples = prober.samples();
        answers += samples.len();
        let reasons = failures.iter().map(|(reason, _)| *reason);
        // What dies in the middle of an answer, or before it begins one, breaks a connection.
        let failed: Vec<_> = reasons
            .chain(["broken"])
            .map(|reason| failure_reply(service, reason))
            .collect();
        for sample in samples {
            let allowed = sample.line.starts_with(service.healthy) || failed.contains(&sample.line);
            assert!(allowed, "{}: {sample:?}", service.name);
        }
    }
    println!(
        "{answers} answers for {} services, all as configured",
        services.len()
    );
}

/// The reply of a service after this failure.
fn failure_reply(service: &Service, reason: &str) -> String {
    service.failed.replace("REASON", reason)
}
