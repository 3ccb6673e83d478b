//! Overrides survive the collector and a reboot, and hostile override files do no harm.

use super::{operated, operated_polling, start};
use agentcheck_tests::messages::{OVERRIDE_OF_NO_SERVICE, OVERRIDE_UNUSABLE};
use agentcheck_tests::processes::{output, wait_until};
use agentcheck_tests::state::boot_id;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn override_survives_a_restart_and_its_end_restores_the_last_decision() {
    let mut scene = operated_polling("restart", "on_failure = \"keep\"", "200ms");
    scene.succeeds(&["drain", "web", "--reason", "kernel"]);
    scene.kill();
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
    // The application has ended when the override ends: the service keeps the reply of rules and weight, not the
    // operator's.
    scene.put("web", "no number");
    scene.wait_for_log("source web_number: malformed");
    scene.succeeds(&["resume", "web"]);
    scene.wait_for_reply("web", "up 73% # kept: web_number malformed ");

    // Ended while no collector was there.
    scene.succeeds(&["drain", "web"]);
    scene.kill();
    fs::remove_file(scene.overrides().join("web.outage")).unwrap();
    start(&mut scene);
    scene.wait_for_reply("web", "up 73% # kept: web_number malformed ");
}

#[test]
fn override_expires_by_wall_clock_after_a_reboot() {
    let mut scene = operated("reboot", "");
    scene.succeeds(&["drain", "web", "--for", "1h"]);
    scene.succeeds(&["drain", "api", "--for", "1h"]);
    scene.kill();
    let this = boot_id().to_string();
    let other = "00000000-0000-4000-8000-000000000000";
    let directory = scene.overrides();
    let path = |name: &str| directory.join(format!("{name}.outage"));
    let edit = |name: &str, wall: &dyn Fn(u64) -> u64| {
        let text = fs::read_to_string(path(name))
            .unwrap()
            .replace(&this, other);
        let mut parts = text.split("\"wall\":");
        let mut edited = parts.next().unwrap().to_owned();
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap();
            let seconds: u64 = part[..digits].parse().unwrap();
            edited.push_str(&format!("\"wall\":{}{}", wall(seconds), &part[digits..]));
        }
        fs::write(path(name), edited).unwrap();
    };
    edit("web", &|seconds| seconds);
    // Set two hours ago, for one.
    edit("api", &|seconds| seconds - 7200);
    fs::remove_dir_all(scene.states.path()).unwrap();
    fs::create_dir(scene.states.path()).unwrap();
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
    scene.wait_for_reply("api", "up 50% ");
    // It writes the reply first.
    wait_until("what is over to be taken away", || !path("api").exists());
}

/// Files that no command wrote: the collector logs them, and the rest is not affected.
#[test]
fn hostile_override_files_change_nothing() {
    let mut scene = operated("hostile", "");
    scene.succeeds(&["drain", "api"]);
    let directory = scene.overrides();
    let drain = fs::read_to_string(directory.join("api.outage")).unwrap();
    fs::write(scene.scratch.file("elsewhere"), &drain).unwrap();
    let file = |name: &str| directory.join(format!("{name}.outage"));
    symlink(scene.scratch.file("elsewhere"), file("web")).unwrap();
    scene.wait_for_log(OVERRIDE_UNUSABLE);
    fs::remove_file(file("web")).unwrap();
    let status = output(Command::new("mkfifo").arg(file("web")));
    assert!(status.status.success());
    scene.wait_for_log("not a regular file");
    fs::remove_file(file("web")).unwrap();
    for (content, why) in [
        ("{".to_owned(), "EOF while parsing"),
        (
            drain.replace("\"version\":1", "\"version\":2"),
            "unknown version 2: this program reads 1",
        ),
        (
            drain.replace("\"drain\"", "{\"percent\":0}"),
            "does not belong into this file",
        ),
        (
            drain.replace("\"drain\"", "\"force-up\""),
            "force-up without an end",
        ),
        (
            drain.replace("{\"version", "{\"by\":\"root\",\"version"),
            "unknown field `by`",
        ),
        (
            format!("{drain}{}", " ".repeat(20_000)),
            "more than 16384 bytes",
        ),
    ] {
        let new = directory.join(".web.new");
        fs::write(&new, content).unwrap();
        fs::rename(new, file("web")).unwrap();
        scene.wait_for_log(why);
    }
    scene.wait_for_reply("web", "up 73% ");
    scene.wait_for_reply("api", "up 0% ");
    // The log has the name that belongs to no service, and no path.
    fs::write(file("nobody"), &drain).unwrap();
    scene.wait_for_log(OVERRIDE_OF_NO_SERVICE);
    let printed = scene.succeeds(&["maint", "web"]);
    assert!(
        printed.starts_with("web: replaces an unusable file: "),
        "{printed}"
    );
    scene.wait_for_reply("web", "stopped 100% ");
}

/// Two files have one id, and one of them expires.
#[test]
fn override_with_the_id_of_another_ends_alone() {
    let mut scene = super::operated_polling("same-id", "", "200ms");
    scene.succeeds(&["drain", "api"]);
    scene.wait_for_reply("api", "up 0% ");
    let directory = scene.overrides();
    let file = |name: &str| directory.join(format!("{name}.outage"));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(file(name)).unwrap()).unwrap()
    };
    let id = read("api")["id"].clone();
    scene.succeeds(&["drain", "web", "--for", "2s"]);
    let mut web = read("web");
    web["id"] = id.clone();
    let new = directory.join(".web.new");
    fs::write(&new, web.to_string()).unwrap();
    fs::rename(new, file("web")).unwrap();
    scene.wait_for_reply("web", "up 73% ");
    wait_until("the expired file to be removed", || !file("web").exists());
    assert_eq!(read("api")["id"], id);
    for _ in 0..3 {
        scene.wait_for_new_reply("api", "up 0% # override=drain");
    }
}

/// The user who can make a link there does not own the link's target.
#[test]
fn symlinked_flag_file_names_the_owner_of_the_link() {
    let mut scene = operated("flag-link", "");
    let new = scene.scratch.file("link");
    symlink("/etc/passwd", &new).unwrap();
    std::os::unix::fs::lchown(&new, Some(3_000_001), None).unwrap();
    fs::rename(new, scene.scratch.file("web-out")).unwrap();
    let printed = scene.wait_for_reply("web", "stopped 100% ").fresh;
    assert!(printed.contains("override=maint by=3000001 "), "{printed}");
}
