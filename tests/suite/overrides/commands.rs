//! Each command, in effect when it ends, and what it says.

use super::{operated, operated_polling, start};
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scene::wrap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

#[test]
fn command_returns_after_its_override_is_active() {
    let mut scene = operated("commands", "");
    // Nothing but the command can have changed anything: the sources are polled once an hour.
    let began = Instant::now();
    let printed = scene.succeeds(&["drain", "web", "--reason", "disk swap"]);
    println!(
        "drain in effect after {:?}, the command's own time included",
        began.elapsed()
    );
    assert!(
        printed.starts_with("web: up 0% # override=drain by="),
        "{printed}"
    );
    assert!(printed.contains(" disk swap"), "{printed}");
    assert!(
        scene
            .wait_for_reply("web", "up 0% ")
            .then
            .starts_with("up 0% # stale override=drain")
    );
    scene.wait_for_reply("api", "up 50% ");

    let printed = scene.succeeds(&["maint", "web", "--for", "1h"]);
    assert!(printed.starts_with("web: replaces drain by "), "{printed}");
    assert!(
        printed.contains(": disk swap\nweb: stopped 100% # maintenance override=maint by="),
        "{printed}"
    );
    // After its end the verdict beneath, also without a collector.
    assert_eq!(
        scene.wait_for_reply("web", "stopped 100% ").then,
        "up 73% # stale"
    );
    let printed = scene.succeeds(&["down", "web", "api"]);
    assert!(
        printed.contains("web: down 100% # ") && printed.contains("api: down 100% # "),
        "{printed}"
    );
    let printed = scene.succeeds(&["force-up", "api", "--for", "30m"]);
    assert!(
        printed.contains("api: up 100% # override=force-up by="),
        "{printed}"
    );
    let printed = scene.succeeds(&["limit", "api", "--percent", "20"]);
    assert!(
        printed.contains("api: up 20% # override=limit by="),
        "{printed}"
    );
    let printed = scene.succeeds(&["limit", "api", "--percent", "60"]);
    assert!(
        printed.contains("api: up 50% # api_number=50"),
        "never raises: {printed}"
    );
    let printed = scene.succeeds(&["resume", "web", "api"]);
    assert!(printed.contains("web: no longer down by "), "{printed}");
    assert!(
        printed.contains("\nweb: up 73% # ") && printed.contains("\napi: up 50% # "),
        "{printed}"
    );
    let printed = scene.succeeds(&["resume", "web"]);
    assert!(
        printed.starts_with("web: there was no override\nweb: up 73%"),
        "{printed}"
    );
    // What was said is in the log, with who said it.
    scene.wait_for_log("web: up 0% # override=drain by=");
}

#[test]
fn all_outranks_one_service_and_that_outranks_a_flag_file() {
    let mut scene = operated("scopes", "");
    scene.put("web-out", "");
    let flag = scene.wait_for_reply("web", "stopped 100% ").fresh;
    assert!(
        flag.contains("override=maint by=") && flag.ends_with(" flag file"),
        "{flag}"
    );
    scene.wait_for_reply("api", "up 50% ");
    scene.succeeds(&["drain", "web"]);
    let printed = scene.succeeds(&["down", "--all"]);
    assert!(
        printed.contains("web: down 100% # ") && printed.contains("api: down 100% # "),
        "{printed}"
    );
    // It is recorded, and another comes first: the command says so.
    let printed = scene.succeeds(&["maint", "api"]);
    assert!(printed.contains("api: down 100% # "), "{printed}");
    let printed = scene.fails(&["resume", "api"]);
    assert!(
        printed.contains("api is still overridden: down by "),
        "{printed}"
    );
    assert!(
        printed.contains("agentcheck resume --all ends that"),
        "{printed}"
    );
    let printed = scene.fails(&["resume", "--all"]);
    assert!(
        printed.contains("web is still overridden: drain by "),
        "{printed}"
    );
    scene.wait_for_reply("web", "up 0% ");
    scene.wait_for_reply("api", "up 50% ");
    let printed = scene.fails(&["resume", "web"]);
    assert!(
        printed.contains(&format!("rm {}", scene.scratch.file("web-out").display())),
        "{printed}"
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
    scene.succeeds(&["limit", "--all", "--percent", "30"]);
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
    scene.wait_for_log("web: an override is over");
    wait_until("the file to be gone", || {
        !scene.overrides().join("web.override").exists()
    });
}

#[test]
fn drain_waits_until_its_condition_is_true() {
    let mut scene = operated_polling("until", "", "100ms");
    let until = [
        "drain",
        "web",
        "--until",
        "sessions_number.value == 0",
        "--wait",
    ];
    let slow = [&until[..], &["--deadline", "1s"]].concat();
    let printed = scene.fails(&slow);
    assert!(
        printed.contains("the deadline has passed and sessions_number.value == 0 does not hold"),
        "{printed}"
    );
    scene.wait_for_reply("web", "up 0% ");

    let then = [&until[..], &["--deadline", "1h", "--then", "maint"]].concat();
    let waiting = std::thread::scope(|scope| {
        let scene = &scene;
        let command = scope.spawn(move || scene.succeeds(&then));
        wait_until("the drain to be recorded with its condition", || {
            let file = scene.overrides().join("web.override");
            fs::read_to_string(file).is_ok_and(|text| text.contains("\"maint\""))
        });
        assert!(!command.is_finished());
        scene.put("sessions", "0");
        command.join().unwrap()
    });
    assert!(
        waiting.contains("sessions_number.value == 0 holds, after "),
        "{waiting}"
    );
    scene.wait_for_reply("web", "stopped 100% ");
    // Somebody came back: what was reached stays reached.
    scene.put("sessions", "3");
    scene.kill();
    start(&mut scene);
    scene.wait_for_reply("web", "stopped 100% ");

    let printed = scene.fails(&[
        "drain",
        "web",
        "--until",
        "sesions.value == 0",
        "--deadline",
        "1s",
    ]);
    assert!(printed.contains("there is no source sesions"), "{printed}");
}

/// A mistyped key and a number are no conditions: the command fails long before the deadline.
#[test]
fn until_that_cannot_be_evaluated_fails_at_once() {
    let mut scene = operated_polling("until-error", "", "100ms");
    let document = scene.scratch.write("document", "{\"sessions\": 5}");
    let text = fs::read_to_string(&scene.configuration).unwrap();
    let source = format!(
        "[source.doc.file]\npath = {document:?}\nformat = \"json\"\ninterval = \"100ms\"\n"
    );
    scene.reload(&(source + &text));
    for (until, error) in [
        ("doc.json.sesions == 0", "sesions"),
        ("doc.json.sessions", "doc.json.sessions"),
    ] {
        let command = ["drain", "web", "--until", until, "--deadline", "1h"];
        let printed = scene.fails(&[&command[..], &["--wait"]].concat());
        assert!(
            printed.contains("cannot evaluate --until") && printed.contains(error),
            "{printed}"
        );
        let reply = scene.wait_for_reply("web", "up 0% ").fresh;
        assert!(!reply.contains("until="), "{reply}");
    }
    let status = String::from_utf8(run(&mut scene.command(&["status"])).into_bytes()).unwrap();
    assert!(status.contains("(cannot evaluate: "), "{status}");
}

#[test]
fn override_without_collector_is_recorded_and_not_active() {
    let mut scene = operated("nobody", "");
    scene.kill();
    let printed = scene.fails(&["drain", "web"]);
    assert!(
        printed.contains("agentcheck: recorded, NOT in effect: no collector is at work in "),
        "{printed}"
    );
    assert!(scene.overrides().join("web.override").exists());
    start(&mut scene);
    scene.wait_for_reply("web", "up 0% ");
}

#[test]
fn wrong_command_is_refused_and_changes_nothing() {
    let scene = operated("mistakes", "");
    let printed = scene.fails(&["drain", "wbe"]);
    assert!(
        printed.contains("there is no service \"wbe\"; there are: api, web"),
        "{printed}"
    );
    for wrong in [
        &["force-up", "web"][..],
        &["drain"],
        &["drain", "web", "--all"],
        &["limit", "web", "--percent", "0"],
        &["limit", "web"],
        &["drain", "web", "--for", "10"],
        &["drain", "web", "--until", "true"],
        &["drain", "web", "--after", "1s"],
    ] {
        let output = scene.operator(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
    for wrong in [
        &["drain", "web", "--then", "maint"][..],
        &[
            "drain", "web", "--then", "maint", "--after", "2s", "--for", "1s",
        ],
    ] {
        scene.fails(wrong);
    }
    let long = "x".repeat(201);
    let printed = scene.fails(&["drain", "web", "--reason", &long]);
    assert!(printed.contains("more than 200 bytes"), "{printed}");
    assert!(!scene.overrides().join("web.override").exists());
    fs::remove_dir_all(scene.overrides()).unwrap();
    let printed = scene.fails(&["drain", "web"]);
    assert!(
        printed.contains("cannot be written to") && printed.contains("systemd-tmpfiles"),
        "{printed}"
    );
}

/// Whatever the operator's umask is, the collector can read it; and what an operator writes as a reason is
/// no word of a reply.
#[test]
fn override_file_is_readable_and_its_reason_is_only_a_description() {
    let mut scene = operated("umask", "");
    let reason = "up ready 100%\n# \u{1b}[31m down";
    let mut command = scene.operator_command(&["drain", "web", "--reason", reason]);
    wrap(&mut command, "sh", &["-c", "umask 077; exec \"$@\"", "sh"]);
    run(&mut command);
    let mode = fs::metadata(scene.overrides().join("web.override"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o644);
    let printed = scene.wait_for_reply("web", "up 0% ").fresh;
    assert!(
        printed.starts_with("up 0% # override=drain by="),
        "{printed}"
    );
    assert!(
        printed.ends_with(" up ready 100%?# ?[31m down"),
        "{printed}"
    );
    // The next operator's terminal is spared, too.
    let printed = scene.succeeds(&["resume", "web"]);
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
}

#[test]
fn wait_covers_two_agent_intervals() {
    let scene = operated("wait", "");
    let began = Instant::now();
    let printed = scene.succeeds(&["drain", "web", "--wait", "--agent-inter", "300ms"]);
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(
        printed.ends_with("waited two agent intervals (300ms): every balancer has polled\n"),
        "{printed}"
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
    // A limit takes nobody out, and begins none.
    scene.succeeds(&["limit", "api", "--percent", "20"]);
    scene.succeeds(&["resume", "api"]);
    scene.wait_for_reply("api", "up 50% ");
}
