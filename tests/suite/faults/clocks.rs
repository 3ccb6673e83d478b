//! The wall clock is set by a year, the machine is suspended, the collector is stopped: replies go by a clock
//! that nobody can set, and that goes on in a suspend.

use super::scene::Scene;
use agentcheck_tests::binaries;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::{output, program, run, wait_for, wait_until};
use agentcheck_tests::raw_probe::{End, Heard};
use agentcheck_tests::responder::arguments;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A wall clock of one program's own.
struct Clock(PathBuf);

impl Clock {
    /// Lays it over the clock that `command` will see.
    fn of(scratch: &Scratch, command: &mut Command) -> Self {
        let clock = Self(scratch.file("clock"));
        clock.is_off_by("+0");
        let library = wait_for("libfaketime: apt-get install -y libfaketime", || {
            let found = fs::read_dir("/usr/lib").unwrap().flatten();
            let mut paths = found.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
            paths.find(|path| path.is_file()).ok_or("it is not there")
        });
        // The file is looked at each time; all other clocks stay what they are.
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        clock
    }

    /// From now on, such as `+1y`.
    fn is_off_by(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(&new, &self.0).unwrap();
    }
}

#[test]
fn the_wall_clock_is_set_by_a_year() {
    let lent = Scratch::new("clock");
    let mut clock = None;
    let mut scene = Scene::unhurried("wall", |command| clock = Some(Clock::of(&lent, command)));
    let clock = clock.unwrap();
    for (count, offset, told) in [
        (1, "+1y", "the wall clock was set forward by "),
        (1, "-1y", "the wall clock was set back by "),
        (2, "+0", "the wall clock was set forward by "),
    ] {
        clock.is_off_by(offset);
        scene.wait_for_lines(count, told);
        scene.wait_for_fresh();
    }
    let judged = scene.ends_well("the wall clock set by a year");
    assert_eq!((judged.stale, judged.frozen), (0, 0), "{judged:?}");
}

/// A collector over a file with a number, and overrides.
struct Desk {
    collector: Collector,
    states: StateDirectory,
    configuration: PathBuf,
    clock: Clock,
    _scratch: Scratch,
}

impl Desk {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let states = StateDirectory::at(scratch.directory("state"));
        fs::create_dir_all(Collector::data(&states).join("overrides")).unwrap();
        let text = format!(
            "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
             [service.web]\nweight = \"100 - load.value\"\n",
            scratch.write("load", "20")
        );
        let configuration = scratch.write("agentcheck.toml", text);
        let mut command = Collector::command(&configuration, &states);
        let clock = Clock::of(&scratch, &mut command);
        let mut desk = Self {
            collector: Collector::start_by(&scratch, "collector", &mut command),
            states,
            configuration,
            clock,
            _scratch: scratch,
        };
        desk.says("up 80% ");
        desk
    }

    fn says(&mut self, beginning: &str) {
        self.collector.wait_for_plan(&self.states, "web", |plan| {
            plan.fresh.starts_with(beginning)
        });
    }

    /// What is said stays so for some rounds.
    fn goes_on_saying(&mut self, beginning: &str) {
        for _ in 0..5 {
            let after = now();
            let plan = self
                .collector
                .wait_for_plan(&self.states, "web", |plan| plan.from > after);
            assert!(plan.fresh.starts_with(beginning), "{plan:?}");
        }
    }

    fn operator(&self, arguments: &[&str]) -> String {
        run(&mut Collector::operator(
            arguments,
            &self.configuration,
            &self.states,
        ))
    }
}

#[test]
fn overrides_and_history_under_a_wall_clock_that_is_set() {
    let mut desk = Desk::new("wall-overrides");
    // What ends by a clock that nobody can set does so, wherever the wall clock is.
    desk.operator(&["limit", "web", "--percent", "50", "--for", "1h"]);
    desk.says("up 50% ");
    for offset in ["+1y", "-1y", "+0"] {
        desk.clock.is_off_by(offset);
        desk.goes_on_saying("up 50% ");
    }
    desk.operator(&["resume", "web"]);
    desk.says("up 80% ");
    desk.operator(&["drain", "web", "--for", "3s"]);
    desk.says("up 0% ");
    desk.clock.is_off_by("-300d");
    desk.says("up 80% ");

    // (A weight that moves twice in ten seconds is no entry.) Entries stand in the order in which it happened, each at the time that the wall clock showed then.
    let data = Collector::data(&desk.states);
    let mut command = Command::new(binaries::collector());
    command
        .args(["history", "web", "--since", "360d", "--data-dir"])
        .arg(&data);
    let history = wait_for("the last entry", || {
        let history = run(&mut command);
        if history.matches("up 80%").count() == 2 {
            Ok(history)
        } else {
            Err(history)
        }
    });
    print!("{history}");
    let said: Vec<&str> = history
        .lines()
        .filter_map(|line| line.split_once("web: "))
        .map(|(_, said)| said.get(..6).unwrap_or(said))
        .collect();
    assert_eq!(said, ["up 80%", "up 0% ", "up 80%"]);
}

/// `program` with the clock that goes on in a suspend eight hours ahead, as it is after one.
fn eight_hours_later(path: &Path) -> Command {
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--time", "--boottime", "28800"]).arg(path);
    command
}

#[test]
fn after_a_suspend_of_eight_hours() {
    let scratch = Scratch::new("suspend");
    let states = StateDirectory::at(scratch.directory("state"));
    let text = format!(
        "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
         [service.web]\nweight = \"100 - load.value\"\nstale = \"release\"\n\
         release_after = \"5m\"\nrelease_over = \"10m\"\n",
        scratch.write("load", "80")
    );
    let configuration = scratch.write("agentcheck.toml", text);
    let mut collector = Collector::start(&scratch, "collector", &configuration, &states);
    collector.wait_for_plan(&states, "web", |plan| {
        plan.fresh.starts_with("up 20% # load=80")
    });
    let later = || {
        let mut command = eight_hours_later(&binaries::responder());
        command.args(arguments(&states, &["web"]));
        let output = output(&mut command);
        Heard {
            bytes: output.stdout,
            end: End::Eof,
        }
    };
    // The last stage: whoever wakes up later than all of them says so at once, before any collector does.
    assert_eq!(later().text(), "up 100% # stale, released\n");
    collector.process().kill();
    assert_eq!(later().text(), "up 100% # stale, released\n");

    // And the collector that wakes up to it takes it up within a poll.
    let prober = {
        let states = states.clone();
        Prober::start(Duration::from_millis(20), move || {
            let mut command = eight_hours_later(&binaries::responder());
            let output = output(command.args(arguments(&states, &["web"])));
            Ok(Heard {
                bytes: output.stdout,
                end: End::Eof,
            })
        })
    };
    let asleep = Collector::command(&configuration, &states);
    let mut command = eight_hours_later(Path::new(asleep.get_program()));
    command.args(asleep.get_args());
    let mut awake = Collector::start_by(&scratch, "awake", &mut command);
    wait_until("the first reply after it", || {
        later().text() == "up 20% # load=80\n"
    });
    let before = now();
    awake.wait_for_plan(&states, "web", |plan| {
        plan.from > before.after(Duration::from_secs(28_000))
    });
    let log = wait_for("what it says at its start", || {
        let log = awake.process().log();
        let told = log
            .split_once("collecting: 1 source, 1 service, into ")
            .is_some_and(|(_, after)| after.contains("web: up 20% # load=80"));
        if told { Ok(log) } else { Err(log) }
    });
    print!("{log}");
    let samples = prober.samples();
    let released = samples
        .iter()
        .filter(|sample| sample.line == "up 100% # stale, released");
    let fresh = samples
        .iter()
        .filter(|sample| sample.line == "up 20% # load=80");
    let (released, fresh) = (released.count(), fresh.count());
    assert_eq!(released + fresh, samples.len(), "{samples:?}");
    println!("after a suspend: {released} answers by the schedule, then {fresh} fresh ones");
}

#[test]
fn the_collector_is_stopped_for_longer_than_its_replies_are_good() {
    let mut scene = Scene::new("stopped");
    scene.collector.process().signal(Signal::STOP);
    let stopped = now();
    scene.wait_for_stale();
    // For longer than is worth no line.
    wait_until("four seconds", || now().since(stopped).as_secs() >= 4);
    scene.collector.process().signal(Signal::CONT);
    scene.wait_for_log("the collector was held up for ");
    let judged = scene.ends_well("the collector stopped");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}
