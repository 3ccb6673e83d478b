//! What the history contains about overrides.

use super::{operated, start};
use agentcheck_tests::binaries;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::snapshot::{self, Session, str};
use std::process::{Command, Stdio};

#[test]
fn history_survives_restarts_and_names_the_reason() {
    let mut scene = operated("story", "");
    let written = |scene: &Scene, entries: usize| {
        wait_until(format_args!("{entries} entries in the history"), || {
            let mut command = Command::new(binaries::collector());
            command
                .args(["history", "web", "--data-dir"])
                .arg(scene.data());
            run(&mut command).lines().count() == entries
        });
    };
    scene.succeeds(&["drain", "web", "--reason", "disk swap"]);
    written(&scene, 3);
    scene.kill();
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
    scene.succeeds(&["resume", "web"]);
    written(&scene, 6);
    scene.kill();
    // The history is read without a collector.
    let mut session = Session::default();
    let mut read = |arguments: &[&str]| {
        let mut command = Command::new(binaries::collector());
        session.run(
            arguments,
            command.args(arguments).arg("--data-dir").arg(scene.data()),
        )
    };
    // The second collector writes the drain again, as its first reply.
    for arguments in [&["history", "web"][..], &["explain", "web", "--at", "0s"]] {
        assert_eq!(read(arguments), Some(0));
    }
    assert_eq!(read(&["explain", "web", "--at", "1h"]), Some(1));
    assert_eq!(read(&["explain", "web", "--at", "noon"]), Some(1));
    assert_eq!(read(&["explain", "nobody", "--at", "0s"]), Some(1));
    snapshot::check(
        session.text(),
        &scene.variables(),
        str![[r#"
$ agentcheck history web
[WHEN]  collector: started
[WHEN]  web: up 73% # web_number=73 (weight)
[WHEN]  web: up 0% # override=drain by=[USER] disk swap (override: drain by [USER])
[WHEN]  collector: started
[WHEN]  web: up 0% # override=drain by=[USER] disk swap (override: drain by [USER])
[WHEN]  web: up 73% # web_number=73 (weight)

$ agentcheck explain web --at 0s
web at [WHEN]:
    [WHEN]  collector: started
    [WHEN]  web: up 0% # override=drain by=[USER] disk swap (override: drain by [USER])
  > [WHEN]  web: up 73% # web_number=73 (weight)

$ agentcheck explain web --at 1h
agentcheck: no entry for web at [WHEN]; its oldest entry is of [WHEN]
exit status: 1

$ agentcheck explain web --at noon
agentcheck: invalid --at "noon": write 10m (ago), 14:30, '2026-11-21 14:30', or [WHEN]
exit status: 1

$ agentcheck explain nobody --at 0s
agentcheck: no service nobody in the history, which contains api, web
exit status: 1


"#]],
    );
    let mut json = Command::new(binaries::collector());
    let json = run(json
        .args(["history", "--json", "--data-dir"])
        .arg(scene.data()));
    let of_api = |line: &str| line.contains("\"service\":\"api\"");
    assert!(json.lines().any(of_api), "{json}");
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
    let mut command = Collector::command(&arguments, &other, &scene.states);
    let file = std::fs::File::create(scene.scratch.file("dry.out")).unwrap();
    let mut child = command.stdout(file).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the dry run to print both", || {
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
