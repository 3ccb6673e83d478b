//! Golden cases of `agentcheck check`: each directory of tests/golden/configuration has a configuration and the
//! whole output for it, with the exit status in the last line. tests/golden/mistakes has the mistakes of beginners, each
//! with its messages.

use crate::{agentcheck_in, golden};
use agentcheck::config;
use agentcheck_tests::snapshot::{self, str};
use std::path::Path;

fn check(directory: &Path, file: &str) -> String {
    agentcheck_in(directory, &["check", "--config", file])
}

#[test]
fn configurations_give_the_expected_findings() {
    golden::all_as_expected("configuration", 20, |case| check(case, "agentcheck.toml"));
}

#[test]
fn unreadable_file_is_named() {
    let printed = check(Path::new("/"), "/nowhere/agentcheck.toml");
    snapshot::check(
        &printed,
        &[],
        str![[r#"
/nowhere/agentcheck.toml: error: cannot read this: No such file or directory (os error 2)
exit status 1

"#]],
    );
}

/// A correct configuration, which each mistake changes: lines before the first table are keys of the service, lines
/// that begin with `rule.` are keys of its rule, and tables are added.
fn with_mistake(mistake: &str) -> String {
    let (keys, tables) = match mistake.find("\n[") {
        Some(at) if !mistake.starts_with('[') => mistake.split_at(at),
        _ if mistake.starts_with('[') => ("", mistake),
        _ => (mistake, ""),
    };
    let (rule, service): (Vec<&str>, Vec<&str>) =
        keys.lines().partition(|line| line.starts_with("rule."));
    let has = |lines: &[&str], key: &str| lines.iter().any(|line| line.starts_with(key));
    let mut text = String::from(
        "[source.app.http]\nurl = \"http://127.0.0.1:8081/\"\nformat = \"json\"\n\n\
         [source.page.http]\nurl = \"http://127.0.0.1:8082/\"\n\n[source.cpu.system]\nmetric = \"cpu\"\n\n\
         [service.all]\nweight = \"page.ok && cpu.ok && app.ok ? 100 : 50\"\n\n[service.web]\n",
    );
    for line in &service {
        text.push_str(&format!("{line}\n"));
    }
    if !has(&service, "weight") {
        text.push_str("weight = \"headroom(cpu.value, 100)\"\n");
    }
    if !rule.is_empty() {
        text.push_str("\n[[service.web.rule]]\nname = \"r\"\n");
        for line in &rule {
            text.push_str(&format!("{}\n", line.trim_start_matches("rule.")));
        }
        if !has(&rule, "rule.when") {
            text.push_str("when = \"app.json.state == 'x'\"\n");
        }
        if !has(&rule, "rule.reply") {
            text.push_str("reply = \"drain\"\n");
        }
    }
    text + tables.trim_start() + "\n"
}

#[test]
fn beginners_mistakes_have_their_messages() {
    golden::all_as_expected("mistakes", 1, |case| {
        let mistakes = std::fs::read_to_string(case.join("mistakes.toml")).unwrap();
        let mut reported = String::new();
        let mut seen = 0;
        for mistake in mistakes.split("#### ").skip(1) {
            let (title, mistake) = mistake.split_once('\n').unwrap();
            let parsed = config::parse(
                Path::new("agentcheck.toml"),
                &with_mistake(mistake.trim_end()),
            );
            let report = parsed.map_or_else(|report| report, |(_, warnings)| warnings);
            assert!(!report.rendered.is_empty(), "{title}: no message");
            reported.push_str(&format!("#### {title}\n{report}\n"));
            seen += 1;
        }
        assert!(seen >= 40, "{seen}");
        reported
    });
}
