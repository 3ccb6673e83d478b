//! Overrides stay active while their files cannot be read, and no reply waits for the disk of these files.

use agentcheck_tests::messages::{
    FLAG_FILE_READABLE, FLAG_FILE_UNREADABLE, OVERRIDE_OVER, OVERRIDE_UNUSABLE, PAUSED,
};
use agentcheck_tests::mount::Mounted;
use agentcheck_tests::processes::{NOBODY, wait_until};
use agentcheck_tests::scene::{Scene, inject};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

/// A collector of the user `nobody` with the services `drained` and `flagged`, which operators take out.
fn operated(test: &str) -> Scene {
    let mut scene = Scene::new(test);
    chown(scene.states.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let _ = (scene.overrides(), scene.scratch.directory("flags"));
    let text = format!(
        "{}[service.drained]\nweight = \"100 - load.value\"\n\
         [service.flagged]\nweight = \"100 - load.value\"\nmaintenance_file = {:?}\n",
        scene.number("load", "20"),
        scene.scratch.file("flags/out"),
    );
    scene.configure(&text);
    scene.start_as("collector", |command| {
        command.uid(NOBODY).gid(NOBODY);
    });
    scene.wait_for_new_reply("drained", "up 80% # load=20");
    scene.wait_for_new_reply("flagged", "up 80% # load=20");
    scene
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn unreadable_override_stays_active() {
    let mut scene = operated("unreadable");
    scene.succeeds(&["drain", "drained"]);
    let flag = scene.scratch.file("flags/out");
    fs::write(&flag, "").unwrap();
    scene.wait_for_new_reply("drained", "up 0% # override=drain");
    scene.wait_for_new_reply("flagged", "stopped 100% # maintenance");

    let drain = scene.overrides().join("drained.outage");
    mode(&drain, 0);
    mode(&scene.scratch.file("flags"), 0);
    scene.wait_for_log(OVERRIDE_UNUSABLE);
    scene.wait_for_log(FLAG_FILE_UNREADABLE);
    for _ in 0..5 {
        scene.wait_for_new_reply("drained", "up 0% # override=drain");
        scene.wait_for_new_reply("flagged", "stopped 100% # maintenance");
    }
    mode(&drain, 0o644);
    mode(&scene.scratch.file("flags"), 0o755);
    scene.wait_for_log(FLAG_FILE_READABLE);
    scene.wait_for_new_reply("drained", "up 0% # override=drain");
    scene.wait_for_new_reply("flagged", "stopped 100% # maintenance");
    fs::remove_file(flag).unwrap();
    scene.succeeds(&["resume", "drained"]);
    scene.wait_for_new_reply("drained", "up 80% # load=20");
    scene.wait_for_new_reply("flagged", "up 80% # load=20");
    for service in ["drained", "flagged"] {
        let line = format!("{service}: up 80%");
        let log = scene.process().wait_for_lines(2, &line);
        assert_eq!(log.matches(&line).count(), 2, "{log}");
    }
}

/// The first reading of the overrides fails, when none is known yet.
#[test]
fn failed_first_read_of_overrides_keeps_a_drain() {
    let mut scene = operated("first-reading");
    scene.succeeds(&["drain", "drained"]);
    scene.wait_for_new_reply("drained", "up 0% # override=drain");
    scene.kill();
    scene.start_as("again", |command| {
        inject(command, "getdents64", "error=EIO:when=1")
    });
    scene.wait_for_new_reply("drained", "up 0% # override=drain");
    scene.wait_for_new_reply("flagged", "up 80% # load=20");
    let log = scene.process().log();
    assert!(!log.contains("drained: up 80%"), "{log}");
}

#[test]
fn override_expires_while_its_disk_hangs() {
    let mut scene = Scene::new("ends");
    let data = scene.data();
    fs::create_dir(&data).unwrap();
    // The disk thaws before the scene waits for the end of the collector, which a frozen disk delays.
    let disk = Mounted::disk(&data, &scene.scratch.file("image"));
    let file = scene.overrides().join("web.outage");
    let text = scene.number("load", "20") + "[service.web]\nweight = \"100 - load.value\"\n";
    scene.configure(&text);
    scene.start();
    scene.wait_for_new_reply("web", "up 80%");
    scene.succeeds(&["drain", "web", "--for", "2s"]);
    scene.wait_for_new_reply("web", "up 0% # override=drain");
    disk.freeze();
    scene.wait_for_log(OVERRIDE_OVER);
    for _ in 0..10 {
        scene.wait_for_new_reply("web", "up 80% # load=20");
    }
    assert!(file.exists());
    disk.thaw();
    wait_until("it to be removed", || !file.exists());
    scene.wait_for_new_reply("web", "up 80% # load=20");
    let log = scene.process().log();
    assert!(!log.contains(PAUSED), "{log}");
    assert_eq!(log.matches(OVERRIDE_OVER).count(), 1, "{log}");
}
