//! A configuration that cannot be used changes nothing, and is told where people look.

use super::{Scene, service, source};
use agentcheck_tests::processes::output;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::now;

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told_everywhere() {
    let mut scene = Scene::new("wrong", |scratch| {
        source(scratch, "a") + &service("web", "a")
    });
    let right = std::fs::read_to_string(&scene.configuration).unwrap();
    scene.wait_for("web", "up 80% ");
    let wrong = format!("{right}wieght = 3\n[service.api]\nweight = \"b.value\"\n");
    let refused = scene.try_to_reload(&wrong);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(refused.stdout.is_empty());
    for part in [
        "agentcheck.toml:7:1: error: ",
        "agentcheck.toml:9:11: error: ",
        "wieght",
        "^",
        "agentcheck: not reloaded, the configuration of before is in force\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    // It goes on as before.
    scene.give("a", "40");
    scene.wait_for("web", "up 60% ");
    assert!(!scene.states.file("api").exists());

    let process = scene.collector.process();
    let log = process.wait_for_log("agentcheck.toml:9:11: error: ");
    let told = "not reloaded, the configuration of before is in force: ";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    let status = scene.command(&["status"]);
    let told = "a changed configuration was refused ";
    assert!(text(status).contains(told));
    let check = output(&mut scene.command(&["status", "--check"]));
    let line = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1), "{line}");
    assert!(
        line.contains("a changed configuration was refused: "),
        "{line}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&text(scene.command(&["status", "--json"]))).unwrap();
    let why = json["configuration"]["refused"]["why"].as_str().unwrap();
    assert!(why.contains("agentcheck.toml:7:1: error: "), "{why}");

    // Until it is right.
    let said = scene.reload(&right);
    assert_eq!(
        said,
        "reloaded: 1 source, 1 service; no service has changed\n"
    );
    assert!(!text(scene.command(&["status"])).contains(told));
    let check = output(&mut scene.command(&["status", "--check"]));
    assert_eq!(check.status.code(), Some(0));
}

#[test]
fn without_its_files_it_goes_on() {
    let mut scene = Scene::new("gone", |scratch| {
        source(scratch, "a") + &service("web", "a")
    });
    let right = std::fs::read_to_string(&scene.configuration).unwrap();
    scene.wait_for("web", "up 80% ");
    std::fs::remove_file(&scene.configuration).unwrap();
    let refused = output(&mut scene.command(&["reload"]));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("agentcheck.toml: error: cannot be read: "),
        "{said}"
    );
    let after = now();
    let _ = scene
        .collector
        .wait_for_plan(&scene.states, "web", |plan| plan.from > after);
    let _ = scene.reload(&right);
}

#[test]
fn with_nobody_to_reload_it_says_so() {
    let scratch = Scratch::new("nobody");
    let states = scratch.directory("state");
    let mut command = std::process::Command::new(agentcheck_tests::binaries::collector());
    let refused = output(command.arg("reload").arg("--state-dir").arg(&states));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("agentcheck: no collector is at work in "),
        "{said}"
    );
}

fn text(mut command: std::process::Command) -> String {
    agentcheck_tests::processes::run(&mut command)
}
