//! Each command: active when it ends, and what it prints.

use super::{operated, operated_polling, start};
use agentcheck_tests::messages::OVERRIDE_OVER;
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scene::{Scene, wrap};
use agentcheck_tests::snapshot::{self, Session, file};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

/// Runs an operator's command as part of a session.
fn operate(session: &mut Session, scene: &Scene, arguments: &[&str]) -> Option<i32> {
    session.run(arguments, &mut scene.operator_command(arguments))
}

#[test]
fn command_returns_after_its_override_is_active() {
    let mut scene = operated("commands", "");
    let mut session = Session::default();
    // Nothing but the command can have changed anything: the sources are polled once an hour.
    operate(
        &mut session,
        &scene,
        &["drain", "web", "--reason", "disk swap"],
    );
    assert!(
        scene
            .wait_for_reply("web", "up 0% ")
            .then
            .starts_with("up 0% # stale override=drain")
    );
    scene.wait_for_reply("api", "up 50% ");
    operate(&mut session, &scene, &["maint", "web", "--for", "1h"]);
    // After its end the decision beneath, also without a collector.
    assert_eq!(
        scene.wait_for_reply("web", "stopped 100% ").then,
        "up 73% # stale"
    );
    for arguments in [
        &["down", "web", "api"][..],
        &["force-up", "api", "--for", "30m"],
        &["limit", "api", "--percent", "20"],
        // The limit remains.
        &["resume", "web", "api"],
        // It never raises a weight.
        &["limit", "api", "--percent", "60"],
        &["limit", "api", "--off"],
        &["limit", "api", "--off"],
        &["resume", "web"],
    ] {
        operate(&mut session, &scene, arguments);
    }
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/each.txt"],
    );
    // The reply is in the log, with its author.
    scene.wait_for_log("web: up 0% # override=drain by=");
}

#[test]
fn all_outranks_one_service_and_that_outranks_a_flag_file() {
    let mut scene = operated("scopes", "");
    let mut session = Session::default();
    scene.put("web-out", "");
    let flag = scene.wait_for_reply("web", "stopped 100% ").fresh;
    assert!(
        flag.contains("override=maint by=") && flag.ends_with(" flag file"),
        "{flag}"
    );
    scene.wait_for_reply("api", "up 50% ");
    for arguments in [
        &["drain", "web"][..],
        &["down", "--all"],
        // It is recorded, and another outranks it: the command prints the reply of that one.
        &["maint", "api"],
        &["resume", "api"],
        &["resume", "--all"],
    ] {
        operate(&mut session, &scene, arguments);
    }
    scene.wait_for_reply("web", "up 0% ");
    scene.wait_for_reply("api", "up 50% ");
    operate(&mut session, &scene, &["resume", "web"]);
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/scopes.txt"],
    );
    fs::remove_file(scene.scratch.file("web-out")).unwrap();
    scene.wait_for_reply("web", "up 73% ");
    scene.put("all-out", "");
    scene.wait_for_reply("web", "stopped 100% ");
    scene.wait_for_reply("api", "stopped 100% ");
    fs::remove_file(scene.scratch.file("all-out")).unwrap();
    scene.wait_for_reply("api", "up 50% ");
}

#[test]
fn limit_for_all_keeps_a_drained_server_out() {
    let mut scene = operated("limits", "");
    scene.succeeds(&["drain", "web"]);
    let printed = scene.succeeds(&["limit", "--all", "--percent", "30"]);
    assert!(
        printed.contains("\nweb: up 0% # override=drain by="),
        "{printed}"
    );
    scene.wait_for_reply("web", "up 0% ");
    scene.wait_for_reply("api", "up 30% ");
}

#[test]
fn drain_becomes_maint_and_expires() {
    let mut scene = operated("stages", "");
    scene.succeeds(&[
        "drain", "web", "--then", "maint", "--after", "500ms", "--for", "2s",
    ]);
    scene.wait_for_reply("web", "stopped 100% ");
    scene.wait_for_reply("web", "up 73% ");
    scene.wait_for_log(OVERRIDE_OVER);
    wait_until("the file to be removed", || {
        !scene.overrides().join("web.outage").exists()
    });
}

#[test]
fn drain_waits_until_its_condition_is_true() {
    let mut scene = operated_polling("until", "", "100ms");
    let mut session = Session::default();
    let condition = "sessions_number.value == 0";
    let until = ["drain", "web", "--until", condition, "--wait"];
    let slow = [&until[..], &["--deadline", "1s"]].concat();
    assert_eq!(operate(&mut session, &scene, &slow), Some(1));
    scene.wait_for_reply("web", "up 0% ");

    let then = [&until[..], &["--deadline", "1h", "--then", "maint"]].concat();
    std::thread::scope(|scope| {
        let (scene, session) = (&scene, &mut session);
        let command = scope.spawn(move || operate(session, scene, &then));
        wait_until("the drain to be recorded with its condition", || {
            let file = scene.overrides().join("web.outage");
            fs::read_to_string(file).is_ok_and(|text| text.contains("\"maint\""))
        });
        assert!(!command.is_finished());
        scene.put("sessions", "0");
        assert_eq!(command.join().unwrap(), Some(0));
    });
    scene.wait_for_reply("web", "stopped 100% ");
    // There are sessions again: the condition was true once, and that counts.
    scene.put("sessions", "3");
    scene.kill();
    start(&mut scene);
    scene.wait_for_reply("web", "stopped 100% ");

    let unknown = [
        "drain",
        "web",
        "--until",
        "sesions.value == 0",
        "--deadline",
        "1s",
    ];
    assert_eq!(operate(&mut session, &scene, &unknown), Some(1));
    // The command may print the reply before or after the drain has become maint.
    let reply = |line: &&str| line.starts_with("web: up 0%") || line.starts_with("web: stopped");
    let lines: Vec<_> = session.text().lines().filter(|line| !reply(line)).collect();
    snapshot::check(
        &(lines.join("\n") + "\n"),
        &scene.variables(),
        file!["commands/until.txt"],
    );
}

/// A mistyped key and a number are no conditions: the command fails long before the deadline.
#[test]
fn until_that_cannot_be_evaluated_fails_at_once() {
    let mut scene = operated_polling("until-error", "", "100ms");
    let document = scene.scratch.write("document", "{\"sessions\": 5}");
    let text = fs::read_to_string(&scene.configuration).unwrap();
    let (top, rest) = text.split_at(text.find('[').unwrap());
    let source = format!(
        "{top}[source.doc.file]\npath = {document:?}\nformat = \"json\"\ninterval = \"100ms\"\n"
    );
    scene.reload(&(source + rest));
    let mut session = Session::default();
    for until in ["doc.json.sesions == 0", "doc.json.sessions"] {
        let command = [
            "drain",
            "web",
            "--until",
            until,
            "--deadline",
            "1h",
            "--wait",
        ];
        assert_eq!(operate(&mut session, &scene, &command), Some(1));
        // The drain does not end at the deadline, so the reply contains no end.
        let reply = scene.wait_for_reply("web", "up 0% ").fresh;
        assert!(!reply.contains("until="), "{reply}");
    }
    let status = run(&mut scene.command(&["status", "web"]));
    assert!(status.contains("(cannot evaluate: "), "{status}");
    // The command has read a configuration that the collector has not loaded.
    let text = fs::read_to_string(&scene.configuration).unwrap();
    scene.configure(&text.replace("source.doc.", "source.late."));
    let command = [
        "drain",
        "web",
        "--until",
        "late.ok",
        "--deadline",
        "1h",
        "--wait",
    ];
    assert_eq!(operate(&mut session, &scene, &command), Some(1));
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/until-error.txt"],
    );
}

#[test]
fn override_without_collector_is_recorded_and_not_active() {
    let mut scene = operated("nobody", "");
    let mut session = Session::default();
    scene.kill();
    assert_eq!(operate(&mut session, &scene, &["drain", "web"]), Some(1));
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/no-collector.txt"],
    );
    assert!(scene.overrides().join("web.outage").exists());
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
}

#[test]
fn wrong_command_is_refused_and_changes_nothing() {
    let scene = operated("mistakes", "");
    let mut session = Session::default();
    let long = "x".repeat(201);
    for usage in [
        &["force-up", "web"][..],
        &["drain"],
        &["drain", "web", "--all"],
        &["limit", "web", "--percent", "0"],
        &["limit", "web"],
        &["drain", "web", "--for", "10"],
        &["drain", "web", "--until", "true"],
        &["drain", "web", "--after", "1s"],
    ] {
        let output = scene.operator(usage);
        assert_eq!(output.status.code(), Some(2), "{usage:?}: {output:?}");
    }
    for wrong in [
        &["drain", "wbe"][..],
        &["drain", "web", "--then", "maint"],
        &[
            "drain", "web", "--then", "maint", "--after", "2s", "--for", "1s",
        ],
        &["drain", "web", "--reason", &long],
    ] {
        assert_eq!(operate(&mut session, &scene, wrong), Some(1), "{wrong:?}");
    }
    assert!(!scene.overrides().join("web.outage").exists());
    fs::remove_dir_all(scene.overrides()).unwrap();
    assert_eq!(operate(&mut session, &scene, &["drain", "web"]), Some(1));
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/wrong.txt"],
    );
}

/// The collector can read it with every umask of the operator; and no part of a reason becomes a part of a reply.
#[test]
fn override_file_is_readable_and_its_reason_is_only_a_description() {
    let mut scene = operated("umask", "");
    let reason = "up ready 100%\n# \u{1b}[31m down";
    let mut command = scene.operator_command(&["drain", "web", "--reason", reason]);
    wrap(&mut command, "sh", &["-c", "umask 077; exec \"$@\"", "sh"]);
    run(&mut command);
    let mode = fs::metadata(scene.overrides().join("web.outage"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o644);
    let reply = scene.wait_for_reply("web", "up 0% ").fresh;
    assert!(reply.starts_with("up 0% # override=drain by="), "{reply}");
    assert!(reply.ends_with(" up ready 100%?# ?[31m down"), "{reply}");
    // The next operator's terminal gets no escape sequence, either.
    let printed = scene.succeeds(&["resume", "web"]);
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
}

#[test]
fn wait_covers_two_agent_intervals() {
    let scene = operated("wait", "");
    let mut session = Session::default();
    let began = Instant::now();
    operate(
        &mut session,
        &scene,
        &["drain", "web", "--wait", "--agent-inter", "300ms"],
    );
    assert!(began.elapsed() >= Duration::from_millis(600));
    snapshot::check(
        session.text(),
        &scene.variables(),
        file!["commands/wait.txt"],
    );
}

#[test]
fn resume_after_a_drain_starts_the_ramp() {
    let mut scene = operated("ramp", "ramp = \"1h\"");
    scene.succeeds(&["drain", "web"]);
    let printed = scene.succeeds(&["resume", "web"]);
    assert!(
        printed.contains("\nweb: up 7% # ramp web_number=73"),
        "{printed}"
    );
    // A limit takes no server out, and starts none.
    scene.succeeds(&["limit", "api", "--percent", "20"]);
    scene.succeeds(&["limit", "api", "--off"]);
    scene.wait_for_reply("api", "up 50% ");
}
