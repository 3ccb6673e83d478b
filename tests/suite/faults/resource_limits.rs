//! No more descriptors, no more threads: at the start that is said, and later it is a failure like others.

use super::scene::Scene;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{program, run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

/// A command as another user.
fn as_user(user: u32) -> Command {
    let id = user.to_string();
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    command
}

/// Limits a process of `user` that is at work, by options of prlimit.
fn limit(user: u32, pid: u32, limit: &str) {
    // Of the same user, since not every root may limit the processes of others.
    run(as_user(user).args(["prlimit", "--pid", &pid.to_string(), limit]));
}

/// How many descriptors a process has.
fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn no_descriptors_at_the_start() {
    let scratch = Scratch::new("few");
    let states = StateDirectory::at(scratch.directory("state"));
    let text = "[source.load.system]\nmetric = \"load\"\n[service.web]\nweight = \"headroom(load.value, 64)\"\n";
    let configuration = scratch.write("agentcheck.toml", text);
    let (mut refused, mut worked) = (0, 0);
    for most in 4..16 {
        let asked = Collector::command(&configuration, &states);
        let mut command = Command::new(program("prlimit", "util-linux"));
        command
            .arg(format!("--nofile={most}"))
            .arg(asked.get_program())
            .args(asked.get_args());
        let mut collector = Collector::start_by(&scratch, &format!("most-{most}"), &mut command);
        let before = now();
        // It says why it does not run, or it runs; it never runs and keeps silent.
        wait_until(
            format_args!("an end or a reply with {most} descriptors"),
            || {
                !collector.process().is_running()
                    || agentcheck_tests::collector::Plan::read(&states, "web")
                        .is_ok_and(|plan| plan.from > before)
                    || collector.process().log().contains("Too many open files")
            },
        );
        if collector.process().is_running() {
            worked += 1;
            continue;
        }
        let log = collector.process().log();
        assert_eq!(collector.process().wait_for_exit().code(), Some(1), "{log}");
        assert!(log.contains("Too many open files"), "{most}: {log}");
        assert!(!log.contains("panic"), "{log}");
        refused += 1;
    }
    println!(
        "with 4 to 15 descriptors: {refused} times refused with the reason, {worked} times at work"
    );
    assert!(refused > 0 && worked > 0);
}

#[test]
fn no_descriptors_later() {
    let mut scene = Scene::new("descriptors");
    let pid = scene.collector.process().pid();
    limit(0, pid, "--nofile=3:4096");
    scene.wait_for_log("and the last one stands: Too many open files");
    scene.wait_for_log("source tick: ");
    scene.wait_for_stale();
    limit(0, pid, "--nofile=1024:4096");
    scene.wait_for_log("tick: the reply can be written again");
    scene.wait_for_fresh();
    let few = descriptors(pid);
    let judged = scene.ends_well("no more descriptors");
    println!("{few} descriptors afterwards");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}

/// Somebody of whom there is no other process, so that its limit counts this test's alone.
fn somebody() -> u32 {
    100_000 + std::process::id() % 1_000_000
}

#[test]
fn no_threads_and_no_processes() {
    let scratch = Scratch::new("threads");
    let states = StateDirectory::at(scratch.directory("state"));
    let user = somebody();
    chown(states.path(), Some(user), Some(user)).unwrap();
    let text = format!(
        "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
         [source.said.command]\nargv = [\"/bin/echo\", \"30\"]\nformat = \"number\"\nevery = \"100ms\"\n\
         [service.web]\nweight = \"100 - load.value\"\n[service.said]\nweight = \"said.value\"\n",
        scratch.write("load", "20")
    );
    let configuration = scratch.write("agentcheck.toml", text);
    let start = |name: &str, most: &str| {
        let asked = Collector::command(&configuration, &states);
        let mut command = as_user(user);
        command
            .arg("prlimit")
            .arg(format!("--nproc={most}"))
            .arg(asked.get_program())
            .args(asked.get_args());
        Collector::start_by(&scratch, name, &mut command)
    };
    for (most, what) in [
        ("1", "no thread to compile on"),
        ("2", "no threads are to be had"),
        ("3", "no threads are to be had"),
    ] {
        let mut collector = start(&format!("most-{most}"), most);
        let status = collector.process().wait_for_exit();
        let log = collector.process().log();
        assert_eq!(status.code(), Some(1), "{log}");
        let what = format!("{what}: Resource temporarily unavailable");
        assert!(log.contains(&what), "{most}: {log}");
        println!("at most {most}: {what}");
        assert!(!states.file("web").exists());
    }

    let mut collector = start("later", "64:64");
    let said = |collector: &mut Collector, service: &str, beginning: &str| {
        let after = now();
        collector.wait_for_plan(&states, service, |plan| {
            plan.from > after && plan.fresh.starts_with(beginning)
        });
    };
    said(&mut collector, "web", "up 80% # load=20");
    said(&mut collector, "said", "up 30% # said=30");
    let pid = collector.process().pid();
    limit(user, pid, "--nproc=1:64");
    said(&mut collector, "said", "up 30% # kept: said ");
    said(&mut collector, "web", "up 80% # load=20");
    collector
        .process()
        .wait_for_log("Resource temporarily unavailable");
    limit(user, pid, "--nproc=64:64");
    said(&mut collector, "said", "up 30% # said=30");
    said(&mut collector, "web", "up 80% # load=20");
    let back = "source said: back after";
    println!("{}", collector.process().wait_for_log(back));
}
