//! SECURITY.md names a test for each of its claims: they are there. And `unsafe` is where it says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // a test says what it expects in the shortest way

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

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
fn every_test_that_is_named_is_there() {
    let document = read(&root().join("SECURITY.md"));
    let mut named = BTreeSet::new();
    // What stands in code, which may not go over a line.
    for line in document.lines() {
        for code in line.split('`').skip(1).step_by(2) {
            if let Some((file, name)) = code.split_once(".rs::") {
                named.insert((format!("{file}.rs"), name.to_owned()));
            }
        }
    }
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, name)| !has_test(&read(&root().join(file)), name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named.len() > 50, "{}", named.len());
    assert!(!has_test("#[test]\nfn one() {}\nfn other() {}", "other"));
}

/// All Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn unsafe_is_where_the_document_says() {
    // Spelt in halves, so that what is looked for is not here.
    let allowed = format!("allow({}_code)", "unsafe");
    let forbidden = format!("#![forbid({}_code)]", "unsafe");
    for library in ["common", "collector"] {
        let file = root().join(library).join("src/lib.rs");
        assert!(read(&file).contains(&forbidden), "{file:?}");
    }
    let mut rooms = BTreeSet::new();
    for member in ["common", "collector", "responder"] {
        let source = root().join(member).join("src");
        for file in sources(&source) {
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
