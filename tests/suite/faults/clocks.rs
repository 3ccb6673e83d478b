//! The wall clock is set by a year, the machine is suspended, the collector is stopped. Replies use the boot-time
//! clock, which no command sets and which continues in a suspend.

use agentcheck_tests::binaries;
use agentcheck_tests::messages::{CLOCK_BACK, CLOCK_FORWARD, PAUSED};
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::{output, program, run, wait_for, wait_until};
use agentcheck_tests::raw_probe::{End, Received};
use agentcheck_tests::responder::arguments;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::now;
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
        // libfaketime reads the file each time; all other clocks stay unchanged.
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
fn wall_clock_steps_make_no_reply_stale() {
    let lent = Scratch::new("clock");
    let mut clock = None;
    let mut scene =
        Scene::counting_slowly("wall", |command| clock = Some(Clock::of(&lent, command)));
    let clock = clock.unwrap();
    for (count, offset, reported) in [
        (1, "+1y", CLOCK_FORWARD),
        (1, "-1y", CLOCK_BACK),
        (2, "+0", CLOCK_FORWARD),
    ] {
        clock.is_off_by(offset);
        scene.process().wait_for_lines(count, reported);
        scene.wait_for_fresh();
    }
    let judged = scene.ends_well("the wall clock set by a year");
    assert_eq!((judged.stale, judged.frozen), (0, 0), "{judged:?}");
}

#[test]
fn wall_clock_steps_keep_overrides_and_order_of_history() {
    let lent = Scratch::new("clock");
    let mut scene = Scene::new("wall-overrides");
    let _ = scene.overrides();
    let text = scene.number("load", "20") + "[service.web]\nweight = \"100 - load.value\"\n";
    scene.configure(&text);
    let mut clock = None;
    scene.start_as("collector", |command| {
        clock = Some(Clock::of(&lent, command))
    });
    let clock = clock.unwrap();
    scene.wait_for_reply("web", "up 80% ");
    // An override on the boot-time clock ends in time, regardless of the wall clock.
    scene.succeeds(&["limit", "web", "--percent", "50", "--for", "1h"]);
    scene.wait_for_reply("web", "up 50% ");
    for offset in ["+1y", "-1y", "+0"] {
        clock.is_off_by(offset);
        for _ in 0..5 {
            scene.check_next_reply("web", "up 50% ");
        }
    }
    scene.succeeds(&["limit", "web", "--off"]);
    scene.wait_for_reply("web", "up 80% ");
    scene.succeeds(&["drain", "web", "--for", "3s"]);
    scene.wait_for_reply("web", "up 0% ");
    clock.is_off_by("-300d");
    scene.wait_for_reply("web", "up 80% ");

    // (A weight that moves twice in ten seconds is no entry.) Entries are in the order of the events, each with the
    // wall-clock time of its event.
    let data = scene.data();
    let mut command = Command::new(binaries::collector());
    command
        .args(["history", "web", "--since", "360d", "--data-dir"])
        .arg(&data);
    let history = wait_for("the last entry", || {
        let history = run(&mut command);
        if history.matches("up 80%").count() == 3 {
            Ok(history)
        } else {
            Err(history)
        }
    });
    print!("{history}");
    let printed: Vec<&str> = history
        .lines()
        .filter_map(|line| line.split_once("web: "))
        .map(|(_, printed)| printed.get(..6).unwrap_or(printed))
        .collect();
    assert_eq!(printed, ["up 80%", "up 50%", "up 80%", "up 0% ", "up 80%"]);
}

/// `program` with the boot-time clock eight hours ahead, as after a suspend.
fn eight_hours_later(path: &Path) -> Command {
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--time", "--boottime", "28800"]).arg(path);
    command
}

#[test]
fn suspend_makes_replies_stale_and_a_poll_makes_them_fresh() {
    let mut scene = Scene::with("suspend", |scene| {
        scene.number("load", "80")
            + "[service.web]\nweight = \"100 - load.value\"\non_stale = \"restore\"\n\
               restore_after = \"5m\"\nrestore_over = \"10m\"\n"
    });
    scene.wait_for_reply("web", "up 20% # load=80");
    let states = scene.states.clone();
    let later = || {
        let mut command = eight_hours_later(&binaries::responder());
        command.args(arguments(&states, &["web"]));
        let output = output(&mut command);
        Received {
            bytes: output.stdout,
            end: End::Eof,
        }
    };
    // The last stage: a responder that wakes up after all stages sends it, before any collector writes.
    assert_eq!(later().text(), "up 100% # stale, released\n");
    scene.kill();
    assert_eq!(later().text(), "up 100% # stale, released\n");

    // And the collector that wakes up to it takes it up within a poll.
    let prober = {
        let states = states.clone();
        Prober::start(Duration::from_millis(20), move || {
            let mut command = eight_hours_later(&binaries::responder());
            let output = output(command.args(arguments(&states, &["web"])));
            Ok(Received {
                bytes: output.stdout,
                end: End::Eof,
            })
        })
    };
    scene.start_as("awake", |command| {
        let mut awake = eight_hours_later(Path::new(command.get_program()));
        awake.args(command.get_args());
        *command = awake;
    });
    wait_until("the first reply after it", || {
        later().text() == "up 20% # load=80\n"
    });
    let before = now();
    scene.wait_for_plan("web", |plan| {
        plan.from > before.after(Duration::from_secs(28_000))
    });
    let log = wait_for("the first lines of its log", || {
        let log = scene.process().log();
        let reported = log
            .split_once("collecting: 1 source, 1 service, into ")
            .is_some_and(|(_, after)| after.contains("web: up 20% # load=80"));
        if reported { Ok(log) } else { Err(log) }
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
fn stopped_collector_goes_stale_and_recovers() {
    let mut scene = Scene::counting("stopped");
    scene.process().signal(Signal::STOP);
    let stopped = now();
    scene.wait_for_stale();
    // For longer than is worth no line.
    wait_until("four seconds", || now().since(stopped).as_secs() >= 4);
    scene.process().signal(Signal::CONT);
    scene.wait_for_log(PAUSED);
    let judged = scene.ends_well("the collector stopped");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}
