//! `agentcheck status` and `agentcheck explain` beside a real collector and a real application: alive, killed,
//! stopped, unresponsive, of another boot; on a terminal and elsewhere.

mod terminal;

use crate::{AGENTCHECK, agentcheck};
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scene::{Scene, stderr, stdout};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, str};
use agentcheck_tests::state::{boot_id, now};
use rustix::process::Signal;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A collector, and an application with 1890 messages a second. `more` are keys of the service `web`.
fn started(test: &str, more: &str) -> Scene {
    let mut scene = Scene::of(test, AGENTCHECK);
    let url = scene.serve(1890).url();
    scene.configure(&format!(
        r#"
[source.app.http]
url = "{url}"
format = "json"
interval = "200ms"

[derive.rise]
expression = "app.json['msg-per-second']"
rate = "10s"

[service.web]
weight = "headroom(app.json['msg-per-second'] + rise.value, 7000)"
{more}

[[service.web.rule]]
name = "maint"
when = "app.json.state == 'maint'"
reply = "maint"
"#
    ));
    scene.start();
    wait_for_status(&scene, "up 73%");
    scene
}

fn command(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = scene.command(arguments);
    command.stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

fn run(scene: &Scene, arguments: &[&str]) -> Output {
    command(scene, arguments).output().unwrap()
}

fn explain(scene: &Scene) -> String {
    let mut command = command(scene, &["explain", "web"]);
    command.arg("--config").arg(&scene.configuration);
    text_of(&command.output().unwrap())
}

fn wait_for_status(scene: &Scene, wanted: &str) -> String {
    wait_for(wanted, || {
        let status = text_of(&run(scene, &["status"]));
        if status.contains(wanted) {
            Ok(status)
        } else {
            Err(status)
        }
    })
}

/// Waits until monitoring gets this; returns its line.
fn wait_for_check(scene: &Scene, exit: i32, wanted: &str) -> String {
    wait_for(wanted, || {
        let output = run(scene, &["status", "--check"]);
        let line = text_of(&output);
        let right = output.status.code() == Some(exit) && line.contains(wanted);
        if right { Ok(line) } else { Err(line) }
    })
}

fn text_of(output: &Output) -> String {
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn status_follows_failure_maintenance_and_death() {
    let mut scene = started("seeing", "fresh_for = \"4s\"");
    let alive = wait_for_status(&scene, "collector: running");
    assert!(!alive.contains('\x1b'), "{alive:?}");
    // The age comes from status.json, which is written a moment after the state file.
    let line = wait_for_check(&scene, 0, " web_weight=73%;;;0 web_age=");
    let ok = "AGENTCHECK OK: collector running; 1 service fresh | services=1;";
    assert!(line.starts_with(ok), "{line}");
    let detailed = text_of(&run(&scene, &["status", "web"]));
    assert!(
        detailed.contains("app: ok, HTTP status 200, in "),
        "{detailed}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&run(&scene, &["status", "--json"]).stdout).unwrap();
    assert_eq!(json["services"]["web"]["percent"], 73);
    let unknown = run(&scene, &["status", "wbe"]);
    assert_eq!(unknown.status.code(), Some(1));
    snapshot::check(
        &text_of(&unknown),
        &[],
        str![[r#"
agentcheck: no service wbe; services: web

"#]],
    );
    let unknown = run(&scene, &["status", "--check", "wbe"]);
    assert_eq!(unknown.status.code(), Some(3));

    scene.application().stop();
    let line = wait_for_check(&scene, 1, "AGENTCHECK WARNING: ");
    assert!(
        line.contains("web: on_failure decides: app refused"),
        "{line}"
    );
    assert!(line.contains("source app: refused"), "{line}");
    let explained = explain(&scene);
    assert!(
        explained.contains("\nfailure    app refused; on_failure decides\n"),
        "{explained}"
    );

    scene.application().restart();
    scene.application().set_load(1890, "maint");
    wait_for_check(&scene, 2, "AGENTCHECK CRITICAL: web: out: stopped 100%");
    scene.application().set_load(1890, "ok");
    wait_for_check(&scene, 0, "OK");

    scene.kill();
    let stopped = wait_for_status(&scene, "collector: not running");
    assert!(stopped.contains("up 73%"), "{stopped}");
    wait_for_check(&scene, 2, "collector not running; web: stale for");
    let stale = text_of(&run(&scene, &["status"]));
    assert!(stale.contains("s stale"), "{stale}");
    // Another one continues.
    scene.start();
    wait_for_status(&scene, "collector: running");
    scene.process().signal(Signal::TERM);
    assert!(scene.process().wait_for_exit().success());
    wait_for_check(&scene, 2, "collector not running");
}

#[test]
fn status_shows_an_unresponsive_collector_and_foreign_snapshots() {
    let mut scene = started("seeing-silent", "fresh_for = \"10m\"");
    scene.process().signal(Signal::STOP);
    let silent = wait_for_status(&scene, "collector: unresponsive");
    assert!(silent.contains("up 73%"), "{silent}");
    wait_for_check(&scene, 1, "WARNING: collector unresponsive: last update");
    scene.kill();

    let status = scene.states.path().join("status.json");
    let written = std::fs::read_to_string(&status).unwrap();
    std::fs::write(&status, "{").unwrap();
    let output = run(&scene, &["status"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text_of(&output);
    assert!(
        text.contains("up 73%") && text.contains("status.json is not a status snapshot"),
        "{text}"
    );
    assert_eq!(run(&scene, &["status", "--check"]).status.code(), Some(3));

    let boot = boot_id().to_string();
    let other = boot.replace(|digit: char| digit.is_ascii_hexdigit(), "7");
    std::fs::write(&status, written.replace(&boot, &other)).unwrap();
    let file = format!(
        "agentcheck 1 web\nboot {other}\nfrom {}\nthen down\n",
        now()
    );
    scene.states.write_file("web", file.as_bytes());
    let text = text_of(&run(&scene, &["status"]));
    assert!(
        text.contains("collector: not running; the status snapshot is from another boot"),
        "{text}"
    );
    assert!(text.contains("other-boot:web (no-op)"), "{text}");
    wait_for_check(
        &scene,
        2,
        "collector not running since the boot; web: no valid reply (other-boot:web)",
    );

    let output = agentcheck(&["status", "--check", "--state-dir", "/nowhere"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text_of(&output).starts_with("AGENTCHECK UNKNOWN: cannot read state directory /nowhere: ")
    );
}

#[test]
fn unknown_log_level_is_an_error() {
    let scratch = Scratch::new("log-level");
    let file = scratch.write("agentcheck.toml", "[service.web]\n");
    let output = Command::new(AGENTCHECK)
        .args(["collect", "--config"])
        .arg(&file)
        .arg("--state-dir")
        .arg(scratch.path())
        .env("AGENTCHECK_LOG", "foo")
        .output()
        .unwrap();
    assert_eq!(
        stderr(output),
        "agentcheck: invalid AGENTCHECK_LOG \"foo\": write error, warn, info or debug\n"
    );
}

/// A true rule behind an unknown one does not decide: `explain` names both, with and without a reply.
#[test]
fn explain_names_the_unknown_rule_that_blocks() {
    let scratch = Scratch::new("masked");
    let rules = |service: &str| {
        format!(
            "[[service.{service}.rule]]\nname = \"state\"\nwhen = \"app.json.state == 'maint'\"\nreply = \"maint\"\n\
             [[service.{service}.rule]]\nname = \"slow\"\nwhen = \"app.latency >= 0\"\nreply = \"down\"\n"
        )
    };
    let file = scratch.write(
        "agentcheck.toml",
        format!(
            "[source.app.file]\npath = \"/nowhere/app\"\nformat = \"json\"\n[service.web]\n{}\
             [service.api]\non_failure = \"floor\"\n{}",
            rules("web"),
            rules("api")
        ),
    );
    for (service, reply) in [
        ("web", "reply   none: "),
        ("api", "reply    up 1% # app missing"),
    ] {
        let (file, states) = (file.to_str().unwrap(), scratch.path().to_str().unwrap());
        let explained = stdout(agentcheck(&[
            "explain",
            service,
            "--config",
            file,
            "--state-dir",
            states,
        ]));
        assert!(explained.contains(reply), "{explained}");
        assert!(
            explained.contains(
                "rule slow is true and does not decide: rule state before it is unknown\n"
            ),
            "{explained}"
        );
    }
}

#[test]
fn explain_works_with_and_without_a_collector() {
    let mut scene = started("seeing-why", "ewma = \"5s\"\nfloor = 2");
    let explained = wait_for("the collector to agree", || {
        let explained = explain(&scene);
        if explained.contains("collector  has the same reply") {
            Ok(explained)
        } else {
            Err(explained)
        }
    });
    snapshot::check(
        &explained,
        &scene.variables(),
        str![[r#"
memory     from the collector, [AGO] ago: averages, steps, timers and rule states
source     app: ok, JSON, HTTP status 200, 39 bytes, in [TIME]
source     app again: ok, JSON, HTTP status 200, 39 bytes, in [TIME]
derived    rise = 0, the rise of app.json['msg-per-second'] per second, between two polls
rule       maint: inactive: when app.json.state == 'maint' is false (app.state='ok')
weight     headroom(app.json['msg-per-second'] + rise.value, 7000) = 73 (app.msg-per-second=1890, rise=0)
ewma       73, over 5.0s: average was 73, [AGO] ago
bounds     73, floor 2%, ceiling 100%
rounded    73
reply      up 73% # app.msg-per-second=1890 rise=0
fresh      for [..]; if nothing renews it, HAProxy then gets: up 73% # stale
collector  has the same reply, as of [AGO] ago

"#]],
    );
    scene.kill();
    let states = scene.states.clone();
    let files = || {
        let entries = std::fs::read_dir(states.path()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            // The collector's socket has no content.
            let is_file = entry.file_type().unwrap().is_file();
            let content = is_file.then(|| std::fs::read(entry.path()).unwrap());
            (entry.file_name(), content)
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    };
    let before = files();
    assert!(explain(&scene).contains("memory   from a collector that has ended"));
    assert_eq!(files(), before);
    for (name, _) in before {
        std::fs::remove_file(scene.states.path().join(name)).unwrap();
    }
    scene
        .application()
        .set_response(200, r#"{"msg-per-second": 0, "state": "\u001b[31m\n"}"#);
    let explained = explain(&scene);
    snapshot::check(
        &explained,
        &scene.variables(),
        str![[r#"
memory   none, no running collector: averages, steps and timers start now
source   app: ok, JSON, HTTP status 200, 46 bytes, in [TIME]
source   app again: ok, JSON, HTTP status 200, 46 bytes, in [TIME]
derived  rise = 0, the rise of app.json['msg-per-second'] per second, between two polls
rule     maint: inactive: when app.json.state == 'maint' is false (app.state='?[31m?')
weight   headroom(app.json['msg-per-second'] + rise.value, 7000) = 100 (app.msg-per-second=0, rise=0)
ewma     100, over 5.0s: no average yet
bounds   100, floor 2%, ceiling 100%
rounded  100
reply    up 100% # app.msg-per-second=0 rise=0
fresh    for [..]; if nothing renews it, HAProxy then gets: up 100% # stale

"#]],
    );
    assert!(!explained.contains('\x1b'), "{explained:?}");
    assert!(files().is_empty());
    let output = Command::new(AGENTCHECK)
        .args(["explain", "wbe", "--config"])
        .arg(&scene.configuration)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).starts_with("agentcheck: no service wbe in "));
}

/// Reading the lock does not prevent another process from taking it.
#[test]
fn checking_the_lock_blocks_no_start() {
    let scratch = Scratch::new("seeing-lock");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let _ = agentcheck::sys::lock::is_held(scratch.path());
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
        let mut refused = 0;
        for _ in 0..200 {
            match agentcheck::sys::lock::take(scratch.path()) {
                Ok(lock) => {
                    let held = agentcheck::sys::lock::is_held(scratch.path()).unwrap();
                    assert_eq!(held, Some(Some(std::process::id())));
                    drop(lock);
                }
                Err(_) => refused += 1,
            }
        }
        ended.store(true, Ordering::SeqCst);
        assert_eq!(refused, 0);
    });
}

#[test]
fn page_is_renewed_while_it_is_configured() {
    let mut scene = started("seeing-page", "fresh_for = \"10m\"");
    let text = std::fs::read_to_string(&scene.configuration).unwrap();
    let page = scene.states.path().join("page.html");
    assert!(!page.exists());
    scene.reload(&format!("[page]\ninterval = \"1s\"\n{text}"));
    let shows = |part: &str| {
        wait_for(part, || {
            let html = std::fs::read_to_string(&page).unwrap_or_default();
            if html.contains(part) {
                Ok(html)
            } else {
                Err(html)
            }
        })
    };
    let html = shows("<strong>The collector was running</strong>");
    assert!(
        html.contains("<meta http-equiv=\"refresh\" content=\"1\">"),
        "{html}"
    );
    shows("<code>up 73% # ");
    scene.application().set_load(700, "ok");
    shows("<code>up 90% # ");
    scene.reload(&text);
    wait_for("the page to be removed", || {
        if page.exists() {
            Err(page.display())
        } else {
            Ok(())
        }
    });
}

/// Secrets of URLs are in no output that other users can read.
#[test]
fn secrets_of_urls_are_not_shown() {
    let mut scene = started("seeing-secrets", "fresh_for = \"10m\"");
    let text = std::fs::read_to_string(&scene.configuration).unwrap();
    let source = "[source.remote.http]\nurl = \"http://127.0.0.1:1/status?token=hunter2\"\n\
                  interval = \"200ms\"\n\n[service.remote]\nweight = \"remote.ok ? 100 : 50\"\n";
    scene.reload(&format!("{source}{text}"));
    wait_for_status(&scene, "up 50%");
    let page = scene.scratch.file("page.html");
    let mut report = command(&scene, &["report", "--output", page.to_str().unwrap()]);
    let written = report.arg("--data-dir").arg(scene.data());
    let written = written.output().unwrap();
    assert!(written.status.success(), "{written:?}");
    let mut printed = std::fs::read_to_string(&page).unwrap();
    for arguments in [
        &["status", "-v"][..],
        &["status", "--json"],
        &["status", "--check"],
    ] {
        printed += &text_of(&run(&scene, arguments));
    }
    printed += &std::fs::read_to_string(scene.states.path().join("status.json")).unwrap();
    printed += &scene.wait_for_log("remote");
    assert!(
        printed.contains("remote") && !printed.contains("hunter2"),
        "{printed}"
    );
}
