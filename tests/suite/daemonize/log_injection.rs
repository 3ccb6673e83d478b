//! Applications that send text which a terminal, a log or the journal could interpret.

use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::path::Path;

/// Ends of lines of all kinds, priorities, and what steers terminals.
const EVIL: &str = "<0>forged\n<0>forged\nagentcheck: error: forged\r\x1b[2J\u{85}<0>forged\u{2028}<0>forged\u{202e}";

/// Hostile text as standard error of a command, as content of a file, as text of JSON, and as a file's name.
fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    let write = |name: &str, content: &str| {
        std::fs::write(format!("{directory}/{name}"), content).unwrap();
    };
    write("evil", EVIL);
    write("number", &format!("12 {EVIL}"));
    let json = EVIL.escape_default().to_string();
    let json = json
        .replace("\\u{85}", "\\u0085")
        .replace("\\u{2028}", "\\u2028");
    let json = json
        .replace("\\u{202e}", "\\u202e")
        .replace("\\u{1b}", "\\u001b");
    write("json", &format!("{{\"state\": \"{json}\"}}"));
    format!(
        r#"
[source.failing.command]
argv = ["/bin/sh", "-c", "cat '{directory}/evil' >&2; exit 3"]
interval = "200ms"

[source.malformed.file]
path = "{directory}/number"
format = "number"
interval = "200ms"

[source.missing.file]
path = "{directory}/a\n<0>forged\u001b[2J\u2028<0>forged"
interval = "200ms"

[source.app.file]
path = "{directory}/json"
format = "json"
interval = "200ms"

[service.web]
weight = '50'

[[service.web.rule]]
name = "r"
when = "app.json.state != ''"
reply = "drain"
description = "{{app.json.state}}"
"#
    )
}

#[test]
fn application_text_forges_no_log_line() {
    let mut scene = Scene::with("forged", |scene| {
        configuration(&scene.scratch.directory("app"))
    });
    // As far as its second line, escaped: what came is there.
    let all = [
        "source failing: ",
        "source malformed: ",
        "source missing: ",
        "web: ",
    ];
    wait_until("all log lines", || {
        let log = scene.process().log();
        all.iter().all(|text| log.contains(text))
    });
    let log = scene.process().log();
    let forged = log
        .lines()
        .filter(|line| line.contains("<0>forged"))
        .count();
    assert!(forged >= 3, "{log}");
    for line in log.split_terminator('\n') {
        let begins = ["info", "warn", "error"].map(|level| format!("agentcheck: {level}: "));
        assert!(
            begins.iter().any(|begin| line.starts_with(begin)),
            "{line:?}"
        );
        assert!(
            !line.contains(['\r', '\x1b', '\u{85}', '\u{2028}', '\u{202e}']),
            "{line:?}"
        );
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// The same in the journal, where the beginning of a line can give it a priority.
#[test]
fn application_text_forges_no_journal_priority() {
    let scratch = Scratch::new("journal");
    let tree = installed(&scratch);
    let etc = tree.join("etc/agentcheck");
    let text = configuration(&etc).replace(etc.to_str().unwrap(), "/etc/agentcheck");
    std::fs::write(etc.join("agentcheck.toml"), text).unwrap();
    // The journal's variable, but standard error elsewhere.
    let unit = "[Service]\nExecStartPre=/bin/mkdir -p /run/elsewhere\n\
        ExecStart=/bin/sh -c 'exec agentcheck collect --state-dir /run/elsewhere 2>/run/elsewhere/log'\n";
    put(&tree, "etc/systemd/system/elsewhere.service", unit);

    let systemd = Systemd::boot(&scratch, &tree);
    let collector = "agentcheck-collector.service";
    systemd.run(&["systemctl", "start", collector, "elsewhere.service"]);
    let priority = |priority: &str, text: &str| {
        let words = [
            "journalctl",
            "--no-pager",
            "-o",
            "cat",
            "-u",
            collector,
            "-p",
        ];
        let printed = systemd.run(&[words.as_slice(), &[priority]].concat());
        printed.lines().any(|line| line.contains(text))
    };
    for source in ["failing", "malformed", "missing"] {
        wait_until(format_args!("a warning of {source}"), || {
            priority("4..4", &format!("source {source}: "))
        });
    }
    wait_until("the reply", || priority("6..6", "web: "));
    wait_until("what was to be forged", || priority("4..4", "<0>forged"));
    for text in ["forged", "agentcheck", "source"] {
        assert!(!priority("0..3", text), "{}", systemd.journal(collector));
    }
    let journal = systemd.journal(collector);
    assert!(
        journal
            .lines()
            .all(|line| !line.starts_with("forged") && !line.starts_with('<')),
        "{journal}"
    );
    let log = || std::fs::read_to_string(systemd.path("/run/elsewhere/log")).unwrap_or_default();
    wait_until("the other log", || log().contains("source failing: "));
    assert!(
        log().lines().all(|line| line.starts_with("agentcheck: ")),
        "{}",
        log()
    );
}
