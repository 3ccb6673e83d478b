//! Files that commands read or replace. Where another user can put a FIFO, a socket, a directory, a link to a device
//! or a huge sparse file in the place of one, no command hangs, needs much memory or replaces it. Text in such
//! files steers no terminal.

use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scene::{Scene, wrap};
use std::fs::{self, File, FileType};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CONFIGURATION: &str =
    "[source.load.system]\nmetric = \"load\"\n[service.web]\nweight = '100'\n";

/// Moves, hides, reverses and ends text, and begins the performance data of a monitoring plugin.
const EVIL: &str = "\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{7}\n<0>forged";

/// The file types that are put in the place of a file.
const TYPES: [&str; 5] = ["fifo", "socket", "directory", "link", "sparse"];

/// Puts a file of this type at a path.
fn place(kind: &str, path: &Path) {
    if let Ok(found) = path.symlink_metadata() {
        match found.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    match kind {
        "fifo" => drop(run(Command::new("mkfifo").arg(path))),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "directory" => fs::create_dir(path).unwrap(),
        "link" => symlink("/dev/zero", path).unwrap(),
        _ => File::create(path).unwrap().set_len(1 << 40).unwrap(),
    }
}

/// Runs a command with an address space of 2 GiB. A command that hangs is killed, and fails the test.
fn bounded(mut command: Command) -> Output {
    wrap(&mut command, "prlimit", &["--as=2147483648"]);
    wrap(&mut command, "timeout", &["--signal", "KILL", "120"]);
    let output = output(&mut command);
    let ended = output
        .status
        .code()
        .is_some_and(|code| [0, 1, 2, 3].contains(&code));
    assert!(ended, "{command:?}: {output:?}");
    output
}

fn type_of(path: &Path) -> FileType {
    path.symlink_metadata().unwrap().file_type()
}

#[test]
fn no_command_hangs_at_a_file_of_another_type() {
    let scene = Scene::new("types");
    scene.configure(CONFIGURATION);
    let overrides = scene.overrides();
    let history = scene.data().join("history");
    fs::create_dir(&history).unwrap();
    let mut runs = 0;
    for kind in TYPES {
        // Files of the collector, the operators and the command line.
        let given = scene.scratch.file("given");
        let read = [
            scene.states.path().join("status.json"),
            scene.states.file("web"),
            history.join("current.jsonl"),
            overrides.join("web.outage"),
            overrides.join("web.limit"),
            given.clone(),
        ];
        for path in &read {
            place(kind, path);
        }
        let given = given.to_str().unwrap();
        let commands: [&[&str]; 5] = [
            &["explain", "web"],
            &["doctor", "--agent", "127.0.0.1:1"],
            &["drain", "web"],
            &["resume", "web"],
            &["ready", "web"],
        ];
        for arguments in commands {
            bounded(scene.operator_command(arguments));
            runs += 1;
        }
        let commands: [&[&str]; 4] = [
            &["status", "-v"],
            &["status", "--json"],
            &["status", "--check"],
            &["decommission"],
        ];
        for arguments in commands {
            place(kind, &scene.states.file("web"));
            bounded(scene.command(arguments));
            runs += 1;
        }
        let config = scene.configuration.to_str().unwrap();
        let commands: [&[&str]; 7] = [
            &["check", "--config", given],
            &["check", "--config", config, "--sample", given],
            &["replay", "--config", config, given],
            &["import", "herald", given],
            &["import", "loadbalancer", given],
            &["generate", "systemd", "--config", given],
            &["generate", "systemd", "--config", config, "--output", given],
        ];
        for arguments in commands {
            let mut command = Command::new(agentcheck_tests::binaries::collector());
            command.args(arguments);
            bounded(command);
            runs += 1;
        }
        let mut command = Command::new(agentcheck_tests::binaries::collector());
        command.arg("history").arg("--data-dir").arg(scene.data());
        bounded(command);
        runs += 1;
    }
    println!("attack: {runs} commands, {} types of files", TYPES.len());
}

#[test]
fn commands_replace_nothing_but_regular_files() {
    let scene = Scene::new("replaced");
    scene.configure(CONFIGURATION);
    let recording = scene.scratch.write("recording", "");
    let output = scene.scratch.file("output");
    let name = output.to_str().unwrap();
    for kind in TYPES.into_iter().filter(|kind| *kind != "sparse") {
        place(kind, &output);
        let before = type_of(&output);
        let mut commands = vec![scene.command(&["report", "-o", name])];
        commands[0].arg("--data-dir").arg(scene.data());
        for arguments in [&["replay", "--svg", name][..], &["record", "--for", "1s"]] {
            let mut command = Command::new(agentcheck_tests::binaries::collector());
            command
                .args(arguments)
                .arg("--config")
                .arg(&scene.configuration);
            command.arg(match arguments[0] {
                "replay" => &recording,
                _ => &output,
            });
            commands.push(command);
        }
        for command in commands {
            let name = format!("{command:?}");
            let failed = bounded(command);
            assert_eq!(failed.status.code(), Some(1), "{name}: {failed:?}");
            assert_eq!(type_of(&output), before, "{name}");
        }
    }
}

/// What would steer a terminal in an output.
fn unprintable(output: &Output) -> Vec<char> {
    let bytes = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(bytes).unwrap();
    let hidden = text.chars().filter(|character| {
        *character != '\n'
            && (character.is_control() || EVIL.contains(*character) && !character.is_ascii())
    });
    hidden.collect()
}

/// An attacker with the collector's user can write its files. Root and monitoring read them.
#[test]
fn text_of_the_collectors_files_steers_no_terminal() {
    let mut scene = Scene::with("steered", |_| CONFIGURATION.to_owned());
    let _ = scene.overrides();
    scene.wait_for_reply("web", "up 100%");
    scene.succeeds(&["drain", "web", "--reason", "why"]);
    scene.wait_for_reply("web", "up 0%");
    let status = scene.states.path().join("status.json");
    scene.wait_for_snapshot("the drain and the source", |status| {
        status["sources"]["load"].is_object() && status.to_string().contains("override=drain")
    });
    scene.kill();
    let snapshot: serde_json::Value = serde_json::from_slice(&fs::read(&status).unwrap()).unwrap();
    let mut snapshot = hostile(&snapshot);
    for part in ["sources", "services"] {
        let all = snapshot[part].as_object_mut().unwrap();
        let one = all.values().next().unwrap().clone();
        all.insert(EVIL.to_owned(), one);
    }
    fs::write(&status, snapshot.to_string()).unwrap();
    let history = scene.data().join("history/current.jsonl");
    let lines: Vec<String> = fs::read_to_string(&history)
        .unwrap()
        .lines()
        .map(|line| hostile(&serde_json::from_str(line).unwrap()).to_string())
        .collect();
    fs::write(&history, lines.join("\n") + "\n").unwrap();

    let mut outputs = Vec::new();
    for arguments in [
        &["status"][..],
        &["status", "-v"],
        &["status", "--json"],
        &["status", "--check"],
    ] {
        outputs.push(bounded(scene.command(arguments)));
    }
    for arguments in [
        &["explain", "web"][..],
        &["doctor", "--agent", "127.0.0.1:1"],
    ] {
        outputs.push(bounded(scene.operator_command(arguments)));
    }
    // Names on the command line, which a script takes from elsewhere.
    let evil: PathBuf = scene.scratch.directory("evil").join(EVIL.replace('\n', ""));
    fs::create_dir(&evil).unwrap();
    let configuration = evil.join("agentcheck.toml");
    fs::write(
        &configuration,
        CONFIGURATION.replace("= '100'", "= 'load.one'"),
    )
    .unwrap();
    let broken = evil.join("broken.toml");
    fs::write(&broken, "[service.web]\nwrong = 1\n").unwrap();
    for (arguments, file) in [
        (&["history", "--data-dir"][..], &scene.data()),
        (&["history", "--json", "--data-dir"], &scene.data()),
        (&["check", "--config"], &configuration),
        (&["check", "--config"], &broken),
        (&["check", "--config"], &evil.join("missing.toml")),
        (&["status", "--state-dir"], &evil.join("missing")),
        (&["no-command"], &evil),
        (&["status", "--color"], &evil),
        (&["generate", "systemd", "--address"], &evil),
    ] {
        let mut command = Command::new(agentcheck_tests::binaries::collector());
        command.args(arguments).arg(file);
        outputs.push(bounded(command));
    }
    for output in &outputs {
        let found = unprintable(output);
        assert!(found.is_empty(), "{found:?} in {output:?}");
        let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        let forged = texts
            .iter()
            .any(|text| text.lines().any(|line| line.starts_with("<0>")));
        assert!(!forged, "{output:?}");
    }
    println!("attack: {} outputs with hostile text", outputs.len());
}

/// The document with the hostile text at the end of every text but the boot id.
fn hostile(document: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match document {
        Value::String(text) => Value::String(format!("{text}{EVIL}")),
        Value::Array(all) => Value::Array(all.iter().map(hostile).collect()),
        Value::Object(all) => Value::Object(
            all.iter()
                .map(|(key, value)| {
                    let kept =
                        ["boot", "event", "action", "scope", "decided_by"].contains(&key.as_str());
                    (
                        key.clone(),
                        if kept { value.clone() } else { hostile(value) },
                    )
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
