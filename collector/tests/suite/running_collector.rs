//! `agentcheck status` and `agentcheck explain` beside a real collector and a real application: alive, killed,
//! stopped, silent, of another boot; on a terminal and elsewhere.

mod terminal;

use agentcheck_tests::address::Block;
use agentcheck_tests::application::Application;
use agentcheck_tests::processes::{Running, wait_for};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, boot_id, now};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const AGENTCHECK: &str = env!("CARGO_BIN_EXE_agentcheck");

struct Scene {
    collector: Running,
    application: Application,
    states: StateDirectory,
    configuration: PathBuf,
    _block: Block,
    scratch: Scratch,
}

impl Scene {
    fn new(test: &str, more: &str) -> Self {
        let scratch = Scratch::new(test);
        let block = Block::claim();
        let states = StateDirectory::at(scratch.directory("state"));
        let application = Application::start(block.address(8081), 1890);
        let url = application.url();
        let configuration = scratch.write(
            "agentcheck.toml",
            format!(
                r#"
[source.app.http]
url = "{url}"
format = "json"
every = "200ms"

[derive.rise]
of = "app.json['msg-per-second']"
rate = "10s"

[service.web]
weight = "headroom(app.json['msg-per-second'] + rise.value, 7000)"
{more}

[[service.web.rule]]
name = "maint"
when = "app.json.state == 'maint'"
reply = "maint"
"#
            ),
        );
        let mut scene = Self {
            collector: start(&scratch, &configuration, &states),
            application,
            states,
            configuration,
            _block: block,
            scratch,
        };
        scene.wait_for_status("up 73%");
        scene
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(AGENTCHECK);
        command
            .args(arguments)
            .arg("--state-dir")
            .arg(self.states.path());
        command.stdin(Stdio::null()).env_remove("NO_COLOR");
        command
    }

    fn explain(&self) -> String {
        let mut command = self.command(&["explain", "web"]);
        command.arg("--config").arg(&self.configuration);
        said(&command.output().unwrap())
    }

    fn wait_for_status(&mut self, wanted: &str) -> String {
        wait_for(wanted, || {
            let status = said(&self.run(&["status"]));
            if status.contains(wanted) {
                Ok(status)
            } else {
                Err(status)
            }
        })
    }

    /// Waits until monitoring is told this; gives its line.
    fn wait_for_check(&self, exit: i32, wanted: &str) -> String {
        wait_for(wanted, || {
            let output = self.run(&["status", "--check"]);
            let line = said(&output);
            let right = output.status.code() == Some(exit) && line.contains(wanted);
            if right { Ok(line) } else { Err(line) }
        })
    }
}

fn start(scratch: &Scratch, configuration: &std::path::Path, states: &StateDirectory) -> Running {
    let mut command = Command::new(AGENTCHECK);
    command.arg("collect").arg("--config").arg(configuration);
    command.arg("--state-dir").arg(states.path());
    command.arg("--data-dir").arg(scratch.file("data"));
    Running::start(scratch, "collector", &mut command)
}

fn said(output: &Output) -> String {
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn alive_failing_taken_out_killed() {
    let mut scene = Scene::new("seeing", "fresh_for = \"4s\"");
    let alive = scene.wait_for_status("collector: alive");
    assert!(!alive.contains('\x1b'), "{alive:?}");
    let line = scene.wait_for_check(
        0,
        "AGENTCHECK OK: collector alive; 1 service fresh | services=1",
    );
    assert!(line.contains(" web_weight=73%;;;0 "), "{line}");
    let detailed = said(&scene.run(&["status", "web"]));
    assert!(
        detailed.contains("app: ok, HTTP status 200, in "),
        "{detailed}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&scene.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["services"]["web"]["percent"], 73);
    let unknown = scene.run(&["status", "wbe"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        said(&unknown),
        "agentcheck: there is no service wbe; there is web\n"
    );
    let unknown = scene.run(&["status", "--check", "wbe"]);
    assert_eq!(unknown.status.code(), Some(3));

    scene.application.dies();
    let line = scene.wait_for_check(1, "AGENTCHECK WARNING: ");
    assert!(
        line.contains("web cannot be decided: app refused"),
        "{line}"
    );
    assert!(line.contains("source app fails: refused"), "{line}");
    let explained = scene.explain();
    assert!(
        explained.contains("\nfailure    app refused; on_failure answers\n"),
        "{explained}"
    );

    scene.application.revive();
    scene.application.reports(1890, "maint");
    scene.wait_for_check(2, "AGENTCHECK CRITICAL: web is taken out: stopped 100%");
    scene.application.reports(1890, "ok");
    scene.wait_for_check(0, "OK");

    scene.collector.kill();
    let gone = scene.wait_for_status("collector: not running");
    assert!(gone.contains("up 73%"), "{gone}");
    scene.wait_for_check(2, "no collector: it has ended; web is stale for");
    let stale = said(&scene.run(&["status"]));
    assert!(stale.contains("s stale"), "{stale}");
    // Another one goes on.
    scene.collector = start(&scene.scratch, &scene.configuration, &scene.states);
    scene.wait_for_status("collector: alive");
    scene.collector.signal(Signal::TERM);
    assert!(scene.collector.wait_for_exit().success());
    scene.wait_for_check(2, "no collector: it has ended");
}

#[test]
fn silent_and_of_another_boot_and_unreadable() {
    let mut scene = Scene::new("seeing-silent", "fresh_for = \"10m\"");
    scene.collector.signal(Signal::STOP);
    let silent = scene.wait_for_status("collector: silent");
    assert!(silent.contains("up 73%"), "{silent}");
    scene.wait_for_check(1, "WARNING: collector silent for");
    scene.collector.kill();

    let status = scene.states.path().join("status.json");
    let written = std::fs::read_to_string(&status).unwrap();
    std::fs::write(&status, "{").unwrap();
    let output = scene.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(
        text.contains("up 73%") && text.contains("status.json is no account"),
        "{text}"
    );
    assert_eq!(scene.run(&["status", "--check"]).status.code(), Some(3));

    let boot = boot_id().to_string();
    let other = boot.replace(|digit: char| digit.is_ascii_hexdigit(), "7");
    std::fs::write(&status, written.replace(&boot, &other)).unwrap();
    let file = format!(
        "agentcheck 1 web\nboot {other}\nfrom {}\nthen down\n",
        now()
    );
    scene.states.holds("web", file.as_bytes());
    let text = said(&scene.run(&["status"]));
    assert!(
        text.contains("collector: not running: the last account is of another boot"),
        "{text}"
    );
    assert!(text.contains("other-boot:web (changes nothing)"), "{text}");
    scene.wait_for_check(
        2,
        "no collector since the boot; web is frozen: other-boot:web",
    );

    let output = Command::new(AGENTCHECK)
        .args(["status", "--check", "--state-dir", "/nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output)
            .starts_with("AGENTCHECK UNKNOWN: the state directory /nowhere cannot be read")
    );
}

#[test]
fn explained_with_and_without_a_collector() {
    let mut scene = Scene::new("seeing-why", "smooth = \"5s\"\nfloor = 2");
    let explained = wait_for("the collector to say the same", || {
        let explained = scene.explain();
        if explained.contains("collector  says the same") {
            Ok(explained)
        } else {
            Err(explained)
        }
    });
    for expected in [
        "memory     of the collector, ",
        "source     app: ok, JSON, HTTP status 200, 39 bytes, in ",
        "source     app again: ok, JSON",
        "derived    rise = 0, the rise a second of app.json['msg-per-second'] between two polls\n",
        "rule       maint: does not hold: when app.json.state == 'maint' is false (app.state='ok')\n",
        "7000) = 73 (app.msg-per-second=1890, rise=0)\n",
        "smooth     73, over 5.0s: average was 73, ",
        "bounds     73, floor 2%, ceiling 100%\nsaid       73, rounded down\n",
        "reply      up 73% # app.msg-per-second=1890 rise=0\n",
    ] {
        assert!(
            explained.contains(expected),
            "{expected}\n--- in\n{explained}"
        );
    }
    scene.collector.kill();
    let files = || {
        let entries = std::fs::read_dir(scene.states.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), std::fs::read(entry.path()).unwrap())
            });
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    };
    let before = files();
    assert!(
        scene
            .explain()
            .contains("memory   left behind by a collector that has ended")
    );
    assert_eq!(files(), before);
    for (name, _) in before {
        std::fs::remove_file(scene.states.path().join(name)).unwrap();
    }
    scene
        .application
        .answers(200, r#"{"msg-per-second": 0, "state": "\u001b[31m\n"}"#);
    let explained = scene.explain();
    assert!(
        explained.contains("memory   none: no collector tells"),
        "{explained}"
    );
    assert!(explained.contains("(app.state='?[31m?')"), "{explained}");
    assert!(!explained.contains('\x1b'), "{explained:?}");
    assert!(files().is_empty());
    let output = Command::new(AGENTCHECK)
        .args(["explain", "wbe", "--config"])
        .arg(&scene.configuration)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("agentcheck: there is no service wbe in "));
}

/// Looking at the lock keeps nobody from taking it.
#[test]
fn a_collector_starts_while_many_look() {
    let scratch = Scratch::new("seeing-lock");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let _ = agentcheck::lock::is_held(scratch.path());
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
        let mut refused = 0;
        for _ in 0..200 {
            match agentcheck::lock::take(scratch.path()) {
                Ok(lock) => {
                    let held = agentcheck::lock::is_held(scratch.path()).unwrap();
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
