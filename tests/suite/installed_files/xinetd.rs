//! What xinetd makes of its shipped file.

use super::install;
use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, program, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn xinetd_file_is_disabled_when_installed_and_enabled_when_copied() {
    let scratch = Scratch::new("disable");
    let root = scratch.directory("root");
    install(&root);
    let ours = fs::read_to_string(binaries::workspace().join("xinetd/agentcheck")).unwrap();
    let installed = fs::read_to_string(root.join("etc/xinetd.d/agentcheck")).unwrap();
    let attribute = |text: &str, value: &str| -> bool {
        text.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words == ["disable", "=", value]
        })
    };
    assert!(attribute(&ours, "no") && !attribute(&ours, "yes"));
    assert!(attribute(&installed, "yes") && !attribute(&installed, "no"));
}

/// Under defaults that would stop it in the first second.
#[test]
fn xinetd_serves_every_probe_and_logs_none() {
    const PROBES: usize = 300;
    let scratch = Scratch::new("xinetd");
    let block = Block::claim();
    let address = block.agent();
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73%");

    // Where the account that xinetd starts it as can reach it.
    let responder = scratch.program(&binaries::responder());
    let ours = fs::read_to_string(binaries::workspace().join("xinetd/agentcheck")).unwrap();
    let service = replaced(
        &ours,
        &[
            (
                "bind            = 127.0.0.1",
                format!("bind            = {}", address.ip()),
            ),
            (
                "/usr/bin/agentcheck-responder",
                responder.display().to_string(),
            ),
            (
                "server_args     = --name-from-client",
                format!(
                    "server_args     = --name-from-client --state-dir {}",
                    states.path().display()
                ),
            ),
        ],
    );
    let log = scratch.file("probes.log");
    let defaults = format!(
        "defaults\n{{\n\tlog_type = FILE {}\n\tlog_on_success = PID HOST USERID EXIT DURATION\n\
         \tinstances = 2\n\tper_source = 2\n\tcps = 3 60\n}}\n",
        log.display()
    );
    let configuration = scratch.write("xinetd.conf", defaults + &service);
    let mut xinetd = Running::start(
        &scratch,
        "xinetd",
        Command::new(program("xinetd", "xinetd"))
            .arg("-dontfork")
            .args([Path::new("-f"), &configuration])
            .args([Path::new("-filelog"), &scratch.file("messages.log")])
            .args([Path::new("-pidfile"), &scratch.file("xinetd.pid")]),
    );
    wait_until("xinetd to listen", || {
        assert!(xinetd.is_running(), "xinetd ended: {}", xinetd.log());
        is_listening(address)
    });

    let probers: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                for count in 0..PROBES / 4 {
                    let received = probe(address, b"web\n").unwrap();
                    assert_eq!(received, Received::line("up 73%"), "probe {count}");
                }
            })
        })
        .collect();
    for prober in probers {
        prober.join().expect("every probe is answered");
    }
    println!("{PROBES} of {PROBES} probes answered under xinetd");
    let received = probe(address, b"nobody-knows\n").unwrap();
    assert!(received.bytes.ends_with(b"\n"), "{received:?}");
    let lines = fs::read_to_string(log).unwrap_or_default();
    assert_eq!(lines, "", "a probe was logged");
}

/// `text` with each of `changes`, every one of which must apply exactly once outside of comments.
fn replaced(text: &str, changes: &[(&str, String)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (from, to) in changes {
        let mut count = 0;
        for line in &mut lines {
            if !line.trim_start().starts_with('#') && line.contains(from) {
                *line = line.replace(from, to);
                count += 1;
            }
        }
        assert_eq!(count, 1, "{from}");
    }
    lines.join("\n") + "\n"
}
