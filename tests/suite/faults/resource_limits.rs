//! Descriptors or threads run out. At the start the collector reports it and ends; later it is a failure like
//! others.

use agentcheck_tests::collector::Plan;
use agentcheck_tests::messages::{REPLY_NOT_WRITTEN, REPLY_WRITTEN_AGAIN, SOURCE_RECOVERED};
use agentcheck_tests::processes::{program, run, wait_until};
use agentcheck_tests::scene::{Scene, wrap};
use agentcheck_tests::state::now;
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
fn start_without_descriptors_works_or_fails_with_the_reason() {
    let mut scene = Scene::new("few");
    let text = "[source.load.system]\nmetric = \"load\"\n[service.web]\nweight = \"headroom(load.value, 64)\"\n";
    scene.configure(text);
    let (mut refused, mut worked) = (0, 0);
    for most in 4..16 {
        let prlimit = program("prlimit", "util-linux");
        scene.start_as(&format!("most-{most}"), |command| {
            wrap(command, prlimit, &[&format!("--nofile={most}")]);
        });
        let before = now();
        // It runs, or it logs why it does not.
        wait_until(
            format_args!("an end or a reply with {most} descriptors"),
            || {
                !scene.process().is_running()
                    || Plan::read(&scene.states, "web").is_ok_and(|plan| plan.from > before)
                    || scene.process().log().contains("Too many open files")
            },
        );
        if scene.process().is_running() {
            worked += 1;
            continue;
        }
        let log = scene.process().log();
        assert_eq!(scene.process().wait_for_exit().code(), Some(1), "{log}");
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
fn collector_recovers_from_a_lack_of_descriptors() {
    let mut scene = Scene::counting("descriptors");
    let pid = scene.process().pid();
    limit(0, pid, "--nofile=3:4096");
    scene.wait_for_log(&format!("{REPLY_NOT_WRITTEN}Too many open files"));
    scene.wait_for_log("source tick: ");
    scene.wait_for_stale();
    limit(0, pid, "--nofile=1024:4096");
    scene.wait_for_log(REPLY_WRITTEN_AGAIN);
    scene.wait_for_fresh();
    let few = descriptors(pid);
    let judged = scene.ends_well("no more descriptors");
    println!("{few} descriptors afterwards");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}

/// A user without other processes, so its limit counts this test's processes alone.
fn unused_uid() -> u32 {
    100_000 + std::process::id() % 1_000_000
}

#[test]
fn collector_recovers_from_a_lack_of_threads() {
    let mut scene = Scene::new("threads");
    let user = unused_uid();
    chown(scene.states.path(), Some(user), Some(user)).unwrap();
    let text = scene.number("load", "20")
        + "[source.echo.command]\nargv = [\"/bin/echo\", \"30\"]\nformat = \"number\"\ninterval = \"100ms\"\n\
         [service.web]\nweight = \"100 - load.value\"\n[service.echo]\nweight = \"echo.value\"\n";
    scene.configure(&text);
    let start = |scene: &mut Scene, name: &str, most: &str| {
        scene.start_as(name, |command| {
            let mut limited = as_user(user);
            limited.arg("prlimit").arg(format!("--nproc={most}"));
            limited.arg(command.get_program()).args(command.get_args());
            *command = limited;
        });
    };
    for (most, what) in [
        ("1", "cannot create thread"),
        ("2", "cannot create thread"),
        ("3", "cannot create thread"),
    ] {
        start(&mut scene, &format!("most-{most}"), most);
        let status = scene.process().wait_for_exit();
        let log = scene.process().log();
        assert_eq!(status.code(), Some(1), "{log}");
        let what = format!("{what}: Resource temporarily unavailable");
        assert!(log.contains(&what), "{most}: {log}");
        println!("at most {most}: {what}");
        assert!(!scene.states.file("web").exists());
    }

    start(&mut scene, "later", "64:64");
    scene.wait_for_new_reply("web", "up 80% # load=20");
    scene.wait_for_new_reply("echo", "up 30% # echo=30");
    let pid = scene.process().pid();
    limit(user, pid, "--nproc=1:64");
    scene.wait_for_new_reply("echo", "up 30% # kept: echo ");
    scene.wait_for_new_reply("web", "up 80% # load=20");
    scene.wait_for_log("Resource temporarily unavailable");
    limit(user, pid, "--nproc=64:64");
    scene.wait_for_new_reply("echo", "up 30% # echo=30");
    scene.wait_for_new_reply("web", "up 80% # load=20");
    let back = &format!("source echo: {SOURCE_RECOVERED}");
    println!("{}", scene.wait_for_log(back));
}
