//! As many polls, failures, overrides and log lines as in a day, and more reloads, within minutes: memory,
//! descriptors and threads stay bounded.
//!
//! A hundred sources polled ten times a second make the 432,000 polls of a day in 432 s. The test does not cover
//! what depends on time itself: hourly or daily events, and memory that a kernel or a C library leaves idle for
//! hours.

use agentcheck_tests::application::Application;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::now;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The polls of a short soak, for every run of the tests; `make soak` asks for those of a day.
const SHORT: u64 = 15_000;

/// A reload once in so many rounds, of a quarter of a second and more each.
const RELOADED: usize = 8;

/// So many at first, one after the other: the allocator has seen two configurations at a time then.
const FIRST: usize = 20;

/// Sources by http, by command, and files.
const HTTP: usize = 8;
const COMMANDS: usize = 2;
const FILES: usize = 90;

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
struct Usage {
    resident_kilobytes: u64,
    descriptors: u64,
    threads: u64,
}

impl Usage {
    fn by(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |key: &str| -> u64 {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap();
            line.split_ascii_whitespace()
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self {
            resident_kilobytes: number("VmRSS:"),
            descriptors: u64::try_from(descriptors).unwrap(),
            threads: number("Threads:"),
        }
    }
}

/// The middle one of a part of the samples.
fn fewest(samples: &[Usage], of: fn(&Usage) -> u64) -> u64 {
    samples.iter().map(of).min().unwrap_or_default()
}

fn median(samples: &[Usage], of: fn(&Usage) -> u64) -> u64 {
    let mut sorted: Vec<u64> = samples.iter().map(of).collect();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// One of two configurations. All services are others in the other one, one source is another, and one has a name of
/// its own, with its service; the hundred counted sources continue.
fn configuration(scratch: &Scratch, applications: &[Application], other: bool) -> String {
    let (seconds, own) = if other { (2, "other") } else { (1, "one") };
    let mut text = format!(
        "[metrics]\ntextfile = {:?}\ninterval = \"1s\"\n",
        scratch.file("agentcheck.prom")
    );
    let service = |text: &mut String, name: &str, value: &str| {
        let _ = writeln!(
            text,
            "interval = \"100ms\"\n[derive.{name}_mean]\nexpression = \"{value}\"\newma = \"1s\"\n\
             [service.{name}]\nweight = \"100 - {name}_mean.value\"\newma = \"{seconds}s\"\n\
             [[service.{name}.rule]]\nname = \"full\"\nwhen = \"{value} > 95\"\nreply = \"drain\""
        );
    };
    for (index, application) in applications.iter().enumerate() {
        let name = format!("http{index}");
        let url = application.url();
        let _ = writeln!(
            text,
            "[source.{name}.http]\nurl = \"{url}\"\nformat = \"json\""
        );
        service(&mut text, &name, &format!("{name}.json['msg-per-second']"));
    }
    for index in 0..FILES {
        let name = format!("file{index}");
        let file = scratch.file(&name);
        let _ = writeln!(
            text,
            "[source.{name}.file]\npath = {file:?}\nformat = \"number\""
        );
        service(&mut text, &name, &format!("{name}.value"));
    }
    for index in 0..COMMANDS {
        let name = format!("command{index}");
        let _ = writeln!(
            text,
            "[source.{name}.command]\nargv = [\"/bin/echo\", \"30\"]\nformat = \"number\""
        );
        service(&mut text, &name, &format!("{name}.value"));
    }
    for name in ["extra", own] {
        let _ = writeln!(
            text,
            "[source.{name}.command]\nargv = [\"/bin/echo\", \"{seconds}\"]\nformat = \"number\""
        );
        service(&mut text, name, &format!("{name}.value"));
    }
    text
}

/// How many polls of the hundred sources the collector counted.
fn polls(metrics: &Path) -> u64 {
    let text = fs::read_to_string(metrics).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with("agentcheck_source_poll_duration_seconds_count{"))
        .filter(|line| {
            ["file", "http", "command"]
                .iter()
                .any(|kind| line.contains(&format!("source=\"{kind}")))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Waits until the last of so many reloads is over; all went well.
fn wait_for_reloads(collector: &mut Collector, count: usize) {
    wait_for(format_args!("{count} reloads in the log"), || {
        let log = collector.process().log();
        assert!(!log.contains("reload failed"), "{log}");
        let seen = log.matches("reloaded: 102 sources, 102 services; ").count();
        if seen == count {
            Ok(())
        } else {
            Err(format!("{seen}"))
        }
    });
}

#[test]
fn memory_descriptors_and_threads_stay_bounded_over_a_day_of_polls() {
    let wanted = std::env::var("AGENTCHECK_SOAK").map_or(SHORT, |polls| {
        polls.parse().expect("AGENTCHECK_SOAK is a number of polls")
    });
    let mut scene = Scene::new("soak");
    let _ = scene.overrides();
    let write = |scene: &Scene, index: usize, number: usize| {
        scene.put(&format!("file{index}"), &number.to_string());
    };
    (0..FILES).for_each(|index| write(&scene, index, index));
    let applications: Vec<Application> = (0..HTTP)
        .map(|_| Application::start(scene.block.address(8081), 20))
        .collect();
    scene.configure(&configuration(&scene.scratch, &applications, false));
    scene.start();
    scene.wait_for_reply("file0", "");
    scene.respond(&["--name-from-client"]);
    let agent = scene.agent;
    let prober = Prober::start(Duration::from_millis(20), move || probe(agent, b"file0\n"));

    let pid = scene.process().pid();
    let metrics = scene.scratch.file("agentcheck.prom");
    let (mut samples, mut made, mut commands, mut reloads) = (Vec::new(), 0, 0, 0_usize);
    let reload = |scene: &mut Scene, reloads: usize| {
        let text = configuration(&scene.scratch, &applications, reloads.is_multiple_of(2));
        scene.configure(&text);
        scene.process().signal(Signal::HUP);
    };
    while reloads < FIRST {
        reload(&mut scene, reloads);
        reloads += 1;
        wait_for_reloads(scene.collector(), reloads);
    }
    let (began, first) = (Instant::now(), polls(&metrics));
    for round in 0.. {
        // Every file has a new number once in nine rounds. One file is absent for a round, one application fails for
        // some rounds, and operators set overrides.
        for index in (round % 9..FILES).step_by(9).filter(|index| *index > 0) {
            write(&scene, index, (round * 7 + index) % 100);
        }
        let absent = 1 + round % (FILES - 1);
        fs::remove_file(scene.scratch.file(&format!("file{absent}"))).unwrap();
        let application = &applications[round % HTTP];
        match round % 4 {
            0 => application.set_response(500, "no"),
            1 => application.hang(),
            _ => application.set_load(u32::try_from(round % 100).unwrap(), "ok"),
        }
        if round % 4 == 0 {
            let name = format!("http{}", round / 4 % HTTP);
            for words in [vec!["drain", &name], vec!["resume", &name]] {
                scene.succeeds(&words);
                commands += 1;
            }
        }
        if round % RELOADED == RELOADED - 1 {
            wait_for_reloads(scene.collector(), reloads);
            reload(&mut scene, reloads);
            reloads += 1;
        }
        std::thread::sleep(Duration::from_millis(250));
        write(&scene, absent, absent);
        // All hangs end, so that this side keeps no connection for ever.
        applications.iter().for_each(Application::drop_waiting);
        samples.push(Usage::by(pid));
        let before = made;
        made = polls(&metrics) - first;
        assert!(made >= before, "{made} polls, and {before} before");
        if made >= wanted {
            break;
        }
        assert!(scene.process().is_running(), "{}", scene.process().log());
    }
    let took = began.elapsed();
    let answers = prober.samples();
    for answer in &answers {
        assert!(!answer.line.contains("stale"), "{answer:?}");
    }
    wait_for_reloads(scene.collector(), reloads);
    let own = if reloads.is_multiple_of(2) {
        "one"
    } else {
        "other"
    };
    let after = now();
    for service in ["file0", "http0", "command0", "extra", own] {
        scene.wait_for_plan(service, |plan| plan.from > after);
    }

    let quarter = samples.len() / 4;
    let (early, late) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
    let lines = scene.process().log().lines().count();
    println!(
        "{made} polls in {:.0} s, {} answers, {commands} commands of operators, {reloads} reloads, \
         {lines} lines of the log",
        took.as_secs_f64(),
        answers.len()
    );
    for (what, of, typical, allowed) in [
        // A tenth: readings and replies differ in both, and reloads leave gaps in the allocator's memory.
        (
            "resident kB",
            (|held| held.resident_kilobytes) as fn(&Usage) -> u64,
            median as fn(&[Usage], fn(&Usage) -> u64) -> u64,
            10,
        ),
        // The fewest: a poll under way adds to them, and a busy machine has more of these.
        ("descriptors", |held| held.descriptors, fewest, 10),
        ("threads", |held| held.threads, fewest, 10),
    ] {
        let (before, after) = (typical(early, of), typical(late, of));
        println!("{what}: {before} in the second quarter, {after} in the last one");
        assert!(
            after <= before + before / allowed,
            "{what} grow: {samples:?}"
        );
    }
}
