//! Golden cases of `agentcheck status`: each directory of tests/golden/status has `status.json`, state files and
//! the moment of the check, and the output for people and for monitoring. A new case needs no code.

use crate::golden;
use agentcheck::render::table::Page;
use agentcheck::render::text::printable;
use agentcheck::status::overview::{
    LockState, OverviewInput, SnapshotError, detail_table, health_check, json_text, overview,
    summary_table, to_json,
};
use agentcheck_common::{BootId, BootTime};
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::snapshot::{self, str};
use std::collections::BTreeMap;
use std::path::Path;

fn load_case(case: &Path) -> OverviewInput {
    let read = |name: &str| std::fs::read(case.join(name));
    let text = String::from_utf8(read("look").unwrap()).unwrap();
    let field = |name: &str| {
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(&format!("{name} ")))
            .unwrap()
    };
    let files = std::fs::read_dir(case).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let service = name.strip_suffix(".state")?.to_owned();
        Some((service, read(&name).unwrap()))
    });
    OverviewInput {
        now: BootTime(field("now").parse().unwrap()),
        boot: BootId::parse(field("boot").as_bytes()).unwrap(),
        lock: match field("lock") {
            "free" => LockState::Free,
            held => LockState::Held(held.strip_prefix("held ").unwrap().parse().ok()),
        },
        status: match read("status.json") {
            Ok(status) => Ok(serde_json::from_slice(&status).unwrap()),
            Err(_) => Err(SnapshotError::Missing),
        },
        files: files.collect::<BTreeMap<_, _>>(),
    }
}

#[test]
fn snapshots_give_the_expected_status() {
    golden::all_as_expected("status", 5, |case| {
        let status = overview(&load_case(case), &[]).unwrap();
        let judged = health_check(&status);
        let reported = format!(
            "{}----\n{}----\n{}: {}\n{}\n",
            summary_table(&status).render(Page::default()),
            detail_table(&status).render(Page::default()),
            judged.level.word(),
            printable(&judged.reasons.join("; ")),
            judged.performance_data
        );
        let control =
            |c: char| c != '\n' && (c.is_control() || ('\u{200b}'..'\u{2070}').contains(&c));
        assert!(!reported.contains(control), "{reported:?}");
        reported
    });
}

/// docs/operations/status.md documents every name.
#[test]
fn json_has_the_documented_fields() {
    let case = workspace().join("tests/golden/status/all");
    let document = to_json(&overview(&load_case(&case), &[]).unwrap());
    assert_eq!(document["format"], 1);
    assert_eq!(document["collector"]["state"], "running");
    assert_eq!(document["services"]["junk"]["valid"], false);
    assert_eq!(document["services"]["junk"]["reply"], "bad-state:junk");
    assert_eq!(document["services"]["old"]["stale"], true);
    assert_eq!(document["services"]["web"]["fresh_for"], 9.2);
    assert_eq!(document["sources"]["db"]["error"], "timeout");
    let page = std::fs::read_to_string(workspace().join("docs/operations/status.md"));
    let page = page.unwrap();
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let web = &document["services"]["web"];
    let mut all = names(&document);
    all.extend(names(&document["collector"]));
    all.extend(names(web));
    all.extend(names(&web["rules"][0]));
    all.extend(names(&web["next"]));
    all.extend(names(&document["sources"]["db"]));
    for name in all {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in docs/operations/status.md"
        );
    }
}

/// The output is safe on a terminal.
#[test]
fn json_is_printable() {
    let case = workspace().join("tests/golden/status/hostile");
    let document = to_json(&overview(&load_case(&case), &[]).unwrap());
    for on_one_line in [true, false] {
        let text = json_text(&document, on_one_line);
        assert!(
            text.chars().all(|c| matches!(c, ' '..='~' | '\n')),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            document
        );
        assert_eq!(text.lines().count() == 1, on_one_line);
    }
}

#[test]
fn unknown_service_is_refused() {
    let case = workspace().join("tests/golden/status/gone");
    let error = overview(&load_case(&case), &["wbe".to_owned()]).unwrap_err();
    snapshot::check(&error, &[], str!["no service wbe; services: web"]);
}
