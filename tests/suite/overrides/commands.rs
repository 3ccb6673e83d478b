//! Each command, in effect when it ends, and what it says.

use super::desk::Desk;
use agentcheck_tests::processes::{output, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn each_command_is_in_effect_when_it_ends() {
    let mut desk = Desk::open("commands", "");
    // Nothing but the command can have changed anything: the sources are polled once an hour.
    let began = Instant::now();
    let said = desk.told(&["drain", "web", "--reason", "disk swap"]);
    println!(
        "drain in effect after {:?}, the command's own time included",
        began.elapsed()
    );
    assert!(
        said.starts_with("web: up 0% # override=drain by="),
        "{said}"
    );
    assert!(said.contains(" disk swap"), "{said}");
    assert!(
        desk.says("web", "up 0% ")
            .then
            .starts_with("up 0% # stale override=drain")
    );
    desk.says("api", "up 50% ");

    let said = desk.told(&["maint", "web", "--for", "1h"]);
    assert!(said.starts_with("web: replaces drain by "), "{said}");
    assert!(
        said.contains(": disk swap\nweb: stopped 100% # maintenance override=maint by="),
        "{said}"
    );
    // After its end the verdict beneath, also without a collector.
    assert_eq!(desk.says("web", "stopped 100% ").then, "up 73% # stale");
    let said = desk.told(&["down", "web", "api"]);
    assert!(
        said.contains("web: down 100% # ") && said.contains("api: down 100% # "),
        "{said}"
    );
    let said = desk.told(&["force-up", "api", "--for", "30m"]);
    assert!(
        said.contains("api: up 100% # override=force-up by="),
        "{said}"
    );
    let said = desk.told(&["limit", "api", "--percent", "20"]);
    assert!(said.contains("api: up 20% # override=limit by="), "{said}");
    let said = desk.told(&["limit", "api", "--percent", "60"]);
    assert!(
        said.contains("api: up 50% # api_number=50"),
        "never raises: {said}"
    );
    let said = desk.told(&["resume", "web", "api"]);
    assert!(said.contains("web: no longer down by "), "{said}");
    assert!(
        said.contains("\nweb: up 73% # ") && said.contains("\napi: up 50% # "),
        "{said}"
    );
    let said = desk.told(&["resume", "web"]);
    assert!(
        said.starts_with("web: there was no override\nweb: up 73%"),
        "{said}"
    );
    // What was said is in the log, with who said it.
    desk.logged("web: up 0% # override=drain by=");
}

#[test]
fn all_comes_before_one_and_one_before_a_flag_file() {
    let mut desk = Desk::open("scopes", "");
    desk.put("web-out", "");
    let flag = desk.says("web", "stopped 100% ").fresh;
    assert!(
        flag.contains("override=maint by=") && flag.ends_with(" flag file"),
        "{flag}"
    );
    desk.says("api", "up 50% ");
    desk.told(&["drain", "web"]);
    let said = desk.told(&["down", "--all"]);
    assert!(
        said.contains("web: down 100% # ") && said.contains("api: down 100% # "),
        "{said}"
    );
    // It is recorded, and another comes first: the command says so.
    let said = desk.told(&["maint", "api"]);
    assert!(said.contains("api: down 100% # "), "{said}");
    let said = desk.failed(&["resume", "api"]);
    assert!(said.contains("api is still overridden: down by "), "{said}");
    assert!(said.contains("agentcheck resume --all ends that"), "{said}");
    let said = desk.failed(&["resume", "--all"]);
    assert!(
        said.contains("web is still overridden: drain by "),
        "{said}"
    );
    desk.says("web", "up 0% ");
    desk.says("api", "up 50% ");
    let said = desk.failed(&["resume", "web"]);
    assert!(
        said.contains(&format!("rm {}", desk.scratch.file("web-out").display())),
        "{said}"
    );
    fs::remove_file(desk.scratch.file("web-out")).unwrap();
    desk.says("web", "up 73% ");
    desk.put("all-out", "");
    desk.says("web", "stopped 100% ");
    desk.says("api", "stopped 100% ");
    fs::remove_file(desk.scratch.file("all-out")).unwrap();
    desk.says("api", "up 50% ");
}

#[test]
fn a_limit_for_all_lets_nobody_in_who_is_drained() {
    let mut desk = Desk::open("limits", "");
    desk.told(&["drain", "web"]);
    desk.told(&["limit", "--all", "--percent", "30"]);
    desk.says("web", "up 0% ");
    desk.says("api", "up 30% ");
}

#[test]
fn stages_follow_and_end() {
    let mut desk = Desk::open("stages", "");
    desk.told(&[
        "drain", "web", "--then", "maint", "--after", "500ms", "--for", "2s",
    ]);
    desk.says("web", "stopped 100% ");
    desk.says("web", "up 73% ");
    desk.logged("web: an override is over");
    wait_until("the file to be gone", || {
        !desk.overrides().join("web.override").exists()
    });
}

#[test]
fn a_drain_waits_until_nobody_is_left() {
    let mut desk = Desk::polling("until", "", "100ms");
    let until = [
        "drain",
        "web",
        "--until",
        "sessions_number.value == 0",
        "--wait",
    ];
    let slow = [&until[..], &["--deadline", "1s"]].concat();
    let said = desk.failed(&slow);
    assert!(
        said.contains("the deadline has passed and sessions_number.value == 0 does not hold"),
        "{said}"
    );
    desk.says("web", "up 0% ");

    let then = [&until[..], &["--deadline", "1h", "--then", "maint"]].concat();
    let waiting = std::thread::scope(|scope| {
        let desk = &desk;
        let command = scope.spawn(move || desk.told(&then));
        wait_until("the drain to be recorded with its condition", || {
            let file = desk.overrides().join("web.override");
            fs::read_to_string(file).is_ok_and(|text| text.contains("\"maint\""))
        });
        assert!(!command.is_finished());
        desk.put("sessions", "0");
        command.join().unwrap()
    });
    assert!(
        waiting.contains("sessions_number.value == 0 holds, after "),
        "{waiting}"
    );
    desk.says("web", "stopped 100% ");
    // Somebody came back: what was reached stays reached.
    desk.put("sessions", "3");
    desk.kill();
    desk.start();
    desk.says("web", "stopped 100% ");

    let said = desk.failed(&[
        "drain",
        "web",
        "--until",
        "sesions.value == 0",
        "--deadline",
        "1s",
    ]);
    assert!(said.contains("there is no source sesions"), "{said}");
}

#[test]
fn without_a_collector_it_is_recorded_and_not_in_effect() {
    let mut desk = Desk::open("nobody", "");
    desk.kill();
    let said = desk.failed(&["drain", "web"]);
    assert!(
        said.contains("agentcheck: recorded, NOT in effect: no collector is at work in "),
        "{said}"
    );
    assert!(desk.overrides().join("web.override").exists());
    desk.start();
    desk.says("web", "up 0% ");
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let desk = Desk::open("mistakes", "");
    let said = desk.failed(&["drain", "wbe"]);
    assert!(
        said.contains("there is no service \"wbe\"; there are: api, web"),
        "{said}"
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
        let output = desk.operator(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
    for wrong in [
        &["drain", "web", "--then", "maint"][..],
        &[
            "drain", "web", "--then", "maint", "--after", "2s", "--for", "1s",
        ],
    ] {
        desk.failed(wrong);
    }
    let long = "x".repeat(201);
    let said = desk.failed(&["drain", "web", "--reason", &long]);
    assert!(said.contains("more than 200 bytes"), "{said}");
    assert!(!desk.overrides().join("web.override").exists());
    fs::remove_dir_all(desk.overrides()).unwrap();
    let said = desk.failed(&["drain", "web"]);
    assert!(
        said.contains("cannot be written to") && said.contains("systemd-tmpfiles"),
        "{said}"
    );
}

/// Whatever the operator's umask is, the collector can read it; and what an operator writes as a reason is
/// no word of a reply.
#[test]
fn written_for_the_collector_and_as_a_description_only() {
    let mut desk = Desk::open("umask", "");
    let reason = "up ready 100%\n# \u{1b}[31m down";
    let command = agentcheck_tests::collector::Collector::operator(
        &["drain", "web", "--reason", reason],
        &desk.configuration,
        &desk.states,
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    let output = output(&mut shell);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mode = fs::metadata(desk.overrides().join("web.override"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o644);
    let said = desk.says("web", "up 0% ").fresh;
    assert!(said.starts_with("up 0% # override=drain by="), "{said}");
    assert!(said.ends_with(" up ready 100%?# ?[31m down"), "{said}");
    // The next operator's terminal is spared, too.
    let said = desk.told(&["resume", "web"]);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn a_command_can_wait_for_the_balancers() {
    let desk = Desk::open("wait", "");
    let began = Instant::now();
    let said = desk.told(&["drain", "web", "--wait", "--agent-inter", "300ms"]);
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(
        said.ends_with("all balancers that ask every 300ms have it\n"),
        "{said}"
    );
}

#[test]
fn a_server_that_was_taken_out_by_hand_comes_back_by_its_ramp() {
    let mut desk = Desk::open("ramp", "ramp = \"1h\"");
    desk.told(&["drain", "web"]);
    let said = desk.told(&["resume", "web"]);
    assert!(said.contains("\nweb: up 7% # ramp web_number=73"), "{said}");
    // A limit takes nobody out, and begins none.
    desk.told(&["limit", "api", "--percent", "20"]);
    desk.told(&["resume", "api"]);
    desk.says("api", "up 50% ");
}
