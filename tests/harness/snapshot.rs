//! Snapshots of text that people see. `SNAPSHOTS=overwrite cargo test` writes what the tests see as what they
//! expect; read the difference before you commit it.
//!
//! In a snapshot, `[..]` is any text within a line and `...` on a line of its own is any lines. [`check`] puts other
//! placeholders for what varies.

use regex::Regex;
use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::data::DataFormat;
use snapbox::{Assert, Data, IntoData, Redactions};
pub use snapbox::{file, str};
use std::path::Path;

fn assert() -> Assert {
    // On this system a backslash is part of a text, and not of a path.
    Assert::new()
        .action_env(DEFAULT_ACTION_ENV)
        .normalize_paths(false)
}

/// Checks `actual` against a snapshot, [`str!`] beside the test or [`file!`].
///
/// `variables` are pairs of a placeholder such as `[PID]` and the value that it stands for in this run.
///
/// # Panics
/// Where they differ.
#[track_caller]
pub fn check(actual: &str, variables: &[(&'static str, String)], expected: impl IntoData) {
    let mut redactions = Redactions::new();
    for (placeholder, value) in variables {
        redactions.insert(placeholder, value.clone()).unwrap();
    }
    let times = Regex::new(r"\b(?<redacted>[0-9]+(\.[0-9]+)? ?(ms|s))\b").unwrap();
    redactions.insert("[TIME]", times).unwrap();
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
