//! A collector that is started again goes on where the last one was: it forgets no drain that it has to
//! undo, and ramps for nothing only.

use agentcheck_tests::collector::{Collector, Plan};
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use rustix::process::Signal;
use std::path::PathBuf;

/// A collector over a file with a number: above 90 the server is drained.
struct Scene {
    states: StateDirectory,
    configuration: PathBuf,
    collector: Collector,
    // Removed when nobody writes to it any more.
    scratch: Scratch,
}

impl Scene {
    fn new(test: &str, keys: &str) -> Self {
        let scratch = Scratch::new(test);
        let states = StateDirectory::at(scratch.directory("state"));
        let _ = scratch.write("load", "20");
        let text = format!(
            r#"
[source.load.file]
path = {:?}
format = "number"
every = "100ms"

[service.web]
weight = "headroom(load.value, 100)"
{keys}

[[service.web.rule]]
name = "full"
when = "load.value > 90"
reply = "drain"
"#,
            scratch.file("load")
        );
        let configuration = scratch.write("agentcheck.toml", text);
        let collector = Collector::start(&scratch, "collector", &configuration, &states);
        Self {
            scratch,
            states,
            configuration,
            collector,
        }
    }

    fn load(&self, load: &str) {
        let new = self.scratch.write("load.new", load);
        std::fs::rename(new, self.scratch.file("load")).unwrap();
    }

    /// Waits until what begins so is said; all of it.
    fn says(&mut self, beginning: &str) -> Plan {
        self.collector.wait_for_plan(&self.states, "web", |plan| {
            plan.fresh.starts_with(beginning)
        })
    }

    /// Waits until the account, which the next collector goes by, has this as the last reply: it is written
    /// after the reply, and on a busy machine up to a second after it.
    fn has_on_account(&self, reply: &str) {
        let account = self.states.path().join("status.json");
        wait_for(format_args!("{reply:?} on the account"), || {
            let text = std::fs::read_to_string(&account).map_err(|error| error.to_string())?;
            let status: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let last = &status["services"]["web"]["memory"]["last"];
            if last == reply { Ok(()) } else { Err(text) }
        });
    }

    /// Kills the collector and starts another one; what that one says first.
    fn restart(&mut self) -> Plan {
        self.collector.process().kill();
        let after = now();
        self.collector = Collector::start(
            &self.scratch,
            "collector",
            &self.configuration,
            &self.states,
        );
        self.collector
            .wait_for_plan(&self.states, "web", |plan| plan.from > after)
    }
}

#[test]
fn no_ramp_for_nothing_and_one_for_a_drain_that_another_collector_began() {
    let mut scene = Scene::new("ramp", "ramp = \"1h\"");
    scene.says("up 80% ");
    // In the middle of the day: nothing has happened to the server.
    let first = scene.restart();
    assert!(first.fresh.starts_with("up 80% # load=20"), "{first:?}");
    scene.load("95");
    scene.says("up 0% # rule=full");
    scene.has_on_account("up 0%");
    scene.collector.process().kill();
    scene.load("20");
    let first = scene.restart();
    assert!(first.fresh.starts_with("up 8% # ramp"), "{first:?}");
    // And a ramp that has begun goes on.
    let second = scene.restart();
    assert!(second.fresh.starts_with("up 8% # ramp"), "{second:?}");
}

#[test]
fn an_average_goes_on() {
    let mut scene = Scene::new("average", "smooth = \"1h\"");
    scene.says("up 80% ");
    scene.load("80");
    scene.says("up 79% ");
    let first = scene.restart();
    assert!(first.fresh.starts_with("up 79% "), "{first:?}");
}

#[test]
fn last_words_are_said_when_it_is_told_to_stop_and_not_when_it_is_killed() {
    let mut scene = Scene::new("last-words", "on_stop = \"drain\"");
    scene.says("up 80% ");
    let first = scene.restart();
    assert_eq!(first.then, "up 80% # stale");
    scene.collector.process().signal(Signal::TERM);
    assert_eq!(scene.collector.process().wait_for_exit().code(), Some(0));
    let file = std::fs::read_to_string(scene.states.file("web")).unwrap();
    assert!(
        file.ends_with("\nthen up 0% # collector stopped\n"),
        "{file}"
    );
    assert!(!file.contains("until"), "{file}");
    let last = "web: up 0% # collector stopped from now on";
    scene.collector.process().wait_for_log(last);
}

#[test]
fn a_release_at_the_end_goes_step_by_step() {
    let mut scene = Scene::new("release", "on_stop = \"release\"\nrelease_over = \"10m\"");
    scene.says("up 80% ");
    scene.collector.process().signal(Signal::TERM);
    scene.collector.process().wait_for_exit();
    let file = std::fs::read_to_string(scene.states.file("web")).unwrap();
    let said: Vec<&str> = file.lines().skip(3).collect();
    assert_eq!(said.len(), 10, "{file}");
    assert!(said[0].ends_with(" up 82% # stale, released"), "{file}");
    assert_eq!(said[9], "then up 100% # stale, released");
}
