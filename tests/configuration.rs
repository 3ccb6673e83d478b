//! Golden cases of `agentcheck check`: each directory of tests/golden/configuration holds a
//! configuration and all that is said of it, to the letter, with the exit status in the last line.
//! `AGENTCHECK_BLESS=1` writes what is seen as what is expected, to be read before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)] // a test says what it expects in the shortest way

use std::path::Path;
use std::process::Command;

fn check(directory: &Path, file: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentcheck"))
        .args(["check", "--config", file])
        .current_dir(directory)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let status = output.status.code().expect("it was not killed");
    format!("{stdout}{stderr}exit status {status}\n")
}

#[test]
fn golden_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/configuration");
    let mut cases: Vec<_> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "the cases are gone from {root:?}");
    let bless = std::env::var_os("AGENTCHECK_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        let told = check(case, "agentcheck.toml");
        let file = case.join("expected");
        if bless {
            std::fs::write(&file, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if told != expected {
            wrong.push(format!(
                "{case:?}\n--- expected\n{expected}--- seen\n{told}"
            ));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    assert_eq!(
        check(Path::new("/"), "/nowhere/agentcheck.toml"),
        "/nowhere/agentcheck.toml: error: cannot be read: No such file or directory (os error 2)\n\
         exit status 1\n"
    );
}
