//! Snapshots of text that people see. `SNAPSHOTS=overwrite cargo test` replaces the expected text with the actual
//! one; read the difference before you commit it.
//!
//! In a snapshot, `[..]` is any text within a line and `...` on a line of its own is any lines. [`check`] puts other
//! placeholders for what varies.

use crate::processes::output;
use regex::Regex;
use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::data::DataFormat;
use snapbox::{Assert, Data, IntoData, Redactions};
pub use snapbox::{file, str};
use std::path::Path;
use std::process::Command;

/// What operators order, as commands print it.
const ACTIONS: &str = "drain|maint|down|ready|force-up|limit [0-9]+%";

fn assert() -> Assert {
    // On this system a backslash is part of a text, and not of a path.
    Assert::new()
        .action_env(DEFAULT_ACTION_ENV)
        .normalize_paths(false)
}

/// Checks `actual` against a snapshot, [`str!`] beside the test or [`file!`].
///
/// `variables` are pairs of a placeholder such as `[PID]` and its value in this run.
///
/// # Panics
/// Where they differ.
#[track_caller]
pub fn check(actual: &str, variables: &[(&'static str, String)], expected: impl IntoData) {
    let mut redactions = Redactions::new();
    for (placeholder, value) in variables {
        redactions.insert(placeholder, value.clone()).unwrap();
    }
    for (placeholder, pattern) in [
        (
            "[TIME]",
            r"([^-]\bafter|\bin) (?<redacted>[0-9.]+ ?(ms|s))\b",
        ),
        ("[AGO]", r"(?<redacted>[0-9.]+ ?(ms|s)) (ago|old)\b"),
        (
            "[WHEN]",
            r"(?<redacted>[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{8}Z| [0-9:]{8} [A-Z][A-Z]+))",
        ),
        ("[PID]", r"(process |: [a-z-]+ \()(?<redacted>[0-9]+)\b"),
        ("[VERSION]", r"haproxy: version (?<redacted>\S+)"),
        (
            "[USER]",
            &format!("(by=|({ACTIONS}) by )(?<redacted>[a-z_][a-z0-9_-]*)"),
        ),
    ] {
        redactions
            .insert(placeholder, Regex::new(pattern).unwrap())
            .unwrap();
    }
    assert().redact_with(redactions).eq(actual, expected);
}

/// Compares `actual` with the whole content of `file`, to the letter.
///
/// # Errors
/// Where they differ: how.
pub fn compare(actual: &str, file: &Path) -> Result<(), String> {
    if std::fs::read_to_string(file).is_ok_and(|text| text == actual) {
        return Ok(());
    }
    let expected = Data::read_from(file, Some(DataFormat::Text));
    let actual = Data::text(actual).raw();
    let compared = assert().try_eq(None, actual, expected.raw());
    compared.map_err(|difference| difference.to_string())
}

/// What an operator sees of some commands: each with its output, and its status where that is not 0.
#[derive(Debug, Default)]
pub struct Session(String);

impl Session {
    /// Runs `command`, which the snapshot names `agentcheck` with these `arguments`; returns its status.
    pub fn run(&mut self, arguments: &[&str], command: &mut Command) -> Option<i32> {
        let output = output(command);
        let quote = |word: &&str| match word.contains([' ', '\n', '\u{1b}']) {
            true => format!("'{}'", word.escape_debug()),
            false => (*word).to_owned(),
        };
        let line: Vec<_> = arguments.iter().map(quote).collect();
        let (stdout, stderr) = (output.stdout, output.stderr);
        let text = String::from_utf8([stdout, stderr].concat()).expect("output is text");
        self.0 += &format!("$ agentcheck {}\n{text}", line.join(" "));
        let status = output.status;
        if !status.success() {
            self.0 += &format!("{status}\n");
        }
        self.0.push('\n');
        output.status.code()
    }

    /// The commands and their output.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}
