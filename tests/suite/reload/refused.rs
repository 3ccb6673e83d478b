//! A refused configuration changes nothing, and log, status and the command report it.

use super::service;
use agentcheck_tests::messages::{NOT_RELOADED, RELOADED_UNCHANGED};
use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scene::{Scene, stderr};

#[test]
fn refused_configuration_changes_nothing_and_is_reported() {
    let mut scene = Scene::with("wrong", |scene| {
        scene.number("a", "20") + &service("web", "a")
    });
    let right = std::fs::read_to_string(&scene.configuration).unwrap();
    scene.wait_for_reply("web", "up 80% ");
    let wrong = format!(
        "{right}wieght = 3\n[service.api]\nweight = \"b.value\"\n[service.low]\nweight = \"1 - 0.5\"\n\
         [[service.low.rule]]\nname = \"always\"\nwhen = \"true\"\nreply = \"floor\"\n"
    );
    let printed = scene.refused_reload(&wrong);
    for part in [
        "agentcheck.toml:7:1: error: ",
        "agentcheck.toml:9:11: error: ",
        "wieght",
        "^",
        &format!("agentcheck: {NOT_RELOADED}\n"),
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }

    // It continues as before.
    scene.put("a", "40");
    scene.wait_for_reply("web", "up 60% ");
    assert!(!scene.states.file("api").exists());

    let log = scene.wait_for_log("agentcheck.toml:9:11: error: ");
    // Each finding has its own priority.
    assert!(
        log.contains("agentcheck: warn: ") && log.contains(": warning: "),
        "{log}"
    );
    for line in log.lines().filter(|line| line.contains(": warning: ")) {
        assert!(line.starts_with("agentcheck: warn: "), "{line}");
    }
    let reported = &format!("{NOT_RELOADED}: ");
    assert_eq!(log.matches(reported).count(), 1, "{log}");
    let mut status = scene.command(&["status"]);
    let reported = "reload refused ";
    assert!(run(&mut status).contains(reported));
    let check = output(&mut scene.command(&["status", "--check"]));
    let line = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1), "{line}");
    assert!(line.contains("reload refused: "), "{line}");
    let json: serde_json::Value =
        serde_json::from_str(&run(&mut scene.command(&["status", "--json"]))).unwrap();
    let why = json["configuration"]["refused"]["why"].as_str().unwrap();
    assert!(why.contains("agentcheck.toml:7:1: error: "), "{why}");

    // Until it is right.
    let printed = scene.reload(&right);
    assert_eq!(printed, format!("{RELOADED_UNCHANGED}\n"));
    assert!(!run(&mut scene.command(&["status"])).contains(reported));
    let check = output(&mut scene.command(&["status", "--check"]));
    assert_eq!(check.status.code(), Some(0));
}

#[test]
fn collector_continues_when_its_configuration_is_missing() {
    let mut scene = Scene::with("removed", |scene| {
        scene.number("a", "20") + &service("web", "a")
    });
    let right = std::fs::read_to_string(&scene.configuration).unwrap();
    scene.wait_for_reply("web", "up 80% ");
    std::fs::remove_file(&scene.configuration).unwrap();
    let printed = stderr(output(&mut scene.command(&["reload"])));
    assert!(
        printed.contains("agentcheck.toml: error: cannot read this: "),
        "{printed}"
    );
    scene.wait_for_new_reply("web", "");
    scene.reload(&right);
}

#[test]
fn reload_without_collector_fails() {
    let scene = Scene::new("nobody");
    let printed = stderr(output(&mut scene.command(&["reload"])));
    assert!(
        printed.starts_with("agentcheck: no collector is running in "),
        "{printed}"
    );
}
