//! SECURITY.md names a test for each of its claims, and each test exists. `unsafe` is only in the files that it
//! lists.

use crate::files_below;
use agentcheck_tests::binaries::workspace;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

/// Whether a text has a test of this name: `#[test]`, or one in `proptest!`, right before it.
fn has_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut lines = text.lines().map(str::trim).collect::<Vec<_>>();
    let Some(at) = lines.iter().position(|line| line.starts_with(&head)) else {
        return false;
    };
    lines.truncate(at);
    let between = |line: &&&str| line.starts_with("///") || line.starts_with("#[");
    let before = lines.iter().rev().take_while(between);
    before.into_iter().any(|line| *line == "#[test]")
}

#[test]
fn every_test_named_in_security_md_exists() {
    let document = read(&workspace().join("SECURITY.md"));
    let mut named = BTreeSet::new();
    // Code spans, which end on their line.
    for line in document.lines() {
        for code in line.split('`').skip(1).step_by(2) {
            if let Some((file, name)) = code.split_once(".rs::") {
                named.insert((format!("{file}.rs"), name.to_owned()));
            }
        }
    }
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, name)| !has_test(&read(&workspace().join(file)), name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named.len() > 50, "{}", named.len());
    assert!(!has_test("#[test]\nfn one() {}\nfn other() {}", "other"));
}

#[test]
fn unsafe_code_is_only_where_security_md_lists_it() {
    // Written in halves, so that this file does not contain the text.
    let allowed = format!("allow({}_code)", "unsafe");
    let forbidden = format!("#![forbid({}_code)]", "unsafe");
    for library in ["common", "collector"] {
        let file = workspace().join(library).join("src/lib.rs");
        assert!(read(&file).contains(&forbidden), "{file:?}");
    }
    let mut rooms = BTreeSet::new();
    for member in ["common", "collector", "responder"] {
        let source = workspace().join(member).join("src");
        let is_rust = |file: &PathBuf| file.extension().is_some_and(|end| end == "rs");
        for file in files_below(&source).into_iter().filter(is_rust) {
            if read(&file).contains(&allowed) {
                let within = file.strip_prefix(&source).unwrap();
                rooms.insert(format!("{member}/{}", within.display()));
            }
        }
    }
    let outside: Vec<_> = rooms
        .iter()
        .filter(|file| *file != "responder/sys.rs" && !file.starts_with("responder/sys/"))
        .collect();
    assert_eq!(outside, ["responder/freestanding.rs", "responder/mem.rs"]);
}

/// The unit's list of system calls is the responder's own list, so a new call cannot be forgotten in it.
#[test]
fn responder_unit_allows_exactly_the_system_calls_in_its_source() {
    let source = read(&workspace().join("responder/src/sys/asm.rs"));
    let mut used = BTreeSet::new();
    for line in source.lines() {
        if let Some(line) = line.trim().strip_prefix("pub(crate) const ") {
            let (name, _) = line.split_once(": usize").unwrap();
            used.insert(match name {
                "SIGPROCMASK" => "rt_sigprocmask".to_owned(),
                name => name.to_ascii_lowercase(),
            });
        }
    }
    assert!(used.len() > 20, "{used:?}");
    let unit = read(&workspace().join("systemd/agentcheck.service"));
    let allowed: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(allowed, used.iter().collect::<Vec<_>>());
}
