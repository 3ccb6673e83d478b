//! A downgrade: this version starts where a newer one left its files. It reads them or sets them aside, and every
//! command works.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{output, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scene::{Scene, stdout};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Replaces `old` by `new` in a file, where it must be.
fn rewrite(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    fs::write(file, text.replace(old, new)).unwrap();
}

#[test]
fn files_of_a_newer_version_are_read_or_set_aside() {
    let mut scene = Scene::with("downgrade", |scene| {
        scene.number("load", "20") + "[service.web]\nweight = \"100 - load.value\"\n"
    });
    let _ = scene.overrides();
    scene.succeeds(&["limit", "web", "--percent", "50"]);
    scene.wait_for_reply("web", "up 50% ");
    let history = scene.data().join("history/current.jsonl");
    wait_until("the reply in the history", || {
        fs::read_to_string(&history).is_ok_and(|lines| lines.contains("up 50%"))
    });
    scene.wait_for_snapshot("the reply", |status| status.to_string().contains("up 50%"));
    scene.kill();

    let states = scene.states.path().to_owned();
    rewrite(
        &states.join("status.json"),
        "\"version\":1,",
        "\"version\":2,\"newer\":{\"a\":[1]},",
    );
    rewrite(
        &states.join("web.state"),
        "agentcheck 1 web",
        "agentcheck 2 web",
    );
    fs::write(states.join("web.newer"), "of a newer version").unwrap();
    let order = scene.overrides().join("web.limit");
    rewrite(&order, "\"version\":1,", "\"version\":2,\"newer\":true,");
    let mut lines = fs::read_to_string(&history).unwrap();
    let first = lines.lines().next().unwrap().to_owned();
    let newer = first.replacen('{', "{\"newer\":{\"a\":1},", 1);
    lines.push_str(&newer.replace("\"started\"", "\"newer event\""));
    lines.push('\n');
    fs::write(&history, &lines).unwrap();

    // The responder of this version sends a no-op reply for the newer state file.
    scene.respond(&["web"]);
    let line = probe(scene.agent, b"").unwrap().text();
    assert_eq!(line, "bad-state:web\n");

    scene.start_as("older", |_| {});
    // The weight of this version's own reading; the newer override is reported, and changes nothing.
    scene.wait_for_new_reply("web", "up 80% ");
    assert_eq!(
        probe(scene.agent, b"").unwrap(),
        Received::line("up 80% # load=20")
    );
    scene.wait_for_log("unknown version 2: this program reads 1");
    let printed = stdout(output(&mut scene.command(&["status"])));
    assert!(printed.contains("unknown version 2"), "{printed}");
    let mut history_of_web = Command::new(binaries::collector());
    history_of_web
        .args(["history", "web", "--data-dir"])
        .arg(scene.data());
    assert!(stdout(output(&mut history_of_web)).contains("up 50%"));

    // Nothing is stuck: the next order replaces the newer file, and its end removes it.
    scene.succeeds(&["limit", "web", "--percent", "30"]);
    scene.wait_for_new_reply("web", "up 30% ");
    scene.succeeds(&["limit", "web", "--off"]);
    scene.wait_for_new_reply("web", "up 80% ");
    wait_until("the order's file to be removed", || !order.exists());
    let status = stdout(output(&mut scene.command(&["status"])));
    assert!(!status.contains("version"), "{status}");
    let kept = fs::read_to_string(&history).unwrap();
    assert!(kept.starts_with(&lines), "history is kept");
}
