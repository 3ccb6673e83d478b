//! What the flight recorder tells of it afterwards.

use super::{operated, start};
use agentcheck_tests::collector::Collector;

#[test]
fn history_survives_restarts_and_names_the_reason() {
    let mut scene = operated("story", "");
    scene.succeeds(&["drain", "web", "--reason", "disk swap"]);
    scene.kill();
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
    scene.succeeds(&["resume", "web"]);
    scene.kill();
    // Nobody is there any more, and it is told all the same.
    let data = scene.data();
    let read = |arguments: &[&str]| {
        let mut command = std::process::Command::new(agentcheck_tests::binaries::collector());
        command.args(arguments).arg("--data-dir").arg(&data);
        let output = agentcheck_tests::processes::output(&mut command);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, reported) = read(&["history", "web"]);
    assert_eq!(status, Some(0));
    let mut lines = reported.lines().filter(|line| line.contains("web: "));
    let mut next = |part: &str| {
        let line = lines.next().unwrap_or_default();
        assert!(line.contains(part), "{part} in {line:?} of\n{reported}");
    };
    next("web: up 73% # ");
    next("web: up 0% # override=drain by=");
    // The second collector said it again, as the first thing that it said.
    next("web: up 0% # override=drain by=");
    next("web: up 73% # ");
    assert_eq!(
        reported.matches("  collector: started\n").count(),
        2,
        "{reported}"
    );
    assert!(!reported.contains("api: "), "{reported}");
    let (status, json) = read(&["history", "--json"]);
    assert_eq!(status, Some(0));
    assert!(
        json.lines()
            .any(|line| line.contains("\"service\":\"api\"")),
        "{json}"
    );
    let (status, why) = read(&["explain", "web", "--at", "0s"]);
    assert_eq!(status, Some(0), "{why}");
    assert!(
        why.contains("web: up 73% # ") && why.contains("disk swap"),
        "{why}"
    );
    assert_eq!(read(&["explain", "web", "--at", "1h"]).0, Some(1));
    assert_eq!(read(&["explain", "web", "--at", "noon"]).0, Some(1));
    assert_eq!(read(&["explain", "nobody", "--at", "0s"]).0, Some(1));
}

#[test]
fn dry_run_prints_replies_and_writes_nothing() {
    let mut scene = operated("dry", "");
    scene.succeeds(&["drain", "web"]);
    let log = |file: &str| std::fs::read_to_string(scene.scratch.file(file)).unwrap_or_default();
    let seen = |directory: &std::path::Path| {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let data = scene.data();
    let before = (
        seen(scene.states.path()),
        seen(&data),
        seen(&scene.overrides()),
    );
    // Other weights, beside the collector that is at work.
    let text = std::fs::read_to_string(&scene.configuration).unwrap();
    let other = text.replace("_number.value\"", "_number.value / 2\"");
    let other = scene.scratch.write("other.toml", other);
    let arguments = ["collect", "--dry-run"];
    let mut command = Collector::operator(&arguments, &other, &scene.states);
    let file = std::fs::File::create(scene.scratch.file("dry.out")).unwrap();
    let mut child = command
        .stdout(file)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    agentcheck_tests::processes::wait_until("the dry run to say both", || {
        let printed = log("dry.out");
        printed.contains("  web: up 0% # override=drain by=")
            && printed.contains("  api: up 25% # api_number=50")
    });
    assert_eq!(
        (
            seen(scene.states.path()),
            seen(&data),
            seen(&scene.overrides())
        ),
        before
    );
    child.kill().unwrap();
    child.wait().unwrap();
    scene.wait_for_reply("api", "up 50% ");
}
