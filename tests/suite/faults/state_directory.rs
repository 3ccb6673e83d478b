//! The state directory is full, read-only, removed, replaced, on a hung disk, or used by two collectors.

use agentcheck_tests::collector::Collector;
use agentcheck_tests::messages::{
    ANOTHER_COLLECTOR, DIRECTORY_IS_A_LINK, DIRECTORY_MADE_AGAIN, DIRECTORY_NOT_MADE,
    DIRECTORY_OF_ANOTHER_USER, LOCK_TAKEN_AGAIN, NO_LOCK_FILE, PAUSED, REPLY_NOT_WRITTEN,
    REPLY_WRITTEN_AGAIN,
};
use agentcheck_tests::mount::Mounted;
use agentcheck_tests::processes::{NOBODY, Running, output, run, wait_until};
use agentcheck_tests::scene::{Scene, inject, stderr, wrap};
use agentcheck_tests::state::{StateDirectory, now};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

#[test]
fn full_file_system_keeps_the_last_reply_until_stale() {
    let small = |path: &Path| Some(Mounted::tmpfs(path, "size=64k"));
    let mut scene = Scene::counting_on("full", small, |_| {});
    let fill = |scene: &mut Scene| {
        let refused = &format!("{REPLY_NOT_WRITTEN}No space left");
        let before = scene.process().log().matches(refused).count();
        // What the collector replaces gives its room back, until nothing is left.
        wait_until("no room", || {
            scene.mounted.as_ref().unwrap().fill("filler");
            scene.process().log().matches(refused).count() > before
        });
        scene.wait_for_stale();
        scene.states.path().join("filler")
    };
    let filler = fill(&mut scene);
    fs::remove_file(filler).unwrap();
    scene.wait_for_log(REPLY_WRITTEN_AGAIN);
    scene.wait_for_fresh();

    // And one that begins without room waits for it.
    let filler = fill(&mut scene);
    scene.process().kill();
    scene.start_as("again", |_| {});
    scene.wait_for_log(&format!("{REPLY_NOT_WRITTEN}No space left"));
    scene.wait_for_stale();
    fs::remove_file(filler).unwrap();
    scene.wait_for_log(REPLY_WRITTEN_AGAIN);
    let judged = scene.ends_well("full");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}

#[test]
fn read_only_file_system_keeps_the_last_reply_until_stale() {
    let own = |path: &Path| Some(Mounted::tmpfs(path, "size=1m"));
    let mut scene = Scene::counting_on("read-only", own, |_| {});
    // One that is just writing keeps it from being read-only.
    wait_until("it to be read-only", || {
        scene.mounted.as_ref().unwrap().try_remount("ro")
    });
    scene.wait_for_log(&format!("{REPLY_NOT_WRITTEN}Read-only file system"));
    scene.wait_for_stale();
    assert!(scene.mounted.as_ref().unwrap().try_remount("rw"));
    scene.wait_for_log(REPLY_WRITTEN_AGAIN);
    let judged = scene.ends_well("read-only");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}

/// A second collector for the same directory ends at once, and names the first.
fn second_is_refused(scene: &mut Scene, states: &StateDirectory) {
    let printed = stderr(output(&mut Collector::command(
        &["collect"],
        &scene.configuration,
        states,
    )));
    let first = format!("process {}{ANOTHER_COLLECTOR}", scene.process().pid());
    assert!(printed.contains(&first), "{printed}");
}

#[test]
fn removed_directory_is_made_again_with_its_mode_and_lock() {
    // With a umask that denies access to all others, as a unit may have it.
    let mut scene = Scene::counting_on(
        "removed",
        |_| None,
        |command| {
            wrap(command, "sh", &["-c", r#"umask 077; exec "$@""#, "masked"]);
        },
    );
    for round in 1..=10 {
        fs::remove_dir_all(scene.states.path()).unwrap_or_else(|error| {
            // The collector has created a file in it meanwhile; the next round removes it.
            println!("round {round}: {error}");
        });
        scene.wait_for_fresh();
    }
    fs::remove_dir_all(scene.states.path()).unwrap_or_default();
    scene.wait_for_log(DIRECTORY_MADE_AGAIN);
    scene.wait_for_fresh();
    let mode = fs::metadata(scene.states.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
    // The lock is with it.
    let states = scene.states.clone();
    second_is_refused(&mut scene, &states);
    scene.ends_well("removed");
}

#[test]
fn removed_directory_is_used_again_once_an_operator_makes_it() {
    let mut scene = Scene::counting_on(
        "removed-for-good",
        |path| {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            None
        },
        |command| {
            command.uid(NOBODY).gid(NOBODY);
        },
    );
    let path = scene.states.path().to_owned();
    let _ = fs::rename(&path, scene.scratch.file("removed"));
    scene.wait_for_log(&format!("{DIRECTORY_NOT_MADE}Permission denied"));
    scene.wait_for_no_state();

    // An operator creates it, first with a mistake and then without.
    fs::create_dir(&path).unwrap();
    scene.wait_for_log(&format!("{NO_LOCK_FILE}Permission denied"));
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    scene.wait_for_log(LOCK_TAKEN_AGAIN);
    let judged = scene.ends_well("removed where it cannot be made again");
    assert!(judged.frozen > 0, "{judged:?}");
}

#[test]
fn nothing_is_written_to_a_foreign_directory() {
    let mut scene = Scene::counting("replaced");
    let path = scene.states.path().to_owned();
    let (ours, theirs) = (
        scene.scratch.file("ours"),
        scene.scratch.directory("theirs"),
    );
    fs::write(theirs.join("notes"), "theirs").unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    let untouched = || {
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
        assert_eq!(fs::metadata(&theirs).unwrap().uid(), NOBODY);
    };

    fs::rename(&path, &ours).unwrap();
    symlink(&theirs, &path).unwrap();
    scene.wait_for_log(DIRECTORY_IS_A_LINK);
    scene.wait_for_no_state();
    untouched();
    fs::remove_file(&path).unwrap();
    // It may have been quicker.
    let _ = fs::remove_dir_all(&path);
    scene.wait_for_fresh();

    let _ = fs::remove_dir_all(&ours);
    fs::rename(&path, &ours).unwrap();
    let _ = fs::remove_dir_all(&path);
    fs::rename(&theirs, &path).unwrap();
    scene.wait_for_log(&format!("{DIRECTORY_OF_ANOTHER_USER}65534"));
    scene.wait_for_no_state();
    fs::rename(&path, &theirs).unwrap();
    untouched();
    let judged = scene.ends_well("replaced by a link, and by another user's");
    assert!(judged.frozen > 0, "{judged:?}");
}

#[test]
fn hung_disk_makes_replies_stale_and_no_worse() {
    let disk = |path: &Path| Some(Mounted::disk(path, &path.with_extension("image")));
    let mut scene = Scene::counting_on("disk", disk, |_| {});
    scene.mounted.as_ref().unwrap().freeze();
    scene.wait_for_stale();
    // For longer than is worth no line.
    let frozen = now();
    wait_until("three seconds", || now().since(frozen).as_secs() >= 3);
    scene.wait_for_stale();
    scene.mounted.as_ref().unwrap().thaw();
    scene.wait_for_log(PAUSED);
    let judged = scene.ends_well("a disk that hangs");
    assert!(judged.stale > 0 && judged.frozen == 0, "{judged:?}");
}

/// Each turn takes longer than the polls of three, and what they have read is not left for later.
#[test]
fn slow_disk_delays_no_reading() {
    const SERVICES: usize = 20;
    let mut scene = Scene::new("slow");
    let mut text = scene.number("load", "20") + "timeout = \"200ms\"\n";
    for number in 0..SERVICES {
        text.push_str(&format!(
            "[service.web{number}]\nweight = \"100 - load.value\"\nfresh_for = \"1s\"\n"
        ));
    }
    scene.configure(&text);
    scene.start_as("collector", |command| {
        inject(command, "renameat", "delay_exit=10000")
    });
    let last = format!("web{}", SERVICES - 1);
    let begun = now();
    for _ in 0..15 {
        scene.wait_for_new_reply(&last, "up 80% # load=20");
    }
    for (load, beginning) in [("30", "up 70% # load=30"), ("40", "up 60% # load=40")] {
        scene.put("load", load);
        scene.wait_for_new_reply(&last, beginning);
    }
    println!(
        "17 turns in {} ms, each with what was read last",
        now().since(begun).as_millis()
    );
}

#[test]
fn hung_history_disk_delays_no_reply() {
    let mut scene = Scene::new("history-disk");
    let data = scene.data();
    fs::create_dir(&data).unwrap();
    let disk = Mounted::disk(&data, &scene.scratch.file("image"));
    let text = scene.number("load", "20")
        + "[service.web]\nweight = \"100 - load.value\"\n\
           [[service.web.rule]]\nname = \"full\"\nwhen = \"load.value > 90\"\nreply = \"drain\"\n";
    scene.configure(&text);
    scene.start();
    scene.wait_for_reply("web", "up 80%");
    let history = || {
        let mut command = Command::new(agentcheck_tests::binaries::collector());
        run(command.args(["history", "web", "--data-dir"]).arg(&data))
    };
    wait_until("the first entry", || history().contains("up 80%"));

    disk.freeze();
    for load in ["95", "20", "95", "20", "95"] {
        scene.put("load", load);
        let printed = if load == "95" { "up 0% " } else { "up 80% " };
        scene.wait_for_reply("web", printed);
    }
    scene.wait_for_new_reply("web", "");
    disk.thaw();
    wait_until("all entries", || {
        let history = history();
        history.matches("up 0%").count() == 3 && history.matches("up 80%").count() == 3
    });
    println!("5 changes were sent while the disk of the history hung, and are in it afterwards");
    let log = scene.process().log();
    assert!(!log.contains(PAUSED), "{log}");
}

#[test]
fn second_collector_is_refused_by_any_path() {
    let mut scene = Scene::counting("two");
    let link = scene.scratch.file("link");
    symlink(scene.states.path(), &link).unwrap();
    let bound = scene.scratch.directory("bound");
    let mounted = Mounted::bind(&bound, scene.states.path());
    for path in [link, bound] {
        second_is_refused(&mut scene, &StateDirectory::at(path));
    }
    drop(mounted);
    scene.ends_well("two for one directory, by a link and by a bind mount");
}

/// Stops a collector whose main loop waits. In the middle of a turn, it would end the turn when it continues, and write one
/// older state file.
fn stop_between_turns(collector: &Running) {
    // futex(2), in which the main loop waits for a reading.
    let waiting = if cfg!(target_arch = "x86_64") {
        "202 "
    } else {
        "98 "
    };
    wait_until("a main loop that waits", || {
        collector.signal(Signal::STOP);
        let call = fs::read_to_string(format!("/proc/{}/syscall", collector.pid())).unwrap();
        let waits = call.starts_with(waiting);
        if !waits {
            collector.signal(Signal::CONT);
        }
        waits
    });
}

#[test]
fn removed_lock_file_is_taken_again() {
    let mut scene = Scene::counting("lock");
    let lock = scene.states.path().join(".collector.lock");
    fs::remove_file(&lock).unwrap();
    scene.wait_for_log(LOCK_TAKEN_AGAIN);
    let states = scene.states.clone();
    second_is_refused(&mut scene, &states);

    // Stopped until another has taken its place, it finds that, and writes nothing as long as that one lives.
    stop_between_turns(scene.process());
    fs::remove_file(&lock).unwrap();
    let after = now();
    let mut second = Collector::start_by(
        &scene.scratch,
        "second",
        &mut scene.operator_command(&["collect"]),
    );
    second.wait_for_plan(&states, "tick", |plan| plan.from > after);
    scene.process().signal(Signal::CONT);
    let taken = format!(
        "is locked: another collector, process {}{ANOTHER_COLLECTOR}",
        second.process().pid()
    );
    scene.wait_for_log(&taken);
    let snapshot = || fs::read_to_string(states.path().join("status.json")).unwrap();
    let writer = format!("\"pid\":{},", second.process().pid());
    for _ in 0..10 {
        let after = now();
        second.wait_for_plan(&states, "tick", |plan| plan.from > after);
        assert!(snapshot().contains(&writer));
    }
    let killed = now();
    second.process().kill();
    scene.process().wait_for_lines(2, LOCK_TAKEN_AGAIN);
    scene.wait_for_takeover(killed);
    scene.ends_well("without its lock file");
}
