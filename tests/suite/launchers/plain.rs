//! No socket at all: a pipe, `/dev/null`, a terminal, as when a person runs the responder.

use super::{API, WEB, states};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::program;
use agentcheck_tests::responder::arguments;
use agentcheck_tests::scratch::Scratch;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs the responder with this on its standard input, everything else piped.
fn piped(arguments: &[String], input: &[u8]) -> Output {
    let mut child = Command::new(binaries::responder())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have replied and ended before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn assert_reply(output: &Output, line: &str) {
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{line}\n"),
        "{output:?}"
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn reply_is_written_to_pipes() {
    let scratch = Scratch::new("pipes");
    let states = states(&scratch);
    assert_reply(&piped(&arguments(&states, &["web"]), b""), WEB);
    assert_reply(&piped(&arguments(&states, &["web"]), b"api\n"), WEB);
    assert_reply(
        &piped(&arguments(&states, &["--name-from-client"]), b"api\n"),
        API,
    );
    assert_reply(
        &piped(&arguments(&states, &["--name-from-client"]), b"web"),
        WEB,
    );
    assert_reply(
        &piped(&arguments(&states, &["--name-from-client"]), b""),
        "no-name",
    );
    assert_reply(
        &piped(
            &arguments(&states, &["--name-from-client"]),
            &[b'x'; 100_000],
        ),
        "bad-name",
    );
}

/// The first command that an operator tries.
#[test]
fn missing_input_and_state_directory_give_a_reply() {
    let output = |arguments: &[&str]| {
        let mut command = Command::new(binaries::responder());
        command.args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    };
    assert_reply(&output(&[]), "no-name");
    let absent = ["web", "--state-dir", "/nonexistent/agentcheck"];
    assert_reply(&output(&absent), "no-state:web");
    let fallback = [&absent[..], &["--fallback", "up 50% # fallback"]].concat();
    assert_reply(&output(&fallback), "up 50% # fallback");
}

/// Its output has no reader: no signal, no message, no failure.
#[test]
fn closed_reader_is_no_error() {
    let scratch = Scratch::new("closed-reader");
    let states = states(&scratch);
    let mut child = Command::new(binaries::responder())
        .args(arguments(&states, &["--name-from-client"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"web\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn reply_is_written_to_a_terminal() {
    let scratch = Scratch::new("terminal");
    let states = states(&scratch);
    let on_terminal = |which: &str| {
        let words = arguments(&states, &[which]).join(" ");
        let line = format!("{} {words}", binaries::responder().display());
        let mut command = Command::new(program("script", "bsdutils"));
        // The status of the program, on a terminal of its own, without a record of it.
        command.args(["-q", "-e", "-c", &line, "/dev/null"]);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = on_terminal("web");
    // The terminal makes the line end visible on a screen.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{WEB}\r\n")
    );
    assert!(output.status.success(), "{output:?}");
    // Without a client, it does not wait for a person to type.
    let output = on_terminal("--name-from-client");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("no-name\r\n"), "{text:?}");
    assert!(output.status.success(), "{output:?}");
}
