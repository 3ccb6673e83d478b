//! Output on a terminal: colours, `--watch`, help.

use super::{command, run, started, text_of};
use crate::AGENTCHECK;
use agentcheck_tests::processes::program;
use agentcheck_tests::scene::Scene;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// On a terminal of util-linux's script.
fn on_a_terminal(scene: &Scene, arguments: &str) -> Command {
    let mut command = Command::new(program("script", "bsdutils"));
    let states = scene.states.path().display();
    let line = format!("{AGENTCHECK} status {arguments} --state-dir {states}");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    command
}

#[test]
fn colours_appear_on_terminals_only() {
    let scene = started("seeing-tty", "fresh_for = \"10m\"");
    let text = text_of(&on_a_terminal(&scene, "").output().unwrap());
    assert!(text.contains("\x1b[32mup 73%\x1b[0m"), "{text:?}");
    for arguments in ["--color never", "--json"] {
        let text = text_of(&on_a_terminal(&scene, arguments).output().unwrap());
        assert!(
            text.contains("up 73%") && !text.contains('\x1b'),
            "{text:?}"
        );
    }
    let mut quiet = on_a_terminal(&scene, "");
    let text = text_of(&quiet.env("NO_COLOR", "1").output().unwrap());
    assert!(
        text.contains("up 73%") && !text.contains('\x1b'),
        "{text:?}"
    );
    let text = text_of(&run(&scene, &["status", "--color", "always"]));
    assert!(text.contains("\x1b[32mup 73%\x1b[0m"), "{text:?}");
}

#[test]
fn watch_redraws_a_terminal_and_appends_to_a_pipe() {
    let scene = started("seeing-watch", "fresh_for = \"10m\"");
    let mut pipe = command(&scene, &["status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(pipe.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let printed = lines.find(|line| line.as_ref().unwrap().starts_with("collector: "));
        assert!(!printed.unwrap().unwrap().contains('\x1b'));
    }
    // The reader has closed the pipe.
    drop(lines);
    assert_eq!(pipe.wait().unwrap().code(), Some(0));

    let mut json = command(&scene, &["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(json.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(document["format"], 1);
    }
    drop(lines);
    assert_eq!(json.wait().unwrap().code(), Some(0));

    let mut terminal = on_a_terminal(&scene, "--watch");
    let mut terminal = terminal.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(terminal.stdout.take().unwrap());
    let mut printed = Vec::new();
    // The end of the first round, and the beginning of the second at the same place.
    for end in [&b"\x1b[J"[..], b"\x1b[H"] {
        while !printed.ends_with(end) {
            let mut byte = [0];
            std::io::Read::read_exact(&mut out, &mut byte).unwrap();
            printed.extend(byte);
        }
    }
    assert!(
        printed.starts_with(b"\x1b[2J\x1b[H"),
        "{}",
        printed.escape_ascii()
    );
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}

#[test]
fn help_fits_on_a_screen() {
    let help = |command: Option<&str>| {
        let mut asked = Command::new(AGENTCHECK);
        asked.args(command).arg("--help");
        let help = text_of(&asked.output().unwrap());
        assert!(help.lines().count() <= 24, "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        help
    };
    let whole = help(None);
    let line = agentcheck::cli::command();
    let mut seen = 0;
    for command in line.get_subcommands() {
        let name = command.get_name();
        help(Some(name));
        let named = whole
            .lines()
            .filter(|line| line.starts_with("  "))
            .flat_map(|line| line.get(2..18).unwrap_or_default().split([',', ' ']))
            .any(|word| word == name);
        assert!(named, "{name} is not in the help of the whole");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    assert!(whole.contains("Exit status: 0"));
    let status = |arguments: &[&str]| {
        let output = Command::new(AGENTCHECK).args(arguments).output();
        output.unwrap().status.code()
    };
    assert_eq!(
        status(&["status", "--watch", "--json", "--verbose"]),
        Some(2)
    );
    // 2 is CRITICAL for monitoring.
    assert_eq!(status(&["status", "--watch", "--check"]), Some(3));
    let help = |arguments: &[&str]| {
        let output = Command::new(AGENTCHECK).args(arguments).output();
        text_of(&output.unwrap())
    };
    assert_eq!(help(&["help"]), whole);
    assert_eq!(help(&["help", "drain"]), help(&["drain", "--help"]));
}
